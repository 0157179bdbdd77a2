"""Refusals that an app raises: each gets its own answer and one record, wherever it is raised."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import anyio
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from nmos_auth import (
    AccessToken,
    InsufficientScope,
    InvalidToken,
    NmosAuthMiddleware,
    Settings,
    access_token,
)
from nmos_auth.errors import AuthorizationError, InvalidRequest, MalformedTarget, OwnersUnavailable
from nmos_auth.request import held_answer
from nmos_auth.request.refusals import refusal_in, without_refusals
from nmos_auth.testing import StandInAuthorizationServer
from tests.support.asking import Asked, ask, http_scope
from tests.support.audit import AuditLine, lines_of

ROOT = "/x-nmos/connection/v1.1"
PATH = ROOT + "/single/a"

KINDS: list[type[AuthorizationError]] = [
    InsufficientScope,
    InvalidToken,
    InvalidRequest,
    MalformedTarget,
    OwnersUnavailable,
]

Handler = Callable[[Request], Awaitable[Response]]
Raise = Callable[[AuthorizationError], Awaitable[None]]
Wrap = Callable[[Handler], ASGIApp]


# Ways to raise a refusal


async def plainly(error: AuthorizationError) -> None:
    """Raise it."""
    raise error


async def in_a_thread(error: AuthorizationError) -> None:
    """Raise it in a thread, as a handler without `async` does."""

    def work() -> None:
        raise error

    await run_in_threadpool(work)


async def in_a_task(error: AuthorizationError) -> None:
    """Raise it in a task that is waited for."""
    await asyncio.create_task(plainly(error))


async def in_a_group(error: AuthorizationError) -> None:
    """Raise it in a task group, beside a task that never ends by itself."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(plainly, error)
        tasks.start_soon(anyio.sleep_forever)


async def in_groups_in_groups(error: AuthorizationError) -> None:
    """Raise it three groups deep, and in two tasks at once."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(in_a_group(error))
        tasks.create_task(in_a_group(error))


async def while_cleaning_up(error: AuthorizationError) -> None:
    """Raise it while another error is handled."""
    try:
        int("")
    except ValueError:
        raise error from None


WAYS: list[Raise] = [
    plainly,
    in_a_thread,
    in_a_task,
    in_a_group,
    in_groups_in_groups,
    while_cleaning_up,
]


# Ways to put an app together


def _routes(handler: Handler, path: str = PATH) -> list[Route]:
    return [Route(path, handler, methods=["GET", "POST", "OPTIONS"])]


def starlette(handler: Handler) -> ASGIApp:
    """One Starlette."""
    return Starlette(routes=_routes(handler))


def fastapi(handler: Handler) -> ASGIApp:
    """One FastAPI."""
    app = FastAPI(openapi_url=None)
    app.add_route(PATH, handler, methods=["GET", "POST", "OPTIONS"])
    return app


def bare(handler: Handler) -> ASGIApp:
    """No framework."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)

    return app


def mounted(handler: Handler) -> ASGIApp:
    """A FastAPI in a Starlette."""
    inner = FastAPI(openapi_url=None)
    inner.add_route("/single/a", handler, methods=["GET", "POST", "OPTIONS"])
    return Starlette(routes=[Mount(ROOT, inner)])


def mounted_twice(handler: Handler) -> ASGIApp:
    """A Starlette in a FastAPI in a FastAPI."""
    middle, outer = FastAPI(openapi_url=None), FastAPI(openapi_url=None)
    middle.mount("/v1.1", Starlette(routes=_routes(handler, "/single/a")))
    outer.mount("/x-nmos/connection", middle)
    return outer


def mounted_with_a_handler_for_errors(handler: Handler) -> ASGIApp:
    """A FastAPI that answers errors, not refusals, in its own way, in a Starlette."""
    inner = FastAPI(openapi_url=None)
    inner.add_route("/single/a", handler, methods=["GET", "POST", "OPTIONS"])

    @inner.exception_handler(Exception)
    async def answer(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 500)

    @inner.exception_handler(HTTPException)
    async def answer_http(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 419)

    return Starlette(routes=[Mount(ROOT, inner)])


