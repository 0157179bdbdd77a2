"""The memory of what is asked for again: bounded, and flushed by nothing that comes once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.trust.memory import Memory


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
        assert len(memory._forgotten) <= 20


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
