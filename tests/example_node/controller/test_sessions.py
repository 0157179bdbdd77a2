"""Desks: one for each session, and no more than a Controller and its Registry bear."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from example_node.controller import sessions
from example_node.controller.desk import Surroundings
from example_node.controller.sessions import Desks, TooManyDesksError


@dataclass
class FakeSession:
    """A session of somebody who is logged in."""

    id: str
    tokens: None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class FakeLogin:
    """Knows everybody who asks."""

    async def current(self, connection: FakeSession) -> FakeSession:
        """Return the session of whoever asks."""
        return connection


@pytest.fixture
async def desks(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desks]:
    """Have room for two desks, which may be displaced at once."""
    monkeypatch.setattr(sessions, "MOST_DESKS", 2)
    monkeypatch.setattr(sessions, "IDLE", 0.0)
    async with contextlib.aclosing(Desks(surroundings)) as made:
        made.login = FakeLogin()  # type: ignore[assignment]
        yield made


async def test_the_one_that_is_used_least_makes_room(desks: Desks) -> None:
    """Its session goes on with another one; those that a page shows stay."""
    first, second, third = (FakeSession(name) for name in ("first", "second", "third"))
    one, two = await desks.of(first), await desks.of(second)  # type: ignore[arg-type]
    assert await desks.of(first) is one  # type: ignore[arg-type]
    await desks.of(third)  # type: ignore[arg-type]
    assert len(desks) == 2
    assert await desks.of(first) is one  # type: ignore[arg-type]
    assert not second.ended.is_set()
    assert one is not None
    with one.watched():
        again = await desks.of(second)  # type: ignore[arg-type]
        assert again not in {None, two}
        assert await desks.of(first) is one  # type: ignore[arg-type]
    assert len(desks) == 2


async def test_where_all_are_used_there_is_no_room(
    desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's pages end for another's; a desk that was used just now is not displaced either."""
    monkeypatch.setattr(sessions, "IDLE", 60.0)
    first, second, third = (FakeSession(name) for name in ("first", "second", "third"))
    await desks.of(first)  # type: ignore[arg-type]
    await desks.of(second)  # type: ignore[arg-type]
    with pytest.raises(TooManyDesksError):
        await desks.of(third)  # type: ignore[arg-type]
    await desks.end("first")
    assert first.ended.is_set()
    assert await desks.of(third) is not None  # type: ignore[arg-type]
