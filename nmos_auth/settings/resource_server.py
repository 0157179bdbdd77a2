"""The NMOS_AUTH_* variables of the resource server: typed, documented, checked at the start."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, Self

from pydantic import Field, SecretStr, model_validator

from nmos_auth.errors import ConfigurationError
from nmos_auth.rules.audience import server_name
from nmos_auth.servers.access import USER_AGENT, Proxy, ServerAccess
from nmos_auth.servers.certificates import CertificateError, TlsFiles, TlsIdentity, tls_context
from nmos_auth.settings.environment import (
    ENV_FILE,
    PREFIX,
    EnvironmentSettings,
    effective_environment,
    with_suggestion,
)
from nmos_auth.settings.values import (
    AuditDestination,
    CertificateFile,
    Discovery,
    DnsServers,
    DomainName,
    ExpiredSockets,
    IssuerPolicy,
    Issuers,
    KeptFile,
    Origins,
    ProxyUrl,
    ReadFile,
    ServerNames,
    UserAgent,
    require_https,
)

__all__ = [
    "Settings",
    "access_to_servers",
    "check_client_certificate",
    "describe_unknown",
    "unknown_variables",
]

_CLIENT_PREFIX = "NMOS_AUTH_CLIENT_"


class Settings(EnvironmentSettings):
    """The resource server's settings, from the environment unless given by name.

    Raises:
        ConfigurationError: a value is wrong; the message names the variable.

        >>> Settings(audience="node1.example.com", servers="https://auth.example.com").realm
        'node1.example.com'
    """

    enabled: bool = True
    audience: ServerNames = ()
    servers: Issuers = ()
    discovery: Discovery = Discovery.UNICAST
    dns_domain: DomainName = None
    dns_servers: DnsServers = ()
    issuer_policy: IssuerPolicy = IssuerPolicy.SAME_HOST
    trusted_issuers: Issuers = ()
    static_keys_file: ReadFile = None
    ca_file: CertificateFile = None
    client_certificate: ReadFile = None
    client_certificate_key: ReadFile = None
    https_proxy: ProxyUrl = None
    user_agent: UserAgent = USER_AGENT
    allow_http: bool = False
    refresh_interval: float = Field(default=3600, gt=0, allow_inf_nan=False)
    refetch_interval: float = Field(default=10, gt=0, allow_inf_nan=False)
    keys_file: KeptFile = None
    leeway: float = Field(default=1, ge=0, le=300, allow_inf_nan=False)
    expired_sockets: ExpiredSockets = ExpiredSockets.KEEP
    audit_log: AuditDestination = "stderr"
    audit_limit: float = Field(default=500, ge=0, allow_inf_nan=False)
    cors_origins: Origins = ("*",)
    remembered_tokens: int = Field(default=1024, ge=0, le=1_000_000)
    remembered_requests: int = Field(default=2048, ge=0, le=1_000_000)

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - pydantic checks every one
        # Otherwise pydantic's plugin for mypy would make a constructor for typed values only.
        super().__init__(**values)

    @model_validator(mode="after")
    def _https_issuers(self) -> Self:
        for name in ("servers", "trusted_issuers"):
            require_https(
                f"{PREFIX}{name.upper()}", getattr(self, name), allow_http=self.allow_http
            )
        return self

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        check_client_certificate(self.client_certificate, self.client_certificate_key)
        return self

    @model_validator(mode="after")
    def _two_files_of_keys(self) -> Self:
        kept, static = self.keys_file, self.static_keys_file
        is_same = False
        if kept is not None and static is not None:
            with contextlib.suppress(OSError):  # there is none yet
                is_same = kept.samefile(static)
        if is_same:
            raise ValueError(
                f"{PREFIX}KEYS_FILE: it is the file of {PREFIX}STATIC_KEYS_FILE, which is never"
                " written; name another one"
            )
        return self

    @model_validator(mode="after")
    def _known_audience(self) -> Self:
        if self.enabled and not self.audience:
            name = server_name(socket.getfqdn())
            if name is None or "." not in name:
                raise ValueError(
                    f"{PREFIX}AUDIENCE: this host has no fully qualified domain name; set it to"
                    " the names by which clients know this server, for instance node1.example.com"
                )
            object.__setattr__(self, "audience", (name,))
        return self

    @property
    def realm(self) -> str:
        """The protection space named in challenges: this server's first name."""
        return self.audience[0] if self.audience else "nmos"


class _OfAccess(Protocol):
    @property
    def ca_file(self) -> Path | None: ...
    @property
    def client_certificate(self) -> Path | None: ...
    @property
    def client_certificate_key(self) -> Path | None: ...
    @property
    def https_proxy(self) -> SecretStr | None: ...
    @property
    def user_agent(self) -> str: ...


def access_to_servers(settings: _OfAccess) -> ServerAccess:
    """Return how Authorization Servers are reached, for either half.

    Raises:
        ConfigurationError: a certificate file was changed since the settings were made, and cannot
            be used.
    """
    files = TlsFiles(settings.ca_file, settings.client_certificate, settings.client_certificate_key)
    try:
        tls = TlsIdentity(files)
    except CertificateError as error:
        raise ConfigurationError(f"{PREFIX}CA_FILE: {error}") from None
    proxy = settings.https_proxy
    return ServerAccess(
        tls, None if proxy is None else Proxy.parse(proxy.get_secret_value()), settings.user_agent
    )


def check_client_certificate(certificate: Path | None, key: Path | None) -> None:
    """Check that a client certificate and its key belong together.

    Raises:
        ValueError: they do not; the message names the variables.
    """
    if certificate is None:
        if key is not None:
            raise ValueError(
                f"{_CLIENT_PREFIX}CERTIFICATE_KEY: it requires {_CLIENT_PREFIX}CERTIFICATE, the"
                " certificate that it belongs to"
            )
        return
    try:
        tls_context(TlsFiles(None, certificate, key))
    except CertificateError as error:
        raise ValueError(f"{_CLIENT_PREFIX}CERTIFICATE: {error}") from None


def unknown_variables() -> list[str]:
    """List the NMOS_AUTH_* variables that no setting reads: most are misspelt.

    Raises:
        ConfigurationError: the env file may not be used, or is missing.
    """
    known = _known_variables()
    return sorted(
        name
        for name in effective_environment()
        if name.startswith(PREFIX) and not name.startswith(_CLIENT_PREFIX) and name not in known
    )


def describe_unknown(names: Iterable[str]) -> str:
    """Return unknown variables for a message, each with the one that was probably meant."""
    known = _known_variables()
    return ", ".join(with_suggestion(name, known) for name in names)


def _known_variables() -> set[str]:
    return {*Settings.variables().values(), ENV_FILE}
