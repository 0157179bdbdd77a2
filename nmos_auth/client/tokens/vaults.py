"""Where a user's Refresh Token is kept: with a session, or in the Client's store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from nmos_auth.client.errors import StoreError
from nmos_auth.client.registration.registrations import server_tag
from nmos_auth.client.store.stores import AUTHORIZATIONS, Record, Store

__all__ = ["KeptGrant", "MemoryVault", "StoreVault", "Vault"]

# Seconds between attempts to write what could not be written.
_WRITE_AGAIN = 5.0


@dataclass(frozen=True, slots=True)
class KeptGrant:
    """What is kept of a user's authorization.

    Attributes:
        refresh_token: the Refresh Token.
        scope: what was authorized.
        client_id: the client that it belongs to (RFC 6749 Section 6); "" if an earlier version did
            not keep it.
    """

    refresh_token: SecretStr
    scope: frozenset[str]
    client_id: str


class Vault(Protocol):
    """Keeps one grant."""

    @property
    def lasting(self) -> bool:
        """Whether what it keeps can be seen in the Client's store."""
        ...

    def alone(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Return a lock that keeps out all others while the token is being exchanged."""
        ...

    async def read(self) -> KeptGrant | None:
        """Return the grant, or None.

        Raises:
            StoreError: it cannot be read.
        """
        ...

    async def rehearse(self) -> None:
        """Check that `write` would succeed, before a token is spent.

        Raises:
            StoreError: it would not succeed.
        """
        ...

    async def write(self, kept: KeptGrant | None) -> None:
        """Keep this one and forget the former.

        Raises:
            StoreError: it is kept in memory only.
        """
        ...

    async def drop(self, dead: KeptGrant) -> None:
        """Forget a grant, if it is the one that is kept.

        Raises:
            StoreError: the store cannot be read or written.
        """
        ...


class MemoryVault:
    """A vault that ends with the session it belongs to."""

    def __init__(self) -> None:
        self._kept: KeptGrant | None = None
        self._lock = asyncio.Lock()

    @property
    def lasting(self) -> bool:
        """Whether what it keeps can be seen in the Client's store: it cannot."""
        return False

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Keep others out while the token is being exchanged."""
        async with self._lock:
            yield

    async def read(self) -> KeptGrant | None:
        """Return the grant, or None."""
        return self._kept

    async def rehearse(self) -> None:
        """Do nothing: memory can be written."""

    async def write(self, kept: KeptGrant | None) -> None:
        """Keep this one and forget the former."""
        self._kept = kept

    async def drop(self, dead: KeptGrant) -> None:
        """Forget a grant, if it is the one that is kept."""
        if self._kept is not None and self._kept.refresh_token == dead.refresh_token:
            self._kept = None


class StoreVault:
    """A vault in a store: one authorization for each issuer.

    What the store cannot write is kept in memory until it can, because the former token is spent.

    Args:
        store: the store.
        issuer: the server that issued the authorization.
    """

    def __init__(self, store: Store, issuer: str) -> None:
        self._store = store
        self._issuer = issuer
        self._unwritten: KeptGrant | None = None
        self._turn = asyncio.Lock()
        self._outside: contextlib.AsyncExitStack | None = None
        self._writing: asyncio.Task[None] | None = None

    @property
    def lasting(self) -> bool:
        """Whether what it keeps can be seen in the Client's store: it can."""
        return True

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Keep out all others, including other processes, while the token is being exchanged.

        They stay out while the store holds a token that is spent, because they would present it.
        """
        async with self._turn:
            if self._outside is None:
                outside = contextlib.AsyncExitStack()
                purpose = f"authorization-{server_tag(self._issuer)}"
                await outside.enter_async_context(self._store.alone(purpose))
                self._outside = outside
            try:
                yield
            finally:
                if self._unwritten is None:
                    await self._let_others_in()
                elif self._writing is None or self._writing.done():
                    self._writing = asyncio.create_task(self._write_in_time())

    async def read(self) -> KeptGrant | None:
        """Return the grant, or None."""
        if self._unwritten is not None:
            return self._unwritten
        record = await asyncio.to_thread(self._store.get, AUTHORIZATIONS, self._issuer)
        return None if record is None else self._grant(record)

    async def rehearse(self) -> None:
        """Check that the store can be written, unless what it holds is already spent."""
        if self._unwritten is None:
            await asyncio.to_thread(self._store.rehearse)

    async def write(self, kept: KeptGrant | None) -> None:
        """Keep this one and forget the former."""
        self._unwritten = kept
        if kept is None:
            await asyncio.to_thread(self._store.remove, AUTHORIZATIONS, self._issuer)
            return
        record = Record(
            {"scope": " ".join(sorted(kept.scope)), "client_id": kept.client_id or None},
            {"refresh_token": kept.refresh_token.get_secret_value()},
        )
        await asyncio.to_thread(self._store.put, AUTHORIZATIONS, self._issuer, record)
        self._unwritten = None

    async def drop(self, dead: KeptGrant) -> None:
        """Forget a grant, if it is the one that is kept."""
        if self._unwritten is not None and self._unwritten.refresh_token == dead.refresh_token:
            self._unwritten = None

        def without(record: Record | None) -> Record | None:
            token = None if record is None else record.secret.get("refresh_token")
            return None if token == dead.refresh_token.get_secret_value() else record

        await asyncio.to_thread(self._store.update, AUTHORIZATIONS, self._issuer, without)

    async def finish(self) -> None:
        """Try again to write what could not be written, and let others in.

        Raises:
            StoreError: the store still cannot be written, and what it should hold is lost.
        """
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
        async with self._turn:
            try:
                if self._unwritten is not None:
                    await self.write(self._unwritten)
            finally:
                await self._let_others_in()

    async def _write_in_time(self) -> None:
        while self._unwritten is not None:
            await asyncio.sleep(_WRITE_AGAIN)
            async with self._turn:
                if self._unwritten is not None:
                    with contextlib.suppress(StoreError):
                        await self.write(self._unwritten)
                if self._unwritten is None:
                    await self._let_others_in()

    async def _let_others_in(self) -> None:
        outside, self._outside = self._outside, None
        if outside is not None:
            await outside.aclose()

    def _grant(self, record: Record) -> KeptGrant:
        token, scope = record.secret.get("refresh_token"), record.public.get("scope")
        client_id = record.public.get("client_id") or ""
        if not (isinstance(token, str) and isinstance(scope, str) and isinstance(client_id, str)):
            raise StoreError(f"the stored authorization from {self._issuer} is damaged")
        return KeptGrant(SecretStr(token), frozenset(scope.split()), client_id)
