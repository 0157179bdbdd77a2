"""A clock for code whose time a test decides."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

__all__ = ["Clock"]


@dataclass
class Clock:
    """Stands still until it is set.

    Attributes:
        now: seconds; a whole second of the present unless a test says otherwise.
    """

    now: float = field(default_factory=lambda: float(int(time.time())))

    def __call__(self) -> float:
        """Return the time."""
        return self.now
