"""What the programs of this package have in common: settings, TLS and how they start."""

import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import uvicorn
from fastapi import FastAPI
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from typing_extensions import override

import nmos_auth
from nmos_auth.servers import tls
from nmos_auth.servers.listening import CannotListen, listen
from nmos_auth.servers.urls import Origin
from nmos_auth.settings import described, listed, listed_paths

logger = logging.getLogger("example_node")

T = TypeVar("T")
SettingsT = TypeVar("SettingsT", bound="ServerSettings")


Listed = Annotated[tuple[T, ...], NoDecode, BeforeValidator(listed)]
"""A setting that the environment has as a comma-separated list."""

ListedFiles = Annotated[tuple[FilePath, ...], NoDecode, BeforeValidator(listed_paths)]
"""Files, comma-separated."""


def _origins(urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        try:
            Origin.parse(url)
        except ValueError as error:
            raise ValueError(f"{url!r} is not the URL of a registry: {error}") from None
    return tuple(url.removesuffix("/") for url in urls)


OriginUrls = Annotated[Listed[str], AfterValidator(_origins)]
"""Registries, each as `https://HOST[:PORT]`."""

# Seconds for answers that are being sent when a server is told to stop; a client that reads
# nothing would otherwise keep it, and a Node registered, for ever.
_STOPPING_TIME = 5

Port = Annotated[int, Field(ge=1, le=65535, description="The TCP port of all APIs.")]


@dataclass(frozen=True, slots=True)
class Advertised:
    """The address at which others reach a server, which may differ from where it listens."""

    protocol: Literal["https", "http"]
    host: str
    port: int

    def __str__(self) -> str:
        """Return the beginning of every URL of the server."""
        return f"{self.protocol}://{self.host}:{self.port}"


def _advertised(url: str) -> Advertised:
    try:
        origin = Origin.parse(url)
    except ValueError as error:
        raise ValueError(f"{url[:80]!r} is not the URL of a server: {error}") from None
    return Advertised(origin.scheme, origin.host, origin.port)


class ServerSettings(BaseSettings):
    """How a server is reached; each has its own prefix for the variables of the environment.

    Raises:
        pydantic.ValidationError: a value is not usable; the message names the setting.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    host_name: str = Field(
        default_factory=socket.getfqdn,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
        description="The name by which others reach this server, in hrefs and in the certificate.",
    )
    port: Port
    listen: str = Field(
        default="127.0.0.1", description="The address to listen on; 0.0.0.0 for all."
    )
    protocol: Literal["https", "http"] = Field(
        default="https",
        description="`http` is for development: tokens must not travel unencrypted (IS-10).",
    )
    advertised_url: str | None = Field(
        default=None,
        description="https://HOST[:PORT], the beginning of every href, if others reach this server "
        "at another address than PROTOCOL, HOST_NAME and PORT: behind a proxy that ends TLS.",
    )
    tls_certificate: ListedFiles = Field(
        default=(),
        description="PEM files, comma-separated: an RSA and an ECDSA certificate, or one of them, "
        "each with its chain.",
    )
    tls_key: ListedFiles = Field(
        default=(), description="PEM files: the certificates' private keys, in the same order."
    )
    hsts_max_age: int = Field(
        default=31_536_000,
        ge=0,
        description="Seconds for which Clients use https only (RFC 6797); 0 for no header.",
    )
    utc_offset: int = Field(default=37, description="TAI minus UTC, in seconds.")

    @field_validator("advertised_url")
    @classmethod
    def _is_advertised(cls, url: str | None) -> str | None:
        return None if url is None else str(_advertised(url))

    @property
    def advertised(self) -> Advertised:
        """The address at which others reach this server."""
        if self.advertised_url is not None:
            return _advertised(self.advertised_url)
        return Advertised(self.protocol, self.host_name, self.port)

    @property
    def origin(self) -> str:
        """Scheme, name and port, with which every URL of this server begins."""
        return str(self.advertised)


def run(
    settings: type[SettingsT],
    create_app: Callable[[SettingsT], FastAPI],
    *,
    largest_message: int,
) -> int:
    """Serve an app until it is told to stop; the return value is the exit status.

    Args:
        settings: the class of the settings, which are read from the environment.
        create_app: makes the app.
        largest_message: the most bytes of a client's WebSocket message.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    prefix = settings.model_config.get("env_prefix", "")
    try:
        loaded = settings()
        config = _configure(create_app, loaded, prefix, largest_message)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            # In a list, the number of the entry follows.
            name = str(fault["loc"][0]).upper()
            sys.stderr.write(f"{prefix}{name}: {described(fault)}\n")
        return 2
    except (nmos_auth.NmosAuthError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        listener = listen(
            loaded.listen,
            loaded.port,
            address_setting=f"{prefix}LISTEN",
            port_setting=f"{prefix}PORT",
        )
    except CannotListen as error:
        sys.stderr.write(f"{error}\n")
        return 1
    host = f"[{loaded.listen}]" if ":" in loaded.listen else loaded.listen
    _Server(config, where=f"{loaded.protocol}://{host}:{loaded.port}").run([listener])
    return 0


class _Server(uvicorn.Server):
    """A server that says where it listens, which uvicorn does only for sockets of its own."""

    def __init__(self, config: uvicorn.Config, *, where: str) -> None:
        super().__init__(config)
        self._where = where

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            logger.info("running on %s; Ctrl-C stops it", self._where)


def _configure(
    create_app: Callable[[SettingsT], FastAPI],
    settings: SettingsT,
    prefix: str,
    largest_message: int,
) -> uvicorn.Config:
    """Make the app, and load its certificates.

    Raises:
        OSError: a certificate is missing or cannot be used, or something else that the app needs of
            the computer.
        nmos_auth.NmosAuthError: a setting of authorization, or the client's store, is not usable.
    """
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        ws_max_size=largest_message,
        timeout_graceful_shutdown=_STOPPING_TIME,
        log_config=None,
    )
    if settings.protocol == "http":
        return config
    if not settings.tls_certificate or len(settings.tls_certificate) != len(settings.tls_key):
        raise OSError(
            f"https requires {prefix}TLS_CERTIFICATE and {prefix}TLS_KEY, with the same number of "
            f"files; {prefix}PROTOCOL=http does not, for development only"
        )
    context = tls.server_context(zip(settings.tls_certificate, settings.tls_key, strict=True))
    config.ssl_context_factory = lambda *_: context
    # It is set here and not in the app, so that refusals and failures have it too.
    config.headers = tls.strict_transport_security(settings.hsts_max_age)
    return config
