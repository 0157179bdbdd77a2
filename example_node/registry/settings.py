"""The Registry's own settings, EXAMPLE_REGISTRY_*. Those of authorization are NMOS_AUTH_*."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from example_node.serving import Port, ServerSettings


class Settings(ServerSettings):
    """What a user of the Registry chooses, from the environment or as arguments.

    Raises:
        pydantic.ValidationError: a value is not usable; the message names the setting.
    """

    model_config = SettingsConfigDict(
        env_prefix="EXAMPLE_REGISTRY_",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    port: Port = 8444
    expiry: float = Field(
        default=12,
        gt=0,
        allow_inf_nan=False,
        description="Seconds for which a Node is kept without a heartbeat (IS-04).",
    )
    pri: Annotated[int, Field(ge=0, le=65535)] | Literal["off"] = Field(
        default=100,
        description="With which priority the Registry is found by multicast DNS (IS-04): 0 is the "
        "highest, 100 and more are for development; `off` for not at all. It needs the extra mdns.",
    )
    most_per_client: int = Field(
        default=10_000,
        ge=1,
        description="How many resources one client may register.",
    )
    redis: SecretStr | None = Field(
        default=None,
        description="The URL of a Redis server that keeps who owns which Node; in memory where "
        "this is empty.",
    )

    @field_validator("redis")
    @classmethod
    def _redis_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("write redis://HOST:PORT, rediss:// for TLS, or unix://PATH")
        return url

    @property
    def websocket_origin(self) -> str:
        """The beginning of every URL of a WebSocket."""
        return self.origin.replace("http", "ws", 1)
