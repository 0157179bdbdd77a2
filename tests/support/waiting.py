"""Waiting for what can only be polled."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["eventually"]


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for up to ten seconds until something holds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "does not hold within ten seconds"
        time.sleep(0.005)
