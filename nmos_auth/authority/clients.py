"""The Clients that an Authorization Server knows, and what each may be granted.

Without `client_credentials_scopes` the Client Credentials grant is only open for `registration` and
`events`: "Alternative uses of the Client Credentials grant MUST be arranged on a deployment
specific basis and MUST NOT form the default mode of operation" (BCP-003-02).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from nmos_auth.authority.assertions import parse_client_key
from nmos_auth.authority.redirect_uris import check_redirect_uri
from nmos_auth.rules.audience import host_pattern
from nmos_auth.servers.grammar import VSCHARS

__all__ = [
    "CLIENT_AUTHENTICATION_METHODS",
    "CLIENT_CREDENTIALS_SCOPES",
    "NMOS_APIS",
    "Audience",
    "AuthenticationMethod",
    "Client",
    "GrantType",
    "KnownClient",
    "Permissions",
    "Scope",
    "first_duplicate",
    "secret_digest",
]

# IS-10 "Client Authentication" has the first two; "none" is for public clients, "Client
# Registration".
AuthenticationMethod = Literal["private_key_jwt", "client_secret_basic", "none"]
CLIENT_AUTHENTICATION_METHODS: tuple[AuthenticationMethod, ...] = (
    "private_key_jwt",
    "client_secret_basic",
    "none",
)

GrantType = Literal["authorization_code", "client_credentials", "refresh_token"]

# BCP-003-02 "Authorization Grant Constraints".
CLIENT_CREDENTIALS_SCOPES = frozenset({"events", "registration"})

# In this order they are of IS-08, IS-05, IS-07, IS-04, IS-04, IS-04, IS-11 and IS-09.
NMOS_APIS = (
    "channelmapping",
    "connection",
    "events",
    "node",
    "query",
    "registration",
    "streamcompatibility",
    "system",
)

# Narrower than RFC 6749 Section 3.3: "the namespace identifier for a given NMOS API".
_API = re.compile(r"[a-z][a-z0-9-]*")

_Config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _client_id(value: str) -> str:
    # IS-10 "Client Registration": "The Client ID MUST be at least 20 characters long".
    if len(value) < 20 or not VSCHARS.fullmatch(value):
        raise ValueError("must be at least 20 printable ASCII characters")
    return value


def _scope(value: str) -> str:
    if not _API.fullmatch(value):
        raise ValueError("must be the name of an NMOS API as it stands in URLs")
    return value


def _audience(value: str) -> str:
    if host_pattern(value) is None:
        raise ValueError("must be a host name, which may have a scheme and wildcards, without port")
    return value


def _path_specifier(value: str) -> str:
    if not value or not value.isascii() or not value.isprintable():
        raise ValueError("must be ASCII, and not empty")
    if value.startswith("/"):
        # IS-10: "all path specifiers MUST start after the API version and its trailing slash".
        raise ValueError("must not begin with a slash: it starts after the API version")
    return value


def _key_set(value: Mapping[str, object]) -> Mapping[str, object]:
    entries = value.get("keys")
    if not isinstance(entries, list) or not entries:
        raise ValueError("must be a JWK Set with at least one key")
    try:
        for entry in entries:
            parse_client_key(entry)
    except ValueError as error:
        raise ValueError(f"must hold RSA public keys: one {error}") from None
    return value


Audience = Annotated[str, AfterValidator(_audience)]
Scope = Annotated[str, AfterValidator(_scope)]
_PathSpecifier = Annotated[str, AfterValidator(_path_specifier)]


class Permissions(BaseModel):
    """What a Client may read and write of one API (IS-10 "The Access Permissions Object")."""

    model_config = _Config

    read: tuple[_PathSpecifier, ...] = ()
    write: tuple[_PathSpecifier, ...] = ()

    def claim(self) -> dict[str, list[str]]:
        """Return the access permissions object, without permissions that are not granted."""
        granted = {"read": list(self.read), "write": list(self.write)}
        return {permission: paths for permission, paths in granted.items() if paths}


class KnownClient(BaseModel):
    """A Client and what it may be granted.

    Attributes:
        client_id: its id, at least 20 characters.
        client_name: its name, for people.
        token_endpoint_auth_method: how it authenticates; "none" makes it a public client.
        redirect_uris: where the Authorization Code grant answers, compared character by character.
        jwks_uri: the URL of its public keys, for `private_key_jwt`.
        jwks: its public keys, instead of `jwks_uri`.
        audience: the `aud` of its tokens.
        scopes: all scopes that it may request, by any grant.
        default_scopes: granted if a request names no scope (RFC 6749 Section 3.3).
        client_credentials_scopes: the `scopes` that the Client Credentials grant may give; None for
            those that BCP-003-02 permits everywhere.
        permissions: the `x-nmos-*` claims, by API name.

    Raises:
        pydantic.ValidationError: one of them is not valid; the message never quotes a value.
    """

    model_config = _Config

    client_id: Annotated[str, AfterValidator(_client_id)]
    client_name: str = ""
    token_endpoint_auth_method: AuthenticationMethod = "client_secret_basic"  # noqa: S105
    redirect_uris: tuple[Annotated[str, AfterValidator(check_redirect_uri)], ...] = ()
    jwks_uri: str | None = None
    jwks: Annotated[Mapping[str, object], AfterValidator(_key_set)] | None = Field(
        default=None, validate_default=True
    )
    audience: Annotated[tuple[Audience, ...], Field(min_length=1)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    default_scopes: tuple[Scope, ...] = ()
    client_credentials_scopes: tuple[Scope, ...] | None = None
    permissions: Mapping[Scope, Permissions] = Field(default_factory=dict)

    @field_validator("default_scopes", "client_credentials_scopes", "permissions")
    @classmethod
    def _within_scopes(
        cls, value: Iterable[str] | None, info: ValidationInfo
    ) -> Iterable[str] | None:
        allowed = info.data.get("scopes")
        if allowed is not None and value is not None and not set(allowed).issuperset(value):
            raise ValueError("must only name scopes that are in scopes")
        return value

    @property
    def is_public(self) -> bool:
        """Whether it is a public client (RFC 6749 Section 2.1): it has no credentials."""
        return self.token_endpoint_auth_method == "none"  # noqa: S105

    @property
    def signs_assertions(self) -> bool:
        """Whether it authenticates by `private_key_jwt`."""
        return self.token_endpoint_auth_method == "private_key_jwt"  # noqa: S105

    @property
    def machine_scopes(self) -> frozenset[str]:
        """The scopes that the Client Credentials grant may give it."""
        if self.is_public:
            # IS-10 "Grants": it "MUST only be used by confidential clients".
            return frozenset()
        if self.client_credentials_scopes is None:
            return CLIENT_CREDENTIALS_SCOPES.intersection(self.scopes)
        return frozenset(self.client_credentials_scopes)

    @property
    def grant_types(self) -> frozenset[GrantType]:
        """The grants that it may use.

        IS-10 "Refresh Tokens": refresh tokens come with every authorization, without a request.
        """
        grants: set[GrantType] = set()
        if self.redirect_uris:
            grants |= {"authorization_code", "refresh_token"}
        if self.machine_scopes:
            grants.add("client_credentials")
        return frozenset(grants)


class Client(KnownClient):
    """A configured Client, with its secret if it has one.

    Attributes:
        client_secret: only for `client_secret_basic`; a `repr` does not show it.
    """

    client_secret: SecretStr = Field(default=SecretStr(""), validate_default=True)

    @field_validator("client_secret")
    @classmethod
    def _fits_the_method(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        secret = value.get_secret_value()
        if info.data.get("token_endpoint_auth_method") in {"private_key_jwt", "none"}:
            if secret:
                # IS-10: "Public clients MUST NOT be issued with a client secret".
                raise ValueError("must be absent with this token_endpoint_auth_method")
            return value
        if not secret:
            raise PydanticCustomError("missing", "Field required")
        # Guessing is not slowed down here (RFC 6749 Section 2.3.1), so a secret must be long.
        if len(secret) < 16 or not VSCHARS.fullmatch(secret):
            raise ValueError("must be at least 16 printable ASCII characters")
        return value

    @field_validator("jwks")
    @classmethod
    def _has_keys(
        cls, value: Mapping[str, object] | None, info: ValidationInfo
    ) -> Mapping[str, object] | None:
        signs = info.data.get("token_endpoint_auth_method") == "private_key_jwt"
        if signs and (value is None) == (info.data.get("jwks_uri") is None):
            raise ValueError("private_key_jwt requires either jwks or jwks_uri")
        return value

    @classmethod
    def throwaway(cls) -> Self:
        """Make a Client with a random id and secret, which may do everything."""
        return cls(
            client_id=secrets.token_urlsafe(18),
            client_secret=SecretStr(secrets.token_urlsafe(32)),
            client_name="throwaway",
            audience=("*",),
            scopes=NMOS_APIS,
            client_credentials_scopes=NMOS_APIS,
            permissions={api: Permissions(read=("*",), write=("*",)) for api in NMOS_APIS},
        )


def secret_digest(secret: str) -> bytes:
    """Return the SHA-256 digest of a random secret, which recognises it but cannot replace it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def first_duplicate(names: Sequence[str]) -> int | None:
    """Return the index of the first name that has occurred before, or None."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            return index
        seen.add(name)
    return None
