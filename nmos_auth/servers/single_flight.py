"""Work that is done once for any number of callers, and that no caller can cancel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Generic, TypeVar

__all__ = ["SharedWork"]

T = TypeVar("T")


class SharedWork(Generic[T]):
    """Runs `work` when asked, and lets whoever asks meanwhile wait for the same run.

    Args:
        work: what is to be done; a new coroutine with every call.
    """

    def __init__(self, work: Callable[[], Coroutine[object, object, T]]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._task is not None and not self._task.done()

    async def __call__(self) -> T:
        """Give the result of the run under way, or of a new one."""
        task = self._task
        if task is None or task.done():
            task = self._task = asyncio.create_task(self._work())
            # Every caller may have been cancelled by the time it fails.
            task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def cancel(self) -> None:
        """End the run under way, if there is one."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


def _retrieve(task: asyncio.Task[T]) -> None:
    if not task.cancelled():
        task.exception()
