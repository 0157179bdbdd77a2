"""Requests that share one `state`: each handler finds what belongs to its own request."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from nmos_auth import (
    AccessToken,
    AuthorizationError,
    NmosAuthMiddleware,
    access_token,
    event_sources,
)
from nmos_auth.status import status_route
from nmos_auth.testing import StandInAuthorizationServer
from tests.support.asking import ask, http_scope

SELF = "/x-nmos/node/v1.3/self"
EVENTS = "/x-nmos/events/v1.0/ws"
PUBLIC = "/me"
SWITCHED_OFF = "/off" + SELF
SOURCE = "9f463872-9621-4939-aa3a-dc3c82d8578b"

KINDS = {
    "permitted": SELF,
    "another": SELF,
    "public": PUBLIC,
    "public without a token": PUBLIC,
    "socket": EVENTS,
    "switched off": SWITCHED_OFF,
}


class Meeting:
    """An app whose handlers only look at their scope when all of them have been called.

    Attributes:
        found: by the name of the client, what its handler found.
    """

    def __init__(self, server: StandInAuthorizationServer, kinds: Sequence[str]) -> None:
        self.found: dict[str, object] = {}
        self._server = server
        self._kinds = kinds
        self._all_here = asyncio.Barrier(len(kinds))
        inner = NmosAuthMiddleware(self.handle, server.settings(enabled=False))
        self.app = NmosAuthMiddleware(self.or_switched_off(inner), server.settings(audit_log="off"))

    def or_switched_off(self, inner: ASGIApp) -> ASGIApp:
        """Mount an app whose middleware is switched off."""
        mounted = Starlette(routes=[Mount("/off", inner)])

        async def either(scope: Scope, receive: Receive, send: Send) -> None:
            app = mounted if scope["path"].startswith("/off") else self.handle
            await app(scope, receive, send)

        return either

    async def handle(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Note what the dependency, the scope and the state have for this request."""
        await self._all_here.wait()
        connection = HTTPConnection(scope)
        in_scope = scope.get("nmos_auth.access_token")
        try:
            token = await access_token(connection)
        except AuthorizationError:
            self.found[scope["client"][0]] = None
            raise
        finally:
            await send({"type": "http.response.start", "status": 404, "headers": []})
        if in_scope is not None:
            assert token is in_scope
            assert connection.state.access_token is token
        self.found[scope["client"][0]] = token.client_id or "anybody"

    def ask(self, kind: str, state: dict[str, object]) -> tuple[Scope, object]:
        """Return the scope of a request, and what its handler must find."""
        token = self._server.token(
            read={"node": ["*"], "events": ["*"]}, client_id=f"the client of {kind}"
        )
        scope = http_scope(KINDS[kind], token, state=state, client=(kind, 1))
        if kind == "public without a token":
            return {**scope, "headers": []}, None
        if kind == "socket":
            return {**scope, "type": "websocket"}, f"the client of {kind}"
        return scope, "anybody" if kind == "switched off" else f"the client of {kind}"

    async def hold(self, state: dict[str, object]) -> dict[str, object]:
        """Make all the requests at once, in their order, and return what each must find."""
        expected: dict[str, object] = {}
        async with asyncio.TaskGroup() as group:
            for kind in self._kinds:
                scope, expected[kind] = self.ask(kind, state)
                group.create_task(ask(self.app, scope))
        return expected


@pytest.mark.parametrize("kinds", list(itertools.permutations(KINDS, 2)), ids=" then ".join)
async def test_each_handler_finds_its_own_token(
    server: StandInAuthorizationServer, kinds: Sequence[str]
) -> None:
    """The dependency, the scope and the state of a permitted request are its own, in any order.

    A server should give each request a state of its own, but hypercorn before 0.18 gives one to all
    those of an HTTP/2 connection. A second round finds what the first has left there.
    """
    meeting, state = Meeting(server, kinds), dict[str, object]()
    for _ in ("decided", "remembered"):
        expected = await meeting.hold(state)
        assert meeting.found == expected
        meeting.found.clear()


async def test_all_at_once(server: StandInAuthorizationServer) -> None:
    """Any number of requests may share a state."""
    meeting = Meeting(server, list(KINDS))
    assert await meeting.hold({}) == meeting.found


