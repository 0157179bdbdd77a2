"""Changes at a Node that is slow, silent, busy or lying: one PATCH, and true words about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from example_node.controller.connecting import Changes, Connector, plan
from example_node.controller.connecting.changes import ConnectionLog
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.connecting.outcome import Outcome
from example_node.controller.connecting.plan import Offer, When
from example_node.controller.plant import Control, Device, Plant
from example_node.controller.reach import NoAnswerError, OutOfReachError, Reply
from tests.example_node.registry.support import DEVICE_ID, resource, uuid

RECEIVER, SENDER = uuid(6), uuid(5)
OTHER = uuid(7)
HREF = "https://node.example.com/x-nmos/connection/v1.1"
SDP = """v=0
o=- 1 1 IN IP4 192.0.2.1
s=-
t=0 0
m=audio 5004 RTP/AVP 96
c=IN IP4 239.1.1.1/32
a=rtpmap:96 L24/48000/2
"""
DISCONNECTED: dict[str, object] = {
    "sender_id": None,
    "master_enable": False,
    "transport_file": {"data": None, "type": None},
    "transport_params": [{"rtp_enabled": True}],
}


@dataclass
class FakeNode:
    """The Connection API of a Device, as a test has it.

    Attributes:
        answers: what PATCH and POST are answered, one after the other; None for no answer, and
            the last one for all that follow.
        applies: whether it does what it is asked to, whatever it answers.
        sent: what came.
    """

    answers: list[Reply | None] = field(default_factory=lambda: [Reply(200, {})])
    applies: bool = True
    active: dict[str, object] = field(default_factory=lambda: dict(DISCONNECTED))
    legs: int = 1
    sent: list[tuple[str, str, object]] = field(default_factory=list)

    async def control(self, device: Device | None, types: tuple[str, ...]) -> Control:
        """Return where it is."""
        if device is None:
            raise OutOfReachError("The Registry does not have its Device.")
        return Control(types[0], HREF, authorization=True)

    async def send(
        self, control: Control, method: str, path: str, body: object | None = None
    ) -> Reply:
        """Answer a request."""
        assert control.href == HREF
        if method == "GET":
            return self._shown(path)
        self.sent.append((method, path, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        is_done = answer is None or answer.is_success
        if self.applies and is_done and isinstance(body, Mapping):
            self.active |= {name: each for name, each in body.items() if name != "activation"}
        if answer is None:
            raise NoAnswerError("node.example.com took longer than 5 s")
        return answer

    async def fetch(self, url: str, *, with_token: bool) -> Reply:
        """Answer a request for a transport file."""
        assert (url, with_token) == ("https://files.example.com/a.sdp", False)
        return Reply(200, None, SDP)

    def _shown(self, path: str) -> Reply:
        if path.endswith("/constraints"):
            return Reply(200, [{"rtp_enabled": {}, "interface_ip": {}}] * self.legs)
        if path.endswith("/active"):
            return Reply(200, json.loads(json.dumps(self.active)))
        return Reply(404, {"error": "there is none"})

    @property
    def patches(self) -> list[object]:
        """The bodies that came."""
        return [body for _, _, body in self.sent]


@dataclass
class Bench:
    """A Connector at a plant of one Device."""

    node: FakeNode
    plant: Plant = field(default_factory=Plant)
    rows: list[str] = field(default_factory=list)
    log: ConnectionLog = field(default_factory=ConnectionLog)

    def __post_init__(self) -> None:
        self.plant.put("devices", resource("device"))
        self.put_receiver()
        for each, label in ((SENDER, "CAM 1"), (OTHER, "CAM 2")):
            href = "https://files.example.com/a.sdp"
            sender = resource("sender", id=each, label=label, manifest_href=href)
            self.plant.put("senders", sender)
        self.changes = Changes(self.rows.append)
        endpoints = Endpoints(self.plant, self.node)
        self.connector = Connector(
            self.plant, endpoints, self.changes, self.log, lambda: "operator"
        )

    def put_receiver(self, version: int = 10, sender_id: str | None = None) -> None:
        """Have the Registry show the Receiver."""
        subscription = {"active": sender_id is not None, "sender_id": sender_id}
        shown = resource("receiver", version=f"{version}:0", subscription=subscription)
        self.plant.put("receivers", {**shown, "label": "MON"})


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


@pytest.mark.parametrize(
    ("applies", "outcome", "text"),
    [
        (True, Outcome.AGREED, "but the Node shows it"),
        (False, Outcome.FAILED, "the Node shows no change"),
    ],
    ids=["made", "not made"],
)
async def test_without_an_answer_the_node_is_looked_at(
    applies: bool,  # noqa: FBT001 - a case of the table
    outcome: Outcome,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The change is never sent again: its `active` says whether it was made."""
    monkeypatch.setattr("example_node.controller.connecting.connector._LOOK_AFTER", (0.0, 0.0))
    bench = Bench(FakeNode([None], applies=applies))
    result = await bench.connector.take(RECEIVER, SENDER)
    assert (result.outcome, len(bench.node.sent)) == (outcome, 1)
    assert text in result.text


async def test_without_any_answer_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `active` cannot be read either, the row says so."""
    monkeypatch.setattr("example_node.controller.connecting.connector._LOOK_AFTER", (0.0,))
    bench = Bench(FakeNode([None]))
    shown = bench.node._shown

    def silent(path: str) -> Reply:
        if path.endswith("/active") and bench.node.sent:
            raise NoAnswerError("no answer")
        return shown(path)

    bench.node._shown = silent  # type: ignore[method-assign]
    result = await bench.connector.take(RECEIVER, SENDER)
    assert result.outcome is Outcome.UNKNOWN
    assert result.text.startswith("No answer came in time. Unknown whether")


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
        (Reply(302, None), "failed", "The Node points elsewhere (302), which is not followed"),
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


async def test_a_change_ends_although_its_user_goes_away() -> None:
    """A browser that leaves while the Node is asked leaves no row that waits for ever."""
    bench = Bench(FakeNode())
    asking = asyncio.create_task(bench.connector.take(RECEIVER, SENDER, key="a"))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    result = await bench.connector.take(RECEIVER, SENDER, key="a")
    assert (result.is_good, len(bench.node.sent)) == (True, 1)


async def test_many_at_once() -> None:
    """One request for a Device; a result for each, also for those that the answer forgets."""
    answer = Reply(200, [{"id": RECEIVER, "code": 423}])
    bench = Bench(FakeNode([answer]))
    second = uuid(8)
    bench.plant.put("receivers", resource("receiver", id=second))
    results = await bench.connector.many({RECEIVER: SENDER, second: None, uuid(9): SENDER})
    assert [path for _, path, _ in bench.node.sent] == ["bulk/receivers"]
    assert results[RECEIVER].outcome is Outcome.LOCKED
    assert results[second].outcome is Outcome.UNKNOWN
    assert results[uuid(9)].text == "The Registry does not have it."


async def test_many_at_a_node_without_bulk_requests() -> None:
    """They are made one by one, a PATCH each."""
    bench = Bench(FakeNode([Reply(501, {}), Reply(200, {})]))
    results = await bench.connector.many({RECEIVER: SENDER})
    assert [method for method, _, _ in bench.node.sent] == ["POST", "PATCH"]
    assert results[RECEIVER].outcome is Outcome.AGREED


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
