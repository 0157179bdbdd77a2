"""A real Redis server on loopback, from Debian's `redis-server`."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.peers import unavailable
from tests.support.servers import listen

__all__ = ["redis_server"]


@contextlib.contextmanager
def redis_server(directory: Path, *, port: int = 0) -> Iterator[str]:
    """Run one until the block ends; gives its URL.

    It keeps nothing on disk.

    Args:
        directory: its working directory.
        port: where it listens; a free port unless one is given.
    """
    program = shutil.which("redis-server")
    if program is None:
        unavailable("redis-server is not installed")
    if not port:
        with listen() as listener:
            port = listener.getsockname()[1]
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "save": "",
        "appendonly": "no",
        "dir": str(directory),
        "logfile": "",
        "daemonize": "no",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert any("Ready to accept connections" in line for line in lines), "it did not start"
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=10)
