"""Routes that are not guarded because something stands in front of `/x-nmos`."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from nmos_auth import ConfigurationError, NmosAuthMiddleware, Settings

SELF = "/x-nmos/node/v1.3/self"
EVENTS = "/x-nmos/events/v1.0/ws"
SETTINGS = Settings(
    audience="node1.example.com",
    servers="http://127.0.0.1:1",
    allow_http=True,
    audit_log="logging",
)


async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer nothing: nobody asks."""


def router() -> APIRouter:
    """Return a router of NMOS routes and others."""
    made = APIRouter()
    made.add_api_route(SELF, lambda: None)
    made.add_api_route("/status", lambda: None)
    made.add_api_websocket_route(EVENTS, endpoint)
    return made


def included(prefix: str = "") -> FastAPI:
    """Include the router."""
    app = FastAPI(openapi_url=None)
    app.include_router(router(), prefix=prefix)
    return app


def rooted(root_path: str) -> FastAPI:
    """Return an app that sets its root path itself."""
    app = included()
    app.root_path = root_path  # the parameter is deprecated
    return app


def included_twice() -> FastAPI:
    """Include the router in a router."""
    app, between = FastAPI(openapi_url=None), APIRouter(prefix="/b")
    between.include_router(router(), prefix="/c")
    app.include_router(between, prefix="/a")
    return app


def mounted(path: str, inner: ASGIApp) -> FastAPI:
    """Mount an app."""
    app = FastAPI(openapi_url=None)
    app.mount(path, inner)
    return app


def protected(app: FastAPI) -> FastAPI:
    """Add the middleware."""
    app.add_middleware(NmosAuthMiddleware, settings=SETTINGS)
    return app


def starlette(*routes: Route | WebSocketRoute | Mount | Host) -> Starlette:
    """Return a Starlette with routes."""
    return Starlette(routes=list(routes))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (included, []),
        (lambda: included("/x-nmos"), []),
        (lambda: included("/api"), ["/api" + SELF, "/api" + EVENTS]),
        (included_twice, ["/a/b/c" + SELF, "/a/b/c" + EVENTS]),
        (lambda: mounted("/unit1", included()), ["/unit1" + SELF, "/unit1" + EVENTS]),
        (lambda: mounted("/unit1", included("/api")), ["/unit1/api" + SELF, "/unit1/api" + EVENTS]),
        (lambda: mounted("", included()), []),
        (lambda: mounted("/X-NMOS", starlette(Route("/node/v1.3/self", endpoint))), []),
        (lambda: mounted("/unit1", protected(included())), []),
        (lambda: mounted("/unit1", endpoint), []),
        (lambda: mounted("", rooted("/unit1")), ["/unit1" + SELF, "/unit1" + EVENTS]),
        (lambda: mounted("/a", rooted("/a/unit1")), ["/a/unit1" + SELF, "/a" + EVENTS]),
        (lambda: mounted("", rooted("/")), []),
        (lambda: mounted("/x-nmos", rooted("/x-nmosy")), []),
        (lambda: mounted("", protected(rooted("/unit1"))), []),
        (
            lambda: starlette(Host("a.example.com", app=included("/api"))),
            ["/api" + SELF, "/api" + EVENTS],
        ),
        (lambda: starlette(Route("/api/X-Nmos/node", endpoint)), ["/api/X-Nmos/node"]),
        (lambda: starlette(Route("/{unit}/x-nmos/node", endpoint)), ["/{unit}/x-nmos/node"]),
        (lambda: starlette(Route("/x-nmosy/x-nmos-node", endpoint)), []),
        (lambda: starlette(Route("/a/{path:path}", endpoint)), []),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_start_names_routes_that_are_not_guarded(
    make: Callable[[], FastAPI | Starlette],
    named: list[str],
    caplog: pytest.LogCaptureFixture,
    *,
    wrapped: bool,
) -> None:
    """Prefixes and mounts that leave NMOS routes open are told once, with what to do."""
    app = make()
    served: ASGIApp = app
    if wrapped:
        served = NmosAuthMiddleware(app, SETTINGS)
    else:
        app.add_middleware(NmosAuthMiddleware, settings=SETTINGS)
    with caplog.at_level(logging.WARNING, "nmos_auth"), TestClient(served) as client:
        client.get("/")
        client.get("/")
    told = [each.getMessage() for each in caplog.records if "not guarded" in each.getMessage()]
    assert len(told) == bool(named)
    for path in named:
        assert f"{path} " in told[0].replace(";", " ")
        assert "root_path" in told[0]


def test_many_routes_are_not_all_named(caplog: pytest.LogCaptureFixture) -> None:
    """A warning stays short."""
    app = starlette(*(Route(f"/api/x-nmos/{number}", endpoint) for number in range(50)))
    with TestClient(NmosAuthMiddleware(app, SETTINGS)):
        pass
    (told,) = [each.getMessage() for each in caplog.records if "not guarded" in each.getMessage()]
    assert told.count("/api/x-nmos/") == 5
    assert " ...;" in told


@pytest.mark.parametrize(
    "wrap", [lambda app: app, GZipMiddleware, lambda app: GZipMiddleware(CORSMiddleware(app))]
)
def test_an_app_around_which_prefixes_would_be_a_way_in(wrap: Callable[[ASGIApp], ASGIApp]) -> None:
    """FastAPI removes its own root path after a middleware around it has checked the path."""
    with pytest.raises(ConfigurationError, match="/unit1/x-nmos"):
        NmosAuthMiddleware(wrap(rooted("/unit1/")), SETTINGS)
    NmosAuthMiddleware(wrap(rooted("/")), SETTINGS)
    NmosAuthMiddleware(wrap(rooted("/unit1")), Settings(enabled=False))


@pytest.mark.parametrize("path", [SELF, "/unit1" + SELF])
def test_the_root_path_of_an_app_is_no_way_in(path: str) -> None:
    """Inside the app, the middleware knows the root path that FastAPI has set."""
    with TestClient(protected(rooted("/unit1"))) as client:
        assert client.get(path).status_code == 401
