"""Event WebSockets at the Senders' side: IS-07 "WebSocket Transport" and "Message types"."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2
import pytest
from fastapi import FastAPI

from example_node.clock import NANOSECONDS, TaiTime
from example_node.events.event_types import Payload
from example_node.events.sources import EventSource
from example_node.events.subscriptions import MOST_SUBSCRIBERS
from example_node.node import ReferenceNode
from tests.example_node.sockets import Socket, opened, status_of_handshake
from tests.example_node.support import EVENTS, SINGLE, UNKNOWN, ManualClock

ON, OFF = Payload(value=True), Payload(value=False)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the Node, whose values only tests change."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="https://node") as client:
        yield client


@pytest.fixture
async def active(client: httpx2.AsyncClient, node: ReferenceNode) -> list[EventSource]:
    """The Sources of events, tally first, with all their Senders enabled."""
    for sender_id, sender in node.senders.items():
        if sender.transport_type == "urn:x-nmos:transport:websocket":
            await enable(client, sender_id)
    return list(node.events.sources.values())


async def enable(client: httpx2.AsyncClient, sender_id: str, *, master_enable: bool = True) -> None:
    """Enable or disable a Sender."""
    patch = {"master_enable": master_enable, "activation": {"mode": "activate_immediate"}}
    response = await client.patch(f"{SINGLE}/senders/{sender_id}/staged", json=patch)
    assert response.status_code == 200


@pytest.fixture
def path(node: ReferenceNode) -> str:
    """The path of the Device's WebSocket."""
    (device_id,) = node.resources.devices
    return f"{EVENTS}/devices/{device_id}"


@pytest.fixture
async def socket(app: FastAPI, path: str) -> AsyncIterator[Socket]:
    """A connection of a client that sends what the test says and no more."""
    async with opened(app, path) as socket:
        yield socket


def subscription(*sources: EventSource | str) -> dict[str, object]:
    """A subscription command."""
    ids = [each if isinstance(each, str) else each.id for each in sources]
    return {"command": "subscription", "sources": ids}


HEALTH = {"command": "health", "timestamp": "1441974485:12300000"}


# Subscriptions


async def test_nothing_comes_before_a_subscription(
    socket: Socket, active: list[EventSource]
) -> None:
    """Upon connection "a client needs to initialise its subscriptions list"."""
    active[0].change(ON)
    assert await socket.quiet()


async def test_the_present_state_comes_first(
    socket: Socket, active: list[EventSource], node: ReferenceNode
) -> None:
    """Late joiners get the state of each Source, with its Flow and the time when it came about."""
    tally, *_ = active
    socket.send(subscription(tally))
    (flow,) = [each for each in node.resources.flows.values() if each.source_id == tally.id]
    assert await socket.receive() == {
        "identity": {"source_id": tally.id, "flow_id": flow.id},
        "event_type": "boolean",
        "timing": {"creation_timestamp": "1000:0"},
        "payload": {"value": False},
        "message_type": "state",
    }
    assert await socket.quiet()


async def test_every_change_of_a_subscribed_source_comes(
    socket: Socket, active: list[EventSource], clock: ManualClock
) -> None:
    """In order, with the time of each; those of other Sources do not."""
    tally, caption, *_ = active
    socket.send(subscription(tally))
    await socket.receive()
    for number, payload in enumerate((ON, OFF, ON), 1):
        await clock.advance("1:0")
        tally.change(payload)
        caption.change(Payload(value=f"Camera {number + 2}"))
        state = await socket.receive()
        assert state["payload"] == payload.model_dump(exclude_none=True)
        assert state["timing"]["creation_timestamp"] == f"{1000 + number}:0"
    assert await socket.quiet()


async def test_a_command_replaces_the_one_before(socket: Socket, active: list[EventSource]) -> None:
    """All states of the new list are sent again, those of Sources in both lists too."""
    tally, caption, temperature, _ = active
    socket.send(subscription(tally, caption))
    assert [await source_of(socket), await source_of(socket)] == [tally.id, caption.id]
    socket.send(subscription(caption, temperature))
    assert [await source_of(socket), await source_of(socket)] == [caption.id, temperature.id]
    tally.change(ON)
    assert await socket.quiet()
    socket.send(subscription())
    assert await socket.quiet()
    caption.change(Payload(value="Replay"))
    assert await socket.quiet()


