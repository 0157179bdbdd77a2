"""A limit for the questions at once, so that a pool of connections is enough for all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Turns"]

# To connect and ask for the first time needs about ten turns of the event loop.
_PARTS = 20


class Turns:
    """Lets a number of tasks ask a server at once; the others wait in their order.

    They wait for as long as the server answers. If one question is not answered in time, and no
    other question is answered meanwhile, the tasks that wait fail at once in the same way.

    Args:
        count: how many tasks may ask at once.
        timeout: seconds that a question and its answer may take. Time in which the event loop is
            too busy to read the answer is not included: thousands of requests at once keep it busy
            for seconds, which is not a reason to give up.
    """

    def __init__(self, count: int, timeout: float) -> None:
        self._free = count
        self._timeout = timeout
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._answers = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn; it ends with the block, which is for one question and its answer.

        Raises:
            TimeoutError: the block took too long, or another did while no question was answered.
        """
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait()
        answers = self._answers
        try:
            async with _timeout(self._timeout):
                yield
            self._answers += 1
        except TimeoutError:
            if self._answers == answers:
                self._give_up()
            raise
        finally:
            self._pass_on()

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_on()  # the task was cancelled just when its turn had come
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _give_up(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            if not turn.done():
                turn.set_exception(TimeoutError())


@asynccontextmanager
async def _timeout(seconds: float) -> AsyncIterator[None]:
    """End the block with TimeoutError after a number of seconds in which the loop was not busy."""
    async with asyncio.timeout(None) as limit:
        countdown = _Countdown(seconds, limit)
        try:
            yield
        finally:
            countdown.stop()


class _Countdown:
    """Ends a block after a number of short steps; a late loop does not count steps twice."""

    def __init__(self, seconds: float, limit: asyncio.Timeout) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._part = seconds / _PARTS
        self._left = _PARTS
        self._next = self._loop.call_later(self._part, self._count)

    def stop(self) -> None:
        """Stop counting."""
        self._next.cancel()

    def _count(self) -> None:
        self._left -= 1
        if self._left:
            self._next = self._loop.call_later(self._part, self._count)
        else:
            self._limit.reschedule(self._loop.time())
