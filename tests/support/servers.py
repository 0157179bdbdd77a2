"""Real servers on loopback, run by uvicorn in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import weakref
from collections.abc import Iterator
from typing import Literal

import uvicorn
from starlette.types import ASGIApp
from websockets.exceptions import InvalidState

__all__ = ["free_port", "listen", "serving"]


class _Listener(socket.socket):
    """Knows the connections that it has accepted."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.accepted: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def accept(self) -> tuple[socket.socket, object]:
        connection, address = super().accept()
        self.accepted.add(connection)
        return connection, address


def listen(port: int = 0) -> _Listener:
    """Listen on loopback, on a free port unless one is given."""
    # With its protocol named, asyncio turns off Nagle's algorithm on what it accepts.
    listener = _Listener(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with listen() as listener:
        port: int = listener.getsockname()[1]
        return port


# How long a connection, or a request, may outlast its server.
_GRACE = 1.0


class _Server(uvicorn.Server):
    """Ends as soon as it is told to, and its connections are closed.

    uvicorn asks ten times a second whether it should end, and then whether it has ended.
    """

    def __init__(self, config: uvicorn.Config, listener: _Listener) -> None:
        super().__init__(config)
        self._listener = listener
        self.up = threading.Event()
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """End soon; may be called from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._told.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await super().startup(sockets)
        finally:
            self.up.set()

    async def main_loop(self) -> None:
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            # A WebSocket that its client has begun to close cannot be closed once more.
            with contextlib.suppress(InvalidState):
                connection.shutdown()
        with contextlib.suppress(TimeoutError):
            await self._wait_for_end()
        # TLS waits for a client to end it too, and the end of the loop would leave the socket open.
        for accepted in list(self._listener.accepted):
            with contextlib.suppress(OSError):  # it is closed already
                accepted.shutdown(socket.SHUT_RDWR)
        for task in state.tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            await self._wait_for_end()
        await self.lifespan.shutdown()

    async def _wait_for_end(self) -> None:
        """Wait until nobody is connected and nothing is answered, but not for long."""
        state = self.server_state
        async with asyncio.timeout(_GRACE):
            while state.connections or state.tasks:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.001)


@contextlib.contextmanager
def serving(
    app: ASGIApp,
    *,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
    lifespan: Literal["auto", "on", "off"] = "auto",
    http: Literal["h11", "httptools"] = "h11",
) -> Iterator[int]:
    """Serve an app until the block ends, and yield the port.

    Which parser reads the requests depends on nothing that happens to be installed.
    """
    listener = listen(port)
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan=lifespan,
        http=http,
        ws="websockets-sansio",
    )
    config.load()
    config.ssl = tls
    server = _Server(config, listener)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    server.up.wait(10)
    try:
        if not server.started:
            raise RuntimeError("the server did not start")
        yield listener.getsockname()[1]
    finally:
        server.end()
        thread.join(10)
        listener.close()
