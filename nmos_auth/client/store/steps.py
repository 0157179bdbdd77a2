"""Steps that nothing cuts in two: an exchange that cannot be repeated, and keeping its result."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

from nmos_auth.client.errors import ClientClosed

__all__ = ["Steps"]

T = TypeVar("T")

# Seconds for a step to end after all have been asked to: longer than an exchange may last.
_PATIENCE = 12.0


@dataclass(eq=False)
class _Step:
    begun: bool = False
    task: asyncio.Task[object] | None = field(default=None, repr=False)


class Steps:
    """Runs steps to their end, whoever is cancelled meanwhile.

    A server that rotates has spent a Refresh Token as soon as it answers, and has registered a
    Client as soon as it was asked to: what it answers must be kept, though the caller was
    cancelled, the Client is closed or the event loop is about to end.
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
        """Return what `work` returns, which runs while `alone` is held.

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
                # Its caller may be gone by now.
                ended.exception()

        task.add_done_callback(ended)
        # `asyncio.run` cancels all tasks that it knows as soon as its main one has ended, and then
        # waits for them: the guard, which it knows, waits for the step, which it does not.
        asyncio._unregister_task(task)  # noqa: SLF001 - documented in "Extending", Task lifetime
        guard = asyncio.create_task(_guard(step, task))
        self._guards.add(guard)
        guard.add_done_callback(self._guards.discard)
        return task


async def _guard(step: _Step, task: asyncio.Task[T]) -> None:
    """Wait for a step, and have it cancelled only if it does not end in time."""
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
