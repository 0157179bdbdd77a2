"""A token that is always fresh: renewed in the background, once for any number of callers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import Self

from pydantic import SecretStr

from nmos_auth.client.errors import (
    ClientClosed,
    ClientError,
    LoginRequired,
    OAuthError,
    ServerUnavailable,
    unexpected,
)
from nmos_auth.client.grants.grants import GrantedTokens
from nmos_auth.errors import NmosAuthError
from nmos_auth.servers.backoff import BackOff, Uniform
from nmos_auth.servers.single_flight import SingleFlight
from nmos_auth.servers.strict_json import parse_object
from nmos_auth.servers.token_bucket import TokenBucket

__all__ = ["HeldToken", "TokenSource", "TokenStatus", "boot_time", "running_loop"]

logger = logging.getLogger("nmos_auth")

# Seconds before expiry by which a token is renewed (IS-10 "Refreshing a Token").
_EARLY = 15.0
# Seconds: `exp` counts whole ones, and a request is under way for a while.
_MARGIN = 1.0
# Failures that may pass are retried in the background; others when asked for: what is not an answer
# of OAuth's may still be a proxy before a server that restarts, and `invalid_client` a jwks_uri
# that could not be fetched.
_BACK_OFF = BackOff(1.0, 15.0)
_HOLD = BackOff(5.0, 600.0, factor=4)
_HOLD_AFTER_REFUSAL = BackOff(60.0, 600.0)
# Nobody is asked then but the store: whether the user has logged in meanwhile.
_HOLD_UNTIL_LOGIN = BackOff(5.0, 5.0)
_LONGEST_RETRY_AFTER = 86400.0
# How many rejected tokens are renewed in a row, and in how many seconds one more.
_REJECTIONS = 3
_REJECTION_INTERVAL = 10.0


def boot_time() -> float:
    """Return seconds that never go back, and that pass while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class HeldToken:
    """An Access Token in hand.

    Attributes:
        value: the token itself.
        expires_at: when it may no longer be sent, on the clock of its source.
        renew_at: when it is renewed, likewise.
        scope: what it was granted for.
    """

    value: SecretStr
    expires_at: float
    renew_at: float
    scope: frozenset[str]

    @property
    def authorization(self) -> str:
        """The value of an Authorization header (RFC 6750 Section 2.1)."""
        return f"Bearer {self.value.get_secret_value()}"

    def claims_hint(self) -> Mapping[str, object] | None:
        """Return what the token says of itself, or None where it is opaque.

        A hint, for what a user is shown and which hosts get the token: nothing of it is verified,
        and a Client is not meant to depend on it (RFC 9068 Section 6). Whether a Resource Server
        permits something, it says itself.
        """
        segments = self.value.get_secret_value().split(".")
        if len(segments) != 3:
            return None
        payload = segments[1]
        try:
            octets = base64.b64decode(payload + "=" * (-len(payload) % 4), b"-_", validate=True)
            return MappingProxyType(parse_object(octets))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """One Access Token that is kept fresh, as operators are told of it.

    Attributes:
        scope: what it is asked for, separated by spaces.
        remaining: seconds until it ends; None where there is none now.
    """

    scope: str
    remaining: float | None


@dataclass(frozen=True, slots=True)
class _Failure:
    error: NmosAuthError
    count: int
    until: float

    @property
    def temporary(self) -> bool:
        return isinstance(self.error, ClientError) and self.error.temporary


