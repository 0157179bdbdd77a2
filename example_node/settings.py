"""The Node's own settings, EXAMPLE_NODE_*. Those of authorization are NMOS_AUTH_*."""

import re
import socket
from typing import Annotated, Literal

from pydantic import Field, FilePath, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from nmos_auth.settings import Discovery

_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")


class Settings(BaseSettings):
    """What a user of the Node chooses, from the environment or as arguments.

    Raises:
        pydantic.ValidationError: A value is not usable; the message names the setting.
    """

    model_config = SettingsConfigDict(
        env_prefix="EXAMPLE_NODE_", frozen=True, env_ignore_empty=True
    )

    host_name: str = Field(
        default_factory=socket.getfqdn,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
        description="The name by which others reach the Node, in hrefs and in the certificate.",
    )
    port: int = Field(
        default=8443, ge=1, le=65535, description="The TCP port of all the Node's APIs."
    )
    listen: str = Field(
        default="127.0.0.1", description="The address to listen on; 0.0.0.0 for all."
    )
    protocol: Literal["https", "http"] = Field(
        default="https",
        description="`http` is for development: tokens must not travel unencrypted (IS-10).",
    )
    tls_certificate: Annotated[tuple[FilePath, ...], NoDecode] = Field(
        default=(),
        description="PEM files, comma-separated: an RSA and an ECDSA certificate, each with its "
        "chain. One of them serves too.",
    )
    tls_key: Annotated[tuple[FilePath, ...], NoDecode] = Field(
        default=(), description="PEM files: the certificates' private keys, in the same order."
    )
    hsts_max_age: int = Field(
        default=31_536_000,
        ge=0,
        description="Seconds for which Clients are to use https alone (RFC 6797); 0 says nothing.",
    )
    label: str = Field(default="Example Node", description="The Node's name for people.")
    seed: str = Field(
        default="",
        description="What the resources' UUIDs are made from; the host name where this is empty.",
    )
    interfaces: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=2,
        description="Network interfaces for media, comma-separated: one, or two for ST 2022-7. "
        "Where this is empty, the first that has an IPv4 address.",
    )
    event_interval: float = Field(
        default=1.0,
        ge=0.01,
        le=3600,
        description="Seconds from one change of the event Sources' values to the next.",
    )
    utc_offset: int = Field(default=37, description="TAI minus UTC, in seconds.")
    registries: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Registration APIs, comma-separated, in order of preference: "
        "https://HOST[:PORT] of each. Where this is empty, they are discovered.",
    )
    registry_discovery: Discovery | None = Field(
        default=None,
        description="How Registration APIs are discovered: `unicast`, `multicast`, `both` or "
        "`off`; as NMOS_AUTH_DISCOVERY where this is not set.",
    )
    heartbeat_interval: float = Field(
        default=5.0,
        ge=0.1,
        le=60.0,
        description="Seconds between heartbeats; more than 5 only if the registry waits longer.",
    )

    @field_validator("registries", mode="after")
    @classmethod
    def _origins(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not _ORIGIN.fullmatch(url):
                raise ValueError(f"{url!r} is no registry's URL; give https://HOST[:PORT]")
        return tuple(url.removesuffix("/") for url in urls)

    @field_validator("interfaces", "registries", "tls_certificate", "tls_key", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(entry.strip() for entry in value.split(",") if entry.strip())
        return value

    @property
    def origin(self) -> str:
        """Scheme, name and port, as every href of this Node begins."""
        return f"{self.protocol}://{self.host_name}:{self.port}"
