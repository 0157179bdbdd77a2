"""What routes have in common: whose request it is, and what a form says."""

import hashlib
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import JSONResponse, RedirectResponse, Response

from example_node.controller.connecting import Outcome, Result
from example_node.controller.connecting.plan import AT_ONCE, When
from example_node.controller.desk import Desk
from example_node.controller.pages import Pages
from example_node.controller.pauses import with_pauses
from example_node.controller.plant import Collection, Row
from example_node.controller.plant.resources import is_id
from example_node.controller.plant.rows import Shown, matches, order
from example_node.controller.sessions import Desks, TooManyDesksError
from nmos_auth.client import StoreError

_LATEST = 24 * 3600.0

Handler = Callable[[Request, Desk, Pages], Awaitable[Response]]


class Routes:
    """Adds routes for users who are logged in.

    Args:
        app: the application.
        desks: knows whose request it is.
        pages: makes pages.
    """

    def __init__(self, app: FastAPI, desks: Desks, pages: Pages) -> None:
        self._app = app
        self._desks = desks
        self._pages = pages

    def add(self, method: str, path: str, handler: Handler, *, is_stream: bool = False) -> None:
        """Add a route for users who are logged in; others are sent to the login.

        Args:
            method: GET or POST.
            path: its path.
            handler: answers.
            is_stream: whether a script reads it, which no login helps.
        """

        async def endpoint(request: Request) -> Response:
            desk, text = None, ""
            try:
                desk = await self._desks.of(request)
            except StoreError:
                text = "Sessions cannot be read now. Try again."
            except TooManyDesksError:
                text = "Too many users are at work now. Try again later."
            if text:
                if wants_json(request):
                    return JSONResponse({"text": text}, 503)
                return self._pages.problem(text, 503)
            if desk is not None:
                return await handler(request, desk, self._pages)
            if wants_json(request) or is_stream:
                return JSONResponse({"text": "You are not logged in."}, 401)
            query = f"?{request.url.query}" if request.url.query else ""
            target = f"{request.url.path}{query}" if method == "GET" else "/routing"
            return RedirectResponse(f"/login?{urlencode({'next': target})}", 303)

        self._app.add_api_route(path, endpoint, methods=[method], include_in_schema=False)


def wants_json(request: Request) -> bool:
    """Tell whether a script asks, which shows a result by itself."""
    return request.headers.get("accept", "").startswith("application/json")


def told(result: Result) -> JSONResponse:
    """Return what a script is told of a change."""
    return JSONResponse({"outcome": result.outcome, "text": result.text, "status": result.status})


def text_of(form: FormData, name: str) -> str:
    """Return a field of a form; "" where it is not a text."""
    value = form.get(name, "")
    return "" if isinstance(value, UploadFile) else value


async def filtered(desk: Desk, kind: Collection, query: str) -> list[Shown]:
    """Return the Receivers or Senders that have all words of a query, in order."""
    ids = desk.plant.receivers if kind == "receivers" else desk.plant.senders
    words = query[:200].lower().split()
    rows = await desk.rows(Row(kind, each) for each in ids)
    return sorted([each async for each in with_pauses(rows) if matches(each, words)], key=order)


def key_of(request: Request, form: FormData) -> str:
    """Return what names a change: a second click on the same form of a page has the same name.

    The first click may change what is shown by the second one, so that is no part of the name.
    """
    if not text_of(form, "key"):
        return ""
    chosen = [each for each in form.multi_items() if not each[0].startswith("shown/")]
    return hashlib.sha256(repr((request.url.path, chosen)).encode()).hexdigest()


def stamp_of(shown: object) -> str:
    """Return what a form has of something that may be another by the time it is sent."""
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


def id_of(form: FormData, name: str) -> str:
    """Return an id in a form; "" where there is none."""
    value = text_of(form, name)
    return value if is_id(value) else ""


def shown_of(form: FormData, receiver_id: str) -> str | None:
    """Return the source that a form shows a Receiver with; None where it does not say."""
    name = f"shown/{receiver_id}"
    return text_of(form, name) if name in form else None


def when_of(form: FormData) -> When | Result:
    """Return when a change is to be made, or what is said of a time that cannot be used."""
    seconds = text_of(form, "seconds").strip()
    if not seconds:
        return AT_ONCE
    try:
        value = float(seconds)
    except ValueError:
        value = 0.0
    if 0 < value <= _LATEST:
        return When.after(value)
    return Result(Outcome.FAILED, "The time must be a number of seconds, up to a day (86400).")
