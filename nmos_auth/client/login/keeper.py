"""The sessions that this process works with, from their beginning to their end."""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

from pydantic import SecretStr

from nmos_auth.client.client import AuthorizationClient
from nmos_auth.client.errors import (
    ClientError,
    LoginRequired,
    ScopeNotGranted,
    StoreError,
)
from nmos_auth.client.grants.grants import GrantedTokens, PendingAuthorization
from nmos_auth.client.login.sealed import AccessRecord, Seal, SessionRecord, digest
from nmos_auth.client.login.sessions import EndReason, MemorySessions, Session, SessionStore
from nmos_auth.client.login.vault import SessionVault
from nmos_auth.client.tokens.authorizations import UserAuthorization

__all__ = ["OnEnd", "SessionKeeper"]

logger = logging.getLogger("nmos_auth")

OnEnd = Callable[[Session, EndReason], Awaitable[None] | None]
"""Called with a session that has just ended, and why."""

# Seconds between two checks whether this process's sessions still exist: other workers, or the
# time, may have ended them.
_LOOK_EVERY = 2.0
_MOST_LIVE = 10_000


@dataclass(eq=False)
class _Live:
    """A session with the objects that renew its tokens.

    Attributes:
        key: the key of the session in its store.
        session: the session as the application sees it.
        authorization: what the user authorized.
        vault: keeps its Refresh Token.
        idle_until: when it ends if it is not used in this process, on the monotonic clock.
    """

    key: str
    session: Session
    authorization: UserAuthorization
    vault: SessionVault
    idle_until: float


