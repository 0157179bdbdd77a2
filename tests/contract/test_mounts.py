"""Apps that do not stand at the root: mounts, and servers with a `root_path`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from nmos_auth import NmosAuthMiddleware, Settings
from tests.contract.conftest import MakeSettings
from tests.contract.rows import (
    BAD_TARGET,
    FORBIDDEN,
    GOOD,
    NO_CREDENTIALS,
    OK,
    SELF,
    Answer,
    Maker,
    Row,
    TableMint,
    only,
)
from tests.contract.scene import Scene as Serving
from tests.contract.scene import echo_app, echoing, held, settled

SEGMENTS = "design: root_path only ever goes by whole segments"
ONE_PATH = "design: one path"
ROUTES = "design: canonicalisation never changes which handler a path reaches"
OUTSIDE = "design: paths outside /x-nmos are the application's own"
PUBLIC = "IS-10 Resource Servers, Path Validation: /x-nmos"

NOT_FOUND = Answer(404)
NOT_REACHED = (NO_CREDENTIALS, BAD_TARGET, NOT_FOUND, FORBIDDEN)

Make = Callable[[Settings], ASGIApp]


def _inside(prefix: str) -> Make:
    """Mount a protected app."""

    def make(settings: Settings) -> FastAPI:
        app = FastAPI(openapi_url=None)
        app.mount(prefix, echo_app(settings))
        return app

    return make


def _outside(prefix: str) -> Make:
    """Mount an app in a protected one."""

    def make(settings: Settings) -> FastAPI:
        app = FastAPI(openapi_url=None)
        app.add_middleware(NmosAuthMiddleware, settings=settings)
        app.mount(prefix, echoing())
        return app

    return make


def _one_route(settings: Settings, path: str) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_middleware(NmosAuthMiddleware, settings=settings)

    @app.get(path)
    async def reached() -> dict[str, str]:
        return {"path": path, "query": ""}

    return app


def _routed(prefix: str) -> Make:
    """Mount a protected app whose one route goes on from the prefix."""

    def make(settings: Settings) -> FastAPI:
        app = FastAPI(openapi_url=None)
        app.mount(prefix, _one_route(settings, SELF.removeprefix(prefix)))
        return app

    return make


class _Rooted:
    """Tells an app of a prefix that a proxy took away."""

    def __init__(self, app: ASGIApp, root_path: str, *, restored: bool) -> None:
        self._app = app
        self._root_path = root_path
        self._restored = root_path if restored else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            scope["root_path"] = self._root_path
            scope["path"] = self._restored + scope["path"]
            scope["raw_path"] = self._restored.encode() + scope["raw_path"]
        await self._app(scope, receive, send)


def _rooted(prefix: str) -> Make:
    """Do as uvicorn does under `--root-path`: the prefix is part of the path again."""
    return lambda settings: _Rooted(echo_app(settings), prefix, restored=True)


def _stripped(prefix: str, path: str = SELF) -> Make:
    """Do as servers do that give the prefix and leave the path without it."""
    return lambda settings: _Rooted(_one_route(settings, path), prefix, restored=False)


@dataclass(frozen=True)
class Arrangement:
    """How an app stands, and what is asked of it.

    Attributes:
        make: makes the app.
        warm: a path to warm it up by.
        rows: what is asked.
    """

    make: Make
    warm: str
    rows: tuple[Row, ...]


def _row(
    name: str,
    source: str,
    *answers: Answer,
    target: str,
    token: Maker | None = None,
    reached: str | None = None,
) -> Row:
    return Row(name, source, answers, target, token=token, reached=reached)


def _protected(path: str, reached: str | None = None) -> tuple[Row, ...]:
    """Return the rows for a path that stands for `self` of node."""
    return (
        _row("no-token", SEGMENTS, NO_CREDENTIALS, target=path),
        _row("good-token", SEGMENTS, OK, target=path, token=GOOD, reached=reached or path),
        _row("specifier", SEGMENTS, OK, target=path, token=only(x_nmos_node={"read": ["self"]})),
        _row(
            "other-specifier",
            SEGMENTS,
            FORBIDDEN,
            target=path,
            token=only(scope="node", x_nmos_node={"read": ["devices/*"]}),
        ),
        _row(
            "other-api", SEGMENTS, FORBIDDEN, target=path, token=only(x_nmos_query={"read": ["*"]})
        ),
    )


ARRANGEMENTS = {
    "inside-node1": Arrangement(
        _inside("/node1"),
        "/node1" + SELF,
        (
            *_protected("/node1" + SELF),
            _row("public", PUBLIC, OK, target="/node1/x-nmos/"),
            _row("outside", OUTSIDE, OK, target="/node1/status"),
            _row("dots", ONE_PATH, NO_CREDENTIALS, target="/node1/a/.." + SELF),
            _row("dots-above", ONE_PATH, *NOT_REACHED, target="/node1/.." + SELF),
            _row("dots-out-and-in", ONE_PATH, *NOT_REACHED, target="/node1/%2e%2e/node1" + SELF),
            _row("slash-encoded", ONE_PATH, BAD_TARGET, target="/node1%2F" + SELF[1:], token=GOOD),
        ),
    ),
    "inside-x": Arrangement(_inside("/x"), "/x" + SELF, _protected("/x" + SELF)),
    "inside-x-nmos": Arrangement(
        _inside("/x-nmos"),
        SELF,
        (
            *_protected(SELF),
            _row("public", PUBLIC, OK, target="/x-nmos/"),
            _row("base", PUBLIC, NO_CREDENTIALS, target="/x-nmos/node"),
            _row("dots", ONE_PATH, NO_CREDENTIALS, target="/x-nmos/a/../node/v1.3/self"),
        ),
    ),
    "inside-x-nmos-node": Arrangement(
        _inside("/x-nmos/node"),
        SELF,
        (*_protected(SELF), _row("base", PUBLIC, NO_CREDENTIALS, target="/x-nmos/node/")),
    ),
    "routed-x-nmos": Arrangement(
        _routed("/x-nmos"),
        SELF,
        (
            *_protected(SELF, "/node/v1.3/self"),
            _row("dots-out", ROUTES, *NOT_REACHED, target="/x-nmos/../node/v1.3/self"),
            _row("dots-encoded", ROUTES, *NOT_REACHED, target="/x-nmos/%2e%2e/node/v1.3/self"),
            _row("dots-deeper", ROUTES, *NOT_REACHED, target="/x-nmos/a/../../node/v1.3/self"),
        ),
    ),
    "routed-x-nmos-node": Arrangement(
        _routed("/x-nmos/node"),
        SELF,
        (
            *_protected(SELF, "/v1.3/self"),
            _row("dots-out", ROUTES, *NOT_REACHED, target="/x-nmos/node/../../v1.3/self"),
            _row("dots-to-root", ROUTES, *NOT_REACHED, target="/x-nmos/node/../v1.3/self"),
            _row(
                "dots-to-other-api",
                ROUTES,
                *NOT_REACHED,
                target="/x-nmos/node/../query/v1.3/self",
                token=only(x_nmos_query={"read": ["*"]}),
            ),
        ),
    ),
    "outside-x-nmos": Arrangement(
        _outside("/x-nmos"),
        SELF,
        (
            *_protected(SELF),
            _row("dots-out", ONE_PATH, *NOT_REACHED, target="/x-nmos/../node/v1.3/self"),
        ),
    ),
    "outside-everything": Arrangement(_outside(""), SELF, _protected(SELF)),
    "stripped-node1": Arrangement(
        _stripped("/node1"),
        SELF,
        (
            *_protected(SELF),
            _row("unstripped-no-token", SEGMENTS, NO_CREDENTIALS, target="/node1" + SELF),
            _row("unstripped", SEGMENTS, OK, target="/node1" + SELF, token=GOOD),
            _row("dots-above", ROUTES, *NOT_REACHED, target="/node1/.." + SELF),
            _row("longer-prefix", SEGMENTS, NOT_FOUND, target="/node12" + SELF),
        ),
    ),
    "stripped-x-nmos": Arrangement(
        _stripped("/x-nmos", "/node/v1.3/self"),
        SELF,
        (
            _row("no-token", SEGMENTS, NO_CREDENTIALS, target=SELF),
            _row("good-token", SEGMENTS, OK, target=SELF, token=GOOD),
            _row("stripped-no-token", ROUTES, *NOT_REACHED, target="/node/v1.3/self"),
        ),
    ),
    "stripped-x": Arrangement(_stripped("/x"), SELF, _protected(SELF)),
    "rooted-node1": Arrangement(_rooted("/node1"), SELF, _protected(SELF, "/node1" + SELF)),
    "rooted-with-slash": Arrangement(_rooted("/node1/"), SELF, _protected(SELF, "/node1" + SELF)),
    "rooted-without-slash": Arrangement(_rooted("node1"), SELF, _protected(SELF, "/node1" + SELF)),
    "rooted-at-slash": Arrangement(_rooted("/"), SELF, _protected(SELF, SELF)),
    "stripped-with-slash": Arrangement(_stripped("/node1/"), SELF, _protected(SELF)),
    "rooted-x-nmos": Arrangement(
        _rooted("/x-nmos"),
        "/node/v1.3/self",
        (
            *_protected("/node/v1.3/self", SELF),
            _row("dots-out", ROUTES, *NOT_REACHED, target="/../node/v1.3/self"),
        ),
    ),
}


class _Switch:
    """Passes each request to the arrangement that it names, so that one server does for all.

    The lifespan reaches none of them: the middleware starts with the first request.
    """

    def __init__(self, make_settings: MakeSettings) -> None:
        self._apps = {
            name: arranged.make(make_settings()) for name, arranged in ARRANGEMENTS.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = dict(scope["headers"])[b"x-arrangement"].decode()
        await self._apps[name](scope, receive, send)


def _asked_of(name: str, row: Row) -> Row:
    return replace(row, headers=(("X-Arrangement", name),))


@pytest.fixture(scope="module")
def arrangements(mint: TableMint, make_settings: MakeSettings) -> Iterator[Serving]:
    """Serve every arrangement."""
    with held(_Switch(make_settings), mint, lifespan="off") as serving:
        for name, arranged in ARRANGEMENTS.items():
            good = _asked_of(name, Row("warm", SEGMENTS, (OK,), arranged.warm))
            settled(functools.partial(serving.ask, good), 200)
        yield serving


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(_asked_of(name, row), id=f"{name}-{row.id}")
        for name, arranged in ARRANGEMENTS.items()
        for row in arranged.rows
    ],
)
def test_mounts(arrangements: Serving, row: Row) -> None:
    """Wherever the app stands, the paths of its NMOS APIs are protected, under every spelling."""
    arrangements.check(row)
