"""Event WebSockets at the Receivers' side: IS-07 "WebSocket Transport", Connection logic flow."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from example_node.clock import NANOSECONDS, TaiTime
from example_node.events.messages import State
from example_node.events.reception import Reception, Server
from nmos_auth import ConfigurationError
from tests.example_node.support import ManualClock

TALLY = "9f463872-9621-4939-aa3a-dc3c82d8578b"
SENSOR = "7f87027c-ebb4-4640-b878-14952915249a"
OTHER = "11111111-1111-4111-8111-111111111111"


class Sender:
    """A Node with Senders of events, as small as can be, that does what a test says."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.answers_health = True
        self.redirects_to: str | None = None
        self.repeats = ""
        self.challenge: str | None = None
        self.authorization: list[str | None] = []
        self._server: WebSocketServer | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._process,
            process_response=self._complete,
            compression=None,
        )

    async def stop(self) -> None:
        """Close all."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def uri(self) -> str:
        """Where it listens."""
        assert self._server is not None
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://127.0.0.1:{port}/events"

    async def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        self.authorization.append(request.headers.get("Authorization"))
        if self.challenge is not None:
            response = connection.respond(HTTPStatus.UNAUTHORIZED, "")
            response.headers["WWW-Authenticate"] = self.challenge
            return response
        if self.redirects_to is None:
            return None
        response = connection.respond(HTTPStatus.FOUND, "")
        response.headers["Location"] = self.redirects_to
        return response

    async def _complete(self, _: ServerConnection, request: Request, response: Response) -> None:
        if self.repeats == "in the handshake":
            del response.headers["Sec-WebSocket-Accept"]
            response.headers["Sec-WebSocket-Accept"] = request.headers["Authorization"]

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        if self.repeats == "at the end":
            await connection.close(1008, self.authorization[-1] or "")
        async for text in connection:
            command = json.loads(text)
            self.commands.put_nowait(command)
            if command["command"] == "health" and self.answers_health:
                timestamp = command["timestamp"]
                timing = {"creation_timestamp": timestamp, "origin_timestamp": timestamp}
                await connection.send(json.dumps({"timing": timing, "message_type": "health"}))

    async def command(self, name: str) -> dict[str, Any]:
        """The next command of this name."""
        async with asyncio.timeout(5):
            while (command := await self.commands.get())["command"] != name:
                pass
        return command

    async def subscription(self) -> list[str]:
        """The Sources of the next subscription command."""
        sources = (await self.command("subscription"))["sources"]
        assert isinstance(sources, list)
        return sources


def state(source_id: str, value: object = "on") -> str:
    """A state message."""
    return json.dumps(
        {
            "identity": {"source_id": source_id, "flow_id": OTHER},
            "event_type": "boolean",
            "timing": {"creation_timestamp": "1000:0"},
            "payload": {"value": value},
            "message_type": "state",
        }
    )


class Receivers:
    """The Receivers of a Node: what they received, and the tokens they have."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.states: asyncio.Queue[tuple[str, State]] = asyncio.Queue()
        self.has_tokens = True
        self.refusals: list[tuple[str, int, Sequence[str]]] = []
        self.troubles: list[tuple[str, str]] = []
        self.subscribed: list[str] = []
        self.reception = Reception(
            clock,
            credentials=self,
            tls=ssl.create_default_context(),
            deliver=lambda receiver_id, state: self.states.put_nowait((receiver_id, state)),
            trouble=lambda *said: self.troubles.append(said),
            subscribed=self.subscribed.append,
        )

    async def headers(self, uri: str) -> Mapping[str, str]:
        """Return the token for a URL."""
        if not self.has_tokens:
            raise ConfigurationError("no tokens today")
        return {"Authorization": f"Bearer token-for-{uri}"}

    async def refused(
        self, headers: Mapping[str, str], status: int, challenges: Sequence[str]
    ) -> None:
        """Keep what was refused."""
        self.refusals.append((headers["Authorization"], status, challenges))

    async def next(self) -> tuple[str, object]:
        """Who received what next."""
        async with asyncio.timeout(5):
            receiver_id, received = await self.states.get()
        return receiver_id, received.payload.value


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    """A running Node with Senders."""
    sender = Sender()
    await sender.start()
    yield sender
    await sender.stop()


