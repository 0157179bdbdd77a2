"""Changes whose answer is lost: the Node is looked at, and what it does not show is unknown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from example_node.controller.connecting import Connector
from example_node.controller.connecting.outcome import Outcome, Result
from example_node.controller.connecting.plan import When
from example_node.controller.reach import CONNECTION, NoAnswerError, OutOfReachError, Reply
from tests.example_node.controller.bench import (
    DISCONNECTED,
    OTHER,
    RECEIVER,
    SECOND,
    SENDER,
    THIRD,
    Bench,
    FakeNode,
    three_receivers,
)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the Node twice without a pause, where no answer came."""
    monkeypatch.setattr("example_node.controller.connecting.trying._LOOK_AFTER", (0.0, 0.0))


LOST = [None, Reply(502, None), Reply(504, None)]
SCHEDULED: dict[str, object] = {"activation": {"mode": "activate_scheduled_relative"}}


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("lost", LOST, ids=["none", "502", "504"])
@pytest.mark.parametrize(
    ("applies", "outcome", "text"),
    [
        (True, Outcome.AGREED, "but the Node shows it"),
        (False, Outcome.UNKNOWN, "the Node does not show this yet: Connected to CAM 1."),
    ],
    ids=["made", "not made"],
)
async def test_without_an_answer_the_node_is_looked_at(
    lost: Reply | None,
    applies: bool,  # noqa: FBT001 - a case of the table
    outcome: Outcome,
    text: str,
) -> None:
    """The change is never sent again: its `active` says whether it was made."""
    bench = Bench(FakeNode([lost], applies=applies))
    if applies:
        bench.node.active |= {"sender_id": SENDER, "master_enable": True}
    result = await bench.connector.take(RECEIVER, SENDER)
    assert (result.outcome, len(bench.node.sent)) == (outcome, 1)
    assert text in result.text


@pytest.mark.usefixtures("_impatient")
async def test_without_an_answer_what_is_scheduled_is_looked_for() -> None:
    """Its `staged` shows it; the other way round, that nothing is staged shows a cancellation."""
    bench = Bench(FakeNode([None], staged=SCHEDULED, applies=False))
    result = await bench.connector.take(RECEIVER, SENDER, when=When.after(9))
    assert result.outcome is Outcome.SCHEDULED
    assert (await bench.connector.cancel(RECEIVER)).outcome is Outcome.UNKNOWN
    bench.node.staged = {"activation": {"mode": None}}
    assert (await bench.connector.cancel(RECEIVER)).outcome is Outcome.DONE


CHANGES: dict[str, Callable[[Connector], Awaitable[Result | dict[str, Result]]]] = {
    "take": lambda connector: connector.take(RECEIVER, SENDER),
    "take later": lambda connector: connector.take(RECEIVER, SENDER, when=When.after(5)),
    "disconnect": lambda connector: connector.disconnect(RECEIVER),
    "cancel": lambda connector: connector.cancel(RECEIVER),
    "many": lambda connector: connector.many({RECEIVER: SENDER}),
    "device": lambda connector: connector.change_device(
        None, CONNECTION, ("PATCH", f"single/senders/{SENDER}/staged", {}), "Sender changed"
    ),
}


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_whose_answer_is_lost_is_unknown_and_not_repeated(
    change: Callable[[Connector], Awaitable[Result | dict[str, Result]]],
) -> None:
    """Whichever it is, while the Node shows nothing of it: neither made nor failed."""
    active = {**DISCONNECTED, "sender_id": OTHER, "master_enable": True}
    bench = Bench(FakeNode([None], applies=False, active=active, asks_for_device=False))
    made = await change(bench.connector)
    result = made if isinstance(made, Result) else made[RECEIVER]
    assert (result.outcome, len(bench.node.sent)) == (Outcome.UNKNOWN, 1)
    assert result.text.startswith("No answer came")
    assert result.text.endswith("Look at the Node before you repeat it.")
    assert bench.log.entries()[0].result == result


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (OutOfReachError("There is no token now"), "There is no token now"),
        (NoAnswerError("it is slow"), "Nothing was changed. No answer came: it is slow"),
    ],
    ids=["out of reach", "no answer"],
)
async def test_what_fails_before_it_is_sent_has_failed(
    change: Callable[[Connector], Awaitable[Result | dict[str, Result]]],
    fault: Exception,
    text: str,
) -> None:
    """Reading comes first, and changes nothing: it is safe to try again."""
    bench = Bench(FakeNode(faults={"": fault}, control_fault=fault))
    made = await change(bench.connector)
    result = made if isinstance(made, Result) else made[RECEIVER]
    assert (result.outcome, result.text) == (Outcome.FAILED, text)
    assert bench.node.sent == []
    assert bench.changes.under_way() == 0


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_fault_of_the_controller_locks_no_row(
    change: Callable[[Connector], Awaitable[Result | dict[str, Result]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged, and told as what it is: nobody knows what was sent."""
    fault = RuntimeError("a mistake")
    bench = Bench(FakeNode(faults={"": fault}, control_fault=fault))
    made = await change(bench.connector)
    result = made if isinstance(made, Result) else made[RECEIVER]
    assert result.outcome is Outcome.UNKNOWN
    assert result.text.startswith("The Controller failed, and its log says more.")
    assert "a change failed" in caplog.text
    assert bench.changes.under_way() == 0


@pytest.mark.usefixtures("_impatient")
async def test_without_any_answer_it_is_unknown() -> None:
    """Where `active` cannot be read either, the row says so; the Registry completes it later."""
    bench = Bench(FakeNode([None], goes_silent=True))
    result = await bench.connector.take(RECEIVER, SENDER)
    assert result.outcome is Outcome.UNKNOWN
    assert result.text.startswith("No answer came, so it is not known whether this was done")
    bench.put_receiver(11, SENDER)
    bench.changes.registry_shows(bench.plant.receivers[RECEIVER])
    assert bench.changes.note(RECEIVER) == ("done", "Connected to CAM 1")
    bench.node.goes_silent = False
    assert (await bench.connector.undo(RECEIVER)).text.startswith("Undone: disconnected")


@pytest.mark.usefixtures("_impatient")
async def test_many_one_by_one_of_which_one_is_not_answered() -> None:
    """Each has its own result: what is known of the others is not lost with one answer."""
    answers = [Reply(501, {}), Reply(200, {}), None, Reply(403, {})]
    bench = three_receivers(FakeNode(answers, applies=False))
    results = await bench.connector.many({RECEIVER: SENDER, SECOND: SENDER, THIRD: SENDER})
    assert [each.outcome for each in results.values()] == [
        Outcome.AGREED,
        Outcome.UNKNOWN,
        Outcome.REFUSED,
    ]
    assert len(bench.node.sent) == 4
