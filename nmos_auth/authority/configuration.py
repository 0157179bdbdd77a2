"""The file with an Authorization Server's Clients, users and registration policy.

It is TOML, one table for each Client and user:

    [[client]]
    client_id = "studio-1-controller-7f3a"      # at least 20 characters
    client_secret = "..."                       # at least 16, for client_secret_basic
    client_name = "Studio 1 Controller"
    token_endpoint_auth_method = "client_secret_basic"  # or private_key_jwt, or none (public)
    jwks_uri = "https://..."                    # for private_key_jwt; or jwks = {keys = [...]}
    redirect_uris = ["https://controller.example.com/callback"]   # for authorization_code
    audience = ["*.studio-1.example.com"]       # the `aud` of its tokens
    scopes = ["node", "connection", "registration"]
    default_scopes = ["node"]                   # for requests without a scope; none by default
    client_credentials_scopes = ["node", "connection"]

    [client.permissions.connection]             # the x-nmos-connection claim
    read = ["*"]
    write = ["single/*"]

    [[user]]
    name = "operator"
    password_hash = "scrypt$..."                # by hash_password; or password = "..."
    audience = ["*.studio-1.example.com"]       # in place of the client's, as the permissions are
    [user.permissions.connection]
    read = ["*"]

    [registration]                              # dynamic registration, all of it optional
    open = true                                 # authorization_code needs no initial access token
    open_client_credentials = false             # true: client_credentials needs none either
    initial_access_tokens = ["..."]             # at least 20 characters each
    audience = ["*"]
    client_credentials_scopes = ["registration", "events"]

    [permissions.connection]                    # of Clients that registered, by scope
    read = ["*"]
    write = ["single/*", "bulk/*"]

Without any `[permissions.*]` registered Clients get what `DEFAULT_PERMISSIONS` says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from nmos_auth.authority.clients import Client, Permissions, first_duplicate
from nmos_auth.authority.policy import DEFAULT_PERMISSIONS, RegistrationPolicy
from nmos_auth.authority.users import User
from nmos_auth.errors import ConfigurationError
from nmos_auth.servers.grammar import B64TOKEN
from nmos_auth.servers.private_files import FileRefused, PrivateFile

__all__ = ["AuthorityFile", "read_authority_file", "read_clients"]

_Config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

# In the words of TOML; pydantic's are Python's.
_WRONG = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "extra_forbidden": "this field does not exist",
    "mapping_type": "must be a table",
    "missing": "it is missing",
    "model_type": "must be a table",
    "string_type": "must be a string",
    "too_short": "must not be empty",
    "tuple_type": "must be an array",
}


@dataclass(frozen=True)
class AuthorityFile:
    """What a file configures.

    Attributes:
        clients: the Clients.
        users: the users who may log in.
        registration: what Clients get that register.
    """

    clients: tuple[Client, ...]
    users: tuple[User, ...]
    registration: RegistrationPolicy


def read_authority_file(path: Path) -> AuthorityFile:
    """Read what a TOML file configures.

    Raises:
        ConfigurationError: the message is one line, which names the file, the table and the field,
            and never a secret.
    """
    file = _load(path, _File)
    return AuthorityFile(
        _distinct_clients(path, file.client), _distinct_users(path, file.user), _policy(path, file)
    )


def read_clients(path: Path) -> tuple[Client, ...]:
    """Read the Clients that a TOML file configures: at least one.

    Raises:
        ConfigurationError: the message is one line, which names the file, the Client and the field,
            and never a secret.
    """
    file = _load(path, _FileWithClients)
    return _distinct_clients(path, file.client)


def _initial_access_token(value: SecretStr) -> SecretStr:
    secret = value.get_secret_value()
    if len(secret) < 20 or not B64TOKEN.fullmatch(secret):
        raise ValueError(
            "must be at least 20 characters that a bearer token may have: letters, digits,"
            " -._~+/, and = at the end (RFC 6750 Section 2.1)"
        )
    return value


class _Registration(BaseModel):
    model_config = _Config

    open: bool = True
    open_client_credentials: bool = False
    initial_access_tokens: tuple[
        Annotated[SecretStr, AfterValidator(_initial_access_token)], ...
    ] = ()
    audience: tuple[str, ...] = ("*",)
    client_credentials_scopes: tuple[str, ...] | None = None


class _File(BaseModel):
    model_config = _Config

    client: tuple[Client, ...] = ()
    user: tuple[User, ...] = ()
    registration: _Registration = Field(default_factory=_Registration)
    permissions: Mapping[str, Permissions] = Field(default_factory=lambda: DEFAULT_PERMISSIONS)


class _FileWithClients(_File):
    client: Annotated[tuple[Client, ...], Field(min_length=1)]


_Model = TypeVar("_Model", bound=_File)


def _load(path: Path, model: type[_Model]) -> _Model:
    file = PrivateFile(path, setting="--clients", secret=True)
    try:
        with file.reading() as content:
            read = _validate(path, tomllib.loads(content.decode()), model)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except FileRefused as error:
        raise ConfigurationError(error.why) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from None
    return read


def _validate(path: Path, document: Mapping[str, object], model: type[_Model]) -> _Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise ConfigurationError(f"{path}: {_describe(problem, document)}") from None


def _distinct_clients(path: Path, clients: tuple[Client, ...]) -> tuple[Client, ...]:
    duplicate = first_duplicate([client.client_id for client in clients])
    if duplicate is not None:
        raise ConfigurationError(
            f"{path}: client {duplicate + 1} ({clients[duplicate].client_id}): client_id: "
            "another client has it"
        )
    return clients


def _distinct_users(path: Path, users: tuple[User, ...]) -> tuple[User, ...]:
    duplicate = first_duplicate([user.name for user in users])
    if duplicate is not None:
        raise ConfigurationError(f"{path}: user {duplicate + 1}: name: another user has it")
    return users


def _policy(path: Path, file: _File) -> RegistrationPolicy:
    given = file.registration
    try:
        return RegistrationPolicy(
            open=given.open,
            open_client_credentials=given.open_client_credentials,
            initial_access_tokens=given.initial_access_tokens,
            audience=given.audience,
            permissions=file.permissions,
            client_credentials_scopes=given.client_credentials_scopes,
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _describe(problem: ErrorDetails, document: Mapping[str, object]) -> str:
    said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    message = _WRONG.get(problem["type"], said)
    if problem["type"] == "missing" and problem["loc"][-1] == "password_hash":
        message += "; set password, or password_hash"
    match problem["loc"]:
        case (("client" | "user") as table, int(index), *fields):
            name = f"{table} {index + 1}"
            entries = document[table]
            entry = entries[index] if isinstance(entries, list) else None
            if isinstance(entry, dict):
                label = entry.get("client_id" if table == "client" else "name")
                name += f" ({ascii(label)[1:-1]})" if isinstance(label, str) else ""
            return ": ".join(filter(None, [name, ".".join(map(str, fields)), message]))
        case location:
            return ": ".join([".".join(map(str, location)), message])
