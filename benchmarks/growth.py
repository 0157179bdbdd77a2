"""How cost grows with claims, specifiers, keys and paths, and with how many come by turns."""

from __future__ import annotations

import contextlib
import functools
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Scope

from benchmarks.apps import (
    SENDERS,
    bare_app,
    make_scope,
    nothing_received,
    settings_for,
    status_of,
    unsent,
)
from benchmarks.effort import Effort
from benchmarks.keys import decoy_jwk, token_of
from benchmarks.report import Cell, Section, Table
from benchmarks.timing import Spread, in_turns, microseconds
from nmos_auth import NmosAuthMiddleware
from tests.support.lifespans import lifespan
from tests.support.tokens import SigningKey, signing_key

__all__ = ["measure"]

_CLAIMS = (1, 4, 16, 64)
_SPECIFIERS = (1, 8, 64, 512)
_KEYS = (1, 8, 64)
_LENGTHS = (20, 200, 2_000)
# What comes for the third time is remembered, if there is room.
_UNTIL_REMEMBERED = 3
_KNOWN = 60
_NEW = 6

_BASE = "/x-nmos/node/v1.3/"
_SENDER = f"{SENDERS}{0:036}"
# As long as paths may be that the middleware remembers, and full of beginnings of a match.
_HOSTILE = SENDERS + "a" * 220


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: what grows.
        count: how much of it there is.
        app: the middleware that holds the keys.
        make_token: makes a new token.
        path: what is asked for.
        status: the answer that comes.
    """

    name: str
    count: int
    app: ASGIApp
    make_token: Callable[[], bytes]
    path: str
    status: int = 200


async def measure(directory: Path, effort: Effort) -> Section:
    """Measure requests with tokens, policies and key sets of growing size, in turns."""
    key = signing_key(1)
    settings = settings_for(directory, "growth", [key.jwk()], audit=False)
    middleware = NmosAuthMiddleware(bare_app, settings)
    cases = [
        *(_with_claims(middleware, key, count) for count in _CLAIMS),
        *(_with_literals(middleware, key, count) for count in _SPECIFIERS),
        *(_with_wildcards(middleware, key, count) for count in _SPECIFIERS),
        *(_with_hostile_wildcards(middleware, key, count) for count in _SPECIFIERS),
        *(_with_keys(directory, count, named=True) for count in _KEYS),
        *(_with_keys(directory, count, named=False) for count in _KEYS),
    ]
    known: defaultdict[int, list[float]] = defaultdict(list)
    new: defaultdict[int, list[float]] = defaultdict(list)
    async with contextlib.AsyncExitStack() as stack:
        for app in dict.fromkeys(case.app for case in cases):
            await stack.enter_async_context(lifespan(app))
        tokens = [case.make_token() for case in cases]
        for case, token in zip(cases, tokens, strict=True):
            if await status_of(case.app, make_scope(case.path, token)) != case.status:
                raise RuntimeError(f"not the answer expected: {case.name}, {case.count}")
        for number in range(effort.growth_rounds):
            for index in in_turns(range(len(cases)), number):
                case = cases[index]
                known[index].append(await _each(case, [tokens[index]] * _KNOWN))
                new[index].append(await _each(case, [case.make_token() for _ in range(_NEW)]))
    rows: list[tuple[Cell, ...]] = [
        (case.name, case.count, Spread.of(known[index]), Spread.of(new[index]))
        for index, case in enumerate(cases)
    ]
    return Section(
        "growth",
        [
            Table(
                "How cost grows: microseconds a request, audit log off",
                ("", "count", "known token", "first sight"),
                rows,
                (
                    "No wildcard matches (403), so that all are tried; parts of the hostile ones",
                    "begin everywhere in a long path. No two tokens have the same specifiers. The",
                    "key that fits is the last; kid is in tokens and keys, or in neither. A known",
                    "token costs the hash of its text, whatever its length. No budget.",
                ),
            ),
            await _by_turns(directory, effort),
        ],
    )


async def _each(case: Case, tokens: Sequence[bytes]) -> float:
    scopes = [make_scope(case.path, token) for token in tokens]
    pieces: list[float] = []
    for scope in scopes:
        started = time.perf_counter()
        await case.app(scope, nothing_received, unsent)
        pieces.append(time.perf_counter() - started)
    return microseconds(statistics.median(pieces), 1)


@dataclass(frozen=True)
class Stream:
    """One row of requests that differ.

    Attributes:
        name: what there is more and more of.
        count: how much of it.
        app: a middleware that remembers these requests and no others.
        make_scopes: makes the requests of a turn.
    """

    name: str
    count: int
    app: ASGIApp
    make_scopes: Callable[[], list[Scope]]


async def _by_turns(directory: Path, effort: Effort) -> Table:
    """Measure new paths, and by turns fewer and more tokens and paths than are remembered."""
    key = signing_key(1)
    room = effort.growth_memories
    settings = settings_for(directory, "turns", [key.jwk()], audit=False, room=room)
    token, new = token_of(key), itertools.count()
    tokens = [token_of(key) for _ in range(2 * room)]

    def with_new_paths(length: int) -> list[Scope]:
        return [make_scope(f"{_BASE}{next(new):0{length}}", token) for _ in range(_KNOWN)]

    def with_tokens(count: int) -> list[Scope]:
        return [make_scope(_SENDER, each) for each in tokens[:count]]

    def with_paths(count: int) -> list[Scope]:
        return [make_scope(f"{_BASE}{number:036}", token) for number in range(count)]

    streams = [
        Stream(name, count, NmosAuthMiddleware(bare_app, settings), functools.partial(make, count))
        for name, make, counts in (
            ("characters of a new path", with_new_paths, _LENGTHS),
            ("tokens by turns", with_tokens, (room // 2, 2 * room)),
            ("paths by turns", with_paths, (room // 2, 2 * room)),
        )
        for count in counts
    ]
    taken: defaultdict[int, list[float]] = defaultdict(list)
    async with contextlib.AsyncExitStack() as stack:
        for each in streams:
            await stack.enter_async_context(lifespan(each.app))
            scope, *_ = each.make_scopes()
            if await status_of(each.app, scope) != 200:
                raise RuntimeError(f"not the answer expected: {each.name}, {each.count}")
        for number in range(_UNTIL_REMEMBERED + effort.growth_rounds):
            for index in in_turns(range(len(streams)), number):
                cost = await _all(streams[index])
                if number >= _UNTIL_REMEMBERED:
                    taken[index].append(cost)
    return Table(
        "How cost grows with what differs from request to request, audit log off",
        ("", "count", "microseconds of CPU"),
        [(each.name, each.count, Spread.of(taken[index])) for index, each in enumerate(streams)],
        (
            "Characters below the API's base path; one token. By turns: one after the other, again",
            f"and again, where {room:,} tokens and {room:,} requests are remembered; the path, or",
            "the token, is the same. No budget.",
        ),
    )


async def _all(stream: Stream) -> float:
    scopes = stream.make_scopes()
    # Of this thread: a turn is long enough for other processes to come between.
    started = time.thread_time()
    for scope in scopes:
        await stream.app(scope, nothing_received, unsent)
    return microseconds(time.thread_time() - started, len(scopes))


def _with_claims(app: ASGIApp, key: SigningKey, count: int) -> Case:
    others = {f"x_nmos_api{number}": {"read": ["*"]} for number in range(count - 1)}

    def make_token() -> bytes:
        return token_of(key, x_nmos_connection=None, **others)

    return Case("x-nmos-* claims", count, app, make_token, _SENDER)


def _makes_tokens(key: SigningKey, specifiers: Sequence[str]) -> Callable[[], bytes]:
    """Make tokens no two of which have the same specifiers: one list is compiled only once."""
    numbers = itertools.count()

    def make_token() -> bytes:
        *others, last = specifiers
        read = [*others, f"{last}{next(numbers)}"]
        return token_of(key, x_nmos_connection=None, x_nmos_node={"read": read})

    return make_token


def _with_literals(app: ASGIApp, key: SigningKey, count: int) -> Case:
    rest = _SENDER.removeprefix(_BASE)
    specifiers = [rest, *(f"senders/{number:03}" for number in range(count))]
    return Case("literal specifiers", count, app, _makes_tokens(key, specifiers), _SENDER)


def _with_wildcards(app: ASGIApp, key: SigningKey, count: int) -> Case:
    specifiers = [f"senders/{number:03}*" for number in range(1, count + 1)]
    make_token = _makes_tokens(key, specifiers)
    return Case("wildcard specifiers, 403", count, app, make_token, _SENDER, 403)


def _with_hostile_wildcards(app: ASGIApp, key: SigningKey, count: int) -> Case:
    specifiers = [f"*a*a*a*aab{number:03}*" for number in range(count)]
    make_token = _makes_tokens(key, specifiers)
    return Case("hostile wildcards, 403", count, app, make_token, _HOSTILE, 403)


def _with_keys(directory: Path, count: int, *, named: bool) -> Case:
    key = signing_key(1).named("key-1" if named else None)
    decoys = [decoy_jwk(f"decoy-{number}" if named else None) for number in range(count - 1)]
    name = f"keys with{'' if named else 'out'} kid"
    settings = settings_for(directory, f"{name} {count}", [*decoys, key.jwk()], audit=False)
    return Case(
        name,
        count,
        NmosAuthMiddleware(bare_app, settings),
        functools.partial(token_of, key),
        _SENDER,
    )
