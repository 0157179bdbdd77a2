"""The people who authorize Clients: names and hashed passwords."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from nmos_auth.authority.clients import Audience, KnownClient, Permissions, Scope

__all__ = ["PasswordChecker", "User", "hash_password"]

# RFC 7914 Section 2: these need 16 MiB and about 50 ms.
_COST, _BLOCK_SIZE, _PARALLELISM = 2**14, 8, 1
_HASH = re.compile(r"scrypt\$(\d{1,8})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9_-]+)\$([A-Za-z0-9_-]+)")
# RFC 7914 Section 2: a power of 2.
_COSTS = {2**exponent for exponent in range(10, 18)}
_KEY_LENGTH = 32
_NO_HASH = "must be what hash_password returns"
_NAME = re.compile(r"[!-~](?:[ -~]{0,62}[!-~])?")


def hash_password(password: str) -> str:
    """Return the hash that is kept of a password: `scrypt$N$r$p$salt$key`, base64url (RFC 7914)."""
    salt = secrets.token_bytes(16)
    key = _scrypt(password, salt, _COST, _BLOCK_SIZE, _PARALLELISM)
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (salt, key)]
    return "$".join(["scrypt", str(_COST), str(_BLOCK_SIZE), str(_PARALLELISM), *parts])


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 printable ASCII characters")
    return value


def _hash(value: SecretStr) -> SecretStr:
    _Parsed.of(value.get_secret_value())
    return value


class User(BaseModel):
    """A user who may log in.

    Attributes:
        name: the `sub` of the tokens that this user authorizes.
        password_hash: what `hash_password` returns; or set `password`, which is hashed at once.
        permissions: what this user's tokens permit, by API name, instead of the Client's
            permissions; None for those of the Client. An API that is not named permits nothing.
        audience: the `aud` of this user's tokens; None for that of the Client.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(_name)]
    password_hash: Annotated[SecretStr, AfterValidator(_hash)] = Field(repr=False)
    permissions: Mapping[Scope, Permissions] | None = None
    audience: Annotated[tuple[Audience, ...], Field(min_length=1)] | None = None

    def with_client(self, client: KnownClient) -> KnownClient:
        """Return what a Client may do in the name of this user."""
        changes: dict[str, object] = {}
        if self.permissions is not None:
            changes["permissions"] = self.permissions
        if self.audience is not None:
            changes["audience"] = self.audience
        return client.model_copy(update=changes) if changes else client

    @model_validator(mode="before")
    @classmethod
    def _hash_at_once(cls, value: object) -> object:
        if not isinstance(value, dict) or "password" not in value:
            return value
        fields = dict(value)
        password = fields.pop("password")
        if "password_hash" in fields or not isinstance(password, str) or len(password) < 8:
            raise ValueError("a password must have at least 8 characters, and no password_hash")
        return {**fields, "password_hash": hash_password(password)}

    @classmethod
    def throwaway(cls, name: str = "operator") -> tuple[Self, SecretStr]:
        """Make a user with a random password, and return both; it is not kept in clear."""
        password = secrets.token_urlsafe(12)
        return cls(name=name, password_hash=SecretStr(hash_password(password))), SecretStr(password)


@dataclass(frozen=True)
class _Parsed:
    cost: int
    block_size: int
    parallelism: int
    salt: bytes
    key: bytes

    @classmethod
    def of(cls, text: str) -> _Parsed:
        """Read a hash.

        Raises:
            ValueError: scrypt does not work with it, or takes too long or too much memory.
        """
        parsed = _HASH.fullmatch(text)
        if parsed is None:
            raise ValueError(_NO_HASH)
        cost, block_size, parallelism = map(int, parsed.groups()[:3])
        if cost not in _COSTS or not 1 <= block_size <= 16 or not 1 <= parallelism <= 16:
            raise ValueError(_NO_HASH)
        try:
            salt, key = (
                base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
                for part in parsed.groups()[3:]
            )
        except ValueError:
            raise ValueError(_NO_HASH) from None
        if len(key) != _KEY_LENGTH:
            raise ValueError(_NO_HASH)
        return cls(cost, block_size, parallelism, salt, key)


class PasswordChecker:
    """Checks the passwords of users.

    One check runs at a time, so that guessing in parallel gains nothing and memory is bounded. An
    unknown name costs the same time as a known one.

    Args:
        find_user: the user with a name, or None.
    """

    def __init__(self, find_user: Callable[[str], User | None]) -> None:
        self._find_user = find_user
        # No password has this hash. It makes the check of an unknown name cost the same.
        salt, key = ("A" * 22, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()[:43])
        self._nobody = f"scrypt${_COST}${_BLOCK_SIZE}${_PARALLELISM}${salt}${key}"
        self._one_at_a_time = threading.Lock()

    def check(self, name: str, password: str) -> User | None:
        """Return the user whose name and password these are, or None."""
        user = self._find_user(name)
        kept = self._nobody if user is None else user.password_hash.get_secret_value()
        expected = _Parsed.of(kept)
        with self._one_at_a_time:
            key = _scrypt(
                password, expected.salt, expected.cost, expected.block_size, expected.parallelism
            )
        return user if hmac.compare_digest(key, expected.key) else None


def _scrypt(password: str, salt: bytes, cost: int, block_size: int, parallelism: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=cost,
        r=block_size,
        p=parallelism,
        maxmem=256 * cost * block_size,
        dklen=_KEY_LENGTH,
    )
