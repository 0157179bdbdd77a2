"""Long work in parts, so that a large plant keeps nobody else waiting."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

_PART = 100

Item = TypeVar("Item")


async def with_pauses(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Yield items, and let others have a turn after every hundred.

    Args:
        items: they are copied first, since others may change what they come from.
    """
    for number, item in enumerate(tuple(items), 1):
        yield item
        if number % _PART == 0:
            await asyncio.sleep(0)
