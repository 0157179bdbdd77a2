"""Servers as their users start them: from a command line, in processes of their own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nmos_auth.testing import StandInAuthorizationServer
from tests.support.peers import unavailable
from tests.support.servers import free_port

__all__ = ["SERVERS", "Program", "environment_of", "require", "running"]

ROOT = Path(__file__).parents[2]
LONGEST_START = 30


@dataclass(frozen=True)
class Program:
    """A server's command line.

    Attributes:
        packages: what has to be installed.
        arguments: what follows `python -m`, for an app on a port.
    """

    packages: tuple[str, ...]
    arguments: Callable[[str, str], list[str]]

    def command(self, app: str, port: int) -> list[str]:
        """Return the command, or skip where a package is missing."""
        for each in self.packages:
            require(each)
        return [sys.executable, "-m", *self.arguments(app, str(port))]


def require(package: str) -> None:
    """Skip where a package is not installed, or fail where it has to be, as under nox."""
    if importlib.util.find_spec(package) is None:
        unavailable(f"{package} is not installed")


def _uvicorn(*options: str) -> Callable[[str, str], list[str]]:
    return lambda app, port: ["uvicorn", "--port", port, *options, app]


SERVERS = {
    "uvicorn, h11": Program(
        ("uvicorn", "h11", "wsproto"), _uvicorn("--http", "h11", "--ws", "wsproto")
    ),
    "uvicorn, httptools": Program(
        ("uvicorn", "httptools", "uvloop"), _uvicorn("--http", "httptools", "--loop", "uvloop")
    ),
    "hypercorn": Program(
        ("hypercorn",), lambda app, port: ["hypercorn", "--bind", f"127.0.0.1:{port}", app]
    ),
    "granian": Program(
        ("granian",), lambda app, port: ["granian", "--interface", "asgi", "--port", port, app]
    ),
    # Its own log of requests has the query as it came.
    "daphne": Program(("daphne",), lambda app, port: ["daphne", "--port", port, "-v", "0", app]),
}


def environment_of(server: StandInAuthorizationServer, folder: Path) -> dict[str, str]:
    """Return the variables that have an app trust a stand-in, with an audit log in a folder."""
    settings = server.settings()
    return {
        "NMOS_AUTH_AUDIENCE": server.audience,
        "NMOS_AUTH_STATIC_KEYS_FILE": str(settings.static_keys_file),
        "NMOS_AUTH_DISCOVERY": "off",
        "NMOS_AUTH_ALLOW_HTTP": "true",
        "NMOS_AUTH_AUDIT_LOG": str(folder / "audit.log"),
    }


def _serves(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + LONGEST_START
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False


@contextlib.contextmanager
def running(
    program: Program, app: str, environment: Mapping[str, str], log: Path, *, path: Path = ROOT
) -> Iterator[int]:
    """Serve an app until the block ends, and yield the port.

    Args:
        program: the server.
        app: `module:attribute`.
        environment: variables beside those of this process.
        log: the file for what it prints.
        path: the directory in which the module is.

    Raises:
        AssertionError: it did not start, or did not end on SIGTERM.
    """
    port = free_port()
    command = program.command(app, port)
    variables = {**os.environ, **environment, "PYTHONPATH": str(path)}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=log.parent, env=variables, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            assert _serves(port, process), log.read_text("utf-8")
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"it did not end: {log.read_text('utf-8')}") from None
