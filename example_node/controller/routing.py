"""Routing: the page, what it is told while it changes, and what is asked for there."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import Request
from starlette.datastructures import FormData
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from example_node.controller import live
from example_node.controller.connecting import Outcome, Result
from example_node.controller.connecting.plan import When
from example_node.controller.desk import Desk
from example_node.controller.pages import Pages
from example_node.controller.plant import Collection, Row
from example_node.controller.plant.resources import is_id
from example_node.controller.plant.rows import Shown
from example_node.controller.web import (
    Handler,
    Routes,
    filtered,
    id_of,
    key_of,
    shown_of,
    text_of,
    told,
    wants_json,
    when_of,
)

LIVE = "/live"
PAGE = 50
_LONGEST_QUERY = 200


@dataclass(frozen=True)
class Part:
    """A part of a list, as a page without a script shows it."""

    rows: list[Shown]
    total: int
    previous: str
    next: str


def install(routes: Routes) -> None:
    """Add the routes."""
    routes.add("GET", LIVE, _stream, is_stream=True)
    routes.add("GET", "/session", _session)
    routes.add("GET", "/routing", _routing)
    for path, change in _CHANGES.items():
        routes.add("POST", path, _changing(change))


async def _stream(request: Request, desk: Desk, _: Pages) -> Response:
    asked = request.query_params
    events = live.events(desk, with_rows="values" not in asked, with_values="events" in asked)
    return StreamingResponse(events, media_type="text/event-stream")


async def _session(_: Request, desk: Desk, __: Pages) -> Response:
    return JSONResponse({"who": desk.who})


# Routing


async def _routing(request: Request, desk: Desk, pages: Pages) -> Response:
    names = ("q", "s", "receiver", "sender", "rp", "sp")
    query = {each: request.query_params.get(each, "")[:_LONGEST_QUERY] for each in names}
    receiver, sender = (query[each] if is_id(query[each]) else "" for each in names[2:4])
    change = desk.changes.get(receiver)
    return pages.page(
        "routing",
        desk,
        "/routing",
        receivers=await _part(desk, "receivers", query, "q", "rp"),
        senders=await _part(desk, "senders", query, "s", "sp"),
        selected_receiver=receiver,
        selected_sender=sender,
        chosen_receiver=desk.row(Row("receivers", receiver)),
        chosen_sender=desk.row(Row("senders", sender)),
        query=query,
        back=f"/routing?{urlencode({name: each for name, each in query.items() if each})}",
        result="" if change is None else change.result.text,
    )


async def _part(
    desk: Desk, kind: Collection, query: Mapping[str, str], words: str, number: str
) -> Part:
    found = await filtered(desk, kind, query[words])
    page = int(query[number]) if query[number].isdecimal() and len(query[number]) < 6 else 0
    start = min(page * PAGE, max(0, len(found) - 1) // PAGE * PAGE)

    def at(position: int) -> str:
        asked = {**query, number: str(position // PAGE)}
        return f"/routing?{urlencode({name: each for name, each in asked.items() if each})}"

    return Part(
        found[start : start + PAGE],
        len(found),
        at(start - PAGE) if start else "",
        at(start + PAGE) if start + PAGE < len(found) else "",
    )


# Changes


Change = Callable[[Desk, FormData, When, str], Awaitable[Result]]


def _changing(change: Change) -> Handler:
    async def endpoint(request: Request, desk: Desk, pages: Pages) -> Response:
        form = await request.form()
        when = when_of(form)
        if not id_of(form, "receiver"):
            result = Result(Outcome.FAILED, "Choose a destination first.")
        elif isinstance(when, Result):
            result = when
        else:
            result = await change(desk, form, when, key_of(request, form))
        if wants_json(request):
            return told(result)
        known = desk.changes.get(id_of(form, "receiver"))
        if not result.is_good and (known is None or known.result.text != result.text):
            return pages.problem(result.text, 400, _back(form))
        return RedirectResponse(_back(form), 303)

    return endpoint


def _back(form: FormData) -> str:
    """Return the page that a form came from, with what is chosen there."""
    query = text_of(form, "back").partition("?")[2]
    if not (query.isascii() and query.isprintable()):
        query = ""
    kept = [
        each for each in query.split("&") if each and not each.startswith(("receiver=", "sender="))
    ]
    chosen = {name: id_of(form, name) for name in ("receiver", "sender")}
    kept.append(urlencode({name: each for name, each in chosen.items() if each}))
    return f"/routing?{'&'.join(filter(None, kept))}"


async def _take(desk: Desk, form: FormData, when: When, key: str) -> Result:
    sender = id_of(form, "sender")
    if not sender:
        return Result(Outcome.FAILED, "Choose a source first.")
    return await desk.connector.take(id_of(form, "receiver"), sender, when=when, key=key)


async def _disconnect(desk: Desk, form: FormData, when: When, key: str) -> Result:
    receiver = id_of(form, "receiver")
    shown = shown_of(form, receiver)
    return await desk.connector.disconnect(receiver, shown=shown, when=when, key=key)


async def _undo(desk: Desk, form: FormData, _: When, key: str) -> Result:
    return await desk.connector.undo(id_of(form, "receiver"), key=key)


async def _cancel(desk: Desk, form: FormData, _: When, key: str) -> Result:
    shown = text_of(form, "scheduled") if "scheduled" in form else None
    return await desk.connector.cancel(id_of(form, "receiver"), shown=shown, key=key)


_CHANGES: Mapping[str, Change] = {
    "/take": _take,
    "/disconnect": _disconnect,
    "/undo": _undo,
    "/cancel": _cancel,
}
