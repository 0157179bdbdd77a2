"""A Connector at a plant of one Device, whose Node does what a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from example_node.controller.connecting import Changes, Connector, plan
from example_node.controller.connecting.changes import ConnectionLog
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.plant import Control, Device, Plant
from example_node.controller.reach import JSON, NoAnswerError, OutOfReachError, Reply
from tests.example_node.registry.support import resource, uuid

__all__ = [
    "DISCONNECTED",
    "OTHER",
    "RECEIVER",
    "SDP",
    "SECOND",
    "SENDER",
    "THIRD",
    "Bench",
    "FakeNode",
    "three_receivers",
]

RECEIVER, SENDER = uuid(6), uuid(5)
OTHER = uuid(7)
SECOND, THIRD = uuid(8), uuid(18)
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
        staged: what it shows as `staged`; None for 404.
        faults: what is raised for reading a path that ends so.
        control_fault: what is raised instead of saying where it is.
        asks_for_device: whether it is nowhere without its Device.
        goes_silent: whether it shows nothing after the first change.
        shows: what it answers to whoever reads anything.
        on_read: called whenever it is read.
        most_read: how many requests to read were under way at once.
        sent: what came.
    """

    answers: list[Reply | None] = field(default_factory=lambda: [Reply(200, {})])
    applies: bool = True
    active: dict[str, object] = field(default_factory=lambda: dict(DISCONNECTED))
    staged: dict[str, object] | None = None
    legs: int = 1
    faults: dict[str, Exception] = field(default_factory=dict)
    control_fault: Exception | None = None
    asks_for_device: bool = True
    goes_silent: bool = False
    shows: Reply | None = None
    on_read: Callable[[], None] = lambda: None
    reading: int = 0
    most_read: int = 0
    sent: list[tuple[str, str, object]] = field(default_factory=list)

    async def control(self, device: Device | None, types: tuple[str, ...]) -> Control:
        """Return where it is."""
        if self.control_fault is not None:
            raise self.control_fault
        if device is None and self.asks_for_device:
            raise OutOfReachError("The Registry does not have its Device.")
        return Control(types[0], HREF, authorization=True)

    async def send(
        self,
        control: Control,
        method: str,
        path: str,
        body: object | None = None,
        *,
        accept: str = JSON,
    ) -> Reply:
        """Answer a request."""
        assert control.href == HREF
        assert accept == (plan.SDP if path.endswith("/transportfile") else JSON)
        if method == "GET":
            self.on_read()
            self.reading += 1
            self.most_read = max(self.most_read, self.reading)
            await asyncio.sleep(0)
            self.reading -= 1
            return self._shown(path)
        self.sent.append((method, path, body))
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        is_done = answer is None or answer.is_success
        if self.applies and is_done and isinstance(body, Mapping):
            self.active |= {name: each for name, each in body.items() if name != "activation"}
        if answer is None:
            raise NoAnswerError("node.example.com took longer than 5 s")
        return answer

    async def fetch(self, url: str, *, with_token: bool, accept: str = JSON) -> Reply:
        """Answer a request for a transport file, which is not JSON."""
        assert (url, with_token) == ("https://files.example.com/a.sdp", False)
        assert accept == plan.SDP
        return Reply(200, None, SDP)

    def _shown(self, path: str) -> Reply:
        if self.shows is not None:
            return self.shows
        if self.goes_silent and self.sent:
            raise NoAnswerError("no answer")
        for end, fault in self.faults.items():
            if path.endswith(end):
                raise fault
        if path.endswith("/staged") and self.staged is not None:
            return Reply(200, self.staged)
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


def three_receivers(node: FakeNode) -> Bench:
    """Return a plant whose Device has three Receivers."""
    bench = Bench(node)
    for each in (SECOND, THIRD):
        bench.plant.put("receivers", resource("receiver", id=each))
    return bench
