"""What the middleware leaves of a server's throughput, under uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import itertools
import multiprocessing
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from benchmarks.apps import SENDERS, hush, node_app, protected_node, settings_for, thin_node
from benchmarks.effort import Effort
from benchmarks.keys import token_of
from benchmarks.report import BudgetCheck, Section, Table, over_the_floor
from benchmarks.timing import Spread, in_turns, microseconds
from tests.support.tokens import SigningKey, signing_key

__all__ = [
    "BUDGET",
    "Connection",
    "MakeApp",
    "Stack",
    "connected",
    "load_in_turns",
    "measure",
    "request_for",
    "servers",
    "stacks",
]

BUDGET = 0.95
_BUDGET_OF_FAST = 0.94
_OPEN = "open app"
_PROTECTED = "NmosAuthMiddleware, audit log to a file"
_THIN = "a middleware that only finds the header and logs a ready line"

_CONNECTIONS = 8
_PATHS = 48
_MOST_REQUESTS = 2_000
_START_DEADLINE = 60.0
_END_DEADLINE = 10.0


@dataclass(frozen=True)
class Stack:
    """What uvicorn is made of.

    Attributes:
        name: as tables have it.
        http: uvicorn's setting of this name.
        loop: likewise.
        budget: the least share of the open app's requests/s.
    """

    name: str
    http: Literal["h11", "httptools"]
    loop: Literal["asyncio", "uvloop"]
    budget: float


MakeApp = Callable[[], ASGIApp]
"""Makes an app in a process that is given it: a function of a module, or a partial one."""

_PLAIN = Stack("h11", "h11", "asyncio", BUDGET)
_FAST = Stack("httptools and uvloop", "httptools", "uvloop", _BUDGET_OF_FAST)


def stacks() -> list[Stack]:
    """Return what is measured: h11, and httptools with uvloop where both are installed."""
    has_fast = all(map(importlib.util.find_spec, (_FAST.http, _FAST.loop)))
    return [_PLAIN, _FAST] if has_fast else [_PLAIN]


@dataclass(frozen=True)
class Load:
    """What one turn did to a server.

    Attributes:
        rate: requests a second.
        used: microseconds of CPU for each, all threads of the server counted.
    """

    rate: float
    used: float


def serve(make_app: MakeApp, announce: Pipe, stack: Stack = _PLAIN) -> None:
    """Run a Node until the process is told to end; in a process of its own.

    Args:
        make_app: makes the Node.
        announce: gets the port.
        stack: what the server is made of.
    """
    hush()
    app = make_app()
    # Of a socket that names no protocol, asyncio does not know that it may set TCP_NODELAY.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        announce.send(listener.getsockname()[1])
        config = uvicorn.Config(
            app, http=stack.http, loop=stack.loop, log_level="error", access_log=False
        )
        server = uvicorn.Server(config)
        server.run(sockets=[listener])


async def measure(directory: Path, effort: Effort) -> Section:
    """Load an open Node and protected ones in turns, all alive all the time, in new processes."""
    key = signing_key(1)
    audited = settings_for(directory, "loaded", [key.jwk()], audit=True)
    apps: dict[str, MakeApp] = {
        _OPEN: node_app,
        _PROTECTED: functools.partial(protected_node, audited),
        _THIN: functools.partial(thin_node, directory / "thin.log"),
    }
    tables: list[Table] = []
    checks: list[BudgetCheck] = []
    for stack in stacks():
        table, judged = await _measure(stack, apps, key, effort)
        tables.append(table)
        checks += judged
    return Section("under-load", tables, checks)


async def _measure(
    stack: Stack, apps: Mapping[str, MakeApp], key: SigningKey, effort: Effort
) -> tuple[Table, list[BudgetCheck]]:
    loads: defaultdict[str, list[Load]] = defaultdict(list)
    for _ in range(effort.load_starts):
        async with servers(apps, stack=stack) as connections:
            tokens = [token_of(key)]
            taken = await load_in_turns(
                connections, tokens, effort.load_rounds, effort.load_seconds
            )
            for name, each in taken.items():
                loads[name] += each
    rates = {name: [each.rate for each in loads[name]] for name in apps}
    used = {name: [each.used for each in loads[name]] for name in apps}
    table = Table(
        f"A FastAPI app with one JSON handler under uvicorn, {stack.name}",
        ("", "requests/s", "of the open app", "server's CPU, us a request", "over the open app"),
        [
            (
                name,
                Spread.of(rates[name]),
                Spread.of_ratios(rates[name], rates[_OPEN]),
                Spread.of(used[name]),
                None if name == _OPEN else Spread.of_differences(used[name], used[_OPEN]),
            )
            for name in apps
        ],
        (
            f"Budget: at least {stack.budget:g} of the open app's requests/s, the median share of",
            "turns that are neighbours. One worker, access log off,",
            f"{_CONNECTIONS} connections kept.",
            f"CPU counts all threads. {effort.load_starts} starts of all servers: where its memory",
            "comes to lie makes a process faster or slower by up to 2 %.",
        ),
    )
    ratio = Spread.of_ratios(rates[_PROTECTED], rates[_OPEN])
    return table, [
        BudgetCheck(
            f"throughput under uvicorn, {stack.name}: at least {stack.budget:g} of the open app",
            f"{ratio.median:.3f}, quartiles {ratio.low:.3f} and {ratio.high:.3f}",
            met=ratio.median >= stack.budget,
        ),
        over_the_floor(
            f"the open app under uvicorn, {stack.name}",
            *(Spread.of_differences(used[name], used[_OPEN]) for name in (_PROTECTED, _THIN)),
        ),
    ]


@contextlib.asynccontextmanager
async def servers(
    apps: Mapping[str, MakeApp],
    *,
    connections: int = _CONNECTIONS,
    stack: Stack = _PLAIN,
) -> AsyncIterator[dict[str, list[Connection]]]:
    """Run each Node, and connect to it, until the block ends."""
    async with contextlib.AsyncExitStack() as open_ones:
        # All start before any is waited for.
        announced = {
            name: open_ones.enter_context(_serving(each, stack)) for name, each in apps.items()
        }
        yield {
            name: await open_ones.enter_async_context(connected(_received_port(each), connections))
            for name, each in announced.items()
        }


@contextlib.contextmanager
def _serving(make_app: MakeApp, stack: Stack) -> Iterator[Pipe]:
    """Run a Node in a process of its own until the block ends; gives where its port will come."""
    context = multiprocessing.get_context("spawn")
    announced, announce = context.Pipe(duplex=False)
    process = context.Process(target=serve, args=(make_app, announce, stack), daemon=True)
    process.start()
    announce.close()
    try:
        with announced:
            yield announced
    finally:
        process.terminate()
        process.join(_END_DEADLINE)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()


def _received_port(announced: Pipe) -> int:
    if not announced.poll(_START_DEADLINE):
        raise TimeoutError("the server does not start")
    port = announced.recv()
    if not isinstance(port, int):
        raise TypeError("no port came")
    return port


def request_for(path: str, token: bytes) -> bytes:
    """Make the bytes of a GET."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: node1.example.com\r\nUser-Agent: controller/1.0\r\n"
        "Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\n"
        f"Connection: keep-alive\r\nAuthorization: Bearer {token.decode()}\r\n\r\n"
    ).encode()


