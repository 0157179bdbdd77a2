"""What the operator permits Clients that register by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pydantic import SecretStr, ValidationError

from nmos_auth.authority.clients import CLIENT_CREDENTIALS_SCOPES, KnownClient, Permissions
from nmos_auth.errors import ConfigurationError

__all__ = ["DEFAULT_PERMISSIONS", "RegistrationPolicy"]

_READ = Permissions(read=("*",))

# What a Controller or a Node needs of each API, without permission to change what others own.
DEFAULT_PERMISSIONS: Mapping[str, Permissions] = MappingProxyType(
    {
        "channelmapping": Permissions(read=("*",), write=("map/activations", "map/activations/*")),
        "connection": Permissions(read=("*",), write=("single/*", "bulk/*")),
        "events": _READ,
        "node": _READ,
        "query": Permissions(read=("*",), write=("subscriptions", "subscriptions/*")),
        "registration": Permissions(
            read=("*",), write=("resource", "resource/*", "health/nodes/*")
        ),
        "streamcompatibility": Permissions(read=("*",), write=("inputs/*", "senders/*")),
        "system": _READ,
    }
)


@dataclass(frozen=True, kw_only=True)
class RegistrationPolicy:
    """What dynamic registration requires and permits.

    Attributes:
        open: whether `authorization_code` only may be registered without an initial access
            token: "Authorization Servers MAY be configured to grant implicit authentication
            where only the `authorization_code` grant type is requested" (IS-10).
        initial_access_tokens: opaque tokens, in addition to those that the server signs itself.
        audience: the `aud` of the tokens of registered Clients.
        permissions: the `x-nmos-*` claims, by scope; other scopes are refused.
        client_credentials_scopes: the scopes that the Client Credentials grant may give them.
        open_client_credentials: whether `client_credentials` may be registered without one too.
            IS-10 forbids that, but some Nodes cannot send an initial access token.
        most_open_registrations: the most registrations without a token, so that strangers cannot
            fill the disk. Those that no user has authorized make room after ten minutes.
        open_registrations_per_minute: the most of them in a minute.

    Raises:
        ConfigurationError: a field is wrong; the message names it.
    """

    open: bool = True
    initial_access_tokens: tuple[SecretStr, ...] = ()
    audience: tuple[str, ...] = ("*",)
    permissions: Mapping[str, Permissions] = field(default_factory=lambda: DEFAULT_PERMISSIONS)
    client_credentials_scopes: tuple[str, ...] | None = None
    open_client_credentials: bool = False
    most_open_registrations: int = 1000
    open_registrations_per_minute: int = 60

    def __post_init__(self) -> None:
        try:
            KnownClient(
                client_id="x" * 20,
                audience=self.audience,
                scopes=tuple(self.permissions),
                client_credentials_scopes=self.client_credentials_scopes,
            )
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, problem["loc"]))
            message = problem["msg"].removeprefix("Value error, ")
            raise ConfigurationError(f"registration.{place}: {message}") from None

    @property
    def machine_scopes(self) -> frozenset[str]:
        """The scopes that the Client Credentials grant may give a registered Client."""
        if self.client_credentials_scopes is None:
            return CLIENT_CREDENTIALS_SCOPES.intersection(self.permissions)
        return frozenset(self.client_credentials_scopes)