@pytest.fixture
async def receivers(clock: ManualClock) -> AsyncIterator[Receivers]:
    """A Node with Receivers, which leaves no task behind."""
    before = asyncio.all_tasks()
    receivers = Receivers(clock)
    yield receivers
    await receivers.reception.stop()
    assert not {each for each in asyncio.all_tasks() - before if "events from" in each.get_name()}


def plain(sender: Sender) -> Server:
    """A server without authorization."""
    return Server(sender.uri, authorization=False)


async def test_a_receiver_subscribes_and_receives(sender: Sender, receivers: Receivers) -> None:
    """The Source is subscribed to when the connection is there, and its states arrive."""
    receivers.reception.connect("lamp", plain(sender), TALLY)
    assert await sender.subscription() == [TALLY]
    (connection,) = sender.connections
    for value in (True, False):
        await connection.send(state(TALLY, value))
        assert await receivers.next() == ("lamp", value)


async def test_health_is_reported_every_5_seconds(
    sender: Sender, receivers: Receivers, clock: ManualClock
) -> None:
    """At once, and then every 5 seconds of the Node's clock."""
    receivers.reception.connect("lamp", plain(sender), TALLY)
    for second in (1000, 1005, 1010, 1015, 1020):
        assert (await sender.command("health"))["timestamp"] == f"{second}:0"
        await settled(receivers)
        await clock.advance("4:999999999")
        await clock.settle()
        assert sender.commands.empty() or second == 1000
        await clock.advance("0:1")
    assert len(sender.connections) == 1


async def settled(receivers: Receivers) -> None:
    """Let what was sent arrive, which takes the event loop's turns and loopback alone."""
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert receivers.states.empty()


async def test_receivers_share_a_connection(sender: Sender, receivers: Receivers) -> None:
    """One connection to one server: each change of who receives what is a new subscription."""
    receivers.reception.connect("lamp", plain(sender), TALLY)
    assert await sender.subscription() == [TALLY]
    receivers.reception.connect("gauge", plain(sender), SENSOR)
    assert await sender.subscription() == sorted([TALLY, SENSOR])
    receivers.reception.connect("second lamp", plain(sender), TALLY)
    assert await sender.subscription() == sorted([TALLY, SENSOR])
    (connection,) = sender.connections
    await connection.send(state(TALLY))
    assert {await receivers.next(), await receivers.next()} == {
        ("lamp", "on"),
        ("second lamp", "on"),
    }
    await connection.send(state(SENSOR, 5))
    assert await receivers.next() == ("gauge", 5)
    receivers.reception.disconnect("gauge")
    assert await sender.subscription() == [TALLY]
    await connection.send(state(SENSOR, 6))
    await settled(receivers)


async def test_the_last_receiver_closes_the_connection(
    sender: Sender, receivers: Receivers
) -> None:
    """Without Receivers there is nothing to subscribe to."""
    receivers.reception.connect("lamp", plain(sender), TALLY)
    await sender.subscription()
    receivers.reception.disconnect("lamp")
    receivers.reception.disconnect("lamp")
    (connection,) = sender.connections
    async with asyncio.timeout(5):
        await connection.wait_closed()
    assert len(sender.connections) == 1


async def test_a_receiver_is_connected_to_one_server(sender: Sender, receivers: Receivers) -> None:
    """A new activation takes it away from the server before."""
    second = Sender()
    await second.start()
    try:
        receivers.reception.connect("lamp", plain(sender), TALLY)
        await sender.subscription()
        receivers.reception.connect("lamp", plain(second), SENSOR)
        assert await second.subscription() == [SENSOR]
        async with asyncio.timeout(5):
            await sender.connections[0].wait_closed()
    finally:
        receivers.reception.disconnect("lamp")
        await second.stop()


async def test_another_source_of_the_same_server(sender: Sender, receivers: Receivers) -> None:
    """The connection stays, and the subscription is replaced."""
    receivers.reception.connect("lamp", plain(sender), TALLY)
    assert await sender.subscription() == [TALLY]
    receivers.reception.connect("lamp", plain(sender), SENSOR)
    assert await sender.subscription() == [SENSOR]
    (connection,) = sender.connections
    await connection.send(state(TALLY))
    await connection.send(state(SENSOR, 7))
    assert await receivers.next() == ("lamp", 7)


