"""What Redis loses is gone, and nothing else is: whatever it loses, between whichever calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from redis.asyncio import Redis

from nmos_auth.errors import OwnersUnavailable
from nmos_auth.registry import MemoryOwners, Owners, Verdict
from nmos_auth.registry.redis import RedisOwners
from tests.registry.support import KEYS, LIFETIME, fresh_prefix, key_of, placed, uuid
from tests.support.clocks import Clock

# The second might be mistaken for what has yet to be cleared away, or for an entry of its own.
ALL_CLIENTS = ("a", "- 1 a\n2 \x00é ")
CLIENTS = st.sampled_from(ALL_CLIENTS)
NUMBERS = st.integers(0, 5)
ALL_TYPES = ("node", "device", "source", "flow", "sender")
TYPES = st.sampled_from(ALL_TYPES)
CREATED, DONE, ABSENT, REFUSED = Verdict.CREATED, Verdict.DONE, Verdict.ABSENT, Verdict.REFUSED
NODE, DEVICE, SENDER = placed("node", 1), placed("device", 2, 1), placed("sender", 3, 2)


class Losing(RuleBasedStateMachine):
    """Asks Redis, which loses things and is slow to clear away, and the memory the same."""

    def __init__(self, runner: asyncio.Runner, client: Redis, step: int) -> None:
        super().__init__()
        self.clock = Clock()
        self.runner = runner
        self.client = client
        self.prefix = fresh_prefix()
        self.owners = RedisOwners(
            client, LIFETIME, prefix=self.prefix, clock=self.clock, step=step, timeout=30
        )
        self.oracle = self.memory()
        self.lost_an_entry = False

    def memory(self) -> MemoryOwners:
        """Know of nothing, and forget everything at once."""
        return MemoryOwners(LIFETIME, clock=self.clock, step=1000)

    def both(self, question: Callable[[Owners], Coroutine[None, None, Verdict]]) -> None:
        """Ask both, who have to agree."""
        expected = self.runner.run(question(self.oracle))
        assert self.runner.run(question(self.owners)) is expected

    @rule(client=CLIENTS, kind=TYPES, number=NUMBERS, parent=NUMBERS)
    def register(self, client: str, kind: str, number: int, parent: int) -> None:
        """Register anything anywhere."""
        place = placed(kind, number, None if kind == "node" else parent)
        self.both(lambda owners: owners.register(client, place))

    @rule(client=CLIENTS, node=NUMBERS, device=NUMBERS, source=NUMBERS, flow=NUMBERS)
    def register_a_family(
        self, client: str, node: int, device: int, source: int, flow: int
    ) -> None:
        """Register a Node and what belongs to it, four deep."""
        self.register(client, "node", node, 0)
        self.register(client, "device", device, node)
        self.register(client, "source", source, device)
        self.register(client, "flow", flow, source)

    @rule(client=CLIENTS, kind=TYPES, number=NUMBERS)
    def delete(self, client: str, kind: str, number: int) -> None:
        """Delete anything."""
        self.both(lambda owners: owners.delete(client, kind, uuid(number)))

    @rule(client=CLIENTS, number=NUMBERS)
    def heartbeat(self, client: str, number: int) -> None:
        """Send a heartbeat for anything."""
        self.both(lambda owners: owners.heartbeat(client, uuid(number)))

    @rule(step=st.sampled_from([1.0, LIFETIME - 0.5, LIFETIME]))
    def wait(self, step: float) -> None:
        """Let time pass."""
        self.clock.now += step

    @rule(names=st.sets(st.sampled_from(KEYS), min_size=1))
    def lose_keys(self, names: set[str]) -> None:
        """Lose some of the keys, which is to lose everything."""
        if self.runner.run(self.remove_keys(names)):
            self.oracle = self.memory()

    async def remove_keys(self, names: Iterable[str]) -> int:
        """Remove keys; returns how many there were."""
        return int(await self.client.delete(*(key_of(self.prefix, each) for each in names)))

    @rule(number=NUMBERS, name=st.sampled_from(["ends", "owners", "places"]))
    def lose_an_entry(self, number: int, name: str) -> None:
        """Lose what one key has of a resource, which is to lose that resource."""
        if self.runner.run(self.remove_entry(name, uuid(number))):
            self.lost_an_entry = True
            for client in ALL_CLIENTS:
                for kind in ALL_TYPES if name == "places" else ("node",):
                    self.runner.run(self.oracle.delete(client, kind, uuid(number)))

    async def entries(self) -> dict[str, list[str]]:
        """Return the ids that each key has, with nothing of what is still to be cleared away."""
        ends, owners, places, families = (key_of(self.prefix, name) for name in KEYS)
        found = {
            "ends": await self.client.zrange(ends, 0, -1),
            "owners": await self.client.hkeys(owners),
            "places": await self.client.hkeys(places),
            "families": await self.client.zrange(families, 0, -1),
        }
        # `families` has numbers before each id, `places` one field for the births, and `owners` one
        # for each client.
        return {
            name: sorted(
                str(each).split()[-1]
                for each in ids
                if each != "births" and not str(each).startswith(" ")
            )
            for name, ids in found.items()
        }

    async def counts(self) -> dict[str, int]:
        """Return how many resources each client has, to Redis."""
        fields = await self.client.hgetall(key_of(self.prefix, "owners"))
        return {str(name)[1:]: int(count) for name, count in fields.items() if str(name)[0] == " "}

    async def remove_entry(self, name: str, resource_id: str) -> int:
        """Remove what one key has of a resource; returns how much that was."""
        key = key_of(self.prefix, name)
        if name == "ends":
            return int(await self.client.zrem(key, resource_id))
        return int(await self.client.hdel(key, resource_id))

    def teardown(self) -> None:
        """What is gone is cleared away in the end; and when all Nodes are over, nothing is left."""
        for _ in range(200):
            self.both(lambda owners: owners.heartbeat("nobody", uuid(99)))
        if not self.lost_an_entry:
            nodes, resources = sorted(self.oracle._tenures), sorted(self.oracle._entries)
            assert self.runner.run(self.entries()) == {
                "ends": nodes,
                "owners": nodes,
                "places": resources,
                "families": resources,
            }
            assert self.runner.run(self.counts()) == self.oracle._counts
        self.clock.now += LIFETIME
        for number in range(6):
            self.heartbeat("a", number)
        assert self.runner.run(self.remove_keys(KEYS)) == 0


@pytest.mark.parametrize("step", [1, 64])
def test_what_is_lost_is_gone(redis_url: str, *, step: int) -> None:
    """Any of the keys and any entry, at any time: no call fails, and nobody gets another's."""

    class Machine(Losing):
        def __init__(self) -> None:
            super().__init__(runner, client, step)

    with asyncio.Runner() as runner:
        client = Redis.from_url(redis_url, decode_responses=True)
        try:
            run_state_machine_as_test(
                Machine,
                settings=hypothesis.settings(max_examples=60, stateful_step_count=40),
            )
        finally:
            runner.run(client.aclose())


