"""What a browser is told while it changes: server-sent events (WHATWG HTML Section 9.2).

A snapshot comes first, in parts, and changes after that, at most four frames a second.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import islice

from example_node.controller.desk import Desk, Watcher
from example_node.controller.plant import Row

FRAME_INTERVAL = 0.25
KEEP_ALIVE = 5.0
_PART = 400
_MOST_IN_FRAME = 1000
_STEP = 100


def state_of(desk: Desk) -> dict[str, object]:
    """Return how following the Registry goes, for people."""
    state = desk.follower.state
    age = max(0.0, time.time() - state.since)
    texts = {
        "looking": "Looking for a Registry …",
        "reading": "Reading the Registry …",
        "following": "Live",
        "stale": f"Not live for {age:.0f} s: {state.why}",
    }
    return {
        "phase": state.phase,
        "text": texts[state.phase],
        "age": round(age),
        "why": state.why,
        "who": desk.who,
        "receivers": len(desk.plant.receivers),
        "senders": len(desk.plant.senders),
    }


async def events(desk: Desk) -> AsyncIterator[str]:
    """Yield what one page is told, until the session has ended."""
    with desk.watched() as watcher:
        if watcher is None:
            yield _event("busy", {"text": "Too many pages of this session are open."})
            return
        yield _event("state", state_of(desk))
        async for frame in _snapshot(desk):
            yield frame
        async for frame in _changes(desk, watcher):
            yield frame
        yield _event("ended", {})


async def _snapshot(desk: Desk) -> AsyncIterator[str]:
    rows = [
        *(Row("receivers", each) for each in desk.plant.receivers),
        *(Row("senders", each) for each in desk.plant.senders),
    ]
    yield _event("begin", {"rows": len(rows)})
    for start in range(0, len(rows), _PART):
        yield _event("rows", {"rows": await _shown(desk, rows[start : start + _PART]), "gone": []})
    yield _event("end", {})


async def _changes(desk: Desk, watcher: Watcher) -> AsyncIterator[str]:
    told: dict[str, object] = {}
    while not desk.ended.is_set():
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                await watcher.news.wait()
        except TimeoutError:
            await desk.refresh()
        if desk.ended.is_set():
            return
        rows = watcher.take()
        if len(rows) > _MOST_IN_FRAME:
            now = set(islice(rows, _MOST_IN_FRAME))
            watcher.rows |= rows - now
            watcher.news.set()
            rows = now
        state = state_of(desk)
        changed = {name: value for name, value in state.items() if told.get(name) != value}
        told = state
        frame: dict[str, object] = {"rows": await _shown(desk, rows)}
        there = {(each["kind"] + "s", each["id"]) for each in frame["rows"]}  # type: ignore[attr-defined]
        frame["gone"] = [{"kind": k.removesuffix("s"), "id": i} for k, i in rows - there]
        if changed:
            yield _event("state", state)
        if rows:
            yield _event("rows", frame)
        elif not changed:
            yield ": still here\n\n"
        await asyncio.sleep(FRAME_INTERVAL)


async def _shown(desk: Desk, rows: Iterable[Row]) -> list[Mapping[str, object]]:
    shown: list[Mapping[str, object]] = []
    for number, row in enumerate(rows):
        if number % _STEP == _STEP - 1:
            await asyncio.sleep(0)  # others have their turn
        found = desk.row(row)
        if found is not None:
            shown.append(dict(found))
    return shown


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
