"""What a page is told: what has changed, and nothing a second time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import pytest

from example_node.controller import event_values, live
from example_node.controller.desk import MOST_WATCHERS, Desk, Surroundings
from example_node.controller.event_values import WEBSOCKET
from example_node.controller.following import State
from tests.example_node.registry.support import resource, uuid


@pytest.fixture
async def desk(surroundings: Surroundings) -> AsyncIterator[Desk]:
    """A desk of a plant without authorization and without a Registry."""
    async with contextlib.aclosing(Desk(None, surroundings, asyncio.Event())) as made:
        yield made


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell a page at once, and that it is still there too."""
    monkeypatch.setattr(live, "FRAME_INTERVAL", 0.0)
    monkeypatch.setattr(live, "KEEP_ALIVE", 0.001)


def stale_since(seconds: float) -> State:
    """Return the state of a Registry that has not answered for some seconds."""
    return State("stale", "https://registry.example.com", "no answer", time.time() - seconds)


def events_of(frame: str) -> list[tuple[str, dict[str, object]]]:
    """Return the events of a frame; none for one that says that it is still there."""
    parts = [part.split("\n") for part in frame.split("\n\n") if part.startswith("event: ")]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in parts
    ]


@pytest.mark.usefixtures("_quick")
async def test_a_state_is_told_once(desk: Desk) -> None:
    """Time that goes by is not news: a page counts the seconds for itself."""
    desk.follower.state = stale_since(100)
    stream = live.events(desk, with_rows=False)
    ((name, state),) = events_of(await anext(stream))
    assert state.pop("age") in range(100, 110)
    assert (name, state) == ("state", {"phase": "stale", "text": "Not live: no answer"})
    desk.plant.put("nodes", resource("node"))
    for _ in range(3):
        assert await anext(stream) == ": still here\n\n"
    desk.follower.state = State("following", "https://registry.example.com")
    (told,) = events_of(await anext(stream))
    assert told == ("state", {"phase": "following", "text": "Live", "age": None})
    assert await anext(stream) == ": still here\n\n"


@pytest.mark.usefixtures("_quick")
async def test_rows_come_first_and_then_what_changes(desk: Desk) -> None:
    """What comes, and what goes; the stream ends with the session."""
    desk.plant.put("senders", resource("sender", label="CAM 1"))
    stream = live.events(desk)
    names: list[str] = []
    while "end" not in names:
        names += [name for name, _ in events_of(await anext(stream))]
    assert names == ["state", "begin", "rows", "end"]
    desk.plant.put("senders", resource("sender", label="CAM 2"))
    ((name, rows),) = events_of(await anext(stream))
    assert (name, rows["gone"]) == ("rows", [])
    assert [each["label"] for each in rows["rows"]] == ["CAM 2"]  # type: ignore[attr-defined]
    sender_id = resource("sender")["id"]
    desk.plant.drop("senders", str(sender_id))
    ((_, rows),) = events_of(await anext(stream))
    assert rows == {"rows": [], "gone": [{"kind": "sender", "id": sender_id}]}
    desk.ended.set()
    assert events_of(await anext(stream)) == [("ended", {})]


@pytest.mark.usefixtures("_quick")
async def test_sources_of_events_come_and_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that are there come first; then what becomes of one, its name and its type included."""
    monkeypatch.setattr(event_values, "_LOOK_EVERY", 0.0)
    sender = resource("sender", transport=WEBSOCKET, label="Tally")
    desk.plant.put("senders", sender)
    stream = live.events(desk, with_rows=False, with_values=True)
    first: list[tuple[str, dict[str, object]]] = []
    while not first or first[-1][0] != "end":
        first += events_of(await anext(stream))
    row = {"id": sender["id"], "name": "Tally", "device": "", "type": "", "text": "…", "at": None}
    assert first[1:] == [("begin", {}), ("values", {sender["id"]: row}), ("end", {})]

    async def told(of: dict[str, str], part: str, value: object) -> None:
        async with asyncio.timeout(15):
            while True:
                for _, values in events_of(await anext(stream)):
                    shown = values.get(of["id"])
                    if isinstance(shown, dict) and shown[part] == value:
                        return

    async def told_gone(of: dict[str, str]) -> None:
        async with asyncio.timeout(15):
            while True:
                for _, values in events_of(await anext(stream)):
                    if of["id"] in values and values[of["id"]] is None:
                        return

    why = "The Registry does not have its Device."
    await told(sender, "text", why)
    other = resource("sender", transport=WEBSOCKET, id=uuid(15), flow_id=uuid(14), label="Level")
    desk.plant.put("senders", other)
    await told(other, "text", why)
    desk.plant.put("flows", resource("flow", id=uuid(14), source_id=uuid(13)))
    desk.plant.put("sources", resource("source", id=uuid(13), event_type="number"))
    await told(other, "type", "number")
    desk.plant.put("senders", {**other, "label": "Peak"})
    await told(other, "name", "Peak")
    desk.plant.drop("senders", other["id"])
    await told_gone(other)
    desk.plant.put("senders", {**sender, "transport": "urn:x-nmos:transport:rtp"})
    await told_gone(sender)


async def test_one_page_too_many_is_told_so(desk: Desk) -> None:
    """It says what to do about it."""
    with contextlib.ExitStack() as pages:
        for _ in range(MOST_WATCHERS):
            pages.enter_context(desk.watched())
        ((name, said),) = events_of(await anext(live.events(desk)))
    assert name == "busy"
    assert said["text"] == "Not live: too many pages of this session are open; close some"
