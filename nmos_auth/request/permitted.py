"""A shorter way for an HTTP request that a token permits; a Node answers mostly such requests.

`Handling` could do all of it. In one run, a remembered request costs 6.6 microseconds over an open
FastAPI app this way and 7.9 with a `Handling` (2.3 and 2.8 over a bare app). A `Handling` takes
over when the app does anything other than begin an answer below 500 while no error is handled.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from nmos_auth.request.decision import Verdict
from nmos_auth.request.handling import STATE_TOKEN, Handling

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nmos_auth.request.resource_server import ResourceServer

__all__ = ["serve_permitted"]


async def serve_permitted(
    server: ResourceServer,
    verdict: Verdict,
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve a request as `Handling` does; the reasons are given there.

    Args:
        server: keeps the record.
        verdict: permits the request because of a verified token.
        app: answers the request.
        scope: the scope of the request.
        receive: the `receive` of the server.
        send: the `send` of the server.
    """
    verified, line = verdict.verified, verdict.line
    assert verified and line  # noqa: S101, PT018 - it is permitted
    if "state" in scope:
        scope["state"][STATE_TOKEN] = verified.token
    else:
        scope["state"] = {STATE_TOKEN: verified.token}
    answered = False
    handling: Handling | None = None

    def watch(message: Message) -> Awaitable[None]:
        nonlocal answered, handling
        if answered:
            return send(message)
        if handling is None:
            if (
                message["type"] == "http.response.start"
                and (status := message["status"]) < 500
                and sys.exception() is None
            ):
                answered = True
                server.audit.record(line, status, scope.get("client"))
                return send(message)
            handling = Handling(server, scope, send, verdict)
        return handling.watch(message)

    try:
        await app(scope, receive, watch)
    except BaseException as error:  # noqa: BLE001 - raised again where it is not a refusal
        await (handling or Handling(server, scope, send, verdict, answered=answered)).fail(error)
    else:
        if not answered:
            await (handling or Handling(server, scope, send, verdict)).end_unanswered()
