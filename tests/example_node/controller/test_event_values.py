"""Live values of events, at Nodes that are on, off, silent or lying about where they send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from example_node.controller import event_values
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.event_values import WEBSOCKET, EventValues
from example_node.controller.plant import Plant
from example_node.controller.reach import NoAnswerError, Reply
from example_node.events.messages import MESSAGE, State
from example_node.events.reception import Deliver, Server, Subscribed, Trouble
from tests.example_node.controller.bench import SENDER, FakeNode
from tests.example_node.registry.support import resource, uuid

SOURCE = uuid(3)
URI = "wss://node.example.com/x-nmos/events/v1.0/devices/2"
LEG: dict[str, object] = {
    "connection_uri": URI,
    "connection_authorization": True,
    "ext_is_07_source_id": SOURCE,
}
ON: dict[str, object] = {"master_enable": True, "transport_params": [LEG]}


@dataclass
class FakeReception:
    """Keeps what is connected, and delivers what a test has received."""

    deliver: Deliver
    trouble: Trouble
    subscribed: Subscribed
    connected: dict[str, tuple[Server, str]] = field(default_factory=dict)

    def connect(self, receiver_id: str, server: Server, source_id: str) -> None:
        """Connect and subscribe."""
        self.connected[receiver_id] = server, source_id
        self.subscribed(receiver_id)

    def disconnect(self, receiver_id: str) -> None:
        """Disconnect."""
        self.connected.pop(receiver_id, None)

    async def stop(self) -> None:
        """End all of them."""
        self.connected.clear()


class Anywhere:
    """Lets requests go anywhere but to one host."""

    async def bar(self, href: str) -> str:
        """Return why no request may go to an href."""
        return "Your token is not for evil.example." if "evil" in href else ""


@dataclass
class Bench:
    """A plant with one Sender of events."""

    node: FakeNode = field(default_factory=lambda: FakeNode(active=dict(ON)))
    plant: Plant = field(default_factory=Plant)
    receptions: list[FakeReception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plant.put("devices", resource("device"))
        self.put_sender(1)

    def put_sender(self, version: int) -> None:
        """Have the Registry show the Sender in a version."""
        shown = resource("sender", id=SENDER, transport=WEBSOCKET, version=f"{version}:0")
        self.plant.put("senders", shown)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[EventValues]:
        """Show the values on a page until the block ends."""
        values = EventValues(
            self.plant,
            Anywhere(),  # type: ignore[arg-type]
            Endpoints(self.plant, self.node),
            self._reception,  # type: ignore[arg-type]
            lambda _: None,
        )
        values.want()
        yield values
        await values.aclose()

    def _reception(
        self, deliver: Deliver, trouble: Trouble, subscribed: Subscribed
    ) -> FakeReception:
        self.receptions.append(FakeReception(deliver, trouble, subscribed))
        return self.receptions[-1]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the Senders all the time, and ask again at once."""
    monkeypatch.setattr(event_values, "_LOOK_EVERY", 0.0)
    monkeypatch.setattr(event_values, "_ASK_AGAIN", 0.0)


async def shown(values: EventValues, text: str) -> None:
    """Wait until the Sender has a value."""
    async with asyncio.timeout(5):
        while getattr(values.values.get(SENDER), "text", "") != text:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0)


def number(value: object, scale: int | None) -> State:
    """Return the state of a number."""
    found = MESSAGE.validate_python(
        {
            "identity": {"source_id": SOURCE},
            "event_type": "number",
            "timing": {"creation_timestamp": "1:0"},
            "payload": {"value": value, "scale": scale},
            "message_type": "state",
        }
    )
    assert isinstance(found, State)
    return found


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (235, 10, "23.5"),
        (230, 10, "23"),
        (7, None, "7"),
        (10**400, 10, "1.00000000000e+399"),
        (True, None, "True"),
    ],
    ids=["tenths", "whole", "no scale", "too large for a float", "boolean"],
)
async def test_what_is_received_is_shown(value: object, scale: int | None, text: str) -> None:
    """A number with a scale is a fraction (IS-07 "Event types", Number)."""
    bench = Bench()
    async with bench.watched() as values:
        await shown(values, "waiting for a value …")
        bench.receptions[0].deliver(SENDER, number(value, scale))
        assert values.values[SENDER].text == text
        assert values.values[SENDER].at is not None


async def test_why_nothing_is_received_is_shown() -> None:
    """In place of a value that nobody knows to be true any more."""
    bench = Bench()
    async with bench.watched() as values:
        await shown(values, "waiting for a value …")
        bench.receptions[0].trouble(SENDER, "HTTP 403\u202e")
        assert values.values[SENDER] == event_values.Value("not connected: HTTP 403 ")


