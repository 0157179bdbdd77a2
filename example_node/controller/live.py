"""What a browser is told while it changes: server-sent events (WHATWG HTML Section 9.2).

A snapshot comes first, in parts, and changes after that, at most four frames a second.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from itertools import islice

from example_node.controller.desk import Desk, Watcher
from example_node.controller.event_values import ShownEvent
from example_node.controller.plant import Row

FRAME_INTERVAL = 0.25
KEEP_ALIVE = 5.0
_PART = 400
_MOST_IN_FRAME = 1000


def state_of(desk: Desk) -> dict[str, object]:
    """Return how following the Registry goes, for people.

    `age` is for how many seconds it has not been live, or None where it is; a page counts on from
    there by itself.
    """
    state = desk.follower.state
    texts = {
        "looking": "Looking for a Registry …",
        "reading": "Reading the Registry …",
        "following": "Live",
        "stale": f"Not live: {state.why}",
    }
    age = max(0, round(time.time() - state.since)) if state.phase == "stale" else None
    return {"phase": state.phase, "text": texts[state.phase], "age": age}


async def events(
    desk: Desk, *, with_rows: bool = True, with_values: bool = False
) -> AsyncIterator[str]:
    """Yield what one page is told, until the session has ended.

    Args:
        desk: the user's.
        with_rows: whether the page shows Receivers and Senders.
        with_values: whether it shows the values of events.
    """
    with desk.watched() as watcher:
        if watcher is None:
            yield _event(
                "busy", {"text": "Not live: too many pages of this session are open; close some"}
            )
            return
        told = desk.follower.state
        yield _event("state", state_of(desk))
        if with_rows or with_values:
            yield _event("begin", {})
            if with_values:
                yield _event("values", _values(desk, [each.id for each in desk.events.senders()]))
            if with_rows:
                async for frame in _snapshot(desk):
                    yield frame
            yield _event("end", {})
        while await _is_news(desk, watcher, with_values=with_values):
            frames = []
            if desk.follower.state != told:
                told = desk.follower.state
                frames.append(_event("state", state_of(desk)))
            rows, values = watcher.take()
            # Rows of Senders show what the Registry says of them, beside their values.
            values |= {row.id for row in rows if row.id in desk.events.values}
            if with_values and values:
                frames.append(_event("values", _values(desk, values)))
            if with_rows and rows:
                frames.append(await _frame(desk, watcher, rows))
            yield "".join(frames) or ": still here\n\n"
            await asyncio.sleep(FRAME_INTERVAL)
        yield _event("ended", {})


async def _snapshot(desk: Desk) -> AsyncIterator[str]:
    rows = [
        *(Row("receivers", each) for each in desk.plant.receivers),
        *(Row("senders", each) for each in desk.plant.senders),
    ]
    for start in range(0, len(rows), _PART):
        yield _event("rows", {"rows": await desk.rows(rows[start : start + _PART]), "gone": []})


async def _is_news(desk: Desk, watcher: Watcher, *, with_values: bool) -> bool:
    """Wait until there is something to tell, for a while; False where the session has ended."""
    if with_values:
        desk.events.want()
    try:
        async with asyncio.timeout(KEEP_ALIVE):
            await watcher.news.wait()
    except TimeoutError:
        await desk.refresh()
    return not desk.ended.is_set()


async def _frame(desk: Desk, watcher: Watcher, rows: set[Row]) -> str:
    """Return what has become of rows; those beyond the bound wait for the next frame."""
    now = set(islice(rows, _MOST_IN_FRAME))
    if len(now) < len(rows):
        watcher.rows |= rows - now
        watcher.news.set()
    shown = await desk.rows(now)
    there = {(each["kind"] + "s", each["id"]) for each in shown}
    gone = [
        {"kind": row.kind.removesuffix("s"), "id": row.id}
        for row in now
        if (row.kind, row.id) not in there
    ]
    return _event("rows", {"rows": shown, "gone": gone})


def _values(desk: Desk, senders: Iterable[str]) -> dict[str, ShownEvent | None]:
    """Return what is shown of Senders of events; None for one that is gone."""
    return {each: desk.events.shown(each) for each in senders}


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