async def source_of(socket: Socket) -> str:
    """The Source of the next state."""
    source_id = (await socket.receive())["identity"]["source_id"]
    assert isinstance(source_id, str)
    return source_id


async def test_a_source_named_twice_is_told_once(socket: Socket, active: list[EventSource]) -> None:
    """A list is a set, whatever else the client makes of it."""
    socket.send(subscription(active[0], active[0]))
    await socket.receive()
    assert await socket.quiet()


async def test_the_path_may_end_in_a_slash(app: FastAPI, path: str) -> None:
    """As every path of an NMOS API (IS-04 "APIs", URLs: Approach to Trailing Slashes)."""
    async with opened(app, f"{path}/") as socket:
        socket.send(HEALTH)
        assert (await socket.receive())["message_type"] == "health"


async def test_unknown_sources_are_left_out(
    socket: Socket, active: list[EventSource], node: ReferenceNode
) -> None:
    """Sources that are none of this Device's events give nothing, and spoil nothing."""
    media = next(each for each in node.resources.sources if each not in node.events.sources)
    socket.send(subscription(UNKNOWN, media, active[1]))
    assert await source_of(socket) == active[1].id
    assert await socket.quiet()


async def test_clients_have_subscriptions_of_their_own(
    app: FastAPI, path: str, socket: Socket, active: list[EventSource]
) -> None:
    """What one client subscribes to, another does not get."""
    tally, caption, *_ = active
    async with opened(app, path) as other:
        socket.send(subscription(tally))
        other.send(subscription(caption))
        assert await source_of(socket) == tally.id
        assert await source_of(other) == caption.id
        tally.change(ON)
        assert await source_of(socket) == tally.id
        assert await other.quiet()


async def test_a_sender_that_is_disabled_sends_nothing(
    client: httpx2.AsyncClient, socket: Socket, active: list[EventSource], node: ReferenceNode
) -> None:
    """IS-05 has the last word: states come again when the Sender is enabled, as they are then."""
    tally, *_ = active
    (flow,) = [each for each in node.resources.flows.values() if each.source_id == tally.id]
    (sender,) = [each for each in node.resources.senders.values() if each.flow_id == flow.id]
    await enable(client, sender.id, master_enable=False)
    socket.send(subscription(tally))
    tally.change(ON)
    assert await socket.quiet()
    await enable(client, sender.id)
    assert (await socket.receive())["payload"] == {"value": True}


# Health


async def test_health_is_answered_with_its_own_timestamp(
    socket: Socket, clock: ManualClock
) -> None:
    """A `health` response carries the command's time and the Node's, as its clock is set."""
    clock.ahead = TaiTime.parse("2000:0")
    await clock.advance("3:5")
    socket.send(HEALTH)
    assert await socket.receive() == {
        "timing": {"creation_timestamp": "3003:5", "origin_timestamp": "1441974485:12300000"},
        "message_type": "health",
    }


async def test_without_health_the_connection_ends_after_12_seconds(
    socket: Socket, active: list[EventSource], clock: ManualClock
) -> None:
    """Not a moment earlier; a subscription is not a sign of life."""
    await clock.settle()
    await clock.advance("11:999999999")
    socket.send(subscription(active[0]))
    await socket.receive()
    assert await socket.quiet()
    await clock.advance("0:1")
    closing = await socket.next()
    assert (closing["type"], closing["code"]) == ("websocket.close", 1008)
    active[0].change(ON)
    assert await socket.quiet()


async def test_each_health_command_gives_12_seconds_more(
    socket: Socket, clock: ManualClock
) -> None:
    """A client that reports every 5 seconds stays, and may miss two of them."""
    for _ in range(4):
        await clock.advance("5:0")
        socket.send(HEALTH)
        await socket.receive()
    await clock.advance("11:999999999")
    assert await socket.quiet()
    await clock.advance("0:1")
    assert (await socket.next())["type"] == "websocket.close"


