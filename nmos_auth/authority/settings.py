"""The settings of an Authorization Server, and whether they are valid."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from nmos_auth.authority.clients import Client, first_duplicate
from nmos_auth.authority.policy import RegistrationPolicy
from nmos_auth.authority.tokens import check_lifetime
from nmos_auth.authority.users import User
from nmos_auth.errors import ConfigurationError
from nmos_auth.servers.redirect_uris import is_loopback
from nmos_auth.servers.urls import IssuerUrl

__all__ = ["AuthoritySettings", "check_issuer"]

# Segments that reach the routing table unchanged: nothing is decoded, normalised or expanded.
_ISSUER_PATH = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True, kw_only=True)
class AuthoritySettings:
    """The settings of an Authorization Server.

    Attributes:
        issuer: the issuer identifier (RFC 8414 Section 2), https, with or without a path. The
            application includes this path, so do not mount it below a path.
        clients: the Clients that get tokens without registering first.
        token_lifetime: seconds for which an Access Token is valid, 30 to 3600.
        allow_http: allow http for the issuer, and the `jwks_uri` of Clients, on loopback.
        users: the users who may log in and authorize Clients.
        registration: what Clients get that register by themselves.
        refresh_lifetime: seconds for which refresh tokens are valid: for public Clients from the
            user's authorization, for others from the last refresh.
        database: a file for what is kept over a restart, including the signing keys; None for
            memory.
        ca_file: root certificates for fetching the keys of Clients; None for the system's.

    Raises:
        ConfigurationError: a field is wrong; the message names it.
    """

    issuer: str
    clients: tuple[Client, ...]
    token_lifetime: int = 300
    allow_http: bool = False
    users: tuple[User, ...] = ()
    registration: RegistrationPolicy = field(default_factory=RegistrationPolicy)
    refresh_lifetime: int = 86400
    database: Path | None = None
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        check_issuer(self.issuer, allow_http=self.allow_http)
        check_lifetime(self.token_lifetime)
        if self.refresh_lifetime < self.token_lifetime:
            raise ConfigurationError("refresh_lifetime: must not be shorter than token_lifetime")
        registers = self.users or self.registration.initial_access_tokens or self.database
        if not self.clients and not registers:
            raise ConfigurationError("clients: without one, no token can be issued")
        if first_duplicate([client.client_id for client in self.clients]) is not None:
            raise ConfigurationError("clients: two have the same client_id")
        if first_duplicate([user.name for user in self.users]) is not None:
            raise ConfigurationError("users: two have the same name")

    @property
    def configured_ids(self) -> frozenset[str]:
        """The ids of the Clients that are configured."""
        return frozenset(client.client_id for client in self.clients)

    @property
    def path(self) -> str:
        """The path of the issuer without its trailing slash: empty, or `/…`."""
        return IssuerUrl.parse(self.issuer, allow_http=True).path.rstrip("/")

    def url(self, endpoint: str) -> str:
        """Return the URL of an endpoint below the issuer; `endpoint` begins with a slash."""
        return self.issuer.rstrip("/") + endpoint

    @property
    def metadata_path(self) -> str:
        """The path of the metadata by RFC 8414 Section 3.1: the issuer's path comes last."""
        return "/.well-known/oauth-authorization-server" + self.path


def check_issuer(issuer: str, *, allow_http: bool) -> None:
    """Check an issuer identifier (RFC 8414 Section 2).

    Raises:
        ConfigurationError: it is not valid.
    """
    problem = _issuer_problem(issuer, allow_http=allow_http)
    if problem is not None:
        raise ConfigurationError(f"issuer: {problem}")


def _issuer_problem(issuer: str, *, allow_http: bool) -> str | None:
    try:
        url = IssuerUrl.parse(issuer, allow_http=True)
    except ValueError as error:
        return str(error)
    if not _ISSUER_PATH.fullmatch(url.path):
        return "its path must be plain segments of letters and digits"
    is_plain = allow_http and is_loopback(url.hostname)
    if url.scheme != "https" and not is_plain:
        return "must be https (http only on loopback, where that is allowed)"
    return None
