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
        """Return the time of day, in seconds since 1970 UTC."""
        return time.time() + self.ahead + self.set_ahead

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return boot_time() + self.ahead
