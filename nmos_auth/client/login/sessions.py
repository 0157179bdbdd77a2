"""Sessions of users who logged in: what an application sees of one, and where all are kept."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from typing import Literal, Protocol

from nmos_auth.client.tokens.source import TokenSource

__all__ = ["EndReason", "MemorySessions", "Session", "SessionStore"]

EndReason = Literal["logout", "expired", "refused", "replaced", "closed"]
"""Why a session ended.

`logout`: the user logged out, here or at another worker. `expired`: its lifetime is over, or it was
not used for too long. `refused`: the Authorization Server says that the authorization has ended.
`replaced`: the user logged in again in the same browser. `closed`: this process stops; the session
itself may continue in a shared store.
"""

_MOST_SESSIONS = 10_000


@dataclass(frozen=True, eq=False)
class Session:
    """A user's login, in this process.

    Attributes:
        id: an identifier for logs and as a key for the application; not a secret.
        tokens: the source of this user's Access Token.
        issuer: the Authorization Server the user logged in at.
        scope: what was authorized.
        begun_at: seconds since 1970 UTC.
        ends_at: seconds since 1970 UTC at which it ends at the latest.
        ended: set once it has ended; wait for it to stop what lasts as long as the session.
    """

    id: str
    tokens: TokenSource = field(repr=False)
    issuer: str
    scope: frozenset[str]
    begun_at: float
    ends_at: float
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


class SessionStore(Protocol):
    """Keeps encrypted sessions, in the memory of a process or for several processes.

    Keys and values are opaque, and reveal nothing to a reader of the store.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes may end and renew what is kept here."""
        ...

    async def secret(self) -> bytes:
        """Return 32 random bytes, the same for all processes that share the store."""
        ...

    async def put(self, key: str, value: bytes, lifetime: float) -> None:
        """Keep a session for `lifetime` seconds."""
        ...

    async def replace(self, key: str, value: bytes) -> None:
        """Keep another value until the same time, unless the session is gone by now."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Return a session, or None."""
        ...

    async def touch(self, key: str, lifetime: float) -> bool:
        """Keep a session for `lifetime` seconds from now on; False where it is gone."""
        ...

    async def present(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys whose sessions are there."""
        ...

    async def remove(self, key: str) -> None:
        """Forget a session."""
        ...

    def alone(self, key: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Keep other tasks and processes out while the tokens of a session are exchanged."""
        ...


class MemorySessions:
    """Keeps the sessions of one process; if there are too many, it forgets the least used one.

    Args:
        monotonic: seconds of a clock that never goes back.
    """

    shared = False

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._secret = secrets.token_bytes(32)
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def secret(self) -> bytes:
        """Return 32 random bytes of this process."""
        return self._secret

    async def put(self, key: str, value: bytes, lifetime: float) -> None:
        """Keep a session for `lifetime` seconds."""
        self._kept[key] = value, self._monotonic() + lifetime
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST_SESSIONS:
            self._kept.popitem(last=False)

    async def replace(self, key: str, value: bytes) -> None:
        """Keep another value until the same time, unless the session is gone by now."""
        if self.holds(key):
            self._kept[key] = value, self._kept[key][1]

    async def get(self, key: str) -> bytes | None:
        """Return a session, or None."""
        return self._kept[key][0] if self.holds(key) else None

    async def touch(self, key: str, lifetime: float) -> bool:
        """Keep a session for `lifetime` seconds from now on; False where it is gone."""
        return self.extend(key, lifetime)

    async def present(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys whose sessions are there."""
        return {key for key in keys if self.holds(key)}

    async def remove(self, key: str) -> None:
        """Forget a session."""
        self._kept.pop(key, None)

    @contextlib.asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Keep other tasks out while the tokens of a session are exchanged."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            yield

    def holds(self, key: str) -> bool:
        """Tell whether a session is there."""
        kept = self._kept.get(key)
        if kept is None:
            return False
        if self._monotonic() < kept[1]:
            return True
        del self._kept[key]
        return False

    def extend(self, key: str, lifetime: float) -> bool:
        """Do the same as `touch`, without waiting."""
        if not self.holds(key):
            return False
        self._kept[key] = self._kept[key][0], self._monotonic() + lifetime
        self._kept.move_to_end(key)
        return True
