"""When an issuer is asked for its keys: regularly, and out of turn for tokens. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from nmos_auth.rules.tokens import SignedToken
from nmos_auth.servers.backoff import BackOff, Uniform
from nmos_auth.servers.token_bucket import TokenBucket
from nmos_auth.trust.jwks import VerificationKey

__all__ = ["BURST", "JITTER", "Schedule"]

BURST = 3
# IS-10 "Behaviour: Resource Servers", Public keys: "altering their retrieval time by a value
# between 0-60 seconds".
JITTER = 60.0
_LONGEST_BACK_OFF = 60.0
_LONGEST_RETRY = 3600.0
_MOST_LATE = 16


class Schedule:
    """When one issuer's keys are fetched.

    In turn: every `refresh_interval`, and after a failure when a back-off ends. Out of turn: as
    soon as the allowance permits, while a token waits for a fetch that begins after the token was
    first seen. Fetches are numbered, so that no clock decides which came first.

    All times are seconds of a clock that never goes back.

    Args:
        refresh_interval: seconds between fetches in turn.
        refetch_interval: least seconds between fetches out of turn, after a burst of three.
        uniform: returns a random number between two.

    Attributes:
        due: when the next fetch in turn begins.
        failures: how many fetches have failed in a row.
        pending: the number of the fetch under way, or None.
    """

    __slots__ = (
        "_allowance",
        "_back_off",
        "_interval",
        "_late",
        "_out_of_turn",
        "_uniform",
        "due",
        "failures",
        "pending",
    )

    def __init__(
        self,
        refresh_interval: float,
        refetch_interval: float,
        uniform: Uniform,
    ) -> None:
        self._interval = refresh_interval
        self._allowance = TokenBucket(refetch_interval, BURST)
        self._back_off = BackOff(1.0, min(_LONGEST_BACK_OFF, refresh_interval))
        self._uniform = uniform
        self._out_of_turn = False
        self._late: dict[bytes, SignedToken] = {}
        self.due = -math.inf
        self.failures = 0
        self.pending: int | None = None

    # What is asked for

    def want(self, begun: int, signed: SignedToken) -> None:
        """Ask for a fetch that begins later than the fetch with this number.

        Where that one is still under way, another one follows, unless the keys that it brings
        verify the token. A few tokens are remembered for this; the others have to be sent again.

        Args:
            begun: the number.
            signed: the token that waits for it.
        """
        self._out_of_turn = True
        if self.pending is not None and begun >= self.pending and len(self._late) < _MOST_LATE:
            self._late[signed.signature] = signed

    def want_copy(self) -> None:
        """Ask for one fetch: this issuer may host a copy of another issuer's keys."""
        self._out_of_turn = True

    def want_if_idle(self, now: float) -> None:
        """Ask for one fetch if no other can be waiting for it: the whole burst is left."""
        if self._allowance.is_full(now):
            self._out_of_turn = True

    # What comes of it

    def next_fetch(self, now: float) -> float:
        """Return when the next fetch may begin: never while one is under way."""
        if self.pending is not None:
            return math.inf
        if self._out_of_turn:
            return min(self.due, now + self._allowance.wait(now))
        return self.due

    def retry_after(self, now: float) -> int:
        """Return the whole seconds after which a fetch, if one is to be made, may have answered."""
        if self.pending is not None:
            return 1
        wait = self.next_fetch(now) - now
        return math.floor(min(max(0.0, wait), _LONGEST_RETRY)) + 1

    # What happens

    def begin(self, number: int, now: float) -> None:
        """Record that a fetch begins. A fetch in turn uses nothing of the allowance."""
        if self.due > now:
            self._allowance.take(now)
        self.pending = number

    def succeeded(self, now: float, keys: Iterable[VerificationKey] = ()) -> None:
        """Record that the fetch under way gave these keys."""
        late = self._end()
        self.failures = 0
        self.due = now + self._interval + self._uniform(0, min(JITTER, self._interval))
        # Only one key of each name is tried, since trying all of many keys would take long.
        named = {key.kid: key for key in keys}
        self._out_of_turn = not all(
            each.kid in named and named[each.kid].verifies(each) for each in late
        )

    def failed(self, now: float) -> None:
        """Record that the fetch under way gave no keys.

        The tokens that wait for it now wait for the next fetch in turn: the back-off decides, and
        not how many wait. A fetch out of turn does not delay the next one in turn.
        """
        self._end()
        self._out_of_turn = False
        in_turn = self.due <= now
        if in_turn or not self.failures:
            self.failures += 1
        again = now + self._back_off.pause(self.failures, self._uniform)
        self.due = again if in_turn else min(self.due, again)

    def restart(self) -> None:
        """Record that no fetch is under way any more, and that one is due."""
        self._end()
        self.due = -math.inf

    def _end(self) -> Collection[SignedToken]:
        """Record that no fetch is under way; return the tokens that waited, and keep none."""
        late, self._late = self._late, {}
        self.pending = None
        return late.values()
