"""No call does more than so much, however many resources go at once; nobody sees the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from redis.asyncio import Redis

from nmos_auth.registry import MemoryOwners, Owners, Placement, Verdict
from nmos_auth.registry.owners import STEP
from nmos_auth.registry.redis import RedisOwners
from tests.registry.support import LIFETIME, fresh_prefix, key_of, placed, uuid
from tests.support.clocks import Clock

CREATED, DONE, ABSENT, REFUSED = Verdict.CREATED, Verdict.DONE, Verdict.ABSENT, Verdict.REFUSED
MANY = 1000
NODE, DEVICE, OTHER_NODE = placed("node", 1), placed("device", 2, 1), placed("node", 3)

# What a call does itself, besides what it clears away, and what clearing away one entry takes.
MOST_COMMANDS, MOST_COMMANDS_EACH = 100, 8

# How many Nodes whose time is over a call removes, besides those that it asks for.
MOST_ENDED = 8


async def register_all(owners: Owners, client_id: str, placements: Iterable[Placement]) -> None:
    """Register what is new."""
    waiting = iter(placements)

    async def register() -> None:
        for each in waiting:
            assert await owners.register(client_id, each) is CREATED

    await asyncio.gather(*(register() for _ in range(16)))


async def register_a_large_node(owners: Owners, count: int) -> None:
    """Register a Node of client `a` with so many Senders, and one of client `b` without any."""
    await register_all(owners, "a", [NODE])
    await register_all(owners, "a", [DEVICE])
    await register_all(owners, "a", (placed("sender", 10 + each, 2) for each in range(count)))
    await register_all(owners, "b", [OTHER_NODE])


async def test_memory_clears_away_in_steps() -> None:
    """Deleting removes one entry, and each call after it no more than a step."""
    owners = MemoryOwners()
    await register_a_large_node(owners, MANY)
    assert await owners.delete("a", "node", NODE.id) is DONE
    left = [len(owners._entries)]
    assert left == [MANY + 2]
    while left[-1] > 1:
        assert await owners.heartbeat("b", OTHER_NODE.id) is DONE
        left.append(len(owners._entries))
        assert left[-2] - STEP <= left[-1] < left[-2]
    assert not owners._graves


async def test_memory_ends_a_few_nodes_at_a_time() -> None:
    """10,000 Nodes end together: no call removes more than a few, and yet all are gone at once."""
    clock = Clock()
    owners = MemoryOwners(LIFETIME, clock=clock)
    nodes = 10_000
    for number in range(0, 3 * nodes, 3):
        await owners.register("a", placed("node", number))
        await owners.register("a", placed("device", number + 1, number))
        await owners.register("a", placed("sender", number + 2, number + 1))
    clock.now += LIFETIME
    kept = len(owners._entries)
    for number in range(0, 3 * nodes, 300):
        assert await owners.heartbeat("a", uuid(number)) is ABSENT
        assert await owners.register("b", placed("sender", number + 2, number + 1)) is ABSENT
        assert kept - 2 * (STEP + MOST_ENDED) <= len(owners._entries) < kept
        kept = len(owners._entries)


async def test_redis_ends_a_few_nodes_at_a_time(redis_url: str) -> None:
    """Many Nodes end together: no call removes more than a few, nor runs many commands."""
    async with Redis.from_url(redis_url) as client:
        clock, prefix = Clock(), fresh_prefix()
        owners = RedisOwners(client, 2 * LIFETIME, prefix=prefix, timeout=10, clock=clock)
        nodes = 200
        await register_all(owners, "a", (placed("node", 10 + each) for each in range(nodes)))
        clock.now += LIFETIME
        await owners.register("b", OTHER_NODE)
        clock.now += LIFETIME
        assert await owners.heartbeat("a", uuid(10)) is ABSENT
        left = [await client.zcard(key_of(prefix, "ends"))]
        before = await commands_of_scripts(client)
        while left[-1] > 1:
            assert await owners.heartbeat("b", OTHER_NODE.id) is DONE
            after = await commands_of_scripts(client)
            assert after - before <= MOST_COMMANDS + MOST_COMMANDS_EACH * MOST_ENDED
            left.append(await client.zcard(key_of(prefix, "ends")))
            assert left[-2] - MOST_ENDED <= left[-1] < left[-2]
            before = await commands_of_scripts(client)
        assert left[0] >= nodes + 1 - MOST_ENDED


async def commands_of_scripts(client: Redis) -> int:
    """Count the commands that have run so far, those within scripts among them."""
    statistics = await client.info("commandstats")
    return sum(each["calls"] for each in statistics.values())


async def clear_away(client: Redis, owners: Owners, places: str) -> list[int]:
    """Call until nothing is left of what is gone; returns the commands that each call ran."""
    commands = []
    before = await commands_of_scripts(client)
    while await client.hlen(places) > 2:  # the other Node, and the number of births
        assert await owners.heartbeat("b", OTHER_NODE.id) is DONE
        after = await commands_of_scripts(client)
        commands.append(after - before)
        before = after
    return commands


@pytest.mark.parametrize("step", [1, STEP])
async def test_redis_clears_away_in_steps(redis_url: str, *, step: int) -> None:
    """Deleting, and each call after it, runs no more than so many commands."""
    async with Redis.from_url(redis_url) as client:
        prefix = fresh_prefix()
        owners = RedisOwners(client, prefix=prefix, timeout=10, step=step)
        count = 10 * step
        await register_a_large_node(owners, count)
        before = await commands_of_scripts(client)
        assert await owners.delete("a", "node", NODE.id) is DONE
        assert await commands_of_scripts(client) - before <= MOST_COMMANDS
        assert await client.hlen(key_of(prefix, "places")) == count + 3
        commands = await clear_away(client, owners, key_of(prefix, "places"))
        assert len(commands) >= count // step
        assert max(commands) <= MOST_COMMANDS + MOST_COMMANDS_EACH * step


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_what_is_being_cleared_away_belongs_to_nobody(redis_url: str, kind: str) -> None:
    """Between the steps another client takes the ids, and keeps them."""
    async with Redis.from_url(redis_url) as client:
        owners: Owners = (
            MemoryOwners(step=1)
            if kind == "memory"
            else RedisOwners(client, prefix=fresh_prefix(), step=1, timeout=10)
        )
        await register_a_large_node(owners, 50)
        assert await owners.delete("a", "node", NODE.id) is DONE
        assert await owners.register("b", NODE) is CREATED
        # The Device that stood below the Node of that id is not there, nor are its Senders.
        assert await owners.register("b", placed("sender", 10, 2)) is ABSENT
        assert await owners.delete("b", "device", DEVICE.id) is ABSENT
        assert await owners.register("b", DEVICE) is CREATED
        assert await owners.delete("b", "sender", uuid(11)) is ABSENT
        assert await owners.register("b", placed("sender", 10, 2)) is CREATED
        for number in range(10, 60):
            assert await owners.register("a", placed("sender", number, 2)) is REFUSED
        assert await owners.delete("a", "sender", uuid(10)) is REFUSED
        assert await owners.register("b", placed("sender", 10, 2)) is DONE
        assert await owners.delete("b", "sender", uuid(59)) is ABSENT


async def test_what_is_registered_again_leaves_nothing_behind(redis_url: str) -> None:
    """Devices that another client takes before they are cleared away; their Senders are, too."""
    async with Redis.from_url(redis_url) as client:
        prefix = fresh_prefix()
        owners = RedisOwners(client, prefix=prefix, step=1, timeout=10)
        devices = [placed("device", number, 1) for number in range(10, 30)]
        await owners.register("a", OTHER_NODE)  # without which all would go at once
        await owners.register("a", NODE)
        for number, device in enumerate(devices):
            await owners.register("a", device)
            await owners.register("a", placed("sender", 100 + number, 10 + number))
        assert await owners.delete("a", "node", NODE.id) is DONE
        assert await owners.register("b", NODE) is CREATED
        for device in reversed(devices):
            assert await owners.register("b", device) is CREATED
        for _ in range(100):
            assert await owners.heartbeat("b", NODE.id) is DONE
        ids = {NODE.id, OTHER_NODE.id, *(device.id for device in devices)}
        assert await client.hlen(key_of(prefix, "places")) == len(ids) + 1
        assert await client.zcard(key_of(prefix, "families")) == len(ids)


async def test_what_moves_leaves_nothing_behind(redis_url: str) -> None:
    """Neither below the Node that it leaves, nor of what belongs to it."""
    async with Redis.from_url(redis_url) as client:
        prefix = fresh_prefix()
        owners = RedisOwners(client, prefix=prefix, timeout=10)
        for placement in (NODE, OTHER_NODE, DEVICE, placed("sender", 4, 2)):
            assert await owners.register("a", placement) is CREATED
        for node in (3, 1, 3):
            assert await owners.register("a", placed("device", 2, node)) is DONE
            assert await client.zcard(key_of(prefix, "families")) == 4
        assert await owners.delete("a", "node", NODE.id) is DONE
        assert await owners.delete("a", "sender", uuid(4)) is DONE


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["deleted", "ended"])
async def test_redis_is_never_held_long(redis_url: str, way: str) -> None:
    """A Node of 100,000 resources goes: no script takes 50 ms by Redis' own measure."""
    async with Redis.from_url(redis_url) as client:
        prefix = fresh_prefix()
        clock = Clock()
        lifetime = 600  # Redis' own clock goes on, whatever this one says
        owners = RedisOwners(client, lifetime, prefix=prefix, timeout=10, clock=clock)
        await client.config_set("slowlog-log-slower-than", 50_000)
        await client.slowlog_reset()
        try:
            await register_a_large_node(owners, 100_000)
            if way == "deleted":
                assert await owners.delete("a", "node", NODE.id) is DONE
            else:
                clock.now += lifetime / 2
                await owners.heartbeat("b", OTHER_NODE.id)
                clock.now += lifetime / 2
                assert await owners.heartbeat("a", NODE.id) is ABSENT
            assert await owners.register("b", DEVICE) is ABSENT
            await clear_away(client, owners, key_of(prefix, "places"))
            # A busy computer stops Redis within a script now and then, and not for long.
            slow = [each["duration"] for each in await client.slowlog_get(100)]
            assert len(slow) <= 10
            assert max(slow, default=0) < 500_000
        finally:
            await client.config_set("slowlog-log-slower-than", 10_000)
