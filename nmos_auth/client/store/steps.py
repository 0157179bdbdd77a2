"""Steps that must not be interrupted: an exchange that cannot be repeated, and its result."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

from nmos_auth.client.errors import ClientClosed

__all__ = ["Steps"]

T = TypeVar("T")

# Seconds that a step has to end when the Client is closed: longer than an exchange may last.
_PATIENCE = 12.0


@dataclass(eq=False)
class _Step:
    begun: bool = False
    task: asyncio.Task[object] | None = field(default=None, repr=False)


class Steps:
    """Runs steps to their end, even if the caller is cancelled.

    When a server that rotates answers, the Refresh Token that was sent is spent, and when a
    registration is answered, the Client is registered. The answer must be kept, even if the caller
    is cancelled, the Client is closed or the event loop ends.
    """

    def __init__(self) -> None:
        self._under_way: set[_Step] = set()
        self._guards: set[asyncio.Task[None]] = set()
        self._closed = False

    async def run(
        self,
        alone: contextlib.AbstractAsyncContextManager[None],
        work: Callable[[], Coroutine[object, object, T]],
    ) -> T:
        """Run `work` while `alone` is held, and return its result.

        Until `alone` is entered, a step is cancelled with its caller; from then on it is not.

        Raises:
            ClientClosed: `finish` was called before the step had begun.
        """
        if self._closed:
            raise ClientClosed("the client is closed")
        step = _Step()

        async def whole() -> T:
            async with alone:
                step.begun = True
                return await work()

        task = self._start(step, whole())
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            if not step.begun:
                task.cancel()
            raise
        if task.cancelled():
            raise ClientClosed("the client was closed meanwhile")
        return task.result()

    def start(
        self,
        alone: contextlib.AbstractAsyncContextManager[None],
        work: Callable[[], Coroutine[object, object, None]],
    ) -> None:
        """Run a step without waiting for it; `work` handles its own errors."""
        if self._closed:
            return
        step = _Step()

        async def whole() -> None:
            async with alone:
                step.begun = True
                await work()

        self._start(step, whole())

    async def finish(self) -> None:
        """Wait until the steps that have begun are done, for twelve seconds at most."""
        self._closed = True
        tasks = [step.task for step in self._under_way if step.task is not None]
        for step in self._under_way:
            if step.task is not None and not step.begun:
                step.task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_PATIENCE)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _start(self, step: _Step, whole: Coroutine[object, object, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(whole)
        step.task = task
        self._under_way.add(step)

        def ended(ended: asyncio.Task[T]) -> None:
            self._under_way.discard(step)
            if not ended.cancelled():
                # The caller may be gone by now.
                ended.exception()

        task.add_done_callback(ended)
        # When its main task has ended, `asyncio.run` cancels all tasks that it knows, and waits for
        # them. It knows the guard, which waits for the step; it does not know the step.
        asyncio._unregister_task(task)  # noqa: SLF001 - documented in "Extending", Task lifetime
        guard = asyncio.create_task(_guard(step, task))
        self._guards.add(guard)
        guard.add_done_callback(self._guards.discard)
        return task


async def _guard(step: _Step, task: asyncio.Task[T]) -> None:
    """Wait for a step, and cancel it only if it does not end in time."""
    late: asyncio.TimerHandle | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            if not step.begun:
                task.cancel()
            elif late is None:
                late = asyncio.get_running_loop().call_later(_PATIENCE, task.cancel)
    if late is not None:
        late.cancel()
