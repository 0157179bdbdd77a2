"""The keys a Client signs its assertions with: made, kept, published, changed without a gap."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from nmos_auth.client.errors import StoreError
from nmos_auth.client.store.stores import KEYS, Record, Store

__all__ = ["ANNOUNCED", "ClientKeys", "KeyRole", "PublishedKey", "jwks_route", "new_client_key"]

_NAME = "client"
_KEY_BITS = 2048
# Seconds for which a former key stays published: longer than any assertion lives, and than a
# server's clock may be late.
_RETENTION = 3600.0
# Seconds for which a key is published before it signs.
ANNOUNCED = 3600.0
_PUBLIC = ("kty", "n", "e", "kid")


def new_client_key() -> RSAKey:
    """Generate an RSA key of 2048 bits whose `kid` is its RFC 7638 thumbprint."""
    return RSAKey.generate_key(_KEY_BITS, auto_kid=True)


class KeyRole(StrEnum):
    """What a published key is there for."""

    SIGNS = "signs"
    NEXT = "next"
    FORMER = "former"


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key at `jwks_uri`.

    Attributes:
        kid: its name.
        role: what it is there for.
        moment: seconds since the epoch from which the next key has been published, or until which
            a former one will be; None for the one that signs.
    """

    kid: str
    role: KeyRole
    moment: float | None = None


@dataclass(frozen=True, slots=True)
class _Retired:
    key: dict[str, str]
    until: float


@dataclass(frozen=True, slots=True)
class _Ring:
    current: RSAKey
    following: RSAKey
    announced_at: float
    retired: tuple[_Retired, ...]


class ClientKeys:
    """A Client's private keys, kept in its store: the one in use, and the next.

    Both are published from the start, and a former one for an hour: servers that keep what they
    fetched from `jwks_uri` know the next key long before it signs. Other processes on the same
    store see every change. Making the first keys takes some tenths of a second.

    Args:
        store: where they are kept.
        clock: seconds since the epoch.
        new_key: makes a private key with a `kid`.

    Raises:
        StoreError: the store cannot be read or written, or holds no keys in the place of keys.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        new_key: Callable[[], RSAKey] = new_client_key,
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_key = new_key
        self._version: object = None
        self._ring = self._load() or self._changed(self._first)

    @property
    def current(self) -> RSAKey:
        """The private key that signs now.

        Raises:
            StoreError: the store was changed and cannot be read.
        """
        return self._fresh().current

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Give the public keys as a JWK Set (RFC 7517 Section 5).

        Raises:
            StoreError: the store was changed and cannot be read.
        """
        ring = self._fresh()
        now = self._clock()
        keys = [_public(ring.current), _public(ring.following)]
        keys += [entry.key for entry in ring.retired if now < entry.until]
        return {"keys": [{**key, "use": "sig"} for key in keys]}

    def published(self) -> list[PublishedKey]:
        """Say of each key in `jwks` what it is there for.

        Raises:
            StoreError: the store was changed and cannot be read.
        """
        ring = self._fresh()
        now = self._clock()
        return [
            PublishedKey(str(ring.current.kid), KeyRole.SIGNS),
            PublishedKey(str(ring.following.kid), KeyRole.NEXT, ring.announced_at),
            *(
                PublishedKey(entry.key["kid"], KeyRole.FORMER, entry.until)
                for entry in ring.retired
                if now < entry.until
            ),
        ]

    def rotate(self, *, announced: float = ANNOUNCED) -> bool:
        """Sign with the next key from now on, and publish one more.

        Args:
            announced: seconds for which the next key has to have been published: longer than
                servers keep what they fetched from `jwks_uri`.

        Returns:
            False where it has not been published that long; nothing has changed then.

        Raises:
            StoreError: the store cannot be read or written.
        """
        if not self._announced(self._fresh(), announced):
            return False
        following = self._new_key()

        def rotated(there: _Ring | None) -> _Ring | None:
            # Another process may have been faster, and published another key just now.
            if there is None or not self._announced(there, announced):
                return there
            now = self._clock()
            retired = tuple(entry for entry in there.retired if now < entry.until)
            former = _Retired(_public(there.current), now + _RETENTION)
            return _Ring(there.following, following, now, (former, *retired))

        self._ring = self._changed(rotated)
        return self._ring.following is following

    def _announced(self, ring: _Ring, seconds: float) -> bool:
        return self._clock() >= ring.announced_at + seconds

    def _first(self, there: _Ring | None) -> _Ring:
        """Make the first keys, unless another process has made them just now."""
        return there or _Ring(self._new_key(), self._new_key(), self._clock(), ())

    def _fresh(self) -> _Ring:
        if self._store.version() != self._version:
            self._ring = self._load() or self._ring
        return self._ring

    def _load(self) -> _Ring | None:
        version = self._store.version()
        record = self._store.get(KEYS, _NAME)
        if record is None:
            return None
        ring = _ring_of(record)
        self._version = version
        return ring

    def _changed(self, change: Callable[[_Ring | None], _Ring | None]) -> _Ring:
        """Put in the place of the kept keys what `change` makes of them, with nobody else there."""
        rings: list[_Ring] = []

        def changed(record: Record | None) -> Record | None:
            there = None if record is None else _ring_of(record)
            ring = change(there) or self._ring
            rings.append(ring)
            return record if ring is there else _record_of(ring)

        version = self._store.version()
        self._store.update(KEYS, _NAME, changed)
        # Read again with the next use if another process wrote in between.
        self._version = version
        return rings[-1]


def jwks_route(keys: ClientKeys, path: str = "/jwks") -> Route:
    """Make the route that serves a Client's public keys at its `jwks_uri`.

    IS-10 "Behaviour: Clients", Client Credentials: "Clients MUST be capable of hosting their own
    public JWKs".

    Args:
        keys: the keys.
        path: the path of `jwks_uri`.
    """

    def serve(request: Request) -> JSONResponse:  # noqa: ARG001 - the same for everybody
        return JSONResponse(keys.jwks(), headers={"Cache-Control": "no-cache"})

    return Route(path, serve, methods=["GET"], name="client_jwks")


def _ring_of(record: Record) -> _Ring:
    try:
        return _Ring(
            _private(record.secret.get("current")),
            _private(record.secret.get("following")),
            float(str(record.public.get("announced_at"))),
            _retired(record.public.get("retired")),
        )
    except (JoseError, ValueError, TypeError):
        # No chaining: what such an error quotes may be a private key.
        raise StoreError("the client's keys in the store are damaged") from None


def _record_of(ring: _Ring) -> Record:
    retired = [{"key": entry.key, "until": entry.until} for entry in ring.retired]
    return Record(
        {"announced_at": ring.announced_at, "retired": retired},
        {
            "current": ring.current.as_dict(private=True),
            "following": ring.following.as_dict(private=True),
        },
    )


def _public(key: RSAKey) -> dict[str, str]:
    members = key.as_dict(private=False)
    return {name: str(members[name]) for name in _PUBLIC}


def _private(value: object) -> RSAKey:
    if not isinstance(value, dict):
        raise TypeError("no key")
    key = RSAKey.import_key(value)
    if not key.is_private or not key.kid:
        raise ValueError("no private key with a kid")
    return key


def _retired(value: object) -> tuple[_Retired, ...]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return tuple(
        _Retired({name: str(entry["key"][name]) for name in _PUBLIC}, float(entry["until"]))
        for entry in value
    )
