"""Neighbours that were never confirmed: which one is asked next, and with what outcome. Pure.

Anybody can name one in a token. For that reason, only a few are asked, by turns among the addresses
that name them, and little is remembered about them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from nmos_auth.servers.token_bucket import TokenBucket
from nmos_auth.trust.schedule import BURST
from nmos_auth.trust.turns import Turns

__all__ = ["MEMORY", "MOST_ANSWERS", "MOST_AT_ONCE", "MOST_CONFIRMED", "Newcomers"]

MEMORY = 60.0
MOST_ANSWERS = 64
MOST_AT_ONCE = 3
MOST_CONFIRMED = 16
_LONGEST_RETRY = 60


@dataclass(frozen=True, slots=True)
class _Attempt:
    until: float
    answered: bool


class Newcomers:
    """The neighbours that were never confirmed.

    Args:
        interval: least seconds between asking two of them, after a burst of three.

    Attributes:
        asked: those that are being asked.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._allowance = TokenBucket(interval, BURST)
        self._turns = Turns()
        self._attempts: OrderedDict[str, _Attempt] = OrderedDict()
        self.asked: set[str] = set()

    def retry_after(self, url: str, peer: str, now: float) -> int | None:
        """Return the seconds after which a token of such an issuer may be sent again.

        The issuer is asked when its turn comes, if there is room for it to wait.

        Args:
            url: the issuer.
            peer: the address that the token came from.
            now: seconds of a clock that never goes back.

        Returns:
            None where the issuer has answered, within the last minute, with anything but its own
            metadata and keys: the token is invalid.
        """
        if url in self.asked:
            return 1
        attempt = self._attempts.get(url)
        if attempt is not None and now < attempt.until:
            return None if attempt.answered else _whole(attempt.until - now)
        self._turns.wait(peer, url)
        # Once the allowance is used up, the turns that come before are taken one by one.
        return _whole(self._allowance.wait(now) + self._turns.before(url) * self._interval)

    def take(self, now: float) -> str | None:
        """Return the issuer that is to be asked now, if there is one."""
        if not len(self._turns) or not self._allowance.take(now):
            return None
        url = self._turns.take()
        if url is not None:
            self.asked.add(url)
        return url

    def next_turn(self, now: float) -> float:
        """Return when the next one may be asked."""
        return now + self._allowance.wait(now) if len(self._turns) else math.inf

    def ended(self, url: str, *, answered: bool, now: float) -> None:
        """Record that an issuer was not confirmed: it answered something else, or not at all."""
        self.asked.discard(url)
        self._attempts[url] = _Attempt(now + MEMORY, answered)
        self._attempts.move_to_end(url)
        if len(self._attempts) > MOST_ANSWERS:
            self._attempts.popitem(last=False)

    def forget(self, url: str) -> None:
        """Forget an issuer, which was confirmed or is no longer a neighbour."""
        self.asked.discard(url)
        self._attempts.pop(url, None)
        self._turns.drop(url)

    def retain(self, is_neighbour: Callable[[str], bool]) -> None:
        """Forget the issuers that are no longer neighbours: they are not asked."""
        for url in [*self.asked, *self._turns]:
            if not is_neighbour(url):
                self.forget(url)

    def restart(self) -> None:
        """Record that no issuer is being asked any more."""
        self.asked.clear()


def _whole(seconds: float) -> int:
    return min(_LONGEST_RETRY, math.floor(seconds) + 1)
