"""Answers that no honest Authorization Server gives."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import json
import threading
from collections.abc import AsyncIterator, Sequence

from starlette.types import Receive, Scope, Send

from tests.support.authority import Responder

__all__ = [
    "Stall",
    "endless",
    "huge",
    "json_body",
    "plain",
    "redirect",
    "trickle",
    "zipped",
]

Headers = Sequence[tuple[bytes, bytes]]

_JSON: Headers = ((b"content-type", b"application/json"),)


def plain(body: bytes, status: int = 200, headers: Headers = _JSON) -> Responder:
    """Answer with these very bytes."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    return respond


def json_body(document: object, status: int = 200) -> Responder:
    """Answer with a JSON document."""
    return plain(json.dumps(document).encode(), status)


def redirect(location: str) -> Responder:
    """Answer that the document is elsewhere."""
    return plain(b"", 302, [(b"location", location.encode())])


def zipped(document: object, encoding: bytes = b"gzip") -> Responder:
    """Answer with a compressed document that swells to 64 MiB."""
    body = gzip.compress(json.dumps(document).encode()) + _zipped_space()
    return plain(body, headers=[*_JSON, (b"content-encoding", encoding)])


@functools.cache
def _zipped_space() -> bytes:
    return gzip.compress(b" " * (1 << 20)) * 64


def huge(document: object) -> Responder:
    """Answer with a good document of 8 MiB, all but a little of it white space."""
    return plain(json.dumps(document).encode() + b" " * (8 << 20))


def endless(document: object) -> Responder:
    """Answer with a good document, and then with white space as fast as it is taken."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        async with _watching(receive) as gone:
            await _begin(send, json.dumps(document).encode())
            while not gone.done():
                await send(_more(b" " * 65536))
                await asyncio.sleep(0)

    return respond


def trickle(document: object) -> Responder:
    """Answer with a good document, a byte at a time, so that no read ever times out."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        async with _watching(receive) as gone:
            await _begin(send, b"")
            for byte in json.dumps(document).encode():
                await send(_more(bytes([byte])))
                await asyncio.wait({gone}, timeout=0.2)
                if gone.done():
                    return
            await send({"type": "http.response.body"})

    return respond


class Stall:
    """A responder that stops talking until it is released or its client goes away.

    Args:
        begun: whether it says `200 OK` and the first byte of the body before.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self.abandoned = threading.Event()
        self._begun = begun
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or rather do not."""
        released = asyncio.Event()
        self._waiting.append((asyncio.get_running_loop(), released))
        if self._begun:
            await _begin(send, b"{")
        async with _watching(receive) as gone:
            release = asyncio.create_task(released.wait())
            await asyncio.wait({gone, release}, return_when=asyncio.FIRST_COMPLETED)
            release.cancel()
            if gone.done():
                self.abandoned.set()
            elif not self._begun:
                await plain(b"", 503)(scope, receive, send)

    def release(self) -> None:
        """Answer those who still wait with an error."""
        for loop, released in self._waiting:
            loop.call_soon_threadsafe(released.set)


async def _begin(send: Send, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(_JSON)})
    await send(_more(body))


def _more(body: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": True}


@contextlib.asynccontextmanager
async def _watching(receive: Receive) -> AsyncIterator[asyncio.Task[None]]:
    """Yield a task that is done when the client has gone."""

    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    gone = asyncio.create_task(until_gone())
    try:
        yield gone
    finally:
        gone.cancel()
