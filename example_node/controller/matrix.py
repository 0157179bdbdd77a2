"""The page Matrix: a window of 24 by 24 over the Receivers and Senders that pass a filter."""

from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from example_node.controller.connecting import Outcome, Result
from example_node.controller.desk import Desk
from example_node.controller.pages import Pages
from example_node.controller.plant.resources import is_id
from example_node.controller.plant.rows import Shown
from example_node.controller.web import Routes, filtered, key_of, text_of, told, wants_json

WINDOW = 24


def install(routes: Routes) -> None:
    """Add the routes."""
    routes.add("GET", "/matrix", _page)
    routes.add("POST", "/matrix", _change)


async def _change(request: Request, desk: Desk, pages: Pages) -> Response:
    """Make the connection of a cell, or end it."""
    form = await request.form()
    receiver, sender, off, *_ = [*text_of(form, "cell").split(" "), "", ""]
    result = Result(Outcome.FAILED, "There is no such cell.")
    if is_id(receiver) and is_id(sender):
        key = key_of(request, form)
        # What the page showed decides: a connection that is another by now is left alone.
        if off:
            result = await desk.connector.disconnect(receiver, shown=sender, key=key)
        else:
            result = await desk.connector.take(receiver, sender, key=key)
    if wants_json(request):
        return told(result)
    query = text_of(form, "back")
    back = f"/matrix?{query}" if query.isascii() and query.isprintable() else "/matrix"
    return RedirectResponse(back, 303) if result.is_good else pages.problem(result.text, 400, back)


async def _page(request: Request, desk: Desk, pages: Pages) -> Response:
    query = {each: request.query_params.get(each, "")[:200] for each in ("q", "s", "r", "c")}
    receivers = await filtered(desk, "receivers", query["q"])
    senders = await filtered(desk, "senders", query["s"])
    row, column = _start(query["r"], len(receivers)), _start(query["c"], len(senders))
    return pages.page(
        "matrix",
        desk,
        "/matrix",
        query=query,
        back=_asked(query),
        receivers=receivers[row : row + WINDOW],
        senders=senders[column : column + WINDOW],
        moves=[
            *_moves(query, "r", row, receivers, ("Up", "Down")),
            *_moves(query, "c", column, senders, ("Left", "Right")),
        ],
        extent=(
            f"destinations {_extent(row, len(receivers))}, sources {_extent(column, len(senders))}"
        ),
    )


def _start(text: str, count: int) -> int:
    start = int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0
    return max(0, min(start, count - 1) // WINDOW * WINDOW)


def _extent(start: int, count: int) -> str:
    return f"{min(start + 1, count)} to {min(start + WINDOW, count)} of {count}"


def _asked(query: Mapping[str, str]) -> str:
    return urlencode({name: each for name, each in query.items() if each})


def _moves(
    query: Mapping[str, str], name: str, start: int, rows: list[Shown], words: tuple[str, str]
) -> list[tuple[str, str]]:
    """Return the links to the windows around this one."""
    found = []
    if start:
        found.append((words[0], f"/matrix?{_asked({**query, name: str(start - WINDOW)})}"))
    if start + WINDOW < len(rows):
        found.append((words[1], f"/matrix?{_asked({**query, name: str(start + WINDOW)})}"))
    return found
