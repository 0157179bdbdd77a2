"""The memory of what is asked for again: bounded, and flushed by nothing that comes once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.trust.memory import Memory


class Slow:
    """The same rules, with lists: what is remembered, and what was asked for without room."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: list[tuple[int, int]] = []
        self.asked: list[int] = []
        self.asked_before: list[int] = []

    def room(self) -> int:
        """Return how much room is free."""
        return self.most - sum(room for _, room in self.kept)

    def admits(self, key: int) -> bool:
        """Tell whether a key is to be added; if not, it will be the next time."""
        if self.room() or key in self.asked + self.asked_before:
            return True
        if 2 * len(self.asked) >= self.most:
            self.asked, self.asked_before = [], self.asked
        self.asked.append(key)
        return False

    def discard(self, key: int) -> None:
        """Forget a key."""
        self.kept = [each for each in self.kept if each[0] != key]

    def add(self, key: int, room: int) -> None:
        """Remember a key, and forget the oldest ones until there is room for it."""
        if room > max(self.most // 10, 1) or not self.most:
            return
        while self.room() < room:
            self.kept.pop(0)
        self.kept.append((key, room))


@pytest.mark.parametrize("most", [0, 1, 5, 10, 20, 30])
def test_agrees_with_a_slow_oracle(most: int) -> None:
    """What is remembered, and in which order it will be forgotten."""
    memory, slow, draw = Memory[int, int](most), Slow(most), random.Random(most)  # noqa: S311
    for _ in range(1000):
        key, room = draw.randrange(50), draw.randint(1, 3)
        if draw.random() < 0.1:
            memory.discard(key)
            slow.discard(key)
        elif (value := memory.kept.get(key)) is not None:
            assert value == -key - 1
        elif memory.admits(key):
            assert slow.admits(key)
            memory.add(key, -key - 1, room)
            slow.add(key, room)
        else:
            assert not slow.admits(key)
        assert [*memory.kept] == [each for each, _ in slow.kept]
        assert len(memory) == len(slow.kept)


def asked(memory: Memory[int, int], key: int, room: int = 1) -> bool:
    """Ask for a key, and add what is to be added; tell whether it was there."""
    if memory.kept.get(key) is not None:
        return True
    if memory.admits(key):
        memory.add(key, key, room)
    return False


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 4)), max_size=200))
def test_room_is_never_exceeded(asking: list[tuple[int, int]]) -> None:
    """Whatever is asked for, values use no more room than there is, each its own key."""
    memory: Memory[int, int] = Memory(20)
    rooms: dict[int, int] = {}
    for key, room in asking:
        assert memory.kept.get(key) in {None, key}
        if not asked(memory, key, room):
            rooms[key] = room
        assert sum(rooms[each] for each in memory.kept) <= 20
        assert len(memory._asked) + len(memory._asked_before) <= 20


def test_what_fits_is_all_remembered() -> None:
    """As many keys as there is room for, asked for by turns, are found from the second turn on."""
    memory: Memory[int, int] = Memory(100)
    turns = [[asked(memory, key) for key in range(100)] for _ in range(4)]
    assert turns == [[False] * 100, *[[True] * 100] * 3]


def test_no_flood_drives_out_what_is_in_use() -> None:
    """Any number of keys that come once leaves those that came again where they are."""
    memory: Memory[int, int] = Memory(100)
    known = range(50)
    for key in (*known, *known):
        asked(memory, key)
    for key in range(1000, 6000):
        asked(memory, key)
    assert all(asked(memory, key) for key in known)


def test_what_comes_into_use_is_remembered_although_the_memory_is_full() -> None:
    """New keys asked for by turns take the place of those that nobody asks for any more."""
    memory: Memory[int, int] = Memory(100)
    for _ in range(3):
        for key in range(100):
            asked(memory, key)
    turns = [sum(asked(memory, key) for key in range(200, 280)) for _ in range(4)]
    assert turns[0] == 0
    assert turns[-1] == 80


@pytest.mark.parametrize("keys", [120, 300])
def test_turns_among_more_than_there_is_room_for_find_what_is_remembered(keys: int) -> None:
    """More keys by turns: each turn finds some of what is remembered, and so the next one."""
    memory: Memory[int, int] = Memory(100)
    found = [sum(asked(memory, key) for key in range(keys)) for _ in range(20)]
    assert min(found[1:]) >= 50


def test_what_uses_too_much_room_is_not_remembered() -> None:
    """One value uses a tenth at most, so that it displaces little."""
    memory: Memory[int, int] = Memory(100)
    memory.add(1, 1, 11)
    assert 1 not in memory.kept
    memory.add(1, 1, 10)
    assert memory.kept[1] == 1
    memory.add(1, 2, 5)
    assert memory.kept[1] == 1, "what is there stays"
    memory.discard(1)
    memory.discard(2)
    assert len(memory) == 0
    for key in range(101):
        asked(memory, key)
    assert len(memory) == 100


def test_without_room_nothing_is_remembered() -> None:
    """A memory may be switched off."""
    memory: Memory[int, int] = Memory(0)
    for _ in range(3):
        assert not asked(memory, 1)
    assert len(memory) == 0


def test_no_representation_shows_keys_or_values() -> None:
    """Keys may be secrets."""
    memory: Memory[str, str] = Memory(10)
    memory.add("a secret", "another", 1)
    assert "secret" not in repr(memory)
    assert "another" not in repr(memory)
