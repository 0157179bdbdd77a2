"""The Controller's own settings, EXAMPLE_CONTROLLER_*; as a Client it has NMOS_AUTH_CLIENT_*."""

import ipaddress
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from example_node.serving import Listed, OriginUrls, Port, ServerSettings
from nmos_auth.settings import Discovery

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Settings(ServerSettings):
    """What a user of the Controller chooses, from the environment or as arguments.

    Raises:
        pydantic.ValidationError: a value is not usable; the message names the setting.
    """

    model_config = SettingsConfigDict(
        env_prefix="EXAMPLE_CONTROLLER_", frozen=True, env_ignore_empty=True
    )

    port: Port = 8445
    label: str = Field(default="Reference Controller", description="What its pages are called.")
    authorization: bool = Field(
        default=True,
        description="Whether users log in; false is for plants without authorization, and then "
        "whoever reaches the Controller controls the plant.",
    )
    registries: OriginUrls = Field(
        default=(),
        description="Query APIs, comma-separated, in order of preference: https://HOST[:PORT] of "
        "each. Where this is empty, they are discovered.",
    )
    registry_discovery: Discovery | None = Field(
        default=None,
        description="How Query APIs are discovered: `unicast`, `multicast` or `both`; as "
        "NMOS_AUTH_DISCOVERY where this is not set.",
    )
    token_hosts: Listed[str] = Field(
        default=(),
        description="Hosts of Devices that get users' tokens besides those that a token's own "
        "audience names: names, patterns like *.studio.example.com, or addresses.",
    )
    networks: Listed[Network] = Field(
        default=(),
        description="Networks that Devices may be in although they are loopback or link-local, "
        "comma-separated: 127.0.0.0/8, say. All other unicast addresses are permitted anyway.",
    )
    salvos: Path | None = Field(
        default=None, description="The file that keeps salvos; in memory where this is empty."
    )
