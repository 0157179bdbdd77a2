"""Sends a request to the middleware itself in this process, so the answer is the real one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from starlette.types import Message, Receive, Scope, Send

from nmos_auth.middleware import NmosAuthMiddleware
from nmos_auth.settings import Settings
from nmos_auth.trust.status import TrustStatus

__all__ = ["MiddlewareAnswer", "Request", "RunningMiddleware", "running"]

_AUDIT = logging.getLogger("nmos_auth.audit")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, or a WebSocket handshake.

    Attributes:
        method: the HTTP method; `ws` for a handshake.
        url: an absolute URL, or a path.
        headers: the headers, with names in lower case.
        root_path: the path at which the app is mounted, as in `scope["root_path"]`.
    """

    method: str
    url: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    root_path: str = ""

    @property
    def is_handshake(self) -> bool:
        """Whether it asks for a WebSocket."""
        return self.method.lower() == "ws"

    def scope(self) -> Scope:
        """Return it as an ASGI server passes it to an app."""
        parts = urlsplit(self.url)
        path = parts.path or "/"
        scope: Scope = {
            "type": "websocket" if self.is_handshake else "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "wss" if self.is_handshake else "https",
            "path": unquote(path),
            "raw_path": path.encode("utf-8"),
            "query_string": parts.query.encode("utf-8"),
            "root_path": self.root_path,
            "headers": list(self.headers),
            "client": None,
            "server": None,
            "state": {},
        }
        if self.is_handshake:
            scope["extensions"] = {"websocket.http.response": {}}
        else:
            scope["method"] = self.method.upper()
        return scope


@dataclass(frozen=True, slots=True)
class MiddlewareAnswer:
    """The answer of the middleware.

    Attributes:
        status: the HTTP status; 200 or 101 if it lets the app answer.
        headers: the headers of its own answer.
        record: the line of the audit log, parsed; empty if there is none.
    """

    status: int
    headers: Mapping[str, str]
    record: Mapping[str, object]


class _Lines(logging.Handler):
    """Keeps the last line of the audit log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@dataclass(frozen=True, slots=True)
class RunningMiddleware:
    """A middleware that runs, and that can be asked.

    Attributes:
        ask: sends a request to it.
        trust: returns the trusted issuers and their keys; None if nothing is verified.
    """

    ask: Callable[[Request], Awaitable[MiddlewareAnswer]]
    trust: Callable[[], TrustStatus | None]


@contextlib.asynccontextmanager
async def running(
    settings: Settings, clock: Callable[[], float]
) -> AsyncIterator[RunningMiddleware]:
    """Run a middleware with these settings until the block ends.

    Args:
        settings: the settings of the Node, whose audit log is not written.
        clock: seconds since 1970 UTC.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    lines = _Lines()
    level, propagates = _AUDIT.level, _AUDIT.propagate
    _AUDIT.addHandler(lines)
    _AUDIT.setLevel(logging.INFO)
    _AUDIT.propagate = False
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    try:
        quiet = settings.model_copy(update={"audit_log": "logging"})
        middleware = NmosAuthMiddleware(_app, quiet, clock=clock)
        lifespan: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        task = asyncio.create_task(middleware(lifespan, inbox.get, outbox.put))
        await inbox.put({"type": "lifespan.startup"})
        await outbox.get()

        try:
            server = middleware.resource_server
            yield RunningMiddleware(
                lambda request: _answer(middleware, request, lines),
                lambda: None if server is None else server.trust(),
            )
        finally:
            await inbox.put({"type": "lifespan.shutdown"})
            await task
    finally:
        _AUDIT.removeHandler(lines)
        _AUDIT.setLevel(level)
        _AUDIT.propagate = propagates


async def _answer(
    middleware: NmosAuthMiddleware, request: Request, lines: _Lines
) -> MiddlewareAnswer:
    status = 0
    headers: dict[str, str] = {}

    async def receive() -> Message:
        return {"type": "websocket.connect" if request.is_handshake else "http.request"}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "websocket.accept":
            status = 101
        elif message["type"].endswith("response.start"):
            status = message["status"]
            headers.update((name.decode(), value.decode()) for name, value in message["headers"])

    lines.last = ""
    await middleware(request.scope(), receive, send)
    return MiddlewareAnswer(status, headers, json.loads(lines.last) if lines.last else {})
