"""What a known token costs in one process, without a server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
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
    Thin,
    bare_app,
    make_scope,
    node_app,
    node_in_base_middleware,
    node_with_access_token,
    node_with_idle_dependency,
    node_with_joserfc,
    node_with_pyjwt,
    nothing_received,
    protected_node,
    settings_for,
    status_of,
    thin_node,
    unsent,
)
from benchmarks.effort import Effort
from benchmarks.keys import pem_of, token_of
from benchmarks.report import BudgetCheck, Section, Table, over_the_floor
from benchmarks.timing import Spread, in_turns, microseconds
from nmos_auth import NmosAuthMiddleware
from nmos_auth.audit.log import AuditLog
from tests.support.lifespans import lifespan
from tests.support.tokens import SigningKey, signing_key

__all__ = ["BUDGET", "measure"]

BUDGET = 4.0
_OPEN = "open app"
_AUDITED = "NmosAuthMiddleware, audit log to a file"
_THIN = "a thin middleware, the floor"

_TOKENS = 8
_PATHS = 48
_LONGEST_TURN = 0.06
# Short enough that most pieces are not interrupted by what else the machine does.
_PIECE = 50


@dataclass(frozen=True)
class Cost:
    """What a request took, in microseconds.

    Attributes:
        elapsed: from its beginning to its end.
        used: of all threads' CPU time, until the audit log is written.
    """

    elapsed: float
    used: float


async def measure(directory: Path, effort: Effort) -> Section:
    """Compare middleware around a bare app, then whole FastAPI apps."""
    key = signing_key(1)
    audited = settings_for(directory, "audited", [key.jwk()], audit=True)
    silent = settings_for(directory, "silent", [key.jwk()], audit=False)
    tokens = [token_of(key) for _ in range(_TOKENS)]
    log = AuditLog(str(directory / "thin.log"))
    log.start()
    bare: dict[str, ASGIApp] = {
        _OPEN: bare_app,
        _THIN: Thin(bare_app, log),
        _AUDITED: NmosAuthMiddleware(bare_app, audited),
        "NmosAuthMiddleware without audit log": NmosAuthMiddleware(bare_app, silent),
        "BaseHTTPMiddleware doing nothing": DoNothing(bare_app),
    }
    node: dict[str, ASGIApp] = {
        _OPEN: node_app(),
        _THIN: thin_node(directory / "thin-node.log"),
        _AUDITED: protected_node(audited),
        "the same, with access_token in the handler": node_with_access_token(audited),
        "dependency that does nothing": node_with_idle_dependency(),
        "BaseHTTPMiddleware doing nothing": node_in_base_middleware(),
        "dependency that decodes with joserfc": node_with_joserfc(pem_of(key)),
        "dependency that decodes with PyJWT": node_with_pyjwt(pem_of(key)),
    }
    costs = await _compare(bare, tokens, effort)
    node_costs = await _compare(node, tokens, effort)
    kinds = await _compare_kinds(bare[_AUDITED], key, effort)
    log.close()
    elapsed, used = (
        Spread.of_differences(*(_column(costs[name], kind) for name in (_AUDITED, _OPEN)))
        for kind in ("elapsed", "used")
    )
    return Section(
        "in-process",
        [
            _table("A bare ASGI app, a known token: microseconds a request", costs),
            _table("A FastAPI app with one JSON handler, likewise", node_costs),
            _table_of_kinds(kinds),
        ],
        [
            BudgetCheck(
                f"known token, audit log to a file: at most {BUDGET:g} us over the bare app",
                f"{elapsed.median:.1f} us elapsed, {used.median:.1f} us of CPU",
                met=max(elapsed.median, used.median) <= BUDGET,
            ),
            over_the_floor(
                "the open FastAPI app",
                *(
                    Spread.of_differences(
                        _column(node_costs[name], "used"), _column(node_costs[_OPEN], "used")
                    )
                    for name in (_AUDITED, _THIN)
                ),
            ),
            *(
                BudgetCheck(
                    f"{kind}: at most {budget:g} us over the bare app",
                    f"{_added(kinds, kind).median:.1f} us",
                    met=_added(kinds, kind).median <= budget,
                )
                for kind, budget in _KINDS.items()
                if budget is not None
            ),
        ],
    )


# What is asked, and what it may cost over the open app, which answers handshakes too.
_HANDSHAKE = "open app, handshake"
_KINDS: Mapping[str, float | None] = {
    _OPEN: None,
    _HANDSHAKE: None,
    "remembered request": 4,
    "remembered handshake": 7,
    "known token, new request": 12,
    "known token, not permitted, remembered": 9,
    "rubbish in place of a token": 9,
    "no credentials": None,
    "preflight": None,
}
_OF_HANDSHAKES = {_HANDSHAKE, "remembered handshake"}


def _scope_of(kind: str, number: int, token: bytes) -> Scope:
    path = f"{SENDERS}{number % _PATHS:036}"
    match kind:
        case "known token, new request":
            return make_scope(f"{SENDERS}new{number:033}", token)
        case "known token, not permitted, remembered":
            return make_scope("/x-nmos/query/v1.3/nodes", token)
        case "rubbish in place of a token":
            return make_scope(path, b"rubbish.%d.x" % number)
    scope = make_scope(path, token)
    if kind in _OF_HANDSHAKES:
        del scope["method"]
        return {**scope, "type": "websocket", "subprotocols": []}
    if kind in {"no credentials", "preflight"}:
        scope["headers"].pop()
    if kind == "preflight":
        scope["method"] = "OPTIONS"
        scope["headers"].append((b"access-control-request-method", b"GET"))
    return scope


async def _compare_kinds(app: ASGIApp, key: SigningKey, effort: Effort) -> dict[str, list[float]]:
    token = token_of(key)
    numbers = itertools.count()

    taken: defaultdict[str, list[float]] = defaultdict(list)
    async with lifespan(app):
        for number in range(effort.rounds + 1):
            for kind in in_turns(list(_KINDS), number):
                count = min(effort.requests, 6 * _PIECE)
                scopes = [_scope_of(kind, next(numbers), token) for _ in range(count)]
                asked = bare_app if kind in {_OPEN, _HANDSHAKE} else app
                cost = await _turn(asked, scopes, 0)
                if number:
                    taken[kind].append(cost.elapsed)
    return {kind: taken[kind] for kind in _KINDS}


def _added(taken: Mapping[str, list[float]], kind: str) -> Spread:
    base = taken[_HANDSHAKE if kind in _OF_HANDSHAKES else _OPEN]
    return Spread.of_differences(taken[kind], base)


def _table_of_kinds(taken: Mapping[str, list[float]]) -> Table:
    return Table(
        "Requests of every kind, a bare ASGI app: microseconds a request",
        ("", "elapsed", "over the open app", "budget"),
        [
            (kind, Spread.of(each), _added(taken, kind), _KINDS[kind])
            for kind, each in taken.items()
        ],
        ("A new request has a path that was never asked for. Audit log to a file.",),
    )


async def _compare(
    apps: Mapping[str, ASGIApp], tokens: list[bytes], effort: Effort
) -> dict[str, list[Cost]]:
    costs: defaultdict[str, list[Cost]] = defaultdict(list)
    async with contextlib.AsyncExitStack() as stack:
        for name, app in apps.items():
            await stack.enter_async_context(lifespan(app))
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
