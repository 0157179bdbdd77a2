"""Work that runs once for any number of callers, and that no caller can cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Generic, TypeVar

__all__ = ["SingleFlight"]

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs `work` when it is called; calls that come meanwhile wait for the same run.

    Args:
        work: returns a new coroutine with every call.
        closed: makes the exception that callers get when it is closed, from a message.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[object, object, T]],
        *,
        closed: Callable[[str], Exception],
    ) -> None:
        self._work = work
        self._error = closed
        self._task: asyncio.Task[T] | None = None
        self._closed = False

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._task is not None and not self._task.done()

    async def __call__(self) -> T:
        """Return the result of the run under way, or of a new one.

        Raises:
            Exception: the one that `closed` makes, if `aclose` was called before or meanwhile.
        """
        if self._closed:
            raise self._error("the client is closed")
        task = self._task
        if task is None or task.done():
            task = self._task = asyncio.create_task(self._work())
            # Every caller may have been cancelled by the time it fails.
            task.add_done_callback(_retrieve)
        # Unlike `shield`, this distinguishes a caller's own cancellation from that of the task.
        await asyncio.wait({task})
        if task.cancelled():
            raise self._error("the client was closed meanwhile")
        return task.result()

    async def aclose(self) -> None:
        """End the run that is under way, and start no more."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})


def _retrieve(task: asyncio.Task[T]) -> None:
    if not task.cancelled():
        task.exception()