async def test_a_lost_connection_is_opened_again(
    sender: Sender, receivers: Receivers, clock: ManualClock
) -> None:
    """After a while, longer each time it is of no use, and the subscription is sent again."""
    receivers.reception.connect("lamp", plain(sender), TALLY)
    for shortest, longest in (
        ("0:499999999", "1:0"),
        ("0:999999999", "2:0"),
        ("1:999999999", "4:0"),
    ):
        assert await sender.subscription() == [TALLY]
        await sender.connections[-1].close()
        await settled(receivers)
        connections = len(sender.connections)
        await clock.advance(shortest)
        await settled(receivers)
        assert len(sender.connections) == connections
        await clock.advance(longest)
    assert await sender.subscription() == [TALLY]
    await settled(receivers)
    assert receivers.subscribed == ["lamp"] * 4


async def test_a_server_without_a_pulse_is_left(
    sender: Sender, receivers: Receivers, clock: ManualClock
) -> None:
    """Without an answer to `health` for 12 seconds the Receivers connect again, by any clock."""
    sender.answers_health = False
    receivers.reception.connect("lamp", plain(sender), TALLY)
    for days in (2, 1, 0):
        await sender.command("health")
        clock.ahead = TaiTime(days * 86_400 * NANOSECONDS)
        await clock.advance("5:0")
    (connection,) = sender.connections
    async with asyncio.timeout(5):
        await connection.wait_closed()
    await settled(receivers)
    await clock.advance("1:0")
    assert await sender.subscription() == [TALLY]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"message_type":"news"}',
        '{"message_type":"state"}',
        state(TALLY).replace("source_id", "source"),
        state(TALLY).replace(TALLY, "tally"),
        state(TALLY).replace("1000:0", "now"),
        state(TALLY, None),
        state(TALLY, []),
        state(OTHER),
        json.dumps({"message_type": "health", "timing": {}}),
        "[" * 10_000,
    ],
)
async def test_what_is_no_message_means_nothing(
    sender: Sender, receivers: Receivers, text: str
) -> None:
    """Rubbish, and states of Sources that nobody asked for, reach no Receiver and end nothing."""
    receivers.reception.connect("lamp", plain(sender), TALLY)
    await sender.subscription()
    (connection,) = sender.connections
    await connection.send(text)
    await connection.send(state(TALLY, "after it"))
    assert await receivers.next() == ("lamp", "after it")


async def test_last_words_are_heard(sender: Sender, receivers: Receivers) -> None:
    """`reboot` and `shutdown` are messages without a state."""
    receivers.reception.connect("lamp", plain(sender), TALLY)
    await sender.subscription()
    (connection,) = sender.connections
    for kind in ("reboot", "shutdown"):
        words = {**json.loads(state(TALLY)), "message_type": kind}
        await connection.send(json.dumps(words))
    await connection.send(state(TALLY, "still there"))
    assert await receivers.next() == ("lamp", "still there")


async def test_a_message_too_large_ends_the_connection(
    sender: Sender, receivers: Receivers
) -> None:
    """A state is small; what is not is not kept in memory to find out."""
    receivers.reception.connect("lamp", plain(sender), TALLY)
    await sender.subscription()
    (connection,) = sender.connections
    await connection.send(state(TALLY, "x" * 100_000))
    async with asyncio.timeout(5):
        await connection.wait_closed()
    assert connection.close_code == 1009


# Authorization


async def test_the_token_goes_where_authorization_is_wanted(
    sender: Sender, receivers: Receivers
) -> None:
    """`connection_authorization` decides, and each kind has a connection of its own."""
    receivers.reception.connect("lamp", Server(sender.uri, authorization=True), TALLY)
    await sender.subscription()
    receivers.reception.connect("gauge", plain(sender), SENSOR)
    await sender.subscription()
    assert sender.authorization == [f"Bearer token-for-{sender.uri}", None]


async def test_without_a_token_nothing_connects(
    sender: Sender, receivers: Receivers, clock: ManualClock
) -> None:
    """It is tried again, since tokens may be there later."""
    receivers.has_tokens = False
    receivers.reception.connect("lamp", Server(sender.uri, authorization=True), TALLY)
    await settled(receivers)
    assert sender.authorization == []
    receivers.has_tokens = True
    await clock.advance("1:0")
    assert await sender.subscription() == [TALLY]


