"""Which of several Registration APIs to use. No I/O and no clock: times are passed in."""

import math
import random
from collections.abc import Sequence

from nmos_auth.servers.backoff import BackOff, Uniform

ASIDE = 60.0
# No longer than the heartbeat interval (IS-04 "Behaviour: Registration", Heartbeating).
BACK_OFF = BackOff(1.0, 5.0)
BACK_OFF_AFTER_DENIAL = BackOff(1.0, 120.0)
# While a registry still holds the Node: a heartbeat that fails is due already, and there are
# seven seconds left for another one to succeed.
BACK_OFF_WHILE_HELD = BackOff(0.5, 1.5)


class FailOver:
    """Chooses the most preferred registry that has not failed lately.

    One that failed stands aside for a minute. When all have, "clients SHOULD implement an
    exponential backoff algorithm in their next attempts" (IS-04 "Behaviour: Registration").

    Args:
        uniform: returns a random number between two numbers, so that Nodes return at other times.
    """

    def __init__(self, uniform: Uniform = random.uniform) -> None:
        self._uniform = uniform
        self._aside: dict[str, float] = {}
        self._rounds = 0
        self._denials = 0

    def choose(self, known: Sequence[str], now: float) -> str | None:
        """Return the registry to use, or None if none can be used yet.

        Args:
            known: the registries' URLs, the most preferred one first.
            now: the time in seconds.
        """
        return next((url for url in known if self._aside.get(url, now) <= now), None)

    def resumes_at(self, known: Sequence[str]) -> float | None:
        """Return when one of them can be used again, or None if there is none to wait for."""
        return min((self._aside[url] for url in known if url in self._aside), default=None)

    @property
    def backs_off(self) -> bool:
        """Whether all have failed since the last success."""
        return self._rounds > 0

    def failed(
        self,
        url: str,
        known: Sequence[str],
        now: float,
        *,
        denied: bool = False,
        held_until: float = -math.inf,
    ) -> None:
        """Set a registry aside; if it was the last one, set all of them aside for a while.

        Args:
            url: the registry.
            known: all that are known.
            now: the time in seconds.
            denied: it answered, and it was the Node that it did not let in.
            held_until: when registries forget the Node unless a heartbeat succeeds.
        """
        self._aside = {each: until for each, until in self._aside.items() if each in known}
        self._aside[url] = now + ASIDE
        if self.choose(known, now) is None:
            self._rounds += 1
            back_off, failures = BACK_OFF, self._rounds
            if now < held_until:
                back_off = BACK_OFF_WHILE_HELD
            elif denied:
                # How long an earlier outage lasted says nothing about a denial.
                self._denials += 1
                back_off, failures = BACK_OFF_AFTER_DENIAL, self._denials
            else:
                self._denials = 0
            resume = now + back_off.pause(failures, self._uniform)
            self._aside = dict.fromkeys([*known, url], resume)

    def settled(self) -> None:
        """Record that a registry works, so that the back-off starts again."""
        self._rounds = 0
        self._denials = 0
