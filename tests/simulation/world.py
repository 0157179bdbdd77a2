"""What all processes of a simulation share: time, chance, the network and the history."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field

__all__ = ["DAY", "HOUR", "MINUTE", "Broken", "Chance", "World"]

MINUTE = 60.0
HOUR = 3600.0
DAY = 24 * HOUR
# Somewhere in 2030, by the clock that is right.
_EPOCH = 1_900_000_000.0
_LONGEST_HISTORY = 400


class Broken(AssertionError):
    """An invariant does not hold."""


class Chance(random.Random):
    """Random numbers of one seed."""

    def soon(self, mean: float) -> float:
        """Return seconds until the next of events that come at random, so many apart on average."""
        return self.expovariate(1 / mean)

    def happens(self, probability: float) -> bool:
        """Tell whether something happens this time."""
        return self.random() < probability


@dataclass
class World:
    """One history: it is played on a loop of virtual time, and the seed decides all of it.

    Attributes:
        seed: replays the history.
        hours: how long it is, in hours of virtual time.
        chance: whence every process has its random numbers.
        told: the latest events; keys are named by number, never by their bytes.
        broken: the first invariant that did not hold.
        answers: how many requests were answered with each status.
    """

    seed: int
    hours: float
    chance: Chance = field(init=False)
    told: list[str] = field(default_factory=list)
    broken: Broken | None = None
    answers: Counter[int] = field(default_factory=Counter)
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    _events: int = 0
    _processes: dict[asyncio.Task[None], None] = field(default_factory=dict)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.chance = Chance(self.seed)

    @property
    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return asyncio.get_running_loop().time()

    @property
    def now(self) -> float:
        """Seconds since 1970 UTC, by the clock that is right."""
        return _EPOCH + self.monotonic

    @property
    def history(self) -> str:
        """What stands for the whole history: equal for equal histories."""
        return f"{self._events} events, {self._digest.hexdigest()[:16]}"

    def tell(self, event: str) -> None:
        """Write an event into the history."""
        line = f"{self.monotonic:12.3f}  {event}"
        self._events += 1
        self._digest.update(line.encode() + b"\n")
        self.told.append(line)
        if len(self.told) > 2 * _LONGEST_HISTORY:
            del self.told[:_LONGEST_HISTORY]

    def require(self, holds: bool, invariant: str) -> None:  # noqa: FBT001 - as `assert` has it
        """End the history if an invariant does not hold."""
        if not holds:
            self.tell(f"BROKEN: {invariant}")
            self.broken = self.broken or Broken(f"seed {self.seed}: {invariant}")
            self._over.set()
            raise self.broken

    def begin(self, process: Coroutine[None, None, None]) -> None:
        """Let a process run until the end."""
        task = asyncio.get_running_loop().create_task(process)
        self._processes[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._processes.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            if self.broken is None:
                self.broken = Broken(f"seed {self.seed}: a process failed: {error!r}")
                self.broken.__cause__ = error
            self._over.set()

    async def play(self) -> None:
        """Let time pass until the end.

        Raises:
            Broken: an invariant did not hold.
        """
        try:
            async with asyncio.timeout(self.hours * HOUR):
                await self._over.wait()
        except TimeoutError:
            pass
        left = list(self._processes)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self.broken is not None:
            raise self.broken