async def test_a_refused_token_is_reported(
    sender: Sender, receivers: Receivers, clock: ManualClock
) -> None:
    """The credentials hear what the server says of the token, and may have another next time."""
    sender.challenge = 'Bearer realm="node",error=invalid_token'
    receivers.reception.connect("lamp", Server(sender.uri, authorization=True), TALLY)
    async with asyncio.timeout(5):
        while not receivers.refusals:  # noqa: ASYNC110 - nobody gives notice of it
            await asyncio.sleep(0.001)
    assert receivers.refusals == [(f"Bearer token-for-{sender.uri}", 401, [sender.challenge])]
    sender.challenge = None
    await settled(receivers)
    assert receivers.troubles == [("lamp", "server rejected WebSocket connection: HTTP 401")]
    await clock.advance("1:0")
    assert await sender.subscription() == [TALLY]


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "left open"])
@pytest.mark.parametrize("status", ["401 Unauthorized", "503 Service Unavailable"])
async def test_a_refusal_cut_short_is_a_refusal(
    receivers: Receivers, status: str, *, closes: bool
) -> None:
    """A body that is announced and never comes hides neither the status nor the challenge."""
    challenge = 'Bearer realm="api",error=invalid_token'

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nContent-Length: 56\r\nWWW-Authenticate: {challenge}\r\n\r\n"
        for part in (head[:20], head[20:]):
            writer.write(part.encode())
            await writer.drain()
        if not closes:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        uri = f"ws://127.0.0.1:{port}/events"
        receivers.reception.connect("lamp", Server(uri, authorization=True), TALLY)
        async with asyncio.timeout(5):
            while not receivers.refusals:  # noqa: ASYNC110 - nobody gives notice of it
                await asyncio.sleep(0.001)
        receivers.reception.disconnect("lamp")
    assert receivers.refusals == [(f"Bearer token-for-{uri}", int(status[:3]), [challenge])]


async def test_a_server_that_wants_a_token_after_all_is_named(
    sender: Sender, receivers: Receivers, caplog: pytest.LogCaptureFixture
) -> None:
    """Its Sender says `connection_authorization` false; the log says what to stage instead."""
    sender.challenge = "Bearer"
    receivers.reception.connect("lamp", plain(sender), TALLY)
    async with asyncio.timeout(5):
        while "stage connection_authorization true" not in caplog.text:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.001)
    assert sender.authorization == [None]
    assert receivers.refusals == []


async def test_no_redirect_is_followed(sender: Sender, receivers: Receivers) -> None:
    """A token must not go where the server that it was for sends it."""
    thief = Sender()
    await thief.start()
    try:
        sender.redirects_to = thief.uri
        receivers.reception.connect("lamp", Server(sender.uri, authorization=True), TALLY)
        async with asyncio.timeout(5):
            while not sender.authorization:  # noqa: ASYNC110 - nobody gives notice of it
                await asyncio.sleep(0.001)
        await settled(receivers)
        assert thief.authorization == []
    finally:
        await thief.stop()


async def test_no_log_has_the_token(
    sender: Sender, receivers: Receivers, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where everything is logged."""
    with caplog.at_level("DEBUG"):
        receivers.reception.connect("lamp", Server(sender.uri, authorization=True), TALLY)
        await sender.subscription()
        await receivers.reception.stop()
        with pytest.raises(ConnectionClosed):
            await sender.connections[0].recv()
    ours = [each for each in caplog.records if not each.name.startswith("websockets.server")]
    assert "token-for" not in "".join(each.getMessage() for each in ours)


@pytest.mark.parametrize("where", ["in the handshake", "at the end"])
async def test_what_a_server_repeats_is_not_told(
    sender: Sender, receivers: Receivers, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """Neither the log nor the page of a Controller has the token that a hostile Node returns."""
    sender.repeats = where
    receivers.reception.connect("lamp", Server(sender.uri, authorization=True), TALLY)
    async with asyncio.timeout(5):
        while not receivers.troubles:  # noqa: ASYNC110 - nobody gives notice of it
            await asyncio.sleep(0.001)
    (_, why), *_ = receivers.troubles
    assert sender.authorization == [f"Bearer token-for-{sender.uri}"]
    assert "[secret]" in why
    ours = [each for each in caplog.records if not each.name.startswith("websockets.server")]
    assert "token-for" not in "".join([why, *(each.getMessage() for each in ours)])
