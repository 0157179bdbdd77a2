"""Real servers on loopback, run by uvicorn in a thread of their own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

__all__ = ["listen", "serving"]


def listen(port: int = 0) -> socket.socket:
    """Listen on loopback, on a free port unless one is given."""
    # With its protocol named, asyncio turns off Nagle's algorithm on what it accepts.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.up.set()


@contextlib.contextmanager
def serving(
    app: ASGIApp,
    *,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
    lifespan: Literal["auto", "on", "off"] = "auto",
    http: Literal["h11", "httptools"] = "h11",
) -> Iterator[int]:
    """Serve an app until the block ends; gives the port.

    Which parser reads the requests depends on nothing that happens to be installed.
    """
    listener = listen(port)
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan=lifespan,
        http=http,
        ws="websockets-sansio",
        timeout_graceful_shutdown=1,
    )
    config.load()
    config.ssl = tls
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    server.up.wait(10)
    try:
        if not server.started:
            raise RuntimeError("the server did not start")
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
