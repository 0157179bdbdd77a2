"""A bounded memory of what is asked for again, which nothing that comes once can flush."""

from __future__ import annotations

from typing import Generic, TypeVar

from cachetools import FIFOCache

__all__ = ["Memory"]

Key = TypeVar("Key")
Value = TypeVar("Value")


class _Queue(FIFOCache[Key, tuple[Value, int] | None]):
    """Values with the room that they take, the oldest first."""

    def __init__(self, most: int) -> None:
        super().__init__(most, getsizeof=_room)

    def __missing__(self, key: Key) -> None:
        """Return None, which costs less than an exception."""

    def __repr__(self) -> str:
        """Leave out keys and values: they may be secrets."""
        return f"{type(self).__name__}({self.currsize} of {self.maxsize})"


def _room(entry: tuple[object, int] | None) -> int:
    return 0 if entry is None else entry[1]


class Memory(Generic[Key, Value]):
    """Remembers values by key, and lets go of those that are asked for least.

    What is added waits in a queue, and moves to a second queue when it is asked for. Where room is
    needed the first queue gives it, down to a tenth of the whole, so that no number of keys that
    come once drives out what is in use. A key that comes again after it was let go of enters the
    second queue at once; for that, hashes of such keys are kept, as many as there is room for
    values (the algorithm is S3-FIFO).

    Args:
        most: how much room there is; each value takes at least one.
    """

    __slots__ = ("_again", "_forgotten", "_most", "_once")

    def __init__(self, most: int) -> None:
        self._most = most
        self._once: _Queue[Key, Value] = _Queue(most)
        self._again: _Queue[Key, Value] = _Queue(most)
        self._forgotten: FIFOCache[int, None] = FIFOCache(most)

    def __len__(self) -> int:
        """Return how many values are remembered."""
        return len(self._once) + len(self._again)

    def get(self, key: Key) -> Value | None:
        """Return the value for a key, or None."""
        entry = self._again[key]
        if entry is None:
            entry = self._once.pop(key, None)
            if entry is None:
                return None
            self._again[key] = entry
        return entry[0]

    def add(self, key: Key, value: Value, room: int = 1) -> None:
        """Remember a value, unless it takes more room than a tenth of the whole.

        Args:
            key: what it is asked for by.
            value: in place of what was remembered for the key.
            room: how much of `most` it takes.
        """
        self.discard(key)
        if room > max(1, self._most // 10):
            return
        while self._once.currsize + self._again.currsize + room > self._most:
            self._let_go()
        queue = self._again if hash(key) in self._forgotten else self._once
        queue[key] = (value, room)

    def discard(self, key: Key) -> None:
        """Forget the value for a key, if there is one."""
        self._again.pop(key, None)
        self._once.pop(key, None)

    def _let_go(self) -> None:
        if self._once.currsize > self._most // 10 or not self._again:
            key, _ = self._once.popitem()
            self._forgotten[hash(key)] = None
        else:
            self._again.popitem()