@pytest.mark.parametrize("name", KEYS)
async def test_a_node_whose_key_is_lost_is_told_to_register(redis_url: str, name: str) -> None:
    """Its heartbeat finds nothing, so that it registers with all it has, and owns that again."""
    async with Redis.from_url(redis_url) as client:
        prefix = fresh_prefix()
        owners = RedisOwners(client, prefix=prefix, timeout=30)
        for placement in (NODE, DEVICE, SENDER):
            await owners.register("a", placement)
        await client.delete(key_of(prefix, name))
        assert await owners.heartbeat("a", NODE.id) is ABSENT
        assert await owners.register("a", SENDER) is ABSENT
        for placement in (NODE, DEVICE, SENDER):
            assert await owners.register("a", placement) is CREATED
            assert await owners.register("b", placement) is REFUSED
        assert await owners.delete("a", "node", NODE.id) is DONE
        assert await client.keys(key_of(prefix, "*")) == []


async def test_a_node_that_lost_its_place_takes_nothing_along(redis_url: str) -> None:
    """Its id is another client's Device by the time at which it would have ended."""
    clock = Clock()
    async with Redis.from_url(redis_url) as client:
        prefix = fresh_prefix()
        owners = RedisOwners(client, LIFETIME, prefix=prefix, clock=clock)
        await owners.register("a", NODE)
        await client.hdel(key_of(prefix, "places"), NODE.id)
        clock.now += LIFETIME - 1
        await owners.register("b", placed("node", 4))
        device = placed("device", 1, 4)
        assert await owners.register("b", device) is CREATED
        clock.now += 1
        assert await owners.register("b", device) is DONE
        assert not await client.hexists(key_of(prefix, "owners"), NODE.id)


async def test_a_node_takes_no_device_along_that_is_no_longer_its_own(redis_url: str) -> None:
    """Its place is lost, and another client's Node has it when the first one goes."""
    async with Redis.from_url(redis_url) as client:
        prefix = fresh_prefix()
        owners = RedisOwners(client, prefix=prefix, timeout=30)
        await owners.register("a", NODE)
        await owners.register("a", DEVICE)
        await client.hdel(key_of(prefix, "places"), DEVICE.id)
        await owners.register("b", placed("node", 4))
        device = placed("device", 2, 4)
        assert await owners.register("b", device) is CREATED
        assert await owners.delete("a", "node", NODE.id) is DONE
        for _ in range(3):
            assert await owners.register("b", device) is DONE


@pytest.mark.parametrize("name", KEYS)
async def test_a_key_of_somebody_else_permits_nothing(redis_url: str, name: str) -> None:
    """What is not ours is left as it is; once it is gone, so are the owners."""
    async with Redis.from_url(redis_url) as client:
        prefix = fresh_prefix()
        owners = RedisOwners(client, prefix=prefix, timeout=30)
        await owners.register("a", NODE)
        await client.set(key_of(prefix, name), "something else")
        with pytest.raises(OwnersUnavailable):
            await owners.register("a", NODE)
        assert await client.get(key_of(prefix, name)) == b"something else"
        await client.delete(key_of(prefix, name))
        assert await owners.register("b", NODE) is CREATED


async def test_what_an_older_version_wrote_is_gone(redis_url: str) -> None:
    """Its entries are of another shape; they are removed, and say nothing."""
    async with Redis.from_url(redis_url) as client:
        prefix = fresh_prefix()
        await client.zadd(key_of(prefix, "ends"), {NODE.id: 2e12})
        await client.hset(key_of(prefix, "owners"), NODE.id, "a")
        await client.hset(
            key_of(prefix, "places"), mapping={NODE.id: "node ", DEVICE.id: f"device {NODE.id}"}
        )
        await client.zadd(key_of(prefix, "families"), {f"{NODE.id} {DEVICE.id}": 0})
        owners: Owners = RedisOwners(client, prefix=prefix, timeout=30)
        assert await owners.heartbeat("a", NODE.id) is ABSENT
        assert await client.keys(key_of(prefix, "*")) == []
        assert await owners.register("b", NODE) is CREATED
        assert await owners.register("b", DEVICE) is CREATED