async def test_a_public_handler_finds_no_token_that_was_left(
    server: StandInAuthorizationServer,
) -> None:
    """What an earlier request has left in a state is taken away for this one, and only for it."""
    states: list[dict[str, object]] = []

    async def look(scope: Scope, _receive: Receive, send: Send) -> None:
        states.append(scope["state"])
        await send({"type": "http.response.start", "status": 404, "headers": []})

    app, state = (
        NmosAuthMiddleware(look, server.settings(audit_log="off")),
        {"pool": "of the lifespan"},
    )
    token = server.token(read={"node": ["*"]})
    await ask(app, http_scope(SELF, token, state=state))
    await ask(app, http_scope(PUBLIC, token, state=state))
    permitted, public = states
    assert permitted is state
    assert public == {"pool": "of the lifespan"}


async def test_a_state_is_not_copied_without_need(server: StandInAuthorizationServer) -> None:
    """A middleware outside finds what handlers put into the state of the request."""

    async def put(scope: Scope, _receive: Receive, send: Send) -> None:
        scope["state"]["user"] = "of the handler"
        await send({"type": "http.response.start", "status": 404, "headers": []})

    app = NmosAuthMiddleware(put, server.settings(audit_log="off"))
    for path in (SELF, PUBLIC):
        state: dict[str, object] = {}
        await ask(app, http_scope(path, server.token(read={"node": ["*"]}), state=state))
        assert state["user"] == "of the handler"


async def test_subscriptions_are_recorded_by_their_own_handling(
    server: StandInAuthorizationServer,
) -> None:
    """A socket that shares its state decides by its own token, and has its own record."""
    both = asyncio.Barrier(2)
    allowed: dict[str, tuple[str, ...]] = {}

    async def subscribe(scope: Scope, _receive: Receive, send: Send) -> None:
        await both.wait()
        connection = HTTPConnection(scope)
        sources = await event_sources(connection, await access_token(connection))
        assert sources._handling is scope["nmos_auth.handling"]
        allowed[scope["client"][0]] = sources.allowed([SOURCE])
        await send({"type": "websocket.close"})

    app, state = (
        NmosAuthMiddleware(subscribe, server.settings(audit_log="off")),
        dict[str, object](),
    )
    async with asyncio.TaskGroup() as group:
        for client, read in (("may", ["*"]), ("may not", ["other"])):
            token = server.token(read={"events": read}, claims={"scope": "events"})
            scope = http_scope(EVENTS, token, type="websocket", state=state, client=(client, 1))
            group.create_task(ask(app, scope))
    assert allowed == {"may": (SOURCE,), "may not": ()}


async def test_a_status_below_the_apis_is_not_that_of_no_authorization(
    server: StandInAuthorizationServer,
) -> None:
    """A permitted request has a token too, which does not say that authorization is off."""
    app = FastAPI()
    app.router.routes.append(status_route("/x-nmos/node/v1.3/status"))
    protected = NmosAuthMiddleware(app, server.settings(audit_log="off"))
    path = "/x-nmos/node/v1.3/status"
    asked = await ask(protected, http_scope(path, server.token(read={"node": ["*"]})))
    assert "a path outside /x-nmos" in str(asked.raised)


@pytest.mark.parametrize(
    ("path", "changes", "finds"),
    [
        (SELF, {}, "the client"),
        (SELF, {"method": "OPTIONS"}, "the client"),
        (PUBLIC, {}, "the client"),
        (EVENTS, {"type": "websocket"}, "the client"),
        (SELF, {"method": "OPTIONS", "headers": []}, None),
        (PUBLIC, {"headers": []}, None),
        ("*", {"method": "OPTIONS", "headers": []}, None),
    ],
)
async def test_no_layer_outside_gives_handlers_a_token(
    server: StandInAuthorizationServer, path: str, changes: Scope, finds: str | None
) -> None:
    """What was put into the scope before the middleware is not what a handler gets, ever."""
    found: list[str | None] = []

    async def look(scope: Scope, _receive: Receive, send: Send) -> None:
        of_state = scope["state"].get("access_token")
        assert of_state is scope.get("nmos_auth.access_token")
        try:
            found.append((await access_token(HTTPConnection(scope))).client_id)
        except AuthorizationError:
            found.append(None)
        start = "websocket.close" if scope["type"] == "websocket" else "http.response.start"
        await send({"type": start, "status": 404, "headers": []})

    app = NmosAuthMiddleware(look, server.settings(audit_log="off"))
    token = server.token(read={"node": ["*"], "events": ["*"]}, client_id="the client")
    everything = AccessToken.unrestricted()
    for _ in range(3):
        planted = {"nmos_auth.access_token": everything, "state": {"access_token": everything}}
        await ask(app, http_scope(path, token, **planted, **changes))
    assert found == [finds] * 3
