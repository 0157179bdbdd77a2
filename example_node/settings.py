"""The Node's own settings, EXAMPLE_NODE_*. Those of authorization are NMOS_AUTH_*."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from example_node.serving import Listed, OriginUrls, Port, ServerSettings
from nmos_auth.settings import Discovery


class Settings(ServerSettings):
    """What a user of the Node chooses, from the environment or as arguments.

    Raises:
        pydantic.ValidationError: a value is not usable; the message names the setting.
    """

    model_config = SettingsConfigDict(
        env_prefix="EXAMPLE_NODE_", frozen=True, env_ignore_empty=True
    )

    port: Port = 8443
    label: str = Field(default="Reference Node", description="The Node's name for people.")
    seed: str = Field(
        default="",
        description="The seed of the resources' UUIDs; if empty, the host name.",
    )
    interfaces: Listed[str] = Field(
        default=(),
        max_length=2,
        description="Network interfaces for media, comma-separated: one, or two for ST 2022-7. "
        "If empty, the first that has an IPv4 address.",
    )
    enforce_capabilities: bool = Field(
        default=True,
        description="Whether a Receiver refuses, with 400, the transport file of a stream that "
        "meets none of its constraint sets (BCP-004-01). If false, it is staged, and logged.",
    )
    event_interval: float = Field(
        default=1.0,
        ge=0.01,
        le=3600,
        description="Seconds from one change of the event Sources' values to the next.",
    )
    registries: OriginUrls = Field(
        default=(),
        description="Registration APIs, comma-separated, in order of preference: "
        "https://HOST[:PORT] of each. If empty, they are discovered.",
    )
    registry_discovery: Discovery | None = Field(
        default=None,
        description="How Registration APIs are discovered: `unicast`, `multicast`, `both` or "
        "`off`; by default as NMOS_AUTH_DISCOVERY.",
    )
    heartbeat_interval: float = Field(
        default=5.0,
        ge=0.1,
        le=60.0,
        description="Seconds between heartbeats; more than 5 only if the registry waits longer.",
    )
