"""Changes at a Node that is slow, silent, busy or lying: one PATCH, and true words about it."""

from __future__ import annotations

import asyncio

import pytest

from example_node.controller.connecting import plan
from example_node.controller.connecting.outcome import Outcome
from example_node.controller.connecting.plan import Offer, When
from example_node.controller.reach import Reply
from tests.example_node.controller.bench import OTHER, RECEIVER, SDP, SENDER, Bench, FakeNode
from tests.example_node.registry.support import DEVICE_ID, resource


@pytest.mark.parametrize(
    ("seconds", "time"),
    [(1.5, "1:500000000"), (0.9999999999, "1:0"), (86400, "86400:0"), (0.001, "0:1000000")],
)
def test_a_time_from_now(seconds: float, time: str) -> None:
    """Nanoseconds are fewer than a second (IS-05, requested_time)."""
    assert When.after(seconds).time == time


async def test_a_take_is_one_patch_with_all_that_it_needs() -> None:
    """Sender, master_enable, transport file, a leg for each constraint, at once."""
    bench = Bench(FakeNode(legs=2))
    result = await bench.connector.take(RECEIVER, SENDER)
    assert result.outcome is Outcome.AGREED
    assert bench.node.sent == [
        (
            "PATCH",
            f"single/receivers/{RECEIVER}/staged",
            {
                "sender_id": SENDER,
                "master_enable": True,
                "transport_file": {"data": SDP, "type": "application/sdp"},
                "transport_params": [{"rtp_enabled": True}, {"rtp_enabled": False}],
                "activation": {"mode": "activate_immediate"},
            },
        )
    ]
    (entry,) = bench.log.entries()
    assert (entry.who, entry.what) == ("operator", "MON: Connected to CAM 1")


async def test_it_is_done_once_node_and_registry_agree() -> None:
    """The Registry's old version says nothing; a later one with the Sender does."""
    bench = Bench(FakeNode())
    await bench.connector.take(RECEIVER, SENDER)
    assert bench.changes.note(RECEIVER)[0] == "agreed"
    bench.changes.registry_shows(bench.plant.receivers[RECEIVER])
    assert bench.changes.note(RECEIVER)[0] == "agreed"
    bench.put_receiver(11, OTHER)
    bench.changes.registry_shows(bench.plant.receivers[RECEIVER])
    assert bench.changes.note(RECEIVER)[0] == "agreed"
    bench.put_receiver(12, SENDER)
    bench.changes.registry_shows(bench.plant.receivers[RECEIVER])
    state, text = bench.changes.note(RECEIVER)
    assert state == "done"
    assert text.startswith("Connected to CAM 1 (")


async def test_what_was_scheduled_is_done_once_the_registry_shows_it() -> None:
    """The row does not say for ever that it is scheduled."""
    bench = Bench(FakeNode([Reply(202, {})]))
    await bench.connector.take(RECEIVER, SENDER, when=When.after(1))
    assert bench.changes.note(RECEIVER)[0] == "scheduled"
    bench.put_receiver(11, SENDER)
    bench.changes.registry_shows(bench.plant.receivers[RECEIVER])
    assert bench.changes.note(RECEIVER)[0] == "done"


async def test_503_is_waited_for_as_the_node_asks() -> None:
    """A Node that fetches keys has done nothing; the row says that it is waited for."""
    bench = Bench(FakeNode([Reply(503, {}, retry_after=0.0), Reply(200, {})]))
    result = await bench.connector.disconnect(RECEIVER)
    assert (result.outcome, len(bench.node.sent)) == (Outcome.AGREED, 2)
    bench = Bench(FakeNode([Reply(503, {"error": "busy"}, retry_after=60.0)]))
    result = await bench.connector.disconnect(RECEIVER)
    assert (result.outcome, result.text) == (Outcome.FAILED, "The Node is not ready (503): busy")


