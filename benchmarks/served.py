"""The Node that servers of every kind serve: protected where the environment has settings."""

from __future__ import annotations

import os
import socket
import sys

import uvicorn
from uvicorn.supervisors import Multiprocess

from benchmarks.apps import hush, node_app
from nmos_auth import NmosAuthMiddleware

__all__ = ["app"]

hush()
app = node_app()
if "NMOS_AUTH_SERVERS" in os.environ:
    app.add_middleware(NmosAuthMiddleware)


def _serve(port: int, workers: int, http: str, loop: str) -> None:
    """Serve by uvicorn, from a socket that asyncio knows to be one of TCP, as Nagle would wait."""
    config = uvicorn.Config(
        "benchmarks.served:app",
        workers=workers,
        http=http,
        loop=loop,
        access_log=False,
        timeout_keep_alive=60,
    )
    server = uvicorn.Server(config)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        if workers > 1:
            Multiprocess(config, [listener]).run()
        else:
            server.run([listener])


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5])
