"""The app of five lines, served for real, and what its logs say meanwhile."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from fastapi import FastAPI, Request, WebSocket
from starlette.types import ASGIApp

from nmos_auth import NmosAuthMiddleware, Settings
from tests.contract.rows import SELF, Row, TableMint, bearer, judge
from tests.support.servers import serving
from tests.support.sockets import Reply, exchange, request_bytes

__all__ = ["AccessLog", "Scene", "at_rest", "echo_app", "echoing", "held", "settled"]

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]


def echoing() -> FastAPI:
    """Make an app that answers every path with what it was asked."""
    app = FastAPI(openapi_url=None)

    @app.api_route("/{path:path}", methods=_METHODS)
    async def echo(request: Request) -> dict[str, str]:
        return _seen(request)

    @app.websocket("/{path:path}")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(_seen(websocket))
        await websocket.close()

    return app


def _seen(connection: Request | WebSocket) -> dict[str, str]:
    return {"path": connection.scope["path"], "query": connection.scope["query_string"].decode()}


def echo_app(settings: Settings) -> FastAPI:
    """Make that app, protected."""
    app = echoing()
    app.add_middleware(NmosAuthMiddleware, settings=settings)
    return app


class AccessLog(logging.Handler):
    """Keeps what uvicorn logs."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())

    @contextlib.contextmanager
    def attached(self) -> Iterator[AccessLog]:
        """Listen until the block ends."""
        logger = logging.getLogger("uvicorn")
        logger.addHandler(self)
        try:
            yield self
        finally:
            logger.removeHandler(self)


@dataclass(frozen=True)
class Scene:
    """A running server and what it takes to question it."""

    port: int
    mint: TableMint
    access_log: AccessLog

    def ask(self, row: Row) -> Reply:
        """Send a row's request, and see that no log and no answer repeats a token of it."""
        return self._send(*row.request(self.mint))

    def _send(self, request: bytes, tokens: Iterable[str]) -> Reply:
        before = len(self.access_log.lines)
        reply = exchange(self.port, request)
        shown = [*self.access_log.lines[before:], reply.body.decode("latin-1"), str(reply.headers)]
        for token in tokens:
            assert len(token) < 8 or not any(token in each for each in shown), "a token was shown"
        assert not any("access_token" in each for each in shown)
        return reply

    def check(self, row: Row) -> None:
        """Send a row's request, and again what may be answered from memory; judge both answers."""
        request, tokens = row.request(self.mint)
        judge(row, self._send(request, tokens))
        judge(row, self._send(request, tokens))

    def get(self, target: str = SELF, token: str | None = None) -> Reply:
        """Send a GET request."""
        headers = [] if token is None else [bearer(token)]
        return exchange(self.port, request_bytes("GET", target, headers))


@contextlib.contextmanager
def held(
    app: ASGIApp,
    mint: TableMint,
    *,
    lifespan: Literal["auto", "off"] = "auto",
    http: Literal["h11", "httptools"] = "h11",
) -> Iterator[Scene]:
    """Serve an app until the block ends."""
    log = AccessLog()
    with log.attached(), serving(app, lifespan=lifespan, http=http) as port:
        yield Scene(port, mint, log)


def settled(ask: Callable[[], Reply], status: int) -> int:
    """Ask until the answer has this status, and tell how often that took.

    Raises:
        AssertionError: some other answer came than that the keys are not there yet, or ten seconds
            were not enough.
    """
    deadline = time.monotonic() + 10
    asked = 1
    while (reply := ask()).status != status:
        assert reply.status == 503, reply
        assert time.monotonic() < deadline, "the server did not come to rest"
        asked += 1
        time.sleep(0.01)
    return asked


def at_rest(scene: Scene) -> Scene:
    """Wait until the server has the keys: from then on no answer depends on what came before it."""
    good = scene.mint.token()
    settled(lambda: scene.get(token=good), 200)
    return scene
