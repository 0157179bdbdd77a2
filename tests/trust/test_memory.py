"""The memory of what is asked for again: bounded, and flushed by nothing that comes once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.trust.memory import Memory

WHAT = ["ask"] * 6 + ["add", "discard"]


class Slow:
    """The same rules, with lists: what has come once, what came again, and what is forgotten."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.once: list[tuple[int, int]] = []
        self.kept: list[tuple[int, int]] = []
        self.forgotten: list[int] = []
        self.forgotten_before: list[int] = []

    def get(self, key: int) -> bool:
        """Tell whether a key is remembered; one of the first queue enters the second."""
        for each in self.once:
            if each[0] == key:
                self.once.remove(each)
                self.kept.append(each)
        return any(each[0] == key for each in self.kept)

    def discard(self, key: int) -> None:
        """Forget a key without a trace."""
        self.once = [each for each in self.once if each[0] != key]
        self.kept = [each for each in self.kept if each[0] != key]

    def add(self, key: int, room: int) -> None:
        """Remember a key, and let go of others until there is room for it."""
        self.discard(key)
        if room > max(self.most // 10, 1) or not self.most:
            return
        while sum(each[1] for each in self.once + self.kept) + room > self.most:
            if sum(each[1] for each in self.once) > self.most // 10:
                if 2 * len(set(self.forgotten)) >= self.most:
                    self.forgotten, self.forgotten_before = [], self.forgotten
                self.forgotten.append(self.once.pop(0)[0])
            else:
                self.kept.pop(0)
        known = self.forgotten + self.forgotten_before
        (self.kept if key in known else self.once).append((key, room))


@pytest.mark.parametrize("most", [0, 1, 5, 10, 20, 30])
def test_agrees_with_a_slow_oracle(most: int) -> None:
    """What is remembered, and in which order it will be forgotten."""
    memory, slow, draw = Memory[int, int](most), Slow(most), random.Random(most)  # noqa: S311
    for _ in range(1000):
        what, key, room = draw.choice(WHAT), draw.randrange(26), draw.randint(1, 3)
        if what == "discard":
            memory.discard(key)
            slow.discard(key)
        elif what == "add" or not slow.get(key):
            assert what == "add" or memory.get(key) is None
            memory.add(key, -key - 1, room)
            slow.add(key, room)
        else:
            assert memory.get(key) == -key - 1
        assert [*memory._once] == [each for each, _ in slow.once]
        assert [*memory.kept] == [each for each, _ in slow.kept]
        assert len(memory) == len(slow.once) + len(slow.kept)


def asked(memory: Memory[int, int], key: int, room: int = 1) -> bool:
    """Ask for a key, and add what is not there; tell whether it was."""
    if memory.get(key) is not None:
        return True
    memory.add(key, key, room)
    return False


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 4)), max_size=200))
def test_room_is_never_exceeded(asking: list[tuple[int, int]]) -> None:
    """Whatever is asked for, values take no more room than there is, each its own key."""
    memory: Memory[int, int] = Memory(20)
    rooms: dict[int, int] = {}
    for key, room in asking:
        value = memory.get(key)
        assert value in {None, key}
        if value is None:
            memory.add(key, key, room)
            rooms[key] = room
        held = [each for each in rooms if each in memory._once or each in memory.kept]
        assert sum(rooms[each] for each in held) <= 20
        assert len(memory) == len(held)
        assert len(memory._forgotten) + len(memory._forgotten_before) <= 20


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
    assert all(memory.get(key) is not None for key in known)


def test_what_comes_into_use_is_remembered_although_the_memory_is_full() -> None:
    """New keys asked for by turns take the place of those that nobody asks for any more."""
    memory: Memory[int, int] = Memory(100)
    for _ in range(3):
        for key in range(100):
            asked(memory, key)
    turns = [sum(asked(memory, key) for key in range(200, 280)) for _ in range(4)]
    assert turns[0] == 0
    assert turns[-1] == 80


def test_turns_among_more_than_there_is_room_for_find_what_is_remembered() -> None:
    """Three times as many keys by turns: each turn finds those that came into use before."""
    memory: Memory[int, int] = Memory(100)
    for key in range(80):
        assert not asked(memory, key)
        assert asked(memory, key)
    found = [sum(asked(memory, key) for key in range(300)) for _ in range(5)]
    assert found == [80] * 5


@pytest.mark.parametrize(("again", "once"), [(18, 2), (17, 3)])
def test_what_came_once_has_a_tenth_of_the_room(again: int, once: int) -> None:
    """Beyond that it makes room itself, and up to that what came again."""
    memory: Memory[int, int] = Memory(20)
    for key in range(again):
        memory.add(key, key)
        memory.get(key)
    for key in range(100, 101 + once):
        memory.add(key, key)
    gone = [key for key in (*range(again), *range(100, 101 + once)) if memory.get(key) is None]
    assert gone == [0 if once == 2 else 100]


def test_what_takes_too_much_room_is_not_remembered() -> None:
    """One value never takes more than a tenth, so that it drives out little."""
    memory: Memory[int, int] = Memory(100)
    memory.add(1, 1, 11)
    assert memory.get(1) is None
    memory.add(1, 1, 10)
    assert memory.get(1) == 1
    memory.discard(1)
    memory.discard(2)
    assert memory.get(1) is None
    assert len(memory) == 0
    for key in range(101):
        memory.add(key, key)
    assert len(memory) == 100


def test_without_room_nothing_is_remembered() -> None:
    """A memory may be switched off."""
    memory: Memory[int, int] = Memory(0)
    for _ in range(3):
        memory.add(1, 1)
        assert memory.get(1) is None
    assert len(memory) == 0


def test_no_representation_shows_keys_or_values() -> None:
    """Keys may be secrets."""
    memory: Memory[str, str] = Memory(10)
    memory.add("a secret", "another")
    assert "secret" not in repr(memory)
    assert "another" not in repr(memory)
