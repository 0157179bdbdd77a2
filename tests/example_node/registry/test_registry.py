"""What is registered, and what goes with it when it goes."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from example_node.registry.registry import Change, Registry
from tests.example_node.registry.support import DEVICE_ID, NODE_ID, TYPES, resource, uuid
from tests.example_node.support import ManualClock

MANY = 3000
AT_ONCE = 510


@pytest.fixture
async def registry(clock: ManualClock) -> AsyncIterator[Registry]:
    """Yield a Registry that runs, with a Node of many Senders."""
    registry = Registry(clock, 12)
    for kind in TYPES:
        registry.register(f"{kind}s", resource(kind))
    for number in range(10, 10 + MANY):
        registry.register("senders", resource("sender", id=uuid(number)))
    running = [
        asyncio.create_task(each)
        for each in (registry.collect_garbage(), registry.collect_orphans())
    ]
    yield registry
    for task in running:
        task.cancel()


async def turns_until(left: Callable[[], int], least: int) -> None:
    """Let the event loop go on until no more than so many are left."""
    for _ in range(2 * MANY):
        if left() <= least:
            return
        await asyncio.sleep(0)
    pytest.fail(f"{left()} are left")


def count(registry: Registry) -> int:
    """Count all resources."""
    return sum(len(registry[f"{kind}s"]) for kind in TYPES)


@pytest.mark.parametrize(
    ("collection", "resource_id", "left"),
    [("nodes", NODE_ID, 0), ("devices", DEVICE_ID, 1), ("flows", uuid(4), MANY + 5)],
)
async def test_all_that_belongs_to_it_goes(
    registry: Registry, collection: str, resource_id: str, left: int
) -> None:
    """In turns, of which none removes very much; followers are told of each once."""
    told: list[Change] = []
    registry.follow(told.append)
    before = count(registry)
    assert registry.remove(collection, resource_id) is True
    assert registry.remove(collection, resource_id) is False
    counts = [before, count(registry)]
    while counts[-1] > left:
        assert 0 < counts[-2] - counts[-1] <= AT_ONCE
        await asyncio.sleep(0)
        counts.append(count(registry))
    assert [change.after for change in told] == [None] * len(told)
    assert len({change.resource_id for change in told}) == len(told) == MANY + 6 - left


async def test_nodes_end_one_in_a_turn(registry: Registry, clock: ManualClock) -> None:
    """However many end together."""
    for number in range(20_000, 20_100):
        registry.register("nodes", resource("node", id=uuid(number)))
    await clock.advance("12:0")
    await turns_until(lambda: count(registry), 0)
    assert registry.health(NODE_ID) is None


async def test_what_is_registered_again_stays(registry: Registry) -> None:
    """Also where it was still to be removed with what it belonged to."""
    registry.remove("nodes", NODE_ID)
    left = [*registry["senders"]]
    assert left
    for kind in ("node", "device"):
        registry.register(f"{kind}s", resource(kind))
    registry.register("senders", resource("sender", id=left[0], label="again"))
    await turns_until(lambda: len(registry["senders"]), 1)
    for _ in range(10):
        await asyncio.sleep(0)
    assert [record.data["label"] for record in registry["senders"].values()] == ["again"]
    assert registry.remove("nodes", NODE_ID)
    assert count(registry) == 0


def test_what_moves_goes_with_its_new_parent(clock: ManualClock) -> None:
    """And not with the one that it belonged to before."""
    registry = Registry(clock, 12)
    for number in (1, 11):
        registry.register("nodes", resource("node", id=uuid(number)))
    for number in (1, 11):
        registry.register("devices", resource("device", id=uuid(2), node_id=uuid(number)))
    registry.remove("nodes", uuid(1))
    assert [*registry["devices"]] == [uuid(2)]
    registry.remove("nodes", uuid(11))
    assert count(registry) == 0
