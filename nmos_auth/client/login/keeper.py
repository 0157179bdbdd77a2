"""The sessions that this process has in hand, from their beginning to their end."""

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

# Seconds: how often a process looks whether its sessions are still there, which other workers and
# the time may have ended.
_LOOK_EVERY = 2.0
_MOST_LIVE = 10_000


@dataclass(eq=False)
class _Live:
    """A session with what renews its tokens.

    Attributes:
        key: of the session in its store.
        session: what is told of it.
        authorization: what the user authorized.
        vault: where its Refresh Token is.
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
        required: the scopes without which a login is of no use; None for all that is asked for.
        lifetime: seconds after which a session ends whatever happens.
        idle_lifetime: seconds for which a session lives without being used.
        on_end: told of each session that ends in this process.
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
            Its cookie: a new one with every login, so that none that somebody knew before is
            worth anything.

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
        """Return the session of a cookie, which lives on for that; None where it has ended.

        Raises:
            StoreError: the store cannot be read.
        """
        key = digest(cookie)
        live = self._live.get(key) or await self._fetched(key, cookie)
        if live is None:
            return None
        left = live.session.ends_at - self._clock()
        if left > 0 and await self._store.touch(key, min(self._idle_lifetime, left)):
            # It may have been ended meanwhile.
            return None if live.session.ended.is_set() else self._used(live)
        await self._settle(live)
        return None

    def find_in_memory(self, cookie: str, store: MemorySessions) -> Session | None:
        """Do what `find` does, at once."""
        key = digest(cookie)
        live = self._live.get(key)
        if live is None:
            return None
        left = live.session.ends_at - self._clock()
        if left > 0 and store.extend(key, min(self._idle_lifetime, left)):
            return self._used(live)
        # A handler may run in a thread of its own: whatever is to be done is done at the next look.
        return None

    async def end(self, session: Session, reason: EndReason) -> None:
        """End a session that this process has in hand, at its server too.

        Raises:
            StoreError: the store still has it, and its cookie still opens it.
        """
        for live in list(self._live.values()):
            if live.session is session:
                await self._end(live, reason)

    async def end_by_cookie(self, cookie: str, reason: EndReason) -> None:
        """End the session of a cookie, at its server too.

        Raises:
            StoreError: the store still has it, or cannot be read.
        """
        key = digest(cookie)
        live = self._live.get(key) or await self._fetched(key, cookie)
        if live is not None:
            await self._end(live, reason)

    async def aclose(self) -> None:
        """Let go of what this process has in hand; the sessions in the store live on."""
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
        # Another request of the same browser may have been here meanwhile.
        if key in self._live or sealed is None:
            return self._live.get(key)
        seal = Seal.of_session(cookie)
        try:
            record = SessionRecord.read(seal.open(sealed))
        except ValueError:
            logger.warning("a session in the store cannot be read, and is passed over")
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
                # The server's own word: nothing but another login helps.
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
        """End here what has ended: by the time, or at another worker, which revoked its tokens."""
        over = self._clock() >= live.session.ends_at or self._monotonic() >= live.idle_until
        if over or not self._store.shared:
            await self._end_in_background(live, "expired")
        elif self._take_out(live):
            await self._close(live, "logout")

    async def _end_in_background(self, live: _Live, reason: EndReason) -> None:
        try:
            await self._end(live, reason)
        except StoreError as error:
            logger.warning("a session has ended, but not in the session store: %s", error)

    async def _end(self, live: _Live, reason: EndReason) -> None:
        """End a session: in the store, here, and at its server.

        In the store first, so that no request finds it again while the rest takes its time.

        Raises:
            StoreError: the store still has it.
        """
        if not self._take_out(live):
            return
        try:
            # Another worker may have renewed what is to be revoked.
            await live.vault.read()
            await self._store.remove(live.key)
        finally:
            await self._close(live, reason)
            if reason != "refused":
                await self._revoke(live.authorization)

    @staticmethod
    async def _revoke(authorization: UserAuthorization) -> None:
        """IS-10 "Token Requests", Revoking: "upon a user ceasing to require authorization"."""
        try:
            await authorization.end()
        except ClientError as error:
            logger.warning("logged out, but not at the server: %s", error)

    def _take_out(self, live: _Live) -> bool:
        """Say that a session has ended in this process; False where that was said before."""
        if live.session.ended.is_set():
            return False
        live.session.ended.set()
        self._live.pop(live.key, None)
        return True

    async def _close(self, live: _Live, reason: EndReason) -> None:
        """Close what a session that was taken out has open here, and tell the application."""
        await live.session.tokens.aclose()
        if self._on_end is None:
            return
        try:
            told = self._on_end(live.session, reason)
            if inspect.isawaitable(told):
                await told
        except Exception:
            logger.exception("the hook at the end of a session failed")

    def _look_later(self) -> None:
        if self._next_look is None and self._live:
            loop = asyncio.get_running_loop()
            self._next_look = loop.call_later(_LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._next_look = None
        self._start(self._look_after_all())

    async def _look_after_all(self) -> None:
        # Only what was asked about: others may begin meanwhile.
        asked = dict(self._live)
        try:
            present = await self._store.present(asked)
        except StoreError as error:
            logger.warning("sessions are kept as they are: %s", error)
        else:
            now = self._clock()
            for key, live in asked.items():
                if key not in present or now >= live.session.ends_at:
                    await self._settle(live)
                elif not await self._flush(live):
                    break
        self._look_later()

    async def _flush(self, live: _Live) -> bool:
        """Write the successor of a spent token, if that failed; False where it still does."""
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