class Connection:
    """One connection that is kept alive and carries one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self, request: bytes) -> bytes:
        """Make a request, and return the body of its answer, which must be good."""
        status, body = await self.ask(request)
        if status != 200:
            raise RuntimeError(f"a good request is refused: {status}")
        return body

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Make a request, and return status and body of its answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return int(head[9:12]), await self._reader.readexactly(int(length))

    async def cpu(self) -> float:
        """Return the CPU seconds that the server has used, all threads counted."""
        return float(await self.get(request_for("/cpu", b"none")))

    async def close(self) -> None:
        """Disconnect."""
        self._writer.close()
        await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def connected(port: int, count: int) -> AsyncIterator[list[Connection]]:
    """Connect several times, until the block ends."""
    connections = [await Connection.open(port) for _ in range(count)]
    try:
        yield connections
    finally:
        for each in connections:
            await each.close()


def requests_for(tokens: Sequence[bytes]) -> Iterator[bytes]:
    """Return requests without end, by turns for these tokens and for a few paths."""
    count = max(len(tokens), _PATHS)
    return itertools.cycle(
        [
            request_for(f"{SENDERS}{number % _PATHS:036}", tokens[number % len(tokens)])
            for number in range(count)
        ]
    )


async def load_in_turns(
    connections: Mapping[str, list[Connection]],
    tokens: Sequence[bytes],
    rounds: int,
    seconds: float,
) -> dict[str, list[Load]]:
    """Load servers in turns.

    Args:
        connections: to each server.
        tokens: presented by turns.
        rounds: how many turns each server has, after one that is not counted.
        seconds: of one turn.
    """
    requests = {name: requests_for(tokens) for name in connections}
    loads: dict[str, list[Load]] = {name: [] for name in connections}
    for number in range(rounds + 1):
        for name in in_turns(list(connections), number):
            taken = await load(connections[name], requests[name], seconds)
            if number:
                loads[name].append(taken)
    return loads


async def load(connections: list[Connection], requests: Iterator[bytes], seconds: float) -> Load:
    """Keep every connection busy for so long."""
    before = await connections[0].cpu()
    started = time.perf_counter()
    deadline = started + seconds

    async def keep_asking(connection: Connection) -> int:
        count = 0
        while time.perf_counter() < deadline and count < _MOST_REQUESTS:
            await connection.get(next(requests))
            count += 1
        return count

    counts = await asyncio.gather(*map(keep_asking, connections))
    elapsed = time.perf_counter() - started
    after = await connections[0].cpu()
    return Load(sum(counts) / elapsed, microseconds(after - before, sum(counts)))
