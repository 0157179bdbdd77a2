"""The Clients that an Authorization Server knows, and the file that configures them.

The file is TOML, one table a Client:

    [[client]]
    client_id = "studio-1-controller-7f3a"      # at least 20 characters
    client_secret = "..."                       # at least 16
    client_name = "Studio 1 Controller"
    audience = ["*.studio-1.example.com"]       # the `aud` of its tokens
    scopes = ["node", "connection", "registration"]
    default_scopes = ["node"]                   # for requests without a scope; none by default
    client_credentials_scopes = ["node", "connection"]

    [client.permissions.connection]             # the x-nmos-connection claim
    read = ["*"]
    write = ["single/*"]

Without `client_credentials_scopes` the Client Credentials grant is open for `registration` and
`events` alone: "Alternative uses of the Client Credentials grant MUST be arranged on a deployment
specific basis and MUST NOT form the default mode of operation" (BCP-003-02).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from nmos_auth.audience import host_pattern
from nmos_auth.errors import ConfigurationError

__all__ = [
    "CLIENT_CREDENTIALS_SCOPES",
    "NMOS_APIS",
    "Client",
    "Permissions",
    "first_duplicate",
    "read_clients",
]

# BCP-003-02 "Authorization Grant Constraints".
CLIENT_CREDENTIALS_SCOPES = frozenset({"events", "registration"})

# By specification: IS-08, IS-05, IS-07, IS-04, IS-04, IS-04, IS-11, IS-09.
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

# RFC 6749 Appendix A: client_id and client_secret consist of VSCHAR.
_VSCHARS = re.compile(r"[\x20-\x7e]+")
# Narrower than RFC 6749 Section 3.3: "the namespace identifier for a given NMOS API".
_API = re.compile(r"[a-z][a-z0-9-]*")

_Config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _client_id(value: str) -> str:
    # IS-10 "Client Registration": "The Client ID MUST be at least 20 characters long".
    if len(value) < 20 or not _VSCHARS.fullmatch(value):
        raise ValueError("must be at least 20 printable ASCII characters")
    return value


def _client_secret(value: SecretStr) -> SecretStr:
    # Nothing here slows down guessing (RFC 6749 Section 2.3.1), so a secret has to be long.
    secret = value.get_secret_value()
    if len(secret) < 16 or not _VSCHARS.fullmatch(secret):
        raise ValueError("must be at least 16 printable ASCII characters")
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
        raise ValueError("must not be empty, and ASCII")
    if value.startswith("/"):
        # IS-10: "all path specifiers MUST start after the API version and its trailing slash".
        raise ValueError("must not begin with a slash: it starts after the API version")
    return value


_Scope = Annotated[str, AfterValidator(_scope)]
_PathSpecifier = Annotated[str, AfterValidator(_path_specifier)]


class Permissions(BaseModel):
    """What a Client may read and write of one API (IS-10 "The Access Permissions Object")."""

    model_config = _Config

    read: tuple[_PathSpecifier, ...] = ()
    write: tuple[_PathSpecifier, ...] = ()

    def claim(self) -> dict[str, list[str]]:
        """Give the access permissions object; a permission not granted is left out of it."""
        granted = {"read": list(self.read), "write": list(self.write)}
        return {permission: paths for permission, paths in granted.items() if paths}


class Client(BaseModel):
    """A confidential Client and what it may be granted.

    Attributes:
        client_id: at least 20 characters.
        client_secret: for `client_secret_basic`; shown by no `repr`.
        client_name: for people.
        audience: the `aud` of its tokens.
        scopes: all it may ask for, by any grant.
        default_scopes: granted where a request names none (RFC 6749 Section 3.3).
        client_credentials_scopes: those of `scopes` that the Client Credentials grant may give;
            None stands for what BCP-003-02 permits everywhere.
        permissions: by API name, what goes into the `x-nmos-*` claims.

    Raises:
        pydantic.ValidationError: where any of them is not so; it never quotes a value.
    """

    model_config = _Config

    client_id: Annotated[str, AfterValidator(_client_id)]
    client_secret: Annotated[SecretStr, AfterValidator(_client_secret)]
    client_name: str = ""
    audience: Annotated[tuple[Annotated[str, AfterValidator(_audience)], ...], Field(min_length=1)]
    scopes: Annotated[tuple[_Scope, ...], Field(min_length=1)]
    default_scopes: tuple[_Scope, ...] = ()
    client_credentials_scopes: tuple[_Scope, ...] | None = None
    permissions: Mapping[_Scope, Permissions] = Field(default_factory=dict)

    @field_validator("default_scopes", "client_credentials_scopes", "permissions")
    @classmethod
    def _within_scopes(
        cls, value: Iterable[str] | None, info: ValidationInfo
    ) -> Iterable[str] | None:
        allowed = info.data.get("scopes")
        if allowed is not None and value is not None and not set(allowed).issuperset(value):
            raise ValueError("must name none but those in scopes")
        return value

    @property
    def machine_scopes(self) -> frozenset[str]:
        """Those of its scopes that the Client Credentials grant may give."""
        if self.client_credentials_scopes is None:
            return CLIENT_CREDENTIALS_SCOPES.intersection(self.scopes)
        return frozenset(self.client_credentials_scopes)

    def has_secret(self, secret: str) -> bool:
        """Compare in a time that tells nothing about the secret, its length included."""
        return hmac.compare_digest(_digest(secret), _digest(self.client_secret.get_secret_value()))

    @classmethod
    def throwaway(cls) -> Self:
        """Make a Client with a random id and secret that may do everything everywhere."""
        return cls(
            client_id=secrets.token_urlsafe(18),
            client_secret=SecretStr(secrets.token_urlsafe(32)),
            client_name="throwaway",
            audience=("*",),
            scopes=NMOS_APIS,
            client_credentials_scopes=NMOS_APIS,
            permissions={api: Permissions(read=("*",), write=("*",)) for api in NMOS_APIS},
        )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class _ClientsFile(BaseModel):
    model_config = _Config

    client: Annotated[tuple[Client, ...], Field(min_length=1)]


def read_clients(path: Path) -> tuple[Client, ...]:
    """Read the Clients that a TOML file configures.

    Raises:
        ConfigurationError: one line that names the file, the Client and the field, and never a
            secret.
    """
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from None
    try:
        clients = _ClientsFile.model_validate(document).client
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise ConfigurationError(f"{path}: {_describe(problem, document)}") from None
    duplicate = first_duplicate([client.client_id for client in clients])
    if duplicate is not None:
        raise ConfigurationError(
            f"{path}: client {duplicate + 1} ({clients[duplicate].client_id}): client_id: "
            "is another client's already"
        )
    return clients


def first_duplicate(client_ids: Sequence[str]) -> int | None:
    """Give the index of the first id that an earlier one equals, or None."""
    seen: set[str] = set()
    for index, client_id in enumerate(client_ids):
        if client_id in seen:
            return index
        seen.add(client_id)
    return None


def _describe(problem: ErrorDetails, document: Mapping[str, object]) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    match problem["loc"]:
        case ("client", int(index), *fields):
            name = f"client {index + 1}"
            entries = document["client"]
            entry = entries[index] if isinstance(entries, list) else None
            if isinstance(entry, dict) and isinstance(entry.get("client_id"), str):
                name += f" ({ascii(entry['client_id'])[1:-1]})"
            return ": ".join([name, ".".join(map(str, fields)), message])
        case location:
            return ": ".join([".".join(map(str, location)), message])
