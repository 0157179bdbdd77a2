"""Many changes at once: a bulk request for each Device, and a result for each Receiver."""

from __future__ import annotations

import asyncio

from example_node.controller.connecting.outcome import Outcome
from example_node.controller.reach import NoAnswerError, Reply
from tests.example_node.controller.bench import (
    RECEIVER,
    SECOND,
    SENDER,
    THIRD,
    Bench,
    FakeNode,
    three_receivers,
)
from tests.example_node.registry.support import uuid

GONE = uuid(9)


async def test_many_at_once() -> None:
    """One request for a Device; a result for each, also for those that the answer forgets."""
    answer = Reply(200, [{"id": RECEIVER, "code": 423}, {"id": THIRD}, {"id": GONE, "code": 200}])
    bench = three_receivers(FakeNode([answer]))
    wanted = {GONE: SENDER, RECEIVER: SENDER, SECOND: None, THIRD: SENDER}
    results = await bench.connector.many(wanted)
    assert list(results) == list(wanted)
    assert [path for _, path, _ in bench.node.sent] == ["bulk/receivers"]
    assert results[RECEIVER].outcome is Outcome.LOCKED
    for each in (SECOND, THIRD):
        assert results[each].outcome is Outcome.UNKNOWN
        assert results[each].text.startswith("The Node does not say what became of it.")
    assert results[GONE].text == "The Registry does not have this destination any more."


async def test_many_are_read_at_once() -> None:
    """What a Device shows of its Receivers does not come one after the other."""
    bench = three_receivers(FakeNode())
    await bench.connector.many({RECEIVER: SENDER, SECOND: SENDER, THIRD: SENDER})
    assert bench.node.most_read == 3
    ((_, _, entries),) = bench.node.sent
    assert isinstance(entries, list)
    assert [each["id"] for each in entries] == [RECEIVER, SECOND, THIRD]


async def test_a_second_click_makes_nothing_again() -> None:
    """It gets what became of the first, and not that a change is under way."""
    bench = three_receivers(FakeNode([Reply(200, [{"id": RECEIVER, "code": 200}])]))
    first, second, other = await asyncio.gather(
        bench.connector.many({RECEIVER: SENDER}, key="a"),
        bench.connector.many({RECEIVER: SENDER}, key="a"),
        bench.connector.many({RECEIVER: SENDER}, key="b"),
    )
    assert first == second
    assert first[RECEIVER].outcome is Outcome.AGREED
    assert other[RECEIVER].text == "A change of this destination is under way."
    assert len(bench.node.sent) == 1


async def test_many_of_which_one_cannot_be_read() -> None:
    """It has failed, and the others are changed."""
    bench = three_receivers(FakeNode([Reply(200, [{"id": RECEIVER, "code": 200}])]))
    bench.node.faults[f"{SECOND}/constraints"] = NoAnswerError("it is slow")
    results = await bench.connector.many({RECEIVER: SENDER, SECOND: SENDER})
    assert [each.outcome for each in results.values()] == [Outcome.AGREED, Outcome.FAILED]
    assert results[SECOND].text == "Nothing was changed. No answer came: it is slow"


async def test_many_at_a_node_without_bulk_requests() -> None:
    """They are made one by one, a PATCH each."""
    bench = Bench(FakeNode([Reply(501, {}), Reply(200, {})]))
    results = await bench.connector.many({RECEIVER: SENDER})
    assert [method for method, _, _ in bench.node.sent] == ["POST", "PATCH"]
    assert results[RECEIVER].outcome is Outcome.AGREED


async def test_a_source_that_leaves_meanwhile_keeps_its_name() -> None:
    """What is asked for is called by the name that it had when it was asked for."""
    bench = three_receivers(FakeNode([Reply(200, [{"id": RECEIVER, "code": 200}])]))
    bench.node.on_read = lambda: bench.plant.drop("senders", SENDER)
    results = await bench.connector.many({RECEIVER: SENDER})
    assert results[RECEIVER].text.startswith("Connected to CAM 1")
