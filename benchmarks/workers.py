"""What is left of throughput under other servers, and with several workers."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.apps import SENDERS, environment_of, settings_for
from benchmarks.effort import Effort
from benchmarks.keys import token_of
from benchmarks.report import Cell, Section, Table
from benchmarks.timing import Spread
from benchmarks.under_load import Connection, connected, load_in_turns, request_for
from tests.support.tokens import signing_key

__all__ = ["arrangements", "measure"]

_OPEN = "open app"
_PROTECTED = "protected"
_APP = "benchmarks.served:app"
_CONNECTIONS = 16
_START_DEADLINE = 60.0
_PAUSE = 0.1


@dataclass(frozen=True)
class Arrangement:
    """A server and its workers.

    Attributes:
        name: as the table has it.
        command: of Python; `PORT` stands for the port.
    """

    name: str
    command: tuple[str, ...]


def arrangements(workers: Sequence[int], configuration: Path) -> list[Arrangement]:
    """Return what is measured: the servers that are installed, with so many workers each.

    Args:
        workers: how many.
        configuration: of hypercorn.
    """
    found = []
    for count in workers:
        by_uvicorn = ("-m", "benchmarks.served", "PORT", str(count))
        of_hypercorn = ("-m", "hypercorn", "-c", str(configuration), "-b", "127.0.0.1:PORT")
        of_granian = ("-m", "granian", "--interface", "asgi", "--port", "PORT", _APP)
        commands = {
            ("uvicorn", "h11"): (*by_uvicorn, "h11", "asyncio"),
            ("uvicorn", "httptools", "uvloop"): (*by_uvicorn, "httptools", "uvloop"),
            ("hypercorn",): (*of_hypercorn, "-w", str(count), "--log-level", "ERROR", _APP),
            ("granian",): (*of_granian, "--workers", str(count), "--no-log"),
        }
        found += [
            Arrangement(f"{', '.join(modules)}; {count} worker{'s' * (count > 1)}", command)
            for modules, command in commands.items()
            if all(map(importlib.util.find_spec, modules))
        ]
    return found


async def measure(directory: Path, effort: Effort) -> Section:
    """Load an open Node and a protected one in turns, under one arrangement after the other."""
    key = signing_key(0)
    environments = {
        _OPEN: dict(os.environ),
        _PROTECTED: environment_of(
            settings_for(directory, "workers", [key.jwk()], audit=True, asks=True)
        ),
    }
    configuration = directory / "hypercorn.toml"
    # It would close a connection after 1,000 requests, or five seconds.
    configuration.write_text("keep_alive_max_requests = 1000000\nkeep_alive_timeout = 60\n")
    rows: list[tuple[Cell, ...]] = []
    for each in arrangements(effort.workers, configuration):
        async with contextlib.AsyncExitStack() as open_ones:
            served = {
                name: await open_ones.enter_async_context(_served(each, environment))
                for name, environment in environments.items()
            }
            loads = await load_in_turns(
                served, [token_of(key)], effort.worker_rounds, effort.load_seconds
            )
        rates = {name: [one.rate for one in loads[name]] for name in loads}
        share = Spread.of_ratios(rates[_PROTECTED], rates[_OPEN])
        rows.append((each.name, Spread.of(rates[_OPEN]), Spread.of(rates[_PROTECTED]), share))
    return Section(
        "workers",
        [
            Table(
                "Other servers and several workers, a FastAPI app with one JSON handler",
                ("", "open app, requests/s", "protected, requests/s", "of the open app"),
                rows,
                (
                    f"{_CONNECTIONS} connections kept, access log off, audit log to one file. The",
                    f"client is one process, and shares {os.cpu_count()} cores with the workers.",
                ),
            )
        ],
    )


@contextlib.asynccontextmanager
async def _served(
    arrangement: Arrangement, environment: Mapping[str, str]
) -> AsyncIterator[list[Connection]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [each.replace("PORT", str(port)) for each in arrangement.command]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await _wait_for(port)
        async with connected(port, _CONNECTIONS) as connections:
            yield connections
    finally:
        child.terminate()
        await child.wait()


async def _wait_for(port: int) -> None:
    """Wait until a server answers; what it says of a request without a token is of no interest."""
    async with asyncio.timeout(_START_DEADLINE):
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                async with connected(port, 1) as (connection,):
                    await connection.ask(request_for(SENDERS, b"none"))
                    return
            await asyncio.sleep(_PAUSE)
