"""What the owners of Nodes in a Registry cost, and whether that grows with the number of Nodes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import shutil
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis

from benchmarks.effort import Effort
from benchmarks.report import BudgetCheck, Cell, Section, Table
from benchmarks.timing import Spread, in_turns, microseconds
from nmos_auth import registry
from nmos_auth.registry import MemoryOwners, Owners
from nmos_auth.registry.redis import RedisOwners
from tests.registry.support import fresh_prefix, placed, uuid
from tests.support.clocks import Clock
from tests.support.redis import redis_server

__all__ = ["has_redis", "measure"]

_BUDGET_OF_CALLS_MS = 10.0
_BUDGET_OF_SCRIPTS_MS = 50.0
_FLAT = 2.0

_CLIENT = "node.example.com"
# Nothing ends here unless the clock is set; Redis forgets by its own clock, after as long.
_LIFETIME = 3600.0
_BATCH = 100
_AT_ONCE = 16
# After these calls all of 10,000 Nodes that have ended are cleared away.
_RETURNING = 1_000
# In Redis' log of slow commands, from so many microseconds.
_SHORTEST_LISTED = 50
_MOST_LISTED = 10_000
_HEARTBEAT, _REGISTRATION = "a heartbeat", "a registration"
_DONE, _CREATED, _ABSENT = registry.Verdict.DONE, registry.Verdict.CREATED, registry.Verdict.ABSENT

_Question = Callable[[], Awaitable[registry.Verdict]]


class _Store(Protocol):
    """Where owners are kept, and how the time of a question is measured there.

    Attributes:
        name: as tables have it.
        budget: the most milliseconds that a question may take.
        turns: how many of them a round has, since some are short.
        clock: the time of its owners.
    """

    name: str
    budget: float
    turns: int
    clock: Clock

    def owners(self) -> Owners:
        """Return owners who know of nothing."""
        ...

    async def used(self) -> float:
        """Return the seconds that all questions so far have used."""
        ...

    async def longest(self, questions: Iterable[_Question], answer: registry.Verdict) -> float:
        """Ask, and return the seconds that the longest question has used."""
        ...


class _Memory:
    """Owners in this process, whose event loop a question holds until it is answered."""

    name = "memory"
    budget = _BUDGET_OF_CALLS_MS
    turns = 10

    def __init__(self) -> None:
        self.clock = Clock()

    def owners(self) -> Owners:
        return MemoryOwners(_LIFETIME, clock=self.clock)

    async def used(self) -> float:
        return time.thread_time()

    async def longest(self, questions: Iterable[_Question], answer: registry.Verdict) -> float:
        longest = 0.0
        for question in questions:
            before = time.thread_time()
            await _see(question, answer)
            longest = max(longest, time.thread_time() - before)
        return longest


class _Redis:
    """Owners in a Redis server, which the script of a question holds until it is answered."""

    name = "Redis"
    budget = _BUDGET_OF_SCRIPTS_MS
    turns = 1

    def __init__(self, client: Redis) -> None:
        self.clock = Clock()
        self._client = client

    def owners(self) -> Owners:
        return RedisOwners(
            self._client, _LIFETIME, prefix=fresh_prefix(), timeout=30, clock=self.clock
        )

    async def used(self) -> float:
        statistics = await self._client.info("commandstats")
        return float(statistics["cmdstat_evalsha"]["usec"] / 1e6)

    async def longest(self, questions: Iterable[_Question], answer: registry.Verdict) -> float:
        # Commands within a script are listed too, but few of them take so long.
        await self._client.config_set("slowlog-max-len", _MOST_LISTED)
        await self._client.config_set("slowlog-log-slower-than", _SHORTEST_LISTED)
        await self._client.slowlog_reset()
        await _ask(questions, answer)
        listed = await self._client.slowlog_get(_MOST_LISTED)
        scripts = (each for each in listed if each["command"].startswith(b"EVALSHA"))
        return max((each["duration"] for each in scripts), default=_SHORTEST_LISTED) / 1e6


@dataclass(frozen=True)
class _Turn:
    """What some questions took.

    Attributes:
        rate: questions a second, from the first to the last answer.
        used: microseconds that each has used where the owners are.
    """

    rate: float
    used: float


class _Registry:
    """The owners of a number of Nodes, each with a Device."""

    def __init__(self, store: _Store, nodes: int) -> None:
        self.store = store
        self.nodes = nodes
        self.turns: defaultdict[str, list[_Turn]] = defaultdict(list)
        self._owners = store.owners()
        self._due = itertools.cycle(range(nodes))

    async def fill(self) -> None:
        """Register all Nodes."""
        for questions in self._registrations(range(self.nodes)):
            await _ask(questions, _CREATED)

    async def take_a_turn(self, *, counts: bool) -> None:
        """Measure heartbeats, and registrations of Nodes that are deleted afterwards."""
        new = range(self.nodes, self.nodes + _BATCH // 2)
        heartbeats = self._heartbeats(itertools.islice(self._due, _BATCH))
        turns = {
            _HEARTBEAT: await self._turn([heartbeats], _DONE),
            _REGISTRATION: await self._turn(self._registrations(new), _CREATED),
        }
        await _ask([self._deletion("device", number) for number in new], _DONE)
        await _ask([self._deletion("node", number) for number in new], _DONE)
        if counts:
            for kind, turn in turns.items():
                self.turns[kind].append(turn)

    async def end_together(self) -> float:
        """Let all Nodes end and many return, and return the seconds of the longest question."""
        self.store.clock.now += _LIFETIME
        returning = range(min(self.nodes, _RETURNING))
        nodes, devices = self._registrations(returning)
        return max(
            [
                await self.store.longest(self._heartbeats(returning), _ABSENT),
                await self.store.longest(nodes, _CREATED),
                await self.store.longest(devices, _CREATED),
            ]
        )

    def _heartbeats(self, numbers: Iterable[int]) -> list[_Question]:
        heartbeat = self._owners.heartbeat
        return [functools.partial(heartbeat, _CLIENT, uuid(2 * number)) for number in numbers]

    def _registrations(self, numbers: Iterable[int]) -> tuple[list[_Question], list[_Question]]:
        """Return the questions for Nodes, and those for their Devices, which come afterwards."""
        every = list(numbers)
        nodes = [placed("node", 2 * each) for each in every]
        devices = [placed("device", 2 * each + 1, 2 * each) for each in every]
        register = functools.partial(self._owners.register, _CLIENT)
        return (
            [functools.partial(register, each) for each in nodes],
            [functools.partial(register, each) for each in devices],
        )

    def _deletion(self, resource_type: str, number: int) -> _Question:
        resource_id = uuid(2 * number + (resource_type == "device"))
        return functools.partial(self._owners.delete, _CLIENT, resource_type, resource_id)

    async def _turn(self, groups: Sequence[Sequence[_Question]], answer: registry.Verdict) -> _Turn:
        count = sum(map(len, groups))
        used, started = await self.store.used(), time.perf_counter()
        for questions in groups:
            await _ask(questions, answer)
        elapsed = time.perf_counter() - started
        return _Turn(count / elapsed, microseconds(await self.store.used() - used, count))


async def _see(question: _Question, answer: registry.Verdict) -> None:
    """Ask, and see that the answer is as it must be."""
    if (given := await question()) is not answer:
        raise RuntimeError(f"not the answer expected: {given}, and not {answer}")


async def _ask(questions: Iterable[_Question], answer: registry.Verdict) -> None:
    """Ask so many questions at once, in their order, until all are answered as they must be."""
    waiting = iter(questions)

    async def ask() -> None:
        for question in waiting:
            await _see(question, answer)

    await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))


def has_redis() -> bool:
    """Tell whether a Redis server is installed."""
    return shutil.which("redis-server") is not None


@contextlib.asynccontextmanager
async def _stores(directory: Path) -> AsyncIterator[list[_Store]]:
    """Yield the stores that there are, until the block ends."""
    if not has_redis():
        yield [_Memory()]
        return
    with redis_server(directory) as url:
        async with Redis.from_url(url) as client:
            yield [_Memory(), _Redis(client)]


async def measure(directory: Path, effort: Effort) -> Section:
    """Ask owners of few and of many Nodes in turns, then let all of the most Nodes end together."""
    rows: list[tuple[Cell, ...]] = []
    ends: list[tuple[Cell, ...]] = []
    checks: list[BudgetCheck] = []
    async with _stores(directory) as stores:
        for store in stores:
            registries = [_Registry(store, nodes) for nodes in effort.nodes]
            for each in registries:
                await each.fill()
            for number in range(store.turns * effort.owners_rounds + 1):
                for each in in_turns(registries, number):
                    await each.take_a_turn(counts=number > 0)
            rows += [_row(each, registries[0]) for each in registries]
            checks.append(_is_flat(registries[0], registries[-1]))
            longest = await registries[-1].end_together() * 1e3
            ends.append((store.name, registries[-1].nodes, longest, store.budget))
            checks.append(_is_short(registries[-1], longest))
    return Section("owners", [_table(rows), _table_of_ends(ends)], checks)


def _used(of: _Registry, kind: str) -> list[float]:
    return [turn.used for turn in of.turns[kind]]


def _times(of: _Registry, base: _Registry, kind: str) -> float:
    return Spread.of_ratios(_used(of, kind), _used(base, kind)).median


def _row(of: _Registry, base: _Registry) -> tuple[Cell, ...]:
    rate = Spread.of(turn.rate for turn in of.turns[_HEARTBEAT])
    cells: list[Cell] = [of.store.name, of.nodes, rate]
    for kind in (_HEARTBEAT, _REGISTRATION):
        cells += [Spread.of(_used(of, kind)), _times(of, base, kind)]
    return tuple(cells)


def _is_flat(least: _Registry, most: _Registry) -> BudgetCheck:
    times = {kind: _times(most, least, kind) for kind in (_HEARTBEAT, _REGISTRATION)}
    return BudgetCheck(
        f"owners in {most.store.name}, {most.nodes:,} Nodes: at most {_FLAT:g} times as long as"
        f" with {least.nodes:,}",
        ", ".join(f"{value:.2f} for {kind}" for kind, value in times.items()),
        met=max(times.values()) <= _FLAT,
    )


def _is_short(of: _Registry, longest: float) -> BudgetCheck:
    return BudgetCheck(
        f"owners in {of.store.name}, {of.nodes:,} Nodes end together: no call of more than"
        f" {of.store.budget:g} ms",
        f"{longest:.2f} ms",
        met=longest <= of.store.budget,
    )


def _table(rows: list[tuple[Cell, ...]]) -> Table:
    return Table(
        "Owners of Nodes in a Registry",
        (
            "",
            "Nodes",
            "heartbeats/s",
            "heartbeat, us",
            "heartbeat, times",
            "registration, us",
            "registration, times",
        ),
        rows,
        (
            f"Budget: at most {_FLAT:g} times what it takes with the fewest Nodes, of which each",
            "has a Device. In memory: CPU of a call; in Redis: the time of its script there.",
            f"Heartbeats/s: of one process, {_AT_ONCE} at once, its client of Redis included.",
            *(() if has_redis() else ("redis-server is not installed: its rows are missing.",)),
        ),
    )


def _table_of_ends(rows: list[tuple[Cell, ...]]) -> Table:
    return Table(
        "Nodes that end together: the longest of the calls that clear them away",
        ("", "Nodes", "ms", "budget"),
        rows,
        (
            f"{_RETURNING:,} of the Nodes send a heartbeat, and register again with their Devices.",
            "In memory: CPU of one call, which holds the event loop; in Redis: one script, by",
            "Redis' own log, with what other processes take from it.",
        ),
    )
