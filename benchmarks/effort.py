"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Effort"]


@dataclass(frozen=True)
class Effort:
    """Counts and times; medians and quartiles are taken over rounds.

    Attributes:
        rounds: of the requests in one process.
        requests: in one turn of them.
        load_starts: of the servers under uvicorn.
        load_rounds: after each of them.
        load_seconds: one turn there.
        alternative_rounds: of servers with something else than the middleware.
        tokens: that come by turns.
        tokens_rounds: of these.
        worker_rounds: of each server with so many workers.
        workers: how many are measured.
        sight_rounds: of first sights, each over a batch of tokens of its own.
        start_rounds: of imports, and of starts of a server.
        memory_requests: distinct tokens, and distinct paths.
        growth_rounds: of each case of growth.
        growth_memories: how many tokens and requests are remembered where more of them come.
        nodes: in each Registry whose owners are measured.
        owners_rounds: of questions to these.
        hostile_rounds: of requests without a good token.
        hostile_requests: of one kind in one turn.
        receivers: on the Controller's Routing page.
        page_seconds: for which they change there.
        settle: seconds for the audit log's thread to write what it was given, which it gathers for
            a tenth of a second.
    """

    rounds: int
    requests: int
    load_starts: int
    load_rounds: int
    load_seconds: float
    alternative_rounds: int
    tokens: int
    tokens_rounds: int
    worker_rounds: int
    workers: tuple[int, ...]
    sight_rounds: int
    start_rounds: int
    memory_requests: int
    growth_rounds: int
    growth_memories: int
    nodes: tuple[int, ...]
    owners_rounds: int
    hostile_rounds: int
    hostile_requests: int
    receivers: int
    page_seconds: float
    settle: float = 0.25


FULL = Effort(
    rounds=15,
    requests=3000,
    load_starts=8,
    load_rounds=10,
    load_seconds=0.25,
    alternative_rounds=20,
    tokens=4_000,
    tokens_rounds=30,
    worker_rounds=10,
    workers=(1, 2, 4),
    sight_rounds=160,
    start_rounds=15,
    memory_requests=100_000,
    growth_rounds=40,
    growth_memories=1_024,
    nodes=(100, 1_000, 10_000),
    owners_rounds=40,
    hostile_rounds=15,
    hostile_requests=20,
    receivers=5_000,
    page_seconds=10,
)
QUICK = Effort(
    rounds=5,
    requests=1000,
    load_starts=2,
    load_rounds=6,
    load_seconds=0.25,
    alternative_rounds=4,
    tokens=2_000,
    tokens_rounds=6,
    worker_rounds=2,
    workers=(1, 2),
    sight_rounds=24,
    start_rounds=3,
    memory_requests=15_000,
    growth_rounds=5,
    growth_memories=256,
    nodes=(100, 1_000, 10_000),
    owners_rounds=6,
    hostile_rounds=5,
    hostile_requests=10,
    receivers=1_000,
    page_seconds=2,
)
