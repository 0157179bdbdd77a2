"""CORS for browser-based Controllers (IS-10 "OPTIONS Requests")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SHARED", "CrossOrigin", "Methods"]

SHARED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After",
}
"""The headers that let scripts of other origins read an answer."""


@dataclass(frozen=True)
class Methods:
    """The methods of a path.

    Attributes:
        names: the methods; HEAD is not listed beside GET.
        is_shared: whether scripts of other origins may read the answers. CORS must not be
            supported at the authorization endpoint (RFC 9700 Section 2.6).
    """

    names: tuple[str, ...]
    is_shared: bool = True

    @property
    def allow(self) -> str:
        """The value of the Allow header."""
        head = ("HEAD",) if "GET" in self.names else ()
        return ", ".join([*self.names, *head, "OPTIONS"])


class CrossOrigin:
    """Adds CORS headers to all answers, errors included; OPTIONS needs no authorization.

    IS-10 "OPTIONS Requests" requires an answer to every OPTIONS request, "explicitly permitting the
    use of the `Authorization` header", even if it is not a preflight or has no origin.
    """

    def __init__(self, app: ASGIApp, find: Callable[[str], Methods | None]) -> None:
        self._app = app
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer OPTIONS, and add headers to what the application answers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        methods = self._find(scope["path"])
        if methods is not None and scope["method"] == "OPTIONS":
            await _preflight(methods)(scope, receive, send)
            return
        # Scripts may read that a path does not exist.
        if methods is not None and not methods.is_shared:
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SHARED)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _preflight(methods: Methods) -> Response:
    headers = {
        "Allow": methods.allow,
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
    }
    if methods.is_shared:
        headers |= {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": methods.allow,
            "Access-Control-Max-Age": "3600",
        }
    return Response(headers=headers)