class TokenSource:
    """Gives the Access Token of one authorization, fresh whenever it is asked.

    From the first call on it renews at half of the token's life, or 15 seconds before its end
    where that is earlier, and goes on until it is closed. While renewing fails, the token in hand
    is given until it ends, and never after. Failures that may pass are tried again after one
    second, then two, up to 15, and after no more than half of what the token in hand has left.
    After others the next attempt is for a caller who asks, five seconds later and then ever later,
    or a minute after a plain refusal; callers who have no token get the same error meanwhile.

    Belongs to one event loop, which is `loop` once it is known. `async with` closes it.

    Args:
        obtain: gets tokens from a server, stamped on `monotonic`'s time.
        monotonic: seconds of a clock that never goes back.
        only_while_used: let a token end that was not asked for since it came.
        allow_http: its tokens may go to http origins, for development.
        uniform: gives a random number between two.
    """

    def __init__(
        self,
        obtain: Callable[[], Awaitable[GrantedTokens]],
        *,
        only_while_used: bool = False,
        allow_http: bool = False,
        monotonic: Callable[[], float] = boot_time,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._obtain = obtain
        self._monotonic = monotonic
        self._only_while_used = only_while_used
        self.allow_http = allow_http
        self._used = False
        self._uniform = uniform
        self._held: HeldToken | None = None
        self._failure: _Failure | None = None
        self._renewal = SingleFlight(self._renew, closed=ClientClosed)
        self._keeper: asyncio.Task[None] | None = None
        self._rejections = TokenBucket(_REJECTION_INTERVAL, _REJECTIONS)
        self._closed = False
        self._users = 1
        self._process = os.getpid()
        self.loop = running_loop()

    @property
    def closed(self) -> bool:
        """Whether it has ended, so that another one has to take its place."""
        return self._closed

    @property
    def remaining(self) -> float | None:
        """Seconds until the token in hand ends; None where there is none."""
        held = self._in_hand()
        return None if held is None else held.expires_at - self._monotonic()

    @property
    def forked(self) -> bool:
        """Whether this process was forked from the one whose event loop it belongs to."""
        return os.getpid() != self._process

    def share(self) -> Self:
        """Return it for one more user, who closes it too."""
        self._users += 1
        return self

    async def token(self) -> HeldToken:
        """Return a token that has not expired, from memory where possible.

        Raises:
            NmosAuthError: no token is available now.
        """
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
        held = self._in_hand()
        if held is None:
            held = await self._renewed()
        self._used = True
        self._keep_fresh()
        return held

    async def replacement(self, rejected: HeldToken) -> HeldToken | None:
        """Return another token for one that a Resource Server called invalid.

        Rejected tokens are renewed three times in a row and then once in ten seconds, so that a
        Resource Server that refuses everything causes no flood at the Authorization Server.

        Returns:
            The token, or None where there is no other.
        """
        held = self._in_hand()
        if held is not None and held.value != rejected.value:
            return held
        if not self._renewal.running and not self._rejections.take(self._monotonic()):
            return None
        try:
            return await self._renewed()
        except NmosAuthError as error:
            logger.warning("no new token for a rejected one: %s", error)
            return None

    async def aclose(self) -> None:
        """End the background work when its last user closes it.

        `token` raises `ClientClosed` from then on. An exchange that is under way goes on, and what
        it gives is kept.
        """
        self._users -= 1
        if self._users <= 0:
            await self.end()

    async def end(self) -> None:
        """End the background work, whoever uses it still."""
        self._closed = True
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
        await self._renewal.aclose()
        self._held = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _in_hand(self) -> HeldToken | None:
        held = self._held
        return held if held is not None and self._monotonic() < held.expires_at else None

    async def _renewed(self) -> HeldToken:
        if self._closed:
            raise ClientClosed("the token source is closed")
        failure = self._failure
        if failure is not None and self._monotonic() < failure.until and not self._renewal.running:
            # The traceback would grow with every caller.
            raise failure.error.with_traceback(None)
        return await self._renewal()

    async def _renew(self) -> HeldToken:
        try:
            held = self._hold(await self._obtain())
        except NmosAuthError as error:
            self._failure = self._failed(error)
            raise
        except Exception as error:  # noqa: BLE001 - raised as what callers can catch
            # Whatever it is, callers can catch it, and the server is not asked on and on.
            failure = unexpected(error)
            self._failure = self._failed(failure)
            raise failure from None
        self._held, self._failure, self._used = held, None, False
        return held

    def _hold(self, granted: GrantedTokens) -> HeldToken:
        life = granted.lifetime
        # Never at once, whatever the life: that would be a loop.
        wait = max(min(life / 2, life - _EARLY), life / 4)
        held = HeldToken(
            value=granted.access_token,
            expires_at=granted.requested_at + life - min(_MARGIN, life / 4),
            # A little before, so that Clients started together do not renew together.
            renew_at=granted.requested_at + wait * self._uniform(0.9, 1.0),
            scope=granted.scope,
        )
        now = self._monotonic()
        if now >= held.expires_at:
            raise ServerUnavailable("a token had expired by the time it came")
        # One that is given again, since there is no other, is due again only after a while.
        return replace(held, renew_at=max(held.renew_at, now + min(_MARGIN, life / 4)))

    def _failed(self, error: NmosAuthError) -> _Failure:
        count = 1 if self._failure is None else self._failure.count + 1
        back_off = _schedule(error)
        pause = back_off.pause(count, self._uniform)
        held = self._in_hand()
        if held is not None and isinstance(error, ClientError) and error.temporary:
            # Not beyond the end of the token in hand, which a server back by then can still save.
            pause = min(pause, max((held.expires_at - self._monotonic()) / 2, back_off.first))
        if isinstance(error, ClientError) and error.retry_after is not None:
            pause = max(pause, min(error.retry_after, _LONGEST_RETRY_AFTER))
        logger.warning("no token: %s; next attempt in %.0f s", error, pause)
        return _Failure(error, count, self._monotonic() + pause)

    def _keep_fresh(self) -> None:
        if self._closed or (self._keeper is not None and not self._keeper.done()):
            return
        failure = self._failure
        if failure is None or failure.temporary or self._monotonic() >= failure.until:
            self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """Renew in time until something fails that does not pass by itself."""
        while self._failure is None or self._failure.temporary or self._due() <= 0:
            while (pause := self._due()) > 0:  # noqa: ASYNC110 - it waits for a moment
                await asyncio.sleep(pause)
            if self._only_while_used and not self._used:
                return
            with contextlib.suppress(NmosAuthError):
                await self._renewal()

    def _due(self) -> float:
        held, failure = self._held, self._failure
        at = held.renew_at if held is not None else self._monotonic()
        if failure is not None:
            at = max(at, failure.until)
        return at - self._monotonic()


def _schedule(error: NmosAuthError) -> BackOff:
    if isinstance(error, ClientError) and error.temporary:
        return _BACK_OFF
    if isinstance(error, LoginRequired) and error.code in {None, "invalid_grant"}:
        return _HOLD_UNTIL_LOGIN
    refused = isinstance(error, OAuthError) and error.code is not None and not error.rejects_client
    return _HOLD_AFTER_REFUSAL if refused else _HOLD


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