async def test_setting_the_clock_neither_ends_a_connection_nor_keeps_it(
    socket: Socket, clock: ManualClock
) -> None:
    """12 seconds are 12 seconds, whatever the time of day becomes."""
    year = TaiTime(365 * 86_400 * NANOSECONDS)
    clock.ahead = year
    socket.send(HEALTH)
    await socket.receive()
    clock.ahead = TaiTime(2 * year.total)
    await clock.advance("11:999999999")
    assert await socket.quiet()
    clock.ahead = TaiTime(0)
    await clock.advance("0:1")
    assert (await socket.next())["type"] == "websocket.close"


# What is not a command


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"health"',
        "{}",
        '{"command":"health"}',
        '{"command":"health","timestamp":12}',
        '{"command":"health","timestamp":"now"}',
        '{"command":"health","timestamp":"1:2\\n"}',
        f'{{"command":"health","timestamp":"{"1" * 100}:0"}}',
        '{"command":"HEALTH","timestamp":"1:0"}',
        '{"command":"subscription"}',
        '{"command":"subscription","sources":{}}',
        '{"command":"subscription","sources":"*"}',
        '{"command":"subscription","sources":["*"]}',
        '{"command":"subscription","sources":[1]}',
        f'{{"command":"subscription","sources":["{UNKNOWN.upper().replace("1", "A")}"]}}',
        '{"command":["subscription"],"sources":[]}',
        '{"command":"unsubscribe","sources":[]}',
        '{"command":"health","timestamp":"1:0"}{"command":"health","timestamp":"1:0"}',
        "[" * 10_000,
    ],
)
async def test_what_is_no_command_changes_nothing(
    socket: Socket, active: list[EventSource], clock: ManualClock, text: str
) -> None:
    """It is not answered, the subscription stays, and it is not a sign of life."""
    socket.send(subscription(active[0]))
    await socket.receive()
    await clock.advance("11:0")
    socket.send(text)
    assert await socket.quiet()
    active[0].change(ON)
    assert (await socket.receive())["payload"] == {"value": True}
    await clock.advance("1:0")
    assert (await socket.next())["type"] == "websocket.close"


async def test_binary_messages_are_no_commands(socket: Socket) -> None:
    """Commands are text."""
    socket.to_app.put_nowait({"type": "websocket.receive", "bytes": b'{"command":"health"}'})
    socket.send(HEALTH)
    assert (await socket.receive())["message_type"] == "health"


async def test_attributes_that_nobody_knows_are_no_fault(socket: Socket) -> None:
    """The schemas of commands allow further attributes."""
    socket.send({**HEALTH, "more": {}})
    assert (await socket.receive())["message_type"] == "health"


# Clients that go away, or do not read


async def test_who_leaves_is_forgotten(app: FastAPI, path: str, active: list[EventSource]) -> None:
    """The handler ends with the connection, and no state is kept for it."""
    async with opened(app, path) as socket:
        socket.send(subscription(*active))
        for _ in active:
            await socket.receive()
    active[0].change(ON)
    assert await socket.quiet()


async def test_a_client_that_does_not_read_is_left(
    socket: Socket, active: list[EventSource]
) -> None:
    """What waits for it is bounded; at the end it is told, or let go where it cannot be."""
    socket.send(subscription(active[0]))
    await socket.receive()
    socket.reads.clear()
    for number in range(1000):
        active[0].change(ON if number % 2 == 0 else OFF)
    await asyncio.sleep(0)
    socket.reads.set()
    async with asyncio.timeout(5):
        while (message := await socket.next())["type"] == "websocket.send":
            pass
    assert (message["type"], message["code"]) == ("websocket.close", 1013)


async def test_there_are_not_too_many(app: FastAPI, path: str) -> None:
    """One too many is told to come later, and may when another has left."""
    async with AsyncExitStack() as stack:
        for _ in range(MOST_SUBSCRIBERS):
            await stack.enter_async_context(opened(app, path))
        assert await status_of_handshake(app, path) == 503
    async with opened(app, path):
        pass
