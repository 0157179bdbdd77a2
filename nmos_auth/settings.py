"""Every NMOS_AUTH_* variable: typed, documented, checked at once."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from nmos_auth.errors import ConfigurationError
from nmos_auth.rules.audience import server_name
from nmos_auth.servers.certificates import TlsFiles, tls_context
from nmos_auth.servers.urls import IssuerUrl

__all__ = [
    "CertificateFile",
    "Discovery",
    "DomainName",
    "ExpiredSockets",
    "IssuerPolicy",
    "Issuers",
    "KeptFile",
    "Settings",
    "unknown_variables",
]

PREFIX = "NMOS_AUTH_"
_CLIENT_PREFIX = "NMOS_AUTH_CLIENT_"
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
_AUDIT_WORDS = ("stderr", "stdout", "logging", "off")
_ORIGIN = re.compile(rf"https?://{_HOST}(?::[0-9]+)?")
_USER = re.compile(r"//[^/]*@")


class Discovery(StrEnum):
    """How Authorization Servers are found while SERVERS is empty."""

    UNICAST = "unicast"
    MULTICAST = "multicast"
    BOTH = "both"
    OFF = "off"


class IssuerPolicy(StrEnum):
    """Whose tokens count besides those of SERVERS and TRUSTED_ISSUERS."""

    SAME_HOST = "same-host"
    CONFIGURED = "configured"


class ExpiredSockets(StrEnum):
    """What becomes of an open WebSocket whose token counts no more."""

    KEEP = "keep"
    CLOSE = "close"


def _listed(value: object) -> object:
    if isinstance(value, str):
        return [entry.strip() for entry in value.split(",") if entry.strip()]
    return value


def _shown(url: str) -> str:
    return repr(_USER.sub("//…@", url))


def _issuers(urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        try:
            IssuerUrl.parse(url, allow_http=True)
        except ValueError as error:
            raise ValueError(
                f"{_shown(url)} is not an issuer URL: {error}. Write https://HOST[:PORT][/PATH],"
                " exactly as the server's metadata has it in `issuer`; the path has no escapes,"
                " no empty segments and no `;`"
            ) from None
    return urls


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    reduced = [(name, server_name(name)) for name in names]
    for name, host in reduced:
        if host is None:
            raise ValueError(f"{name!r} is no host name; give names like node1.example.com")
    return tuple(host for _, host in reduced if host is not None)


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{_shown(origin)} is no origin; give https://HOST[:PORT] or *")
    return origins


def _written_beside(path: Path | None) -> Path | None:
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"the directory {path.parent} does not exist; make it first")
    if path is not None and path.is_dir():
        raise ValueError(f"{path} is a directory; give the path of a file")
    return path


def _domain(name: str | None) -> str | None:
    if name is not None and server_name(name) is None:
        raise ValueError(f"{name!r} is no domain name; give one like example.com")
    return name


def _certificates(path: Path | None) -> Path | None:
    if path is not None:
        tls_context(TlsFiles(path))
    return path


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Issuers = Annotated[Listed, AfterValidator(_issuers)]
DomainName = Annotated[str | None, AfterValidator(_domain)]
CertificateFile = Annotated[Path | None, AfterValidator(_certificates)]
KeptFile = Annotated[Path | None, AfterValidator(_written_beside)]


class Settings(BaseSettings):
    """The resource server's settings, from the environment unless given by name.

    Raises:
        ConfigurationError: a value is wrong; the message names the variable.

        >>> Settings(audience="node1.example.com", servers="https://auth.example.com").realm
        'node1.example.com'
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    enabled: bool = True
    audience: Annotated[Listed, AfterValidator(_names)] = ()
    servers: Issuers = ()
    discovery: Discovery = Discovery.UNICAST
    dns_domain: DomainName = None
    issuer_policy: IssuerPolicy = IssuerPolicy.SAME_HOST
    trusted_issuers: Issuers = ()
    ca_file: CertificateFile = None
    allow_http: bool = False
    refresh_interval: float = Field(default=3600, gt=0, allow_inf_nan=False)
    refetch_interval: float = Field(default=10, gt=0, allow_inf_nan=False)
    keys_file: KeptFile = None
    leeway: float = Field(default=1, ge=0, le=300, allow_inf_nan=False)
    expired_sockets: ExpiredSockets = ExpiredSockets.KEEP
    audit_log: str = "stderr"
    audit_limit: float = Field(default=500, ge=0, allow_inf_nan=False)
    cors_origins: Annotated[Listed, AfterValidator(_origins)] = ("*",)

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - pydantic checks every one
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_describe(error)) from None

    @field_validator("audit_log")
    @classmethod
    def _audit_destination(cls, destination: str) -> str:
        if "/" in destination:
            _written_beside(Path(destination))
        elif destination not in _AUDIT_WORDS:
            raise ValueError(
                f"{destination!r} is neither {', '.join(_AUDIT_WORDS)} nor a path with a slash in"
                f" it; for a file in the working directory write ./{destination}"
            )
        return destination

    @model_validator(mode="after")
    def _https_issuers(self) -> Self:
        if not self.allow_http:
            for name in ("servers", "trusted_issuers"):
                for url in getattr(self, name):
                    if not url.startswith("https://"):
                        raise ValueError(
                            f"{PREFIX}{name.upper()}: {url} is not https; use https, or for"
                            f" development alone set {PREFIX}ALLOW_HTTP=true"
                        )
        return self

    @model_validator(mode="after")
    def _known_audience(self) -> Self:
        if self.enabled and not self.audience:
            name = server_name(socket.getfqdn())
            if name is None or "." not in name:
                raise ValueError(
                    f"{PREFIX}AUDIENCE: this host has no fully qualified domain name; set it to"
                    " the name or names by which clients know this server, node1.example.com say"
                )
            object.__setattr__(self, "audience", (name,))
        return self

    @property
    def realm(self) -> str:
        """The protection space named in challenges: this server's first name."""
        return self.audience[0] if self.audience else "nmos"


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """List the NMOS_AUTH_* variables that nothing here reads: most are misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.startswith(PREFIX) and not name.startswith(_CLIENT_PREFIX) and name not in known
    )


def _describe(error: ValidationError) -> str:
    return "; ".join(
        f"{_variable(detail['loc'])}{detail['msg'].removeprefix('Value error, ')}"
        for detail in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _variable(location: tuple[int | str, ...]) -> str:
    return f"{PREFIX}{str(location[0]).upper()}: " if location else ""