APPS: list[Wrap] = [
    starlette,
    fastapi,
    bare,
    mounted,
    mounted_twice,
    mounted_with_a_handler_for_errors,
]


# What may stand between the middleware and an app


class Passing(BaseHTTPMiddleware):
    """Does nothing, in tasks of its own."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Pass a request on."""
        return await call_next(request)


def in_front(app: ASGIApp, layers: list[str]) -> ASGIApp:
    """Put layers in front of an app, the first outermost."""
    for each in reversed(layers):
        if each == "passing":
            app = Passing(app)
        elif each == "gzip":
            app = GZipMiddleware(app, minimum_size=1)
        elif each == "cors":
            app = CORSMiddleware(app, allow_origins=["*"])
        elif each == "another app":
            app = Starlette(routes=[Mount("", app)])
        elif each == "its middleware":
            app = Starlette(routes=[Mount("", app)], middleware=[Middleware(Passing)])
    return app


LAYERS = ["passing", "gzip", "cors", "another app", "its middleware"]


# Asking


@dataclass
class Told(Asked):
    """What became of a request.

    Attributes:
        lines: what the audit log says.
    """

    lines: list[AuditLine]

    @property
    def said(self) -> list[tuple[str, int | None, str]]:
        """Return outcome, status and reason of each line."""
        return [(each["outcome"], each["status"], each["reason"]) for each in self.lines]


class Node:
    """An app behind the middleware, asked without a server between."""

    def __init__(self, server: StandInAuthorizationServer, log: Path, **changes: object) -> None:
        self._server = server
        self._log = log
        self._settings = server.settings(audit_log=str(log), **changes)
        self.token = server.token(
            read={"connection": ["*"]}, write={"connection": ["*"]}, client_id="a client"
        )

    def protect(self, app: ASGIApp) -> NmosAuthMiddleware:
        """Put the middleware in front of an app."""
        return NmosAuthMiddleware(app, self._settings)

    async def ask(
        self,
        app: NmosAuthMiddleware,
        method: str = "GET",
        through: ASGIApp | None = None,
        /,
        **changes: object,
    ) -> Told:
        """Make one request, of what stands in front of the middleware where that is given."""
        scope = http_scope(PATH, self.token, **{"method": method, **changes})
        try:
            asked = await ask(through or app, scope)
        finally:
            assert app._server is not None
            await app._server.stop()
        lines = lines_of(self._log)
        self._log.write_text("")
        return Told(asked.sent, asked.raised, lines)


@pytest.fixture
def node(server: StandInAuthorizationServer, tmp_path: Path) -> Node:
    """Return a Node whose app is yet to be made."""
    return Node(server, tmp_path / "audit.log")


def refused_with(error: AuthorizationError, asked: Told) -> None:
    """See that a request was answered with a refusal, recorded once.

    Raises:
        AssertionError: it was not.
    """
    assert asked.raised is None
    assert asked.status == error.status
    document = json.loads(asked.body)
    assert document == {"code": error.status, "error": error.description, "debug": error.code}
    assert [each["type"] for each in asked.sent] == ["http.response.start", "http.response.body"]
    assert asked.said == [("rejected", error.status, error.reason)]
    assert asked.lines[0]["client_id"] == "a client"


@given(
    st.sampled_from(KINDS),
    st.sampled_from(WAYS),
    st.sampled_from(APPS),
    st.lists(st.sampled_from(LAYERS), max_size=3),
    st.sampled_from(["GET", "POST", "OPTIONS"]),
)
@example(InsufficientScope, plainly, mounted, [], "GET")
@example(InsufficientScope, plainly, mounted_twice, ["passing"], "OPTIONS")
@example(InvalidToken, in_groups_in_groups, fastapi, [], "GET")
@example(InsufficientScope, in_a_group, mounted, ["passing", "gzip"], "POST")
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_a_refusal_is_answered_wherever_it_is_raised(
    node: Node,
    kind: type[AuthorizationError],
    way: Raise,
    wrap: Wrap,
    layers: list[str],
    method: str,
) -> None:
    """Threads, tasks, groups, mounted apps and middleware change neither answer nor record."""
    error = kind()

    async def handler(request: Request) -> Response:
        await access_token(request)
        await way(error)
        raise AssertionError("not reached")

    app = node.protect(in_front(wrap(handler), layers))
    refused_with(error, await node.ask(app, method))


