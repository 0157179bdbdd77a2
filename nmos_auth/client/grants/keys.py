"""The keys with which a Client signs assertions: made, kept, published, changed without a gap."""

from __future__ import annotations

import time
from collections.abc import Callable

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from nmos_auth.client.errors import StoreError
from nmos_auth.client.store.stores import KEYS, Record, Store
from nmos_auth.servers.key_ring import (
    FormerKey,
    KeyRing,
    PublishedKey,
    new_signing_key,
    public_members,
)

__all__ = ["ANNOUNCED", "ClientKeys", "jwks_route"]

_NAME = "client"
# Seconds for which a former key stays published: longer than the lifetime of an assertion, and
# longer than a server's clock may be late.
_RETENTION = 3600.0
# Seconds for which a key is published before it signs.
ANNOUNCED = 3600.0


class ClientKeys:
    """A Client's private keys, kept in its store: the one in use, and the next.

    Both are published from the start, and a former one for an hour: servers that cache what they
    fetch from `jwks_uri` know the next key long before it signs. Other processes on the same store
    see every change. Making the first keys takes some tenths of a second.

    Args:
        store: the store that keeps them.
        clock: seconds since 1970 UTC.

    Raises:
        StoreError: the store cannot be read or written, or its keys are damaged.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._clock = clock
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
        """Return the public keys as a JWK Set (RFC 7517 Section 5).

        Raises:
            StoreError: the store was changed and cannot be read.
        """
        return self._fresh().jwks(self._clock())

    def published(self) -> list[PublishedKey]:
        """Return what each key in `jwks` is for.

        Raises:
            StoreError: the store was changed and cannot be read.
        """
        return self._fresh().published(self._clock())

    def rotate(self, *, announced: float = ANNOUNCED) -> bool:
        """Sign with the next key from now on, and publish one more.

        Args:
            announced: seconds for which the next key must have been published: longer than servers
                cache what they fetch from `jwks_uri`.

        Returns:
            False if it has not been published that long; then nothing has changed.

        Raises:
            StoreError: the store cannot be read or written.
        """
        if not self._announced(self._fresh(), announced):
            return False
        following = new_signing_key()

        def rotated(there: KeyRing | None) -> KeyRing | None:
            # Another process may have rotated first, and published another key just now.
            if there is None or not self._announced(there, announced):
                return there
            return there.rotated(following, self._clock(), retention=_RETENTION)

        self._ring = self._changed(rotated)
        return self._ring.following is following

    def _announced(self, ring: KeyRing, seconds: float) -> bool:
        return self._clock() >= ring.announced_at + seconds

    def _first(self, there: KeyRing | None) -> KeyRing:
        """Make the first keys, unless another process has made them just now."""
        return there or KeyRing.first(new_signing_key, self._clock())

    def _fresh(self) -> KeyRing:
        if self._store.version() != self._version:
            self._ring = self._load() or self._ring
        return self._ring

    def _load(self) -> KeyRing | None:
        version = self._store.version()
        record = self._store.get(KEYS, _NAME)
        if record is None:
            return None
        ring = _ring_of(record)
        self._version = version
        return ring

    def _changed(self, change: Callable[[KeyRing | None], KeyRing | None]) -> KeyRing:
        """Replace the kept keys by what `change` returns, while no other process writes."""
        rings: list[KeyRing] = []

        def changed(record: Record | None) -> Record | None:
            there = None if record is None else _ring_of(record)
            ring = change(there) or self._ring
            rings.append(ring)
            return record if ring is there else _record_of(ring)

        version = self._store.version()
        self._store.update(KEYS, _NAME, changed)
        # The next use reads again if another process wrote in between.
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


def _ring_of(record: Record) -> KeyRing:
    try:
        return KeyRing(
            _private(record.secret.get("current")),
            _private(record.secret.get("following")),
            float(str(record.public.get("announced_at"))),
            _former(record.public.get("retired")),
        )
    except (JoseError, ValueError, TypeError, KeyError):
        # The cause is omitted, because its text may contain a private key.
        raise StoreError("the client's keys in the store are damaged") from None


def _record_of(ring: KeyRing) -> Record:
    retired = [
        {"key": public_members(each.key), "until": each.published_until} for each in ring.former
    ]
    return Record(
        {"announced_at": ring.announced_at, "retired": retired},
        {
            "current": ring.current.as_dict(private=True),
            "following": ring.following.as_dict(private=True),
        },
    )


def _private(value: object) -> RSAKey:
    if not isinstance(value, dict):
        raise TypeError("no key")
    key = RSAKey.import_key(value)
    if not key.is_private or not key.kid:
        raise ValueError("not a private key with a kid")
    return key


def _former(value: object) -> tuple[FormerKey, ...]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return tuple(
        FormerKey(RSAKey.import_key(entry["key"]), float(entry["until"])) for entry in value
    )
