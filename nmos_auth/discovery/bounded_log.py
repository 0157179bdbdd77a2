"""What the log shows of advertisements, which anybody on the link can change without end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from nmos_auth.servers.token_bucket import TokenBucket

__all__ = ["BoundedLog"]

_BURST, _INTERVAL = 64, 10.0


class BoundedLog:
    """Writes up to 64 lines at once to the log, and then six in a minute; the rest is at DEBUG.

    Args:
        logger: what it writes to.
        monotonic: seconds of a clock that never goes back.

        >>> BoundedLog(logging.getLogger("nmos_auth")).write(logging.INFO, "%d servers", 2)
    """

    def __init__(
        self, logger: logging.Logger, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._monotonic = monotonic
        self._allowance = TokenBucket(_INTERVAL, _BURST)
        self._is_full = False

    def write(self, level: int, message: str, *values: object) -> None:
        """Write a line, at this level if there is room."""
        if level > logging.DEBUG:
            was_full, self._is_full = self._is_full, not self._allowance.take(self._monotonic())
            if self._is_full:
                level = logging.DEBUG
                if not was_full:
                    self._logger.warning(
                        "what is advertised changes too often for the log; the rest is at DEBUG"
                    )
        self._logger.log(level, message, *values)