@pytest.mark.parametrize("wrap", APPS)
@pytest.mark.parametrize("layers", [[], ["passing"], ["another app", "gzip"], ["its middleware"]])
@pytest.mark.parametrize("status", [200, 404, 500, 503])
async def test_answers_of_the_app_stay_what_they_are(
    node: Node, wrap: Wrap, layers: list[str], status: int
) -> None:
    """Whatever waits to see whether the app refuses arrives whole, and is recorded once."""
    after: list[int] = []

    async def handler(_: Request) -> Response:
        return Response(b"said", status, background=BackgroundTask(after.append, 1))

    asked = await node.ask(node.protect(in_front(wrap(handler), layers)))
    assert asked.raised is None
    assert (asked.status, after) == (status, [1])
    assert asked.body == b"said" or "gzip" in layers
    assert asked.said == [("authorized", status, "permitted")]


@pytest.mark.parametrize("wrap", [starlette, fastapi, mounted, mounted_twice])
@pytest.mark.parametrize("layers", [[], ["passing"], ["another app", "gzip"]])
async def test_other_errors_stay_errors(node: Node, wrap: Wrap, layers: list[str]) -> None:
    """An error of another kind is answered by the app and raised for the server to log."""

    async def handler(_: Request) -> Response:
        raise RuntimeError("broken")

    asked = await node.ask(node.protect(in_front(wrap(handler), layers)))
    assert str(asked.raised) == "broken"
    assert asked.status == 500
    assert asked.said == [("authorized", 500, "permitted")]


async def test_an_error_beside_a_refusal_is_not_lost(node: Node) -> None:
    """The refusal is answered, and what else the group holds is raised for the server to log."""

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise ExceptionGroup("both", [ValueError("broken"), InsufficientScope()])

    asked = await node.ask(node.protect(app))
    assert asked.status == 403
    assert isinstance(asked.raised, ExceptionGroup)
    assert [str(each) for each in asked.raised.exceptions] == ["broken"]
    assert asked.said == [("rejected", 403, "refused by the handler")]


@pytest.mark.parametrize("layers", [[], ["gzip"], ["another app"], ["passing"]])
@pytest.mark.parametrize("status", [404, 409, 500])
async def test_an_apps_own_handler_for_refusals_wins(
    node: Node, layers: list[str], status: int
) -> None:
    """An app may answer refusals in its own way."""
    app = FastAPI(openapi_url=None)

    @app.exception_handler(InsufficientScope)
    async def answer(_: Request, __: Exception) -> Response:
        return JSONResponse({"not": "here"}, status)

    async def handler(_: Request) -> Response:
        raise InsufficientScope

    app.add_route(PATH, handler)
    asked = await node.ask(node.protect(in_front(app, layers)))
    assert asked.raised is None
    assert asked.status == status
    assert b"not" in asked.body or "gzip" in layers
    ((outcome, recorded, _),) = asked.said
    assert recorded == status
    if "passing" not in layers:  # which answers in another task
        assert outcome == "rejected"


async def test_a_handler_for_any_error_is_not_one_for_refusals(node: Node) -> None:
    """Whatever a mounted app answers to errors, a refusal gets its own answer."""
    inner = FastAPI(openapi_url=None)

    @inner.exception_handler(Exception)
    async def answer(_: Request, __: Exception) -> Response:
        return Response(status_code=418)

    @inner.get("/single/a")
    async def handler() -> None:
        raise error

    error = InsufficientScope()
    asked = await node.ask(node.protect(Starlette(routes=[Mount(ROOT, inner)])))
    assert asked.status == 403
    assert asked.said == [("rejected", 403, "refused by the handler")]


