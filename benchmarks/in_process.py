"""What a known token costs in one process, without a server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Scope

from benchmarks.apps import (
    SENDERS,
    DoNothing,
    bare_app,
    make_scope,
    node_app,
    node_with_dependency,
    node_with_pyjwt,
    nothing_received,
    running,
    settings_for,
    status_of,
    unsent,
)
from benchmarks.effort import Effort
from benchmarks.report import Section, Table, Verdict
from benchmarks.timing import Spread, in_turns, microseconds
from benchmarks.tokens import ordinary_key
from nmos_auth import NmosAuthMiddleware

__all__ = ["BUDGET", "measure"]

BUDGET = 10.0
_OPEN = "open app"
_AUDITED = "NmosAuthMiddleware, audit log to a file"

_TOKENS = 8
_PATHS = 48
_LONGEST_TURN = 0.06
# Short enough that most pieces are not interrupted by what else the machine does.
_PIECE = 50


@dataclass(frozen=True)
class Cost:
    """What a request took, in microseconds.

    Attributes:
        elapsed: on the wall.
        used: of all threads' CPU time, until the audit log is written.
    """

    elapsed: float
    used: float


async def measure(directory: Path, effort: Effort) -> Section:
    """Compare middleware around a bare app, then whole FastAPI apps."""
    key = ordinary_key()
    audited = settings_for(directory, "audited", [key.jwk()], audit=True)
    silent = settings_for(directory, "silent", [key.jwk()], audit=False)
    tokens = [key.token() for _ in range(_TOKENS)]
    bare: dict[str, ASGIApp] = {
        _OPEN: bare_app,
        _AUDITED: NmosAuthMiddleware(bare_app, audited),
        "NmosAuthMiddleware without audit log": NmosAuthMiddleware(bare_app, silent),
        "BaseHTTPMiddleware doing nothing": DoNothing(bare_app),
    }
    protected, asking, wrapped = node_app(), node_with_dependency(), node_app()
    protected.add_middleware(NmosAuthMiddleware, settings=audited)
    asking.add_middleware(NmosAuthMiddleware, settings=audited)
    wrapped.add_middleware(DoNothing)
    node: dict[str, ASGIApp] = {
        _OPEN: node_app(),
        _AUDITED: protected,
        "the same, with access_token in the handler": asking,
        "BaseHTTPMiddleware doing nothing": wrapped,
        "dependency that decodes with PyJWT": node_with_pyjwt(key.public),
    }
    costs = await _compare(bare, tokens, effort)
    node_costs = await _compare(node, tokens, effort)
    elapsed, used = (
        Spread.of_differences(*(_column(costs[name], kind) for name in (_AUDITED, _OPEN)))
        for kind in ("elapsed", "used")
    )
    return Section(
        "in-process",
        [
            _table("A bare ASGI app, a known token: microseconds a request", costs),
            _table("A FastAPI app with one JSON handler, likewise", node_costs),
        ],
        [
            Verdict(
                f"known token, audit log to a file: at most {BUDGET:g} us over the bare app",
                f"{elapsed.median:.1f} us elapsed, {used.median:.1f} us of CPU",
                met=max(elapsed.median, used.median) <= BUDGET,
            )
        ],
    )


async def _compare(
    apps: Mapping[str, ASGIApp], tokens: list[bytes], effort: Effort
) -> dict[str, list[Cost]]:
    costs: defaultdict[str, list[Cost]] = defaultdict(list)
    async with contextlib.AsyncExitStack() as stack:
        for name, app in apps.items():
            await stack.enter_async_context(running(app))
            for scope in _scopes(_PATHS, tokens):
                if await status_of(app, scope) != 200:
                    raise RuntimeError(f"a good request is refused: {name}")
        for number in range(effort.rounds):
            for name in in_turns(list(apps), number):
                costs[name].append(
                    await _turn(apps[name], _scopes(effort.requests, tokens), effort.settle)
                )
    return {name: costs[name] for name in apps}


def _scopes(count: int, tokens: list[bytes]) -> list[Scope]:
    return [
        make_scope(f"{SENDERS}{number % _PATHS:036}", tokens[number % len(tokens)])
        for number in range(max(1, count))
    ]


async def _turn(app: ASGIApp, scopes: list[Scope], settle: float) -> Cost:
    """Make requests until there are no more or the time is up, and let the audit log be written."""
    pieces: list[float] = []
    count = 0
    total = 0.0
    gc.collect()
    used = time.process_time()
    while scopes and total < _LONGEST_TURN:
        piece = [scopes.pop() for _ in range(min(_PIECE, len(scopes)))]
        count += len(piece)
        started = time.perf_counter()
        for scope in piece:
            await app(scope, nothing_received, unsent)
        elapsed = time.perf_counter() - started
        total += elapsed
        pieces.append(microseconds(elapsed, len(piece)))
    await asyncio.sleep(settle)
    used = time.process_time() - used
    return Cost(statistics.median(pieces), microseconds(used, count))


def _column(costs: list[Cost], kind: str) -> list[float]:
    return [each.elapsed if kind == "elapsed" else each.used for each in costs]


def _table(title: str, costs: Mapping[str, list[Cost]]) -> Table:
    base = _column(costs[_OPEN], "elapsed"), _column(costs[_OPEN], "used")
    return Table(
        title,
        ("", "elapsed", "over the open app", "times", "CPU over the open app"),
        [
            (
                name,
                Spread.of(elapsed := _column(each, "elapsed")),
                None if name == _OPEN else Spread.of_differences(elapsed, base[0]),
                Spread.of_ratios(elapsed, base[0]).median,
                None if name == _OPEN else Spread.of_differences(_column(each, "used"), base[1]),
            )
            for name, each in costs.items()
        ],
        (
            f"Budget: the middleware with its audit log, {BUDGET:g} us over the bare app.",
            "CPU counts every thread's, until the audit log is written. Without audit log:",
            "audit_log=logging, with the logger disabled.",
        ),
    )