async def test_a_connection_that_is_there_again_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why nothing was received is no longer true then, even if no value comes."""
    bench = Bench()
    async with bench.watched() as values:
        await shown(values, "waiting for a value …")
        bench.receptions[0].trouble(SENDER, "the server has closed the connection")
        bench.receptions[0].subscribed(SENDER)
        assert values.values[SENDER].text == "waiting for a value …"
        monkeypatch.setattr(event_values, "_LONGEST_SILENCE", 0.0)
        await shown(
            values, "no value came: your token may not permit you to read this source of events"
        )


async def test_another_subscription_hides_no_value() -> None:
    """A value stays: servers need not say again what has not changed."""
    bench = Bench()
    async with bench.watched() as values:
        await shown(values, "waiting for a value …")
        bench.receptions[0].deliver(SENDER, number(7, None))
        bench.receptions[0].subscribed(SENDER)
        assert values.values[SENDER].text == "7"


async def test_a_source_that_stays_silent_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what may be the reason; a value that comes all the same is shown."""
    monkeypatch.setattr(event_values, "_LONGEST_SILENCE", 0.0)
    bench = Bench()
    async with bench.watched() as values:
        await shown(
            values, "no value came: your token may not permit you to read this source of events"
        )
        said = values.values[SENDER]
        bench.receptions[0].subscribed(SENDER)
        assert values.values[SENDER] is said
        bench.receptions[0].deliver(SENDER, number(7, None))
        await asyncio.sleep(0)
        assert values.values[SENDER].text == "7"


@pytest.mark.parametrize(
    ("says", "host", "device_says", "presents"),
    [
        (True, "node", False, True),
        (False, "node", True, True),
        (False, "node", False, False),
        (False, "other", True, False),
    ],
    ids=["the Sender says so", "its Device says so", "nobody does", "another host does"],
)
async def test_a_token_is_presented_where_sender_or_device_require_one(
    says: bool,  # noqa: FBT001
    host: str,
    device_says: bool,  # noqa: FBT001
    presents: bool,  # noqa: FBT001
) -> None:
    """Senders of nmos-cpp deny it, and their Devices do not."""
    bench = Bench()
    leg = {**LEG, "connection_authorization": says}
    bench.node.active = {**ON, "transport_params": [leg]}
    control = {
        "type": "urn:x-nmos:control:events/v1.0",
        "href": f"https://{host}.example.com/x-nmos/events/v1.0",
        "authorization": device_says,
    }
    bench.plant.put("devices", resource("device", controls=[control], version="2:0"))
    async with bench.watched() as values:
        await shown(values, "waiting for a value …")
        assert bench.receptions[0].connected == {SENDER: (Server(URI, presents), SOURCE)}


async def test_a_node_that_does_not_answer_is_asked_again() -> None:
    """Its value says why meanwhile; once it says where it sends, that is connected to."""
    bench = Bench()
    bench.node.faults["/active"] = NoAnswerError("node.example.com took longer than 5 s")
    async with bench.watched() as values:
        await shown(values, "node.example.com took longer than 5 s")
        bench.node.faults.clear()
        await shown(values, "waiting for a value …")
        assert bench.receptions[0].connected == {SENDER: (Server(URI, authorization=True), SOURCE)}


async def test_a_sender_that_is_off_is_not_asked_again() -> None:
    """The Registry shows another version of it once it is on."""
    bench = Bench()
    bench.node.active = {**ON, "master_enable": False}
    asked: list[None] = []
    bench.node.on_read = lambda: asked.append(None)
    async with bench.watched() as values:
        await shown(values, "off")
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(asked) == 1
        bench.node.active = dict(ON)
        bench.put_sender(2)
        await shown(values, "waiting for a value …")


async def test_a_sender_that_leaves_is_forgotten() -> None:
    """Its connection ends, and its value is not kept."""
    bench = Bench()
    async with bench.watched() as values:
        await shown(values, "waiting for a value …")
        bench.plant.drop("senders", SENDER)
        async with asyncio.timeout(5):
            while values.values:  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0)
        assert bench.receptions[0].connected == {}


@pytest.mark.parametrize(
    ("active", "text"),
    [
        ({"master_enable": True}, "Its Node does not say where it sends."),
        (
            {**ON, "transport_params": [{"connection_uri": URI, "ext_is_07_source_id": "../x"}]},
            "Its Node does not say where it sends.",
        ),
        (
            {
                **ON,
                "transport_params": [
                    {"connection_uri": "wss://evil.example/", "ext_is_07_source_id": SOURCE}
                ],
            },
            "Your token is not for evil.example.",
        ),
    ],
    ids=["no parameters", "no source", "elsewhere"],
)
async def test_where_nothing_is_connected_to(active: dict[str, object], text: str) -> None:
    """The value says why."""
    bench = Bench()
    bench.node.active = active
    async with bench.watched() as values:
        await shown(values, text)
        assert bench.receptions[0].connected == {}


async def test_a_node_that_refuses_to_show_it() -> None:
    """The status is told."""
    bench = Bench()
    bench.node.shows = Reply(403, {})
    async with bench.watched() as values:
        await shown(values, "Its Node does not show where it sends (403).")
