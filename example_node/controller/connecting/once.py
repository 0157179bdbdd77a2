"""What a user asked for, run once: a second click gets the result of the first."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST_KEYS = 512


class Once(Generic[T]):
    """Runs what a key names once; it goes on although whoever asked for it goes away."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, asyncio.Task[T]] = OrderedDict()

    async def __call__(self, key: str, run: Callable[[], Coroutine[object, object, T]]) -> T:
        """Return what `run` returns, or returned for the same key; "" stands for no key."""
        task = self._asked.get(key) if key else None
        if task is None:
            task = asyncio.create_task(run())
            if key:
                self._asked[key] = task
                while len(self._asked) > _MOST_KEYS:
                    self._asked.popitem(last=False)
        return await asyncio.shield(task)
