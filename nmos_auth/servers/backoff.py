"""How long to wait before the next attempt. Pure, except for the random number."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["BackOff", "Uniform"]

Uniform = Callable[[float, float], float]
"""Returns a random number between two numbers, as `random.uniform` does."""

_MOST_DOUBLINGS = 60


@dataclass(frozen=True, slots=True)
class BackOff:
    """Pauses that grow with every failure in a row, up to a limit.

    Each pause is a random share, from half to all, of a ceiling that doubles. So clients that fail
    together do not try again together: "the Resource Server MUST implement a randomised
    back-off mechanism" (IS-10 "Behaviour: Resource Servers", Public keys), "clients SHOULD
    implement an exponential backoff algorithm" (IS-04 "Behaviour: Registration").

    Attributes:
        first: seconds, the ceiling of the first pause.
        longest: seconds, the highest ceiling.
        factor: by how much the ceiling grows with each failure.

        >>> BackOff(1.0, 60.0).ceiling(failures=3)
        4.0
    """

    first: float
    longest: float
    factor: float = 2.0

    def ceiling(self, failures: int) -> float:
        """Return the longest possible pause, in seconds, after so many failures in a row."""
        growth = self.factor ** min(max(failures - 1, 0), _MOST_DOUBLINGS)
        return min(self.first * growth, self.longest)

    def pause(self, failures: int, uniform: Uniform = random.uniform) -> float:
        """Return the seconds to wait after so many failures in a row.

        Args:
            failures: how many there have been since the last success, the newest included.
            uniform: returns a random number between two numbers.
        """
        return self.ceiling(failures) * uniform(0.5, 1.0)