class SessionKeeper:
    """Begins sessions, finds them by their cookies, and ends them.

    Args:
        client: gets their tokens.
        store: keeps them.
        required: the scopes without which a login is useless; None for all that are requested.
        lifetime: seconds after which every session ends.
        idle_lifetime: seconds after which a session ends that is not used.
        on_end: called for each session that ends in this process.
        clock: seconds since 1970 UTC.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        client: AuthorizationClient,
        store: SessionStore,
        *,
        required: frozenset[str] | None,
        lifetime: float,
        idle_lifetime: float,
        on_end: OnEnd | None,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._client = client
        self._store = store
        self._required = required
        self._lifetime = lifetime
        self._idle_lifetime = idle_lifetime
        self._on_end = on_end
        self._clock = clock
        self._monotonic = monotonic
        self._live: OrderedDict[str, _Live] = OrderedDict()
        self._next_look: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    async def begin(self, pending: PendingAuthorization, code: SecretStr) -> str:
        """Exchange a code and begin a session.

        Returns:
            Its cookie. Every login has a new one, so that a cookie that others knew before is
            useless.

        Raises:
            ClientError: the server does not exchange the code, or the store cannot be written.
        """
        cookie = secrets.token_urlsafe(32)
        key, seal = digest(cookie), Seal.of_session(cookie)
        vault = SessionVault(self._store, key, seal)
        authorization = UserAuthorization(self._client.servers.at(pending.issuer), vault)
        try:
            granted = await authorization.complete(pending, code, required=self._required)
        except ScopeNotGranted:
            await self._revoke(authorization)
            raise
        now = self._clock()
        record = SessionRecord(
            issuer=pending.issuer,
            scope=granted.scope,
            begun_at=now,
            ends_at=now + self._lifetime,
            access=None
            if granted.refresh_token is not None
            else AccessRecord(granted.access_token, now, granted.lifetime),
        )
        try:
            await vault.begin(record, min(self._idle_lifetime, self._lifetime))
        except StoreError:
            await self._revoke(authorization)
            raise
        self._take_up(key, record, authorization, vault)
        return cookie

    async def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie, and prolong it; None if it has ended.

        Raises:
            StoreError: the store cannot be read.
        """
        key = digest(cookie)
        live = self._live.get(key) or await self._fetched(key, cookie)
        if live is None:
            return None
        left = live.session.ends_at - self._clock()
        if left > 0 and await self._store.touch(key, min(self._idle_lifetime, left)):
            # It may have ended in the meantime.
            return None if live.session.ended.is_set() else self._used(live)
        await self._settle(live)
        return None

    def find_in_memory(self, cookie: str, store: MemorySessions) -> Session | None:
        """Do the same as `find`, without waiting."""
        key = digest(cookie)
        live = self._live.get(key)
        if live is None:
            return None
        left = live.session.ends_at - self._clock()
        if left > 0 and store.extend(key, min(self._idle_lifetime, left)):
            return self._used(live)
        # A handler may run in a thread of its own: other work is left to the next check.
        return None

    async def end(self, session: Session, reason: EndReason) -> None:
        """End a session of this process, also at its server.

        Raises:
            StoreError: the store still has it, and its cookie still opens it.
        """
        for live in list(self._live.values()):
            if live.session is session:
                await self._end(live, reason)

    async def end_by_cookie(self, cookie: str, reason: EndReason) -> None:
        """End the session of a cookie, also at its server.

        Raises:
            StoreError: the store still has it, or cannot be read.
        """
        key = digest(cookie)
        live = self._live.get(key) or await self._fetched(key, cookie)
        if live is not None:
            await self._end(live, reason)

    async def aclose(self) -> None:
        """End the work of this process; the sessions in the store continue."""
        if self._next_look is not None:
            self._next_look.cancel()
        for live in list(self._live.values()):
            if self._take_out(live):
                await self._close(live, "closed")
                await self._flush(live)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _fetched(self, key: str, cookie: str) -> _Live | None:
        sealed = await self._store.get(key)
        # Another request of the same browser may have come first.
        if key in self._live or sealed is None:
            return self._live.get(key)
        seal = Seal.of_session(cookie)
        try:
            record = SessionRecord.read(seal.open(sealed))
        except ValueError:
            logger.warning("a session in the store cannot be read, and is ignored")
            return None
        server = self._client.servers.at(record.issuer)
        vault = SessionVault(self._store, key, seal, record)
        authorization = UserAuthorization(server, vault)
        if record.access is not None:
            age = self._clock() - record.access.issued_at
            granted = GrantedTokens(
                record.access.token,
                record.access.lifetime,
                record.scope,
                requested_at=self._monotonic() - age,
            )
            await authorization.begin(granted, record.scope)
        return self._live.get(key) or self._take_up(key, record, authorization, vault)

    def _take_up(
        self,
        key: str,
        record: SessionRecord,
        authorization: UserAuthorization,
        vault: SessionVault,
    ) -> _Live:
        async def obtain() -> GrantedTokens:
            try:
                return await authorization.obtain()
            except LoginRequired:
                # The server has said so: only another login helps.
                self._start(self._end_in_background(live, "refused"))
                raise

        session = Session(
            id=digest(key)[:16],
            tokens=self._client.source(obtain, only_while_used=True),
            issuer=record.issuer,
            scope=record.scope,
            begun_at=record.begun_at,
            ends_at=record.ends_at,
        )
        live = _Live(key, session, authorization, vault, self._monotonic() + self._idle_lifetime)
        self._live[key] = live
        if len(self._live) > _MOST_LIVE:
            oldest = next(iter(self._live.values()))
            self._take_out(oldest)
            self._start(self._close(oldest, "closed"))
        self._look_later()
        return live

    def _used(self, live: _Live) -> Session:
        live.idle_until = self._monotonic() + self._idle_lifetime
        if live.key in self._live:
            self._live.move_to_end(live.key)
        return live.session

    async def _settle(self, live: _Live) -> None:
        """End a session here whose time is over, or that another worker has ended and revoked."""
        over = self._clock() >= live.session.ends_at or self._monotonic() >= live.idle_until
        if over or not self._store.shared:
            await self._end_in_background(live, "expired")
        elif self._take_out(live):
            await self._close(live, "logout")

    async def _end_in_background(self, live: _Live, reason: EndReason) -> None:
        try:
            await self._end(live, reason)
        except StoreError as error:
            logger.warning("a session has ended, but is still in the session store: %s", error)

    async def _end(self, live: _Live, reason: EndReason) -> None:
        """End a session: in the store, here, and at its server.

        It ends in the store first, so that no request finds it again during the rest.

        Raises:
            StoreError: the store still has it.
        """
        if not self._take_out(live):
            return
        try:
            # Another worker may have renewed the token that is to be revoked.
            await live.vault.read()
            await self._store.remove(live.key)
        finally:
            await self._close(live, reason)
            if reason != "refused":
                await self._revoke(live.authorization)

    @staticmethod
    async def _revoke(authorization: UserAuthorization) -> None:
        """IS-10 "Token Revocation": "upon a user ceasing to require authorization"."""
        try:
            await authorization.end()
        except ClientError as error:
            logger.warning("a user was logged out here, but not at the server: %s", error)

    def _take_out(self, live: _Live) -> bool:
        """Remove a session from this process; return False if that was done before."""
        if live.session.ended.is_set():
            return False
        live.session.ended.set()
        self._live.pop(live.key, None)
        return True

    async def _close(self, live: _Live, reason: EndReason) -> None:
        """Close what a removed session has open here, and call `on_end`."""
        await live.session.tokens.aclose()
        if self._on_end is None:
            return
        try:
            told = self._on_end(live.session, reason)
            if inspect.isawaitable(told):
                await told
        except Exception:
            logger.exception("on_end failed for a session")

    def _look_later(self) -> None:
        if self._next_look is None and self._live:
            loop = asyncio.get_running_loop()
            self._next_look = loop.call_later(_LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._next_look = None
        self._start(self._look_after_all())

    async def _look_after_all(self) -> None:
        # Only the sessions that were asked about: others may begin meanwhile.
        asked = dict(self._live)
        try:
            present = await self._store.present(asked)
        except StoreError as error:
            logger.warning("it cannot be checked whether sessions have ended: %s", error)
        else:
            now = self._clock()
            for key, live in asked.items():
                if key not in present or now >= live.session.ends_at:
                    await self._settle(live)
                elif not await self._flush(live):
                    break
        self._look_later()

    async def _flush(self, live: _Live) -> bool:
        """Write the successor of a spent token if that failed before; False if it fails again."""
        if live.vault.unwritten:
            try:
                async with live.vault.alone():
                    await live.vault.flush()
            except StoreError as error:
                logger.warning("a session is still kept in memory only: %s", error)
                return False
        return True

    def _start(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
