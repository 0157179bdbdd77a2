"""Both clocks of a Client, which can be put forward."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nmos_auth.client.tokens.source import boot_time

__all__ = ["Clock"]


@dataclass
class Clock:
    """The real time, and some seconds.

    Attributes:
        ahead: seconds by which both clocks are ahead.
        set_ahead: seconds by which the time of day is ahead besides.
    """

    ahead: float = 0.0
    set_ahead: float = 0.0

    def time(self) -> float:
        """Return the time of day, in seconds since the epoch."""
        return time.time() + self.ahead + self.set_ahead

    def elapsed(self) -> float:
        """Return seconds that only go forward."""
        return boot_time() + self.ahead
