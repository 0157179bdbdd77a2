"""By turns among clients: who is next, and who finds no room."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.trust.turns import Turns, network_of

MOST_WAITING = 64
MOST_WAITING_OF_ONE = 8


def taken(turns: Turns) -> list[str]:
    """Take every turn there is."""
    found = []
    while (what := turns.take()) is not None:
        found.append(what)
    return found


def test_one_client_is_served_in_its_order() -> None:
    """First come, first served; asking twice does not help."""
    turns = Turns()
    for what in "abcab":
        assert turns.wait("192.0.2.1", what)
    assert taken(turns) == ["a", "b", "c"]
    assert turns.take() is None


def test_clients_have_turns() -> None:
    """Whoever asks for much waits for itself."""
    turns = Turns()
    for what in "abcd":
        turns.wait("192.0.2.1", what)
    turns.wait("192.0.2.2", "x")
    turns.wait("192.0.2.3", "y")
    turns.wait("192.0.2.3", "z")
    assert taken(turns) == ["a", "x", "y", "b", "z", "c", "d"]


def test_what_waits_is_told_once() -> None:
    """Whoever asked for it."""
    turns = Turns()
    for peer, what in (("1", "a"), ("1", "b"), ("2", "a"), ("2", "c")):
        turns.wait(peer, what)
    assert [*turns] == ["a", "b", "c"]


def test_what_two_clients_ask_for_takes_one_turn() -> None:
    """It is done with for both."""
    turns = Turns()
    for peer in ("192.0.2.1", "192.0.2.2"):
        for what in "ab":
            turns.wait(peer, what)
    assert taken(turns) == ["a", "b"]
    assert len(turns) == 0


def test_dropping_ends_waiting_for_all() -> None:
    """And leaves the others' order."""
    turns = Turns()
    for peer, what in (("1", "a"), ("1", "b"), ("2", "a"), ("2", "c"), ("3", "a")):
        turns.wait(peer, what)
    turns.drop("a")
    turns.drop("never")
    assert taken(turns) == ["b", "c"]


def test_a_client_has_room_for_a_few() -> None:
    """What it has no room for does not wait; what waits already does."""
    turns = Turns()
    room = [turns.wait("192.0.2.1", str(number)) for number in range(MOST_WAITING_OF_ONE + 2)]
    assert room == [True] * MOST_WAITING_OF_ONE + [False] * 2
    assert turns.wait("192.0.2.1", "0")
    assert turns.wait("192.0.2.2", "x")


def test_who_waits_for_the_most_makes_room_for_newcomers() -> None:
    """Until everybody waits for as much as the newcomer would."""
    turns = Turns()
    for peer in range(MOST_WAITING // MOST_WAITING_OF_ONE):
        for number in range(MOST_WAITING_OF_ONE):
            turns.wait(f"192.0.2.{peer}", f"{peer} {number}")
    for peer in range(100, 100 + MOST_WAITING - 8):
        assert turns.wait(f"192.0.2.{peer}", f"{peer} 0")
        assert len(turns) == MOST_WAITING
    assert not turns.wait("192.0.2.99", "99 0")
    assert not turns.wait("192.0.2.100", "100 1")
    assert Counter(each.split()[1] for each in taken(turns)) == {"0": MOST_WAITING}


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::1", "2001:0db8:0001:0002"),
        ("2001:db8:1:3::1", "2001:0db8:0001:0003"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_what_stands_for_a_client(peer: str, network: str) -> None:
    """An IPv6 client has all addresses of its network."""
    assert network_of(peer) == network


def test_how_many_turns_come_before() -> None:
    """One of each other client for each of its own; all of them for what does not wait."""
    turns = Turns()
    for peer, asked in (("1", "abc"), ("2", "xyc"), ("3", "z")):
        for what in asked:
            turns.wait(peer, what)
    order = "axzbyc"
    assert [turns.before(what) for what in order] == [0, 1, 2, 3, 4, 5]
    assert turns.before("never") == 7
    assert "".join(taken(turns)) == order


STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30) | st.none()), max_size=120)


@given(STEPS)
def test_the_turns_before_are_counted(steps: list[tuple[int, int | None]]) -> None:
    """`before` tells after how many turns something is taken, if nobody else comes."""
    turns = Turns()
    for peer, number in steps:
        if number is None:
            turns.take()
        else:
            turns.wait(str(peer), str(number))
    places = {str(number): turns.before(str(number)) for number in range(31)}
    count = len(turns)
    order = taken(turns)
    for what, before in places.items():
        if what in order:
            assert before >= order.index(what)
        else:
            assert before == count


@given(STEPS)
def test_nobody_waits_longer_than_a_turn_of_each_other(steps: list[tuple[int, int | None]]) -> None:
    """Between two turns of one client there is at most one of each other."""
    turns, since = Turns(), deque[int]()
    for peer, number in steps:
        if number is None:
            what = turns.take()
            if what is not None:
                since.append(int(what.partition(" ")[0]))
        else:
            turns.wait(str(peer), f"{peer} {number}")
            waiting = {int(each) for each in turns._waiting}
            assert len(turns) <= MOST_WAITING
            for other in waiting - {peer}:
                assert list(since)[-20:].count(other) <= 20
    last: dict[int, int] = {}
    rest = [int(each.partition(" ")[0]) for each in taken(turns)]
    for place, peer in enumerate(rest):
        between = rest[last.get(peer, -1) + 1 : place]
        assert max(Counter(between).values(), default=0) <= 1 + (peer not in last)
        last[peer] = place
