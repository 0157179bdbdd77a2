"""What every answer of the Controller has, and what every request that changes something needs."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from example_node.conventions import limited

LARGEST_BODY = 256 * 1024

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

_SAFE = frozenset({"GET", "HEAD"})


class Guard:
    """ASGI middleware: security headers, no foreign pages, no large bodies.

    A page of another port of this host is another origin, although its requests bring the same
    cookies; so whatever changes something, or is a stream of data, must come from a page of this
    application.

    Args:
        app: what it guards.
        is_own_origin: tells whether a request comes from a page of this application, as
            `LoginRoutes.is_own_origin` does.
        hosts: the names of this application. A page of another name that leads here, by a DNS
            record that changes, is turned away.
        origin: where the application is, for whoever came by another name.
        streams: paths that only its own pages may read.
    """

    def __init__(
        self,
        app: ASGIApp,
        is_own_origin: Callable[[HTTPConnection], bool],
        *,
        hosts: frozenset[str],
        origin: str,
        streams: frozenset[str] = frozenset(),
    ) -> None:
        self.app = app
        self._hosts = hosts
        self._origin = origin
        self._is_own_origin = is_own_origin
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _with_headers(send)
        connection = HTTPConnection(scope)
        if (connection.url.hostname or "").lower() not in self._hosts:
            answer = PlainTextResponse(f"This application is at {self._origin}\n", 421)
            await answer(scope, receive, send)
            return
        if scope["method"] not in _SAFE | {"POST"}:
            answer = PlainTextResponse("Only GET and POST.\n", 405, {"Allow": "GET, HEAD, POST"})
            await answer(scope, receive, send)
            return
        guarded = scope["method"] == "POST" or scope["path"] in self._streams
        if guarded and not self._is_own_origin(connection):
            answer = PlainTextResponse("This did not come from a page of this application.\n", 403)
            await answer(scope, receive, send)
            return
        await self.app(scope, limited(receive, LARGEST_BODY), send)


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
