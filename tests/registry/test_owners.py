"""Who owns what: BCP-003-02 "Registry Client Authorization", in either store alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from nmos_auth.registry import MemoryOwners, Owners, Placement, Verdict
from nmos_auth.registry.redis import RedisOwners
from tests.registry.support import LIFETIME, fresh_prefix, fresh_redis, placed, uuid
from tests.support.clocks import Clock

CREATED, DONE, ABSENT, REFUSED = Verdict.CREATED, Verdict.DONE, Verdict.ABSENT, Verdict.REFUSED

NODE, DEVICE, SENDER = placed("node", 1), placed("device", 2, 1), placed("sender", 3, 2)


@pytest.fixture
def clock() -> Clock:
    """The clock of the store."""
    return Clock()


@pytest.fixture(params=["memory", "redis"])
async def owners(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Owners]:
    """Yield owners who know of nothing, in each store."""
    if request.param == "memory":
        yield MemoryOwners(LIFETIME, clock=clock)
        return
    async with Redis.from_url(request.getfixturevalue("redis_url")) as client:
        yield fresh_redis(client, clock)


@pytest.fixture
async def registered(owners: Owners) -> Owners:
    """Return owners who know of a Node of client `a`, a Device and a Sender."""
    for placement in (NODE, DEVICE, SENDER):
        assert await owners.register("a", placement) is CREATED
    return owners


async def test_the_first_client_owns_all(registered: Owners) -> None:
    """The owner modifies, others do not, and no other becomes the owner by trying."""
    for placement in (NODE, DEVICE, SENDER):
        assert await registered.register("b", placement) is REFUSED
        assert await registered.delete("b", placement.type, placement.id) is REFUSED
        assert await registered.register("a", placement) is DONE


async def test_heartbeats_are_the_owners(registered: Owners, clock: Clock) -> None:
    """A heartbeat of another client is refused and keeps nothing alive."""
    clock.now += LIFETIME - 1
    assert await registered.heartbeat("b", NODE.id) is REFUSED
    clock.now += 1
    assert await registered.heartbeat("a", NODE.id) is ABSENT


async def test_a_node_ends_with_its_heartbeats(registered: Owners, clock: Clock) -> None:
    """Each heartbeat lasts for a lifetime; after that anybody may register everything."""
    for _ in range(3):
        clock.now += LIFETIME - 0.001
        assert await registered.heartbeat("a", NODE.id) is DONE
    clock.now += LIFETIME
    assert await registered.register("b", SENDER) is ABSENT
    assert await registered.register("b", NODE) is CREATED
    assert await registered.register("a", DEVICE) is REFUSED
    assert await registered.register("b", DEVICE) is CREATED


async def test_registering_a_node_counts_as_a_heartbeat(registered: Owners, clock: Clock) -> None:
    """What is registered below it does not."""
    clock.now += LIFETIME - 1
    assert await registered.register("a", NODE) is DONE
    clock.now += LIFETIME - 1
    assert await registered.register("a", DEVICE) is DONE
    clock.now += 1
    assert await registered.delete("a", "sender", SENDER.id) is ABSENT


async def test_deleting_takes_what_is_below(registered: Owners) -> None:
    """A Device goes with its Sender, and the Node stays."""
    assert await registered.delete("a", "device", DEVICE.id) is DONE
    assert await registered.delete("a", "sender", SENDER.id) is ABSENT
    assert await registered.heartbeat("a", NODE.id) is DONE


async def test_deleting_the_node_ends_ownership(registered: Owners) -> None:
    """Whoever comes next owns it."""
    assert await registered.delete("a", "node", NODE.id) is DONE
    assert await registered.register("b", DEVICE) is ABSENT
    assert await registered.register("b", NODE) is CREATED
    assert await registered.register("a", NODE) is REFUSED


async def test_moving_needs_both_owners(registered: Owners) -> None:
    """A Device moves between Nodes of one client, and to or from nobody else's."""
    await registered.register("a", placed("node", 11))
    await registered.register("b", placed("node", 21))
    await registered.register("b", placed("device", 22, 21))
    for client in ("a", "b"):
        assert await registered.register(client, placed("device", 2, 21)) is REFUSED
        assert await registered.register(client, placed("sender", 3, 22)) is REFUSED
    assert await registered.register("a", placed("device", 2, 11)) is DONE
    assert await registered.delete("a", "node", NODE.id) is DONE
    assert await registered.register("a", SENDER) is DONE
    assert await registered.delete("a", "node", uuid(11)) is DONE
    assert await registered.register("a", SENDER) is ABSENT


@pytest.mark.parametrize(
    "placement",
    [
        placed("device", 9, 99),  # no such Node
        placed("device", 9, 2),  # a Device below a Device
        placed("sender", 9, 1),  # a Sender below a Node
        placed("device", 9, 9),  # below itself
        placed("device", 1, 1),  # the Node made a Device below itself
        placed("sender", 2, 2),  # the Device made a Sender below itself
        placed("node", 2),  # the Device made a Node
        placed("receiver", 3, 2),  # the Sender made a Receiver
    ],
)
async def test_what_does_not_fit_changes_nothing(registered: Owners, placement: Placement) -> None:
    """A parent that is not there, and an id of another type, are refused as such."""
    assert await registered.register("a", placement) is ABSENT
    assert await registered.delete("a", "node", NODE.id) is DONE
    assert await registered.delete("a", placement.type, placement.id) is ABSENT


