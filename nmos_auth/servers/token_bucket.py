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
    _left: float = field(init=False)
    _counted_at: float = field(init=False, default=-math.inf)

    def __post_init__(self) -> None:
        self._left = self.burst

    def take(self, now: float) -> bool:
        """Take one if that is allowed now, and tell whether it was."""
        self._fill(now)
        if self._left < _ONE:
            return False
        self._left -= 1
        return True

    def is_full(self, now: float) -> bool:
        """Tell whether the whole burst may be taken now."""
        self._fill(now)
        return self._left >= self.burst * _ONE

    def wait(self, now: float) -> float:
        """Return the seconds until one may be taken; 0 if that is now."""
        self._fill(now)
        return max(0.0, (1 - self._left) * self.interval) if self._left < _ONE else 0.0

    def _fill(self, now: float) -> None:
        gained = max(0.0, now - self._counted_at) / self.interval
        self._left = min(float(self.burst), self._left + gained)
        self._counted_at = max(now, self._counted_at)
