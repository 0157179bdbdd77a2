"""Apps that are asked without a server between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import anyio
from starlette.types import ASGIApp, Message, Scope

__all__ = ["Asked", "ask", "http_scope"]

_DEADLINE = 5.0


@dataclass
class Asked:
    """What became of a request.

    Attributes:
        sent: what the server was given to send.
        raised: what it had to log.
    """

    sent: list[Message]
    raised: BaseException | None

    @property
    def status(self) -> int | None:
        """Return the status, or None where there is no answer."""
        return self.sent[0].get("status") if self.sent else None

    @property
    def body(self) -> bytes:
        """Return the whole body."""
        return b"".join(each.get("body", b"") for each in self.sent[1:])


def http_scope(path: str, token: str, /, *more: tuple[bytes, bytes], **changes: object) -> Scope:
    """Return the scope of a GET that presents a token, with further header fields and changes."""
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode()), *more],
        "client": ("192.0.2.1", 50000),
        "extensions": {"websocket.http.response": {}},
        **changes,
    }


async def ask(app: ASGIApp, scope: Scope) -> Asked:
    """Make one request without a body, whose client never goes away."""
    sent: list[Message] = []
    asked: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if asked:
            return asked.pop()
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        async with asyncio.timeout(_DEADLINE):
            await app(scope, receive, send)
    except BaseException as error:  # noqa: BLE001 - given as an answer
        return Asked(sent, error)
    return Asked(sent, None)
