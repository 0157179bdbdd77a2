"""Whether memory stays flat, whatever number of distinct tokens and paths clients send."""

from __future__ import annotations

import asyncio
import gc
import itertools
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Scope

from benchmarks.apps import (
    SENDERS,
    bare_app,
    hush,
    make_scope,
    nothing_received,
    settings_for,
    unsent,
)
from benchmarks.effort import Effort
from benchmarks.keys import quick_key, token_of
from benchmarks.report import BudgetCheck, Section, Table
from nmos_auth import NmosAuthMiddleware
from tests.support.lifespans import lifespan

__all__ = ["measure", "measure_here"]

MOST_KIB = 2048
MOST_BLOCKS = 1024
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# Records that wait for the audit log's thread take memory too, and are few under a real load.
_PAUSE_EVERY = 5_000


@dataclass(frozen=True)
class Growth:
    """What was held after each of the shares of all requests.

    Attributes:
        blocks: by Python, in blocks of memory: about one for each object.
        resident: by the whole process, in KiB; None where the system does not tell.
    """

    blocks: tuple[int, ...]
    resident: tuple[int | None, ...]

    @property
    def is_flat(self) -> bool:
        """Whether little was added in the second half, when caches are full."""
        kib, blocks = _since_full(self.resident), _since_full(self.blocks)
        return (kib or 0) <= MOST_KIB and (blocks or 0) <= MOST_BLOCKS


def _since_full(held: Sequence[int | None]) -> int | None:
    first, last = held[2], held[-1]
    return None if first is None or last is None else last - first


async def measure(directory: Path, effort: Effort) -> Section:
    """Measure in a process of its own, which holds nothing else."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return await asyncio.wrap_future(pool.submit(_measure_in_child, directory, effort))


def _measure_in_child(directory: Path, effort: Effort) -> Section:
    hush()
    return asyncio.run(measure_here(directory, effort))


async def measure_here(directory: Path, effort: Effort) -> Section:
    """Send requests that have nothing in common, and look at what stays."""
    key = quick_key()
    settings = settings_for(directory, "memory", [key.jwk()], audit=True, asks=True)
    middleware = NmosAuthMiddleware(bare_app, settings)
    streams: dict[str, Callable[[], Iterator[Scope]]] = {
        "valid tokens": _valid_tokens,
        "tokens that are refused": _refused_tokens,
        "paths": _paths,
    }
    async with lifespan(middleware):
        for scope in itertools.islice(_forged_tokens(), effort.memory_requests):
            await middleware(scope, nothing_received, unsent)
        growths = {
            name: await _fill(middleware, stream(), effort.memory_requests, effort.settle)
            for name, stream in streams.items()
        }
    return Section(
        "memory",
        [_table(growths, effort.memory_requests)],
        [
            BudgetCheck(
                f"memory over {effort.memory_requests:,} distinct {name}: flat",
                f"{_since_full(growth.resident)} KiB and {_since_full(growth.blocks)} blocks more"
                " once caches are full",
                met=growth.is_flat,
            )
            for name, growth in growths.items()
        ],
    )


def _forged_tokens() -> Iterator[Scope]:
    """Yield more tokens of unknown keys than are remembered to have been seen, which is 4,096.

    Of the tokens that are refused they are one in seven, and would fill that memory only after
    28,000 of them.
    """
    key = quick_key()
    for _ in range(5_000):
        yield make_scope(_path(0), token_of(key)[:-8] + b"AAAAAAAA")


async def _fill(app: ASGIApp, scopes: Iterator[Scope], count: int, settle: float) -> Growth:
    blocks: list[int] = []
    resident: list[int | None] = []
    made = 0
    for share in _SHARES:
        for scope in itertools.islice(scopes, int(count * share) - made):
            await app(scope, nothing_received, unsent)
            made += 1
            if made % _PAUSE_EVERY == 0:
                await asyncio.sleep(settle)
        await asyncio.sleep(settle)
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        resident.append(_resident())
    return Growth(tuple(blocks), tuple(resident))


def _resident() -> int | None:
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE") // 1024


def _path(number: int) -> str:
    return f"{SENDERS}{number:036}"


def _valid_tokens() -> Iterator[Scope]:
    key = quick_key()
    while True:
        yield make_scope(_path(0), token_of(key))


def _refused_tokens() -> Iterator[Scope]:
    """Yield tokens each of which is wrong in one of the ways there are, in names of its own."""
    key = quick_key()
    for number in itertools.count():
        host = f"host{number}.example.com"
        named = key.named(f"kid-{number}")
        yield make_scope(_path(0), f"rubbish-{number}".encode())
        yield make_scope(_path(0), token_of(key, exp=number))
        yield make_scope(_path(0), token_of(key, iss=f"https://{host}"))
        yield make_scope(_path(0), token_of(key, aud=[host]))
        yield make_scope(_path(0), token_of(key, client_id=None, azp=None))
        yield make_scope(_path(0), token_of(key, **{f"x_nmos_{host}": {}, "x_nmos_node": None}))
        yield make_scope(_path(0), token_of(named)[:-8] + b"AAAAAAAA")


def _paths() -> Iterator[Scope]:
    token = token_of(quick_key())
    return (make_scope(_path(number), token) for number in itertools.count())


def _table(growths: Mapping[str, Growth], count: int) -> Table:
    rows: list[tuple[str, Sequence[int | None]]] = []
    for name, growth in growths.items():
        rows += [(f"{name}: KiB", growth.resident), (f"{name}: blocks", growth.blocks)]
    return Table(
        f"Memory held over {count:,} distinct ones of each",
        ("", *(f"after {int(count * share):,}" for share in _SHARES), "since half"),
        [(name, *held, _since_full(held)) for name, held in rows],
        (
            f"Budget: flat, which is at most {MOST_KIB:,} KiB and {MOST_BLOCKS:,} blocks more once",
            "the first half has filled the caches. KiB: resident pages of the process. Blocks:",
            "Python's own count of what it has allocated, about one an object, after a collection.",
        ),
    )