async def test_another_type_is_not_there(registered: Owners) -> None:
    """Deleting by the id of another type finds nothing, and a Device has no heartbeats."""
    assert await registered.delete("a", "receiver", SENDER.id) is ABSENT
    assert await registered.delete("a", "node", DEVICE.id) is ABSENT
    assert await registered.heartbeat("a", DEVICE.id) is ABSENT
    assert await registered.delete("a", "sender", SENDER.id) is DONE


@pytest.mark.parametrize(
    ("client", "other"),
    [("a", "A"), ("a", "a "), ("a", "a\x00"), ("é", "e\u0301"), ("\ud800", "\udfff"), ("1", "01")],
)
async def test_clients_are_told_apart_exactly(owners: Owners, client: str, other: str) -> None:
    """Whatever a token can have for `client_id` is compared as it is."""
    assert await owners.register(client, NODE) is CREATED
    assert await owners.register(other, NODE) is REFUSED
    assert await owners.register(client, NODE) is DONE


async def test_of_many_at_once_one_is_first(owners: Owners) -> None:
    """First capture is atomic."""
    verdicts = await asyncio.gather(
        *(owners.register(f"client-{number}", NODE) for number in range(20))
    )
    assert sorted(verdicts) == [CREATED, *[REFUSED] * 19]


async def test_many_nodes_end_together(owners: Owners, clock: Clock) -> None:
    """What ended is gone at once, also what no call has come to remove yet."""
    nodes = range(0, 100, 2)
    for number in nodes:
        await owners.register("a", placed("node", number))
        await owners.register("a", placed("device", number + 1, number))
    clock.now += LIFETIME
    for number in reversed(nodes):
        assert await owners.delete("b", "node", uuid(number)) is ABSENT
        assert await owners.delete("a", "device", uuid(number + 1)) is ABSENT


async def test_who_takes_the_id_of_a_node_that_ended_has_none_of_its_devices(
    owners: Owners, clock: Clock
) -> None:
    """Neither those that are still to be removed, nor any that registers late."""
    nodes = range(0, 100, 2)
    for number in nodes:
        await owners.register("a", placed("node", number))
        await owners.register("a", placed("device", number + 1, number))
    clock.now += LIFETIME
    for number in reversed(nodes):
        assert await owners.register("b", placed("node", number)) is CREATED
        assert await owners.delete("b", "device", uuid(number + 1)) is ABSENT
        assert await owners.register("a", placed("device", number + 1, number)) is REFUSED
        assert await owners.register("b", placed("device", number + 1, number)) is CREATED


@pytest.fixture(params=["memory", "redis"])
async def bounded(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Owners]:
    """Yield owners who let a client have five resources, and clear away one by one."""
    if request.param == "memory":
        yield MemoryOwners(LIFETIME, clock=clock, most_per_client=5, step=1)
        return
    async with Redis.from_url(request.getfixturevalue("redis_url")) as client:
        prefix = fresh_prefix()
        yield RedisOwners(client, LIFETIME, prefix=prefix, clock=clock, most_per_client=5, step=1)


async def test_a_client_has_so_many_and_no_more(bounded: Owners) -> None:
    """It may change all it has; what others have does not matter, and deleting makes room."""
    for placement in (NODE, DEVICE, SENDER, placed("sender", 4, 2), placed("node", 5)):
        assert await bounded.register("a", placement) is CREATED
    for placement in (placed("sender", 6, 2), placed("node", 6)):
        assert await bounded.register("a", placement) is Verdict.FULL
        assert await bounded.delete("a", placement.type, placement.id) is ABSENT
    assert await bounded.register("a", SENDER) is DONE
    assert await bounded.register("a", placed("sender", 6, 99)) is ABSENT
    assert await bounded.register("b", placed("node", 6)) is CREATED
    assert await bounded.register("a", placed("node", 6)) is REFUSED
    assert await bounded.delete("a", "sender", SENDER.id) is DONE
    assert await bounded.register("a", placed("sender", 7, 2)) is CREATED
    assert await bounded.register("a", placed("sender", 8, 2)) is Verdict.FULL


@pytest.mark.parametrize("way", ["deleted", "ended", "taken"])
async def test_what_is_gone_makes_room(bounded: Owners, clock: Clock, way: str) -> None:
    """As it is cleared away, and whoever has its ids by then."""
    for placement in (NODE, DEVICE, SENDER, placed("sender", 4, 2), placed("node", 5)):
        assert await bounded.register("a", placement) is CREATED
    clock.now += LIFETIME / 2
    assert await bounded.heartbeat("a", uuid(5)) is DONE
    if way == "deleted":
        assert await bounded.delete("a", "node", NODE.id) is DONE
    else:
        clock.now += LIFETIME / 2
    if way == "taken":
        for placement in (NODE, DEVICE, SENDER):
            assert await bounded.register("b", placement) is CREATED
    for _ in range(10):
        assert await bounded.heartbeat("a", uuid(5)) is DONE
    for number in range(11, 15):
        assert await bounded.register("a", placed("node", number)) is CREATED
    assert await bounded.register("a", placed("node", 15)) is Verdict.FULL
    if way == "taken":
        for number in (21, 22):
            assert await bounded.register("b", placed("node", number)) is CREATED
        assert await bounded.register("b", placed("node", 23)) is Verdict.FULL
