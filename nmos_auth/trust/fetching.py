"""Fetching in the background: one fetch of each place at a time, shared by all who wait for it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

__all__ = ["Fetcher", "PendingFetch", "Plan"]

logger = logging.getLogger("nmos_auth")

# A timer that ends a little early must not make a busy loop.
_ROUNDING = 0.001
_PAUSE_AFTER_MISHAP = 1.0

Place = TypeVar("Place", bound=Hashable)
Outcome = TypeVar("Outcome")
OfPlan = TypeVar("OfPlan", bound=Hashable)


class Plan(Protocol[OfPlan]):
    """Who is asked, and when; `planning.FetchPlan` is one."""

    def due(self, now: float) -> Iterable[OfPlan]:
        """Return the places that are to be asked now."""
        ...

    def begin(self, place: OfPlan, number: int, now: float) -> None:
        """Record that the fetch with this number begins."""
        ...

    def holds(self, place: OfPlan) -> bool:
        """Tell whether a place that is being asked is still of interest."""
        ...

    def next_fetch(self, now: float) -> float:
        """Return when a place may be asked next, later than now; infinite for never."""
        ...


@dataclass(slots=True, eq=False)
class PendingFetch(Generic[Place]):
    """A fetch that is under way.

    Attributes:
        place: what is asked.
        number: its number among all fetches that have begun.
        began: when, on the monotonic clock.
    """

    place: Place
    number: int
    began: float
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Fetcher(Generic[Place, Outcome]):
    """Fetches what is due, from `start` to `stop`; `wake` says that the plan has changed.

    No request waits for a fetch, so a cancelled request does not end one.

    Args:
        plan: what is asked, and when.
        fetch: asks, and returns the outcome; it raises nothing.
        on_end: receives the outcome.
        monotonic: seconds of a clock that never goes back.

    Attributes:
        begun: the number of the fetch that has begun last.
    """

    def __init__(
        self,
        plan: Plan[Place],
        fetch: Callable[[Place], Awaitable[Outcome]],
        on_end: Callable[[PendingFetch[Place], Outcome], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._fetch = fetch
        self._on_end = on_end
        self._monotonic = monotonic
        self._woken = asyncio.Event()
        self._pending: dict[Place, PendingFetch[Place]] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self.begun = 0

    def start(self) -> None:
        """Begin on the running event loop."""
        self._woken = asyncio.Event()
        self._pending = {}
        self._ended = set()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="nmos_auth fetching")

    def wake(self) -> None:
        """Look at the plan again: a place may be due sooner, or may be no longer of interest.

        The fetch of a place that is no longer of interest ends.
        """
        for place in [each for each in self._pending if not self._plan.holds(each)]:
            self._forget(place)
        self._woken.set()

    async def stop(self) -> None:
        """End every fetch; the outcomes of those under way are lost."""
        for place in list(self._pending):
            self._forget(place)
        tasks = list(self._ended)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            tasks.append(task)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, place: Place) -> None:
        fetch = self._pending.pop(place)
        if fetch.task is not None:
            fetch.task.cancel()
            self._ended.add(fetch.task)
            fetch.task.add_done_callback(self._ended.discard)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                pause = self._begin_due()
            except Exception:  # nothing may stop the fetching
                logger.exception("unexpected while planning what to fetch")
                pause = _PAUSE_AFTER_MISHAP
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                pass

    def _begin_due(self) -> float | None:
        now = self._monotonic()
        for place in self._plan.due(now):
            self.begun += 1
            self._plan.begin(place, self.begun, now)
            fetch = self._pending[place] = PendingFetch(place, self.begun, now)
            fetch.task = asyncio.get_running_loop().create_task(
                self._ask(fetch), name=f"nmos_auth fetch {self.begun}"
            )
        following = self._plan.next_fetch(now)
        return None if math.isinf(following) else max(0.0, following - now) + _ROUNDING

    async def _ask(self, fetch: PendingFetch[Place]) -> None:
        outcome = await self._fetch(fetch.place)
        if self._pending.get(fetch.place) is fetch and self._plan.holds(fetch.place):
            del self._pending[fetch.place]
            try:
                self._on_end(fetch, outcome)
            except Exception:  # this may not stop it either
                logger.exception("unexpected after a fetch")
            self.wake()
