"""Both stores of owners do what a simple model does, whatever is asked in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from redis.asyncio import Redis

from nmos_auth.registry import MemoryOwners, Owners, Placement, Verdict
from tests.registry.support import LIFETIME, fresh_redis, placed, uuid
from tests.support.clocks import Clock

CLIENTS = st.sampled_from(["a", "b", "c"])
# Few ids, each for any type, so that they meet often.
NUMBERS = st.integers(0, 5)
TYPES = st.sampled_from(["node", "device", "source", "flow", "sender"])
STEPS = st.sampled_from([0.0, 1.0, 5.0, LIFETIME - 0.5, LIFETIME, 100.0])


@dataclass
class Model:
    """What the texts say, in the plainest way: everything is worked out again for each question."""

    places: dict[str, Placement] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    heard: dict[str, float] = field(default_factory=dict)

    def owner(self, resource_id: str | None) -> str | None:
        """Climb to the Node."""
        place = self.places.get(resource_id or "")
        if place is None:
            return None
        return self.clients[place.id] if place.parent is None else self.owner(place.parent)

    def forget(self, resource_id: str) -> None:
        """Forget a resource, then whatever has no Node any more."""
        del self.places[resource_id]
        while orphans := [
            each.id for each in self.places.values() if each.parent and not self.owner(each.parent)
        ]:
            for each in orphans:
                del self.places[each]

    def pass_time(self, now: float) -> None:
        """Forget Nodes that were not heard of for long."""
        for node in [each.id for each in self.places.values() if each.parent is None]:
            if now - self.heard[node] >= LIFETIME:
                self.forget(node)

    def register(self, client: str, place: Placement, now: float) -> Verdict:
        """Answer what a store has to answer."""
        known = self.places.get(place.id)
        above = self.places.get(place.parent or "")
        if {self.owner(place.id), self.owner(place.parent)} - {None, client}:
            return Verdict.REFUSED
        if place.parent and (above is None or above.type != place.parent_type):
            return Verdict.ABSENT
        if known and known.type != place.type:
            return Verdict.ABSENT
        self.places[place.id] = place
        if place.type == "node":
            self.clients[place.id], self.heard[place.id] = client, now
        return Verdict.DONE if known else Verdict.CREATED

    def may_change(self, client: str, kind: str, resource_id: str) -> Verdict:
        """Answer for deleting and heartbeats."""
        owner = self.owner(resource_id)
        if owner is None:
            return Verdict.ABSENT
        if owner != client:
            return Verdict.REFUSED
        return Verdict.DONE if self.places[resource_id].type == kind else Verdict.ABSENT


class Comparison(RuleBasedStateMachine):
    """Asks a store and the model the same."""

    def __init__(self, runner: asyncio.Runner, make: Callable[[Clock], Owners]) -> None:
        super().__init__()
        self.clock = Clock()
        self.runner = runner
        self.owners = make(self.clock)
        self.model = Model()

    @rule(client=CLIENTS, kind=TYPES, number=NUMBERS, parent=NUMBERS)
    def register(self, client: str, kind: str, number: int, parent: int) -> None:
        """Register anything anywhere."""
        place = placed(kind, number, None if kind == "node" else parent)
        answer = self.runner.run(self.owners.register(client, place))
        assert answer is self.model.register(client, place, self.clock.now)

    @rule(client=CLIENTS, node=NUMBERS, device=NUMBERS, leaf=NUMBERS)
    def register_a_family(self, client: str, node: int, device: int, leaf: int) -> None:
        """Register a Node and what belongs to it, as Nodes do."""
        self.register(client, "node", node, 0)
        self.register(client, "device", device, node)
        self.register(client, "sender", leaf, device)

    @rule(client=CLIENTS, kind=TYPES, number=NUMBERS)
    def delete(self, client: str, kind: str, number: int) -> None:
        """Delete anything."""
        expected = self.model.may_change(client, kind, uuid(number))
        assert self.runner.run(self.owners.delete(client, kind, uuid(number))) is expected
        if expected is Verdict.DONE:
            self.model.forget(uuid(number))

    @rule(client=CLIENTS, number=NUMBERS)
    def heartbeat(self, client: str, number: int) -> None:
        """Send a heartbeat for anything."""
        expected = self.model.may_change(client, "node", uuid(number))
        assert self.runner.run(self.owners.heartbeat(client, uuid(number))) is expected
        if expected is Verdict.DONE:
            self.model.heard[uuid(number)] = self.clock.now

    @rule(step=STEPS)
    def wait(self, step: float) -> None:
        """Let time pass."""
        self.clock.now += step
        self.model.pass_time(self.clock.now)


def compare(make: Callable[[Clock], Owners], runner: asyncio.Runner) -> None:
    """Let Hypothesis look for a difference."""

    class Machine(Comparison):
        def __init__(self) -> None:
            super().__init__(runner, make)

    run_state_machine_as_test(
        Machine,
        settings=hypothesis.settings(max_examples=60, stateful_step_count=40),
    )


def test_memory() -> None:
    """The store in memory does what the model does."""
    with asyncio.Runner() as runner:
        compare(lambda clock: MemoryOwners(LIFETIME, clock=clock), runner)


@pytest.mark.parametrize("decoded", [False, True])
def test_redis(redis_url: str, *, decoded: bool) -> None:
    """So does Redis, whether the client decodes what it answers or not."""
    with asyncio.Runner() as runner:
        client = Redis.from_url(redis_url, decode_responses=decoded)
        try:
            compare(lambda clock: fresh_redis(client, clock), runner)
        finally:
            runner.run(client.aclose())
