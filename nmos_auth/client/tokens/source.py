"""A token that is kept fresh: renewed in the background, once for any number of callers."""

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
from types import MappingProxyType
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
# Seconds: `exp` is in whole seconds, and a request needs some time on its way.
_MARGIN = 1.0
# Temporary failures are retried in the background, others when a caller asks: an answer that is not
# OAuth may come from a proxy while the server restarts, and `invalid_client` may come from a
# jwks_uri that could not be fetched.
_BACK_OFF = BackOff(1.0, 15.0)
_PAUSE = BackOff(5.0, 600.0, factor=4)
_PAUSE_AFTER_REFUSAL = BackOff(60.0, 600.0)
# Then only the store is asked whether the user has logged in meanwhile.
_PAUSE_UNTIL_LOGIN = BackOff(5.0, 5.0)
_LONGEST_RETRY_AFTER = 86400.0
# How many rejected tokens are renewed in a row, and in how many seconds one more.
_REJECTIONS = 3
_REJECTION_INTERVAL = 10.0


def boot_time() -> float:
    """Return seconds of a clock that never goes back, and that runs while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class HeldToken:
    """An Access Token that is held.

    Attributes:
        value: the token itself.
        expires_at: when it may no longer be sent, on the clock of its source.
        renew_at: when it is renewed, on the same clock.
        scope: the scopes that were granted.
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
        """Return the claims of the token, or None if it is opaque.

        They are a hint, for what a user is shown and for which hosts get the token. They are not
        verified, and a Client should not depend on them (RFC 9068 Section 6): only the Resource
        Server says what it permits.
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
    """What operators are told of one Access Token that is kept fresh.

    Attributes:
        scope: the scopes that are requested, separated by spaces.
        remaining: seconds until it ends; None if there is none now.
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
    """Returns a fresh Access Token of one authorization at any time.

    From the first call until it is closed, it renews the token at half of its lifetime, or 15
    seconds before its end where that is earlier. While that fails, it returns the held token until
    that ends, and never later. After a temporary failure it tries again after one second, then two,
    up to 15, and at the latest after half of what the held token has left. After another failure
    the next attempt is made when a caller asks, five seconds later and then later each time, or a
    minute after a plain refusal; until then callers without a token get the same error.

    It belongs to one event loop, which is `loop` once it is known. `async with` closes it.

    Args:
        obtain: gets tokens from a server, with `requested_at` on the clock `monotonic`.
        monotonic: seconds of a clock that never goes back.
        only_while_used: do not renew a token that was not used since it came.
        allow_http: its tokens may go to http origins, for development.
        uniform: returns a random number between two numbers.
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
        """Whether it has ended, so that another one has to replace it."""
        return self._closed

    @property
    def remaining(self) -> float | None:
        """Seconds until the held token ends; None if there is none."""
        held = self._in_hand()
        return None if held is None else held.expires_at - self._monotonic()

    @property
    def forked(self) -> bool:
        """Whether this process was forked from the one whose event loop it belongs to."""
        return os.getpid() != self._process

    def share(self) -> Self:
        """Return it for one more caller, which closes it too."""
        self._users += 1
        return self

    async def token(self) -> HeldToken:
        """Return a token that has not expired, from memory if possible.

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
        Resource Server that refuses everything does not cause a flood of requests.

        Returns:
            The token, or None if there is no other.
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
        """End the background work when the last caller closes it.

        From then on `token` raises `ClientClosed`. An exchange that is under way continues, and its
        result is kept.
        """
        self._users -= 1
        if self._users <= 0:
            await self.end()

    async def end(self) -> None:
        """End the background work, even if callers still use it."""
        self._closed = True
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
        await self._renewal.aclose()
        self._held = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
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
            # So callers can catch every error, and the server is not asked again and again.
            failure = unexpected(error)
            self._failure = self._failed(failure)
            raise failure from None
        self._held, self._failure, self._used = held, None, False
        return held

    def _hold(self, granted: GrantedTokens) -> HeldToken:
        life = granted.lifetime
        # It is never renewed at once, even if its lifetime is short: that would be a busy loop.
        wait = max(min(life / 2, life - _EARLY), life / 4)
        held = HeldToken(
            value=granted.access_token,
            expires_at=granted.requested_at + life - min(_MARGIN, life / 4),
            # It is renewed slightly earlier, so that Clients that start together do not renew
            # together.
            renew_at=granted.requested_at + wait * self._uniform(0.9, 1.0),
            scope=granted.scope,
        )
        now = self._monotonic()
        if now >= held.expires_at:
            raise ServerUnavailable("a token had expired by the time it arrived")
        # If the server returns the same token again, the next renewal is only due after a while.
        return replace(held, renew_at=max(held.renew_at, now + min(_MARGIN, life / 4)))

    def _failed(self, error: NmosAuthError) -> _Failure:
        count = 1 if self._failure is None else self._failure.count + 1
        back_off = _schedule(error)
        pause = back_off.pause(count, self._uniform)
        held = self._in_hand()
        if held is not None and isinstance(error, ClientError) and error.temporary:
            # The attempt comes before the end of the held token, in case the server is back then.
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
        """Renew in time until a failure that is not temporary."""
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
        return _PAUSE_UNTIL_LOGIN
    refused = isinstance(error, OAuthError) and error.code is not None and not error.rejects_client
    return _PAUSE_AFTER_REFUSAL if refused else _PAUSE


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
