"""What importing costs, and how long a server takes from its start to the first 200."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.apps import environment_of, settings_for
from benchmarks.effort import Effort
from benchmarks.keys import token_of
from benchmarks.report import BudgetCheck, Section, Table
from benchmarks.timing import Spread, in_turns
from benchmarks.under_load import Connection, request_for
from tests.support.tokens import signing_key

__all__ = ["measure"]

_BUDGET_OF_IMPORTS = 1.4
_BUDGET_OF_STARTS = 1.45
_BUDGET_OF_MEMORY = 20.0

_FASTAPI = "import fastapi"
_MIDDLEWARE = "from nmos_auth import NmosAuthMiddleware"
_IMPORTS = (_FASTAPI, "import nmos_auth", _MIDDLEWARE, f"{_MIDDLEWARE}, Settings, access_token")
_TIMED = "import time; t = time.process_time(); {}; print(time.process_time() - t)"

_OPEN = "open app"
_PROTECTED = "NmosAuthMiddleware, keys from a file"
_PATH = "/x-nmos/node/v1.3/self"
_SERVER = """
import os, socket, sys, time
import uvicorn
from fastapi import FastAPI
{imports}

app = FastAPI()

@app.get("/x-nmos/node/v1.3/self")
async def itself() -> dict[str, float]:
    pages = int(open("/proc/self/statm").read().split()[1])
    return {{"used": time.process_time(), "held": pages * os.sysconf("SC_PAGE_SIZE") / 2**20}}

{added}
config = uvicorn.Config(app, http="h11", loop="asyncio", log_level="error", access_log=False)
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""
_ADDED = "app.add_middleware(NmosAuthMiddleware)"
# After these the caches are warm, and what is made at first use is there.
_REQUESTS = 200
_DEADLINE = 60.0


@dataclass(frozen=True)
class Start:
    """What one start took.

    Attributes:
        elapsed: seconds until the first 200 was here.
        used: seconds of CPU until it was made, all threads counted.
        held: MiB that the process held after some requests.
    """

    elapsed: float
    used: float
    held: float


async def measure(directory: Path, effort: Effort) -> Section:
    """Import, and start an open Node and a protected one, in turns, each in a new process."""
    imports, starts = await _imports(directory, effort), await _starts(directory, effort)
    taken = Spread.of_ratios(imports[_MIDDLEWARE], imports[_FASTAPI]).median
    elapsed, used = (
        Spread.of_ratios(*(_column(starts[name], kind) for name in (_PROTECTED, _OPEN))).median
        for kind in ("elapsed", "used")
    )
    held = Spread.of_differences(
        *(_column(starts[name], "held") for name in (_PROTECTED, _OPEN))
    ).median
    return Section(
        "startup",
        [_table_of_imports(imports), _table_of_starts(starts)],
        [
            BudgetCheck(
                f"{_MIDDLEWARE}: at most {_BUDGET_OF_IMPORTS:g} times {_FASTAPI}",
                f"{taken:.2f}",
                met=taken <= _BUDGET_OF_IMPORTS,
            ),
            BudgetCheck(
                f"start to the first 200: at most {_BUDGET_OF_STARTS:g} times the open app's",
                f"{elapsed:.2f} elapsed, {used:.2f} of CPU",
                met=elapsed <= _BUDGET_OF_STARTS,
            ),
            BudgetCheck(
                f"memory: at most {_BUDGET_OF_MEMORY:g} MiB over the open app's",
                f"{held:.1f} MiB",
                met=held <= _BUDGET_OF_MEMORY,
            ),
        ],
    )


def _with_bytecode(directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Have Python keep its bytecode, as an installed package has it."""
    ours = {**environment, "PYTHONPYCACHEPREFIX": str(directory / "bytecode")}
    ours.pop("PYTHONDONTWRITEBYTECODE", None)
    return ours


async def _imports(directory: Path, effort: Effort) -> Mapping[str, list[float]]:
    environment = _with_bytecode(directory, os.environ)
    taken: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(effort.start_rounds + 1):
        for statement in in_turns(_IMPORTS, number):
            code = _TIMED.format(statement)
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, env=environment, stdout=subprocess.PIPE
            )
            out, _ = await child.communicate()
            if number:
                taken[statement].append(float(out) * 1e3)
    return {name: taken[name] for name in _IMPORTS}


async def _starts(directory: Path, effort: Effort) -> Mapping[str, list[Start]]:
    key = signing_key(1)
    settings = settings_for(directory, "start", [key.jwk()], audit=True, asks=True)
    environment = _with_bytecode(directory, environment_of(settings))
    codes = {
        _OPEN: _SERVER.format(imports="", added=""),
        _PROTECTED: _SERVER.format(imports=_MIDDLEWARE, added=_ADDED),
    }
    starts: defaultdict[str, list[Start]] = defaultdict(list)
    for number in range(effort.start_rounds + 1):
        for name in in_turns(list(codes), number):
            start = await _start(codes[name], environment, token_of(key))
            if number:
                starts[name].append(start)
    return {name: starts[name] for name in codes}


async def _start(code: str, environment: Mapping[str, str], token: bytes) -> Start:
    # The socket listens before the server starts, so that nobody has to ask whether it is there.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        connection = await Connection.open(listener.getsockname()[1])
        started = time.perf_counter()
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            str(listener.fileno()),
            env=environment,
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_DEADLINE):
                first = json.loads(await connection.get(request_for(_PATH, token)))
                elapsed = time.perf_counter() - started
                for _ in range(_REQUESTS):
                    await connection.get(request_for(_PATH, token))
                last = json.loads(await connection.get(request_for(_PATH, token)))
        finally:
            await connection.close()
            child.terminate()
            await child.wait()
    return Start(elapsed, first["used"], last["held"])


def _column(starts: list[Start], kind: str) -> list[float]:
    return [getattr(each, kind) for each in starts]


def _table_of_imports(taken: Mapping[str, list[float]]) -> Table:
    return Table(
        "Importing: milliseconds of CPU, without the interpreter's own start",
        ("", "milliseconds", f"times {_FASTAPI}"),
        [
            (name, Spread.of(each), Spread.of_ratios(each, taken[_FASTAPI]))
            for name, each in taken.items()
        ],
    )


def _table_of_starts(starts: Mapping[str, list[Start]]) -> Table:
    base = {kind: _column(starts[_OPEN], kind) for kind in ("elapsed", "used", "held")}
    return Table(
        "From the start of a server, uvicorn with h11, to its first 200",
        ("", "seconds", "times", "seconds of CPU", "times the CPU", "MiB", "more"),
        [
            (
                name,
                Spread.of(_column(each, "elapsed")),
                Spread.of_ratios(_column(each, "elapsed"), base["elapsed"]).median,
                Spread.of(_column(each, "used")),
                Spread.of_ratios(_column(each, "used"), base["used"]).median,
                Spread.of(_column(each, "held")),
                Spread.of_differences(_column(each, "held"), base["held"]).median,
            )
            for name, each in starts.items()
        ],
        (f"MiB: resident after {_REQUESTS} requests. Keys come from NMOS_AUTH_KEYS_FILE.",),
    )