@pytest.mark.parametrize("layers", [[], ["passing"]])
async def test_a_held_answer_waits_for_no_background_task(
    node: Node, layers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of 5xx is sent although the app goes on with a task after it."""
    monkeypatch.setattr(held_answer, "_LONGEST", 0.01)
    answered = asyncio.Event()

    async def handler(_: Request) -> Response:
        return Response(b"said", 503, background=BackgroundTask(answered.wait))

    inner = in_front(starlette(handler), layers)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)

    protected = node.protect(app)

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                answered.set()

        await protected(scope, receive, watched)

    asked = await node.ask(protected, "GET", watching)
    assert asked.raised is None
    assert asked.body == b"said"
    assert asked.said == [("authorized", 503, "permitted")]


async def test_a_held_answer_ends_with_its_request(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that is cancelled gets no answer later, and one line in the audit log."""
    monkeypatch.setattr(held_answer, "_LONGEST", 0.01)
    began = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        began.set()
        await asyncio.Event().wait()

    protected = node.protect(app)

    async def impatient(scope: Scope, receive: Receive, send: Send) -> None:
        serving = asyncio.ensure_future(protected(scope, receive, send))
        await began.wait()
        serving.cancel()
        await asyncio.wait({serving})
        await asyncio.sleep(0.05)

    asked = await node.ask(protected, "GET", impatient)
    assert asked.status is None
    assert asked.said == [("authorized", None, "permitted")]


async def test_an_answer_that_goes_on_does_not_wait_for_its_end(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream of 5xx is sent while it comes, each part in its turn."""
    monkeypatch.setattr(held_answer, "_LONGEST", 0.01)
    seen = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        await seen.wait()
        yield b"two "
        yield b"three"

    async def handler(_: Request) -> Response:
        return StreamingResponse(parts(), 502)

    protected = node.protect(starlette(handler))

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            await asyncio.sleep(0.01)  # a client that reads slowly
            await send(message)
            if message["type"] == "http.response.body":
                seen.set()

        await protected(scope, receive, watched)

    asked = await node.ask(protected, "GET", watching)
    assert asked.raised is None
    assert asked.body == b"one two three"
    assert asked.said == [("authorized", 502, "permitted")]


async def test_a_refusal_that_a_handler_caught_is_left_alone(node: Node) -> None:
    """What a handler makes of a refusal is its own affair."""

    async def handler(_: Request) -> Response:
        with contextlib.suppress(InsufficientScope):
            await plainly(InsufficientScope())
        return Response(status_code=302, headers={"location": "/login"})

    asked = await node.ask(node.protect(mounted(handler)))
    assert asked.said == [("authorized", 302, "permitted")]

    async def another_error(_: Request) -> Response:
        try:
            await plainly(InsufficientScope())
        except InsufficientScope as error:
            raise KeyError("broken") from error
        raise AssertionError

    asked = await node.ask(node.protect(mounted(another_error)))
    assert isinstance(asked.raised, KeyError)
    assert asked.said == [("authorized", 500, "permitted")]


async def _chunks() -> AsyncIterator[bytes]:
    yield b"some"
    raise InsufficientScope


def _with_a_handler(handler: Handler) -> ASGIApp:
    app = Starlette(routes=_routes(handler))

    async def never(_: Request, __: Exception) -> Response:
        raise AssertionError

    app.add_exception_handler(InsufficientScope, never)
    return app


@pytest.mark.parametrize("wrap", [starlette, fastapi, bare, mounted, _with_a_handler])
async def test_an_answer_that_has_begun_is_cut_off(node: Node, wrap: Wrap) -> None:
    """What has begun is ended by the server, and a second line says why."""

    async def handler(_: Request) -> Response:
        return StreamingResponse(_chunks())

    asked = await node.ask(node.protect(wrap(handler)))
    assert asked.raised is not None
    assert asked.status == 200
    assert not any(
        each["type"] == "http.response.body" and not each.get("more_body") for each in asked.sent
    )
    assert asked.said == [
        ("authorized", 200, "permitted"),
        ("rejected", None, "refused by the handler"),
    ]


async def test_a_long_answer_of_5xx_is_not_held_for_ever(node: Node) -> None:
    """What waits to see whether the app refuses is bounded."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        for number in range(40):
            body = b"x" * 4096
            await send({"type": "http.response.body", "body": body, "more_body": number < 39})

    asked = await node.ask(node.protect(app))
    assert asked.status == 503
    assert len(asked.body) == 40 * 4096
    assert asked.said == [("authorized", 503, "permitted")]


async def test_a_cancelled_request_is_answered_by_nobody(node: Node) -> None:
    """Where the client has gone, nothing is sent any more."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        raise asyncio.CancelledError

    asked = await node.ask(node.protect(app))
    assert isinstance(asked.raised, asyncio.CancelledError)
    assert asked.sent == []
    assert asked.said == [("authorized", None, "permitted")]


# Handlers that ask for the token

Token = Annotated[AccessToken, Depends(access_token)]


def asking() -> FastAPI:
    """Make an app that tells who asks, by any method."""
    app = FastAPI(openapi_url=None)

    @app.api_route(PATH, methods=["GET", "OPTIONS"])
    @app.api_route("/x-nmos", methods=["GET", "OPTIONS"])
    @app.api_route("/outside", methods=["GET", "OPTIONS"])
    async def who(token: Token) -> dict[str, object]:
        return {"client_id": token.client_id, "all": token.allows("node", "write", "self")}

    return app


@pytest.mark.parametrize("path", [PATH, "/x-nmos", "/outside"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("mount", [False, True])
async def test_handlers_that_ask_for_the_token(
    node: Node, path: str, method: str, *, mount: bool
) -> None:
    """Whatever the method, on guarded, public and other paths: 200 with a token, 401 without."""
    app = node.protect(in_front(asking(), ["another app"] if mount else []))
    good = await node.ask(app, method, path=path, raw_path=path.encode())
    assert json.loads(good.body) == {"client_id": "a client", "all": False}
    assert [line["status"] for line in good.lines] == [200]
    assert good.lines[0]["client_id"] == "a client"
    none = await node.ask(app, method, path=path, raw_path=path.encode(), headers=[])
    assert none.status == 401
    assert none.said == [("rejected", 401, "no credentials")]


@pytest.mark.parametrize("path", [PATH, "/x-nmos", "/outside", "*"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("off_in_front", [False, True])
async def test_no_middleware_that_is_switched_off_lets_anybody_in(
    node: Node, path: str, method: str, *, off_in_front: bool
) -> None:
    """Beside a middleware that is switched on, one that is switched off has no say."""
    app: ASGIApp = asking()
    if off_in_front:
        protected = node.protect(app)
        front: ASGIApp = NmosAuthMiddleware(protected, Settings(enabled=False))
    else:
        protected = node.protect(NmosAuthMiddleware(app, Settings(enabled=False)))
        front = protected

    asked = await node.ask(protected, method, front, path=path, raw_path=path.encode(), headers=[])
    assert asked.status in ({400, 401, 404} if path == "*" else {401})


async def test_a_mounted_app_may_have_its_own_switched_off(node: Node) -> None:
    """It decides for the paths that it would guard, and for no others of the app around it."""
    inner = NmosAuthMiddleware(asking(), Settings(enabled=False))
    app = node.protect(Starlette(routes=[Mount("/unit", inner)]))
    asked = await node.ask(app, path="/unit" + PATH, raw_path=f"/unit{PATH}".encode(), headers=[])
    assert json.loads(asked.body)["all"] is True
    asked = await node.ask(app, path="/unit/outside", raw_path=b"/unit/outside", headers=[])
    assert asked.status == 401


async def test_a_middleware_that_is_switched_off_leaves_a_token_alone(node: Node) -> None:
    """Handlers behind it get the token that the one in front has verified."""
    app = node.protect(NmosAuthMiddleware(asking(), Settings(enabled=False)))
    asked = await node.ask(app)
    assert json.loads(asked.body) == {"client_id": "a client", "all": False}


# What crash reporters see


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"type": "websocket"},
        {"type": "websocket", "headers": [], "query_string": b"a=1&access_token="},
    ],
    ids=["http", "websocket", "query"],
)
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("expired_sockets", ["keep", "close"])
async def test_no_local_variable_shows_a_token(
    server: StandInAuthorizationServer,
    tmp_path: Path,
    changes: dict[str, object],
    expired_sockets: str,
    *,
    again: bool,
) -> None:
    """What is on the way to the app holds no token, beside the scope as the server has it."""
    node = Node(server, tmp_path / "audit.log", expired_sockets=expired_sockets)

    async def crash(_: Scope, __: Receive, ___: Send) -> None:
        raise RuntimeError("broken")

    if "query_string" in changes:
        changes = {**changes, "query_string": b"a=1&access_token=" + node.token.encode()}
    app = node.protect(crash)
    if again:
        await node.ask(app, "GET", **changes)
    asked = await node.ask(app, "GET", **changes)
    assert str(asked.raised) == "broken"
    shown = []
    trace = asked.raised.__traceback__ if asked.raised else None
    while trace is not None:
        local = trace.tb_frame.f_locals
        if trace.tb_frame.f_globals["__name__"].startswith("nmos_auth"):
            shown += [repr(each) for name, each in local.items() if name != "scope"]
        trace = trace.tb_next
    assert shown
    assert not [part for part in node.token.split(".") if part in " ".join(shown)]


# WebSockets


async def closing(websocket: WebSocket) -> None:
    """Refuse the handshake."""
    await websocket.close()


async def denying(websocket: WebSocket) -> None:
    """Answer the handshake with 404."""
    await websocket.send_denial_response(Response(status_code=404))


async def raising(_: WebSocket) -> None:
    """Refuse it as one without the permission."""
    raise InsufficientScope


async def raising_in_a_group(_: WebSocket) -> None:
    """Refuse it in a task group."""
    await in_a_group(InsufficientScope())


@pytest.mark.parametrize("mount", [False, True])
@pytest.mark.parametrize(
    ("handler", "status"),
    [(closing, 403), (denying, 404), (raising, 403), (raising_in_a_group, 403)],
)
async def test_a_handshake_that_the_app_refuses_is_rejected(
    node: Node,
    handler: Callable[[WebSocket], Awaitable[None]],
    status: int,
    *,
    mount: bool,
) -> None:
    """The log has it as what it is, whether the app raises, closes or answers."""
    app: ASGIApp = Starlette(routes=[WebSocketRoute(PATH, handler)])
    if mount:
        app = Starlette(
            routes=[Mount(ROOT, Starlette(routes=[WebSocketRoute("/single/a", handler)]))]
        )
    asked = await node.ask(node.protect(app), type="websocket")
    assert asked.raised is None
    assert asked.said == [("rejected", status, "refused by the handler")]


@given(st.recursive(st.booleans(), lambda inner: st.lists(inner, min_size=1, max_size=3)))
def test_refusals_are_found_in_any_group(tree: bool | list[object]) -> None:  # noqa: FBT001
    """Of any nest of groups the first refusal is found, and all others errors are left."""
    errors: list[Exception] = []

    def build(tree: object) -> Exception:
        if isinstance(tree, list):
            return ExceptionGroup("a group", [build(each) for each in tree])
        errors.append(InsufficientScope() if tree else ValueError())
        return errors[-1]

    error = build(tree)
    refusals = [each for each in errors if isinstance(each, InsufficientScope)]
    assert refusal_in(error) is (refusals[0] if refusals else None)
    left = without_refusals(error)
    assert (left is None) == (len(refusals) == len(errors))
    assert left is None or refusal_in(left) is None
    with contextlib.suppress(IndexError):
        assert refusal_in(ValueError()) is None