@pytest.mark.parametrize(
    ("reply", "outcome", "text"),
    [
        (
            Reply(403, {"error": "no"}),
            "refused",
            "Refused: your token does not permit this (403): no",
        ),
        (Reply(401, {}), "refused", "Refused: the Node does not accept your token (401)"),
        (Reply(423, {}), "locked", "Locked by a scheduled activation (423)"),
        (
            Reply(400, {"error": "a leg\u202etoo many"}),
            "failed",
            "The Node refused (400): a leg too many",
        ),
        (Reply(302, None), "failed", "The Node redirects this (302), which is not followed"),
        (Reply(500, ["x"]), "failed", "The Node refused (500)"),
        (
            Reply(202, {"activation": {"activation_time": "7:0"}}),
            "scheduled",
            "Scheduled: Disconnected at 7:0 TAI",
        ),
    ],
    ids=lambda value: value.status if isinstance(value, Reply) else None,
)
async def test_refusals_are_words_on_the_row(reply: Reply, outcome: str, text: str) -> None:
    """Each status has its text; what a Node says is cut and made printable."""
    bench = Bench(FakeNode([reply]))
    result = await bench.connector.disconnect(RECEIVER)
    assert (result.outcome, result.text) == (outcome, text)
    assert bench.changes.note(RECEIVER) == (outcome, text)


async def test_undo_restores_what_was_before() -> None:
    """File and parameters as they were, also of a Sender that is gone; again, it is redone."""
    bench = Bench(FakeNode())
    assert (await bench.connector.undo(RECEIVER)).text == "There is nothing to undo."
    await bench.connector.take(RECEIVER, SENDER)
    before = dict(bench.node.active)
    await bench.connector.take(RECEIVER, OTHER)
    bench.plant.drop("senders", SENDER)
    await bench.connector.undo(RECEIVER)
    assert bench.node.active == before
    await bench.connector.undo(RECEIVER)
    assert bench.node.active["sender_id"] == OTHER
    await bench.connector.disconnect(RECEIVER)
    await bench.connector.undo(RECEIVER)
    assert bench.node.active["master_enable"] is True


async def test_undo_leaves_alone_what_somebody_else_has_changed_since() -> None:
    """The Registry showed the change, and shows another one now."""
    bench = Bench(FakeNode())
    await bench.connector.take(RECEIVER, SENDER)
    bench.put_receiver(11, SENDER)
    bench.changes.registry_shows(bench.plant.receivers[RECEIVER])
    bench.put_receiver(12, OTHER)
    said = await bench.connector.undo(RECEIVER)
    assert said.text == "This destination was changed elsewhere since, so nothing was undone."
    assert len(bench.node.sent) == 1


OTHER_SOURCE = "This destination has another source by now, so it was not disconnected."


@pytest.mark.parametrize(
    ("now", "shown", "is_ended"),
    [
        (OTHER, OTHER, True),
        (OTHER, SENDER, False),
        (OTHER, "-", False),
        (OTHER, "", False),
        ("-", "-", True),
        ("-", SENDER, False),
        ("", SENDER, True),
        (OTHER, None, True),
    ],
    ids=[
        *("as shown", "another", "was not of NMOS", "was none"),
        *("not of NMOS", "not of NMOS any more", "none any more", "whatever it is"),
    ],
)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with others"])
async def test_only_the_connection_that_was_shown_is_ended(
    now: str,
    shown: str | None,
    is_ended: bool,  # noqa: FBT001
    alone: bool,  # noqa: FBT001
) -> None:
    """A page may show what another page has changed by now."""
    bench = Bench(FakeNode([Reply(200, [{"id": RECEIVER, "code": 200}])]))
    bench.put_receiver(11, None if now == "-" else now or None)
    if now == "-":
        receiver = resource("receiver", version="12:0", subscription={"active": True})
        bench.plant.put("receivers", receiver)
    assert bench.plant.receivers[RECEIVER].source == now
    if alone:
        said = await bench.connector.disconnect(RECEIVER, shown=shown)
    else:
        made = await bench.connector.many({RECEIVER: None}, shown={RECEIVER: shown})
        said = made[RECEIVER]
    assert said.is_good is is_ended
    assert len(bench.node.sent) == is_ended
    if not is_ended:
        assert said.text == OTHER_SOURCE


