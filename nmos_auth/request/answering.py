"""Answers in place of the app: refusals and preflights."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from nmos_auth.audit.reasons import detail_of
from nmos_auth.request.sockets import POLICY_VIOLATION

if TYPE_CHECKING:
    from starlette.types import Scope, Send

    from nmos_auth.audit.records import Decision
    from nmos_auth.errors import AuthorizationError
    from nmos_auth.request.resource_server import ResourceServer

__all__ = ["answer_preflight", "refuse"]


def refuse(
    server: ResourceServer,
    scope: Scope,
    send: Send,
    refusal: AuthorizationError,
    line: Decision | None,
) -> Awaitable[None]:
    """Record a refusal, and answer with it when the result is awaited.

    Args:
        server: keeps the record.
        scope: the scope of the request.
        send: the `send` of the server.
        refusal: why the request is refused.
        line: what the audit log says about it.
    """
    if line is not None:
        client = scope.get("client")
        server.audit.record(line, refusal.status, client, detail_of(refusal))
    if scope["type"] == "websocket" and not _may_deny_with_an_answer(scope):
        return send({"type": "websocket.close", "code": POLICY_VIOLATION})
    answer = server.answer_to(refusal)
    headers = [*answer.headers, *server.cross_origin.headers(scope["headers"])]
    return _respond(scope, send, answer.status, headers, answer.body)


def answer_preflight(
    server: ResourceServer, scope: Scope, send: Send, line: Decision | None
) -> Awaitable[None]:
    """Record a preflight, and answer it when the result is awaited; see `refuse`."""
    if line is not None:
        server.audit.record(line, 200, scope.get("client"))
    headers = server.cross_origin.preflight_headers(scope["headers"])
    return _respond(scope, send, 200, [(b"content-length", b"0"), *headers], b"")


async def _respond(
    scope: Scope, send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    if scope.get("method") == "HEAD":
        body = b""
    await send({"type": f"{kind}.body", "body": body})


def _may_deny_with_an_answer(scope: Scope) -> bool:
    return "websocket.http.response" in (scope.get("extensions") or {})
