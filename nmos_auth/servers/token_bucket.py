"""A limit for how often something is done: several times at once, then once in an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["TokenBucket"]

# Rounding must not refuse a caller that has waited exactly as long as `wait` says.
_ONE = 1 - 1e-9


@dataclass(slots=True)
class TokenBucket:
    """Allows a burst, and then one in every interval.

    Times are passed in, as seconds of any clock that does not go back.

    Attributes:
        interval: seconds after which one more may be taken.
        burst: how many may be taken at once.

        >>> bucket = TokenBucket(interval=10.0, burst=1)
        >>> bucket.take(now=0.0), bucket.take(now=9.0), bucket.take(now=10.0)
        (True, False, True)
    """

    interval: float
    burst: int
    # When the last one that was gained is used up: the more is left, the longer ago.
    _used_up: float = field(init=False, default=-math.inf)

    def take(self, now: float) -> bool:
        """Take one if there is one."""
        used_up = max(self._used_up, now - self.burst * self.interval)
        if now - used_up < self.interval * _ONE:
            return False
        self._used_up = used_up + self.interval
        return True

    def is_full(self, now: float) -> bool:
        """Tell whether none has been taken for so long that a whole burst is left."""
        return now - self._used_up >= self.burst * self.interval * _ONE

    def wait(self, now: float) -> float:
        """Return the seconds until one can be taken; 0 where one can be taken now."""
        left = now - self._used_up
        return 0.0 if left >= self.interval * _ONE else self.interval - left