@pytest.mark.parametrize("now", ["8:0", ""], ids=["another", "none"])
async def test_only_what_was_shown_as_scheduled_is_cancelled(now: str) -> None:
    """Somebody may have scheduled another change by now, or it was made."""
    scheduled = {"mode": "activate_scheduled_absolute", "activation_time": now}
    bench = Bench(FakeNode(staged={"activation": scheduled if now else {"mode": None}}))
    said = await bench.connector.cancel(RECEIVER, shown="7:0")
    assert said.text == (
        "What was shown as scheduled is not scheduled any more, so nothing was cancelled."
    )
    assert bench.node.sent == []
    assert (await bench.connector.cancel(RECEIVER, shown=now)).is_good


async def test_one_change_at_a_time_and_one_for_a_key() -> None:
    """While one is under way another is turned away; the same key gets the same result."""
    bench = Bench(FakeNode())
    first, other, again = await asyncio.gather(
        bench.connector.take(RECEIVER, SENDER, key="a"),
        bench.connector.take(RECEIVER, OTHER, key="b"),
        bench.connector.take(RECEIVER, SENDER, key="a"),
    )
    assert first == again
    assert first.is_good
    assert other.text == "A change of this destination is under way."
    assert len(bench.node.sent) == 1
    cancelled, taken = await asyncio.gather(
        bench.connector.cancel(RECEIVER), bench.connector.take(RECEIVER, SENDER)
    )
    assert (cancelled.outcome, taken.outcome) == (Outcome.DONE, Outcome.SENDING)


async def test_a_change_ends_although_its_user_goes_away() -> None:
    """A browser that leaves while the Node is asked leaves no row that waits for ever."""
    bench = Bench(FakeNode())
    asking = asyncio.create_task(bench.connector.take(RECEIVER, SENDER, key="a"))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    result = await bench.connector.take(RECEIVER, SENDER, key="a")
    assert (result.is_good, len(bench.node.sent)) == (True, 1)


def test_events_and_mqtt_take_over_the_senders_parameters() -> None:
    """What both sides have goes over; what MQTT calls otherwise, by its other name."""
    constraints: list[plan.Leg] = [
        {"connection_uri": {}, "ext_is_07_source_id": {}, "source_host": {}, "broker_topic": {}}
    ]
    offered: plan.Leg = {
        "connection_uri": "wss://a",
        "ext_is_07_source_id": SENDER,
        "destination_host": "broker",
        "broker_protocol": "mqtt",
    }
    body = plan.take(Offer(SENDER, None, [offered]), constraints, When.after(1.5))
    assert body["transport_params"] == [
        {"connection_uri": "wss://a", "ext_is_07_source_id": SENDER, "source_host": "broker"}
    ]
    assert body["activation"] == {
        "mode": "activate_scheduled_relative",
        "requested_time": "1:500000000",
    }
    assert "transport_file" not in body


def test_a_file_that_cannot_be_read_is_left_to_the_receiver() -> None:
    """Each leg is there, and nothing of it is changed."""
    body = plan.take(Offer(SENDER, "no SDP"), [{"rtp_enabled": {}}], When())
    assert body["transport_params"] == [{}]


def test_a_device_that_the_registry_lost_is_said_to_be() -> None:
    """Nothing is sent, and the row says why."""
    bench = Bench(FakeNode())
    bench.plant.drop("devices", DEVICE_ID)
    result = asyncio.run(bench.connector.disconnect(RECEIVER))
    assert result.text == "The Registry does not have its Device."
    assert not bench.node.sent
