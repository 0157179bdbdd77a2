"""The Registry's own settings, EXAMPLE_REGISTRY_*. Those of authorization are NMOS_AUTH_*."""

import socket
from typing import Literal

from pydantic import Field, FilePath, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a user of the Registry chooses, from the environment or as arguments.

    Raises:
        pydantic.ValidationError: A value is not usable; the message names the setting.
    """

    model_config = SettingsConfigDict(
        env_prefix="EXAMPLE_REGISTRY_", frozen=True, env_ignore_empty=True
    )

    host_name: str = Field(
        default_factory=socket.getfqdn,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
        description="The name by which others reach the Registry, and that of its certificate.",
    )
    port: int = Field(default=8444, ge=1, le=65535, description="The TCP port of both APIs.")
    listen: str = Field(
        default="127.0.0.1", description="The address to listen on; 0.0.0.0 for all."
    )
    protocol: Literal["https", "http"] = Field(
        default="https",
        description="`http` is for development: tokens must not travel unencrypted (IS-10).",
    )
    tls_certificate: FilePath | None = Field(
        default=None, description="A PEM file: the certificate with its chain."
    )
    tls_key: FilePath | None = Field(default=None, description="A PEM file: its private key.")
    expiry: float = Field(
        default=12,
        gt=0,
        allow_inf_nan=False,
        description="Seconds for which a Node is kept without a heartbeat (IS-04).",
    )
    redis: SecretStr | None = Field(
        default=None,
        description="The URL of a Redis server that keeps who owns which Node; in memory where "
        "this is empty.",
    )
    utc_offset: int = Field(default=37, description="TAI minus UTC, in seconds.")

    @field_validator("redis")
    @classmethod
    def _redis_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("give redis://HOST:PORT, rediss:// for TLS, or unix://PATH")
        return url

    @property
    def origin(self) -> str:
        """Scheme, name and port, as every URL of this Registry begins."""
        return f"{self.protocol}://{self.host_name}:{self.port}"

    @property
    def websocket_origin(self) -> str:
        """The same for WebSockets."""
        return self.origin.replace("http", "ws", 1)
