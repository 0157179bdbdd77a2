"""A WebSocket client in the event loop of the app, so that tests can move the app's clock."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import Message

from tests.example_node.support import HOST


class Socket:
    """One connection, accepted by the app."""

    def __init__(self) -> None:
        self.to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()

    async def from_app(self, message: Message) -> None:
        """Take a message of the app, as soon as the client reads."""
        await self.reads.wait()
        await self._from_app.put(message)

    async def next(self) -> Message:
        """Return the app's next message, which comes without the clock being moved."""
        async with asyncio.timeout(5):
            return await self._from_app.get()

    def send(self, data: object) -> None:
        """Send JSON, or text as it is."""
        text = data if isinstance(data, str) else json.dumps(data)
        self.to_app.put_nowait({"type": "websocket.receive", "text": text})

    async def receive(self) -> dict[str, Any]:
        """Return the next message's JSON."""
        message = await self.next()
        assert message["type"] == "websocket.send", message
        document = json.loads(message["text"])
        assert isinstance(document, dict)
        return document

    async def quiet(self) -> bool:
        """Tell whether the app sends nothing, given every opportunity to."""
        for _ in range(20):
            await asyncio.sleep(0)
        return self._from_app.empty()


@asynccontextmanager
async def opened(app: FastAPI, path: str) -> AsyncIterator[Socket]:
    """Open a WebSocket until the block ends; the app's handler has to end with it."""
    socket = Socket()
    handling = asyncio.create_task(app(_scope(path), socket.to_app.get, socket.from_app))
    socket.to_app.put_nowait({"type": "websocket.connect"})
    assert (await socket.next())["type"] == "websocket.accept"
    try:
        yield socket
    finally:
        socket.reads.set()
        socket.to_app.put_nowait({"type": "websocket.disconnect", "code": 1001})
        async with asyncio.timeout(5):
            await handling


async def status_of_handshake(app: FastAPI, path: str) -> int:
    """Tell how a handshake is answered that is refused."""
    socket = Socket()
    socket.to_app.put_nowait({"type": "websocket.connect"})
    await app(_scope(path), socket.to_app.get, socket.from_app)
    message = await socket.next()
    assert message["type"] == "websocket.http.response.start", message
    status: int = message["status"]
    return status


def _scope(path: str) -> dict[str, Any]:
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss",
        "path": path.partition("?")[0],
        "raw_path": path.partition("?")[0].encode(),
        "root_path": "",
        "query_string": path.partition("?")[2].encode(),
        "headers": [(b"host", HOST.encode())],
        "client": ("192.0.2.1", 50000),
        "server": (HOST, 8443),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
