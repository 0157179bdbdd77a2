"""The Node's clock: TAI, as NMOS APIs write it.

NMOS timestamps are TAI, a string `<seconds>:<nanoseconds>` (IS-04 "APIs: Common Keys", Version). A
computer's clock is UTC, so the difference between the two must be known.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Protocol, Self

from typing_extensions import override

NANOSECONDS = 1_000_000_000

# Nanoseconds need at most nine digits; seconds need at most fifteen, for the 48 bits of PTP.
_TIMESTAMP = re.compile(r"([0-9]{1,15}):([0-9]{1,9})")


@dataclass(frozen=True, order=True, slots=True)
class TaiTime:
    """An instant in TAI, or an interval, in nanoseconds."""

    total: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<seconds>:<nanoseconds>`.

        Raises:
            ValueError: the text has another form.
        """
        match = _TIMESTAMP.fullmatch(text)
        if match is None:
            raise ValueError("a time is written <seconds>:<nanoseconds>")
        return cls(int(match[1]) * NANOSECONDS + int(match[2]))

    @override
    def __str__(self) -> str:
        seconds, nanoseconds = divmod(self.total, NANOSECONDS)
        return f"{seconds}:{nanoseconds}"

    def __add__(self, interval: "TaiTime") -> "TaiTime":
        return TaiTime(self.total + interval.total)


class Clock(Protocol):
    """The clock that the Node needs. Tests have one that they move by hand."""

    def now(self) -> TaiTime:
        """The present instant."""

    async def sleep_until(self, instant: TaiTime) -> None:
        """Return once `now()` has reached the instant, at once if it has already."""

    def elapsed(self) -> TaiTime:
        """The time since some instant, for lengths of time: nobody can set it."""

    async def sleep(self, interval: TaiTime) -> None:
        """Return once the interval has elapsed."""


class SystemClock:
    """The computer's clock.

    Args:
        utc_offset: TAI minus UTC in seconds, 37 since 1 January 2017 (IERS Bulletin C). Equipment
            locked to PTP gets it from the grandmaster.
    """

    # A longer sleep would not notice that the computer's clock was set.
    _longest_sleep = 1.0

    def __init__(self, utc_offset: int = 37) -> None:
        self._offset = utc_offset * NANOSECONDS

    def now(self) -> TaiTime:
        """The present instant."""
        return TaiTime(time.time_ns() + self._offset)

    async def sleep_until(self, instant: TaiTime) -> None:
        """Return once `now()` has reached the instant, at once if it has already."""
        # There is no event for a clock that reaches a time.
        while (remaining := instant.total - self.now().total) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(remaining / NANOSECONDS, self._longest_sleep))

    def elapsed(self) -> TaiTime:
        """The time since some instant, for lengths of time: nobody can set it."""
        return TaiTime(time.monotonic_ns())

    async def sleep(self, interval: TaiTime) -> None:
        """Return once the interval has elapsed."""
        await asyncio.sleep(interval.total / NANOSECONDS)
