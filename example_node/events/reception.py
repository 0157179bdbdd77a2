"""The Receivers' side of event WebSockets: IS-07 "WebSocket Transport", Connection logic flow.

Receivers that are connected to the same `connection_uri` share one connection, and what they want
together is its subscription. It is opened with the first of them, opened again whenever it is lost,
and closed with the last.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus, WebSocketException

from example_node.clock import NANOSECONDS, Clock, TaiTime
from example_node.events.handshake import Connect, EventConnection, told
from example_node.events.messages import (
    MESSAGE,
    Health,
    HealthCommand,
    State,
    SubscriptionCommand,
)
from nmos_auth import NmosAuthError
from nmos_auth.servers.addresses import TcpConnector
from nmos_auth.servers.backoff import BackOff
from nmos_auth.servers.urls import Origin

logger = logging.getLogger(__name__)
_wire_logger = logging.getLogger(f"{__name__}.wire")
_wire_logger.setLevel(logging.INFO)  # at DEBUG it would write tokens

Deliver = Callable[[str, State], None]
"""Called with a Receiver's id and what it received."""

Trouble = Callable[[str, str], None]
"""Called with a Receiver's id, and with why it receives nothing now."""

Subscribed = Callable[[str], None]
"""Called with a Receiver's id when its Source has been subscribed to, each time again."""

# IS-07 "WebSocket Transport", Heartbeats, and "Message types", The health message type.
_HEALTH_INTERVAL, _HEALTH_TIMEOUT = TaiTime(5 * NANOSECONDS), TaiTime(12 * NANOSECONDS)
_OPENING_TIME, _CLOSING_TIME = 10, 1
_LARGEST_MESSAGE = 1 << 16
_BACK_OFF = BackOff(1.0, 30.0)


class Credentials(Protocol):
    """The source of Access Tokens for handshakes; `tokens` has implementations."""

    async def headers(self, uri: str) -> Mapping[str, str]:
        """Return the headers with a token for the handshake with a URL.

        Raises:
            NmosAuthError: there is no token now, or it must not be sent there.
        """
        ...

    async def refused(
        self, headers: Mapping[str, str], status: int, challenges: Sequence[str]
    ) -> None:
        """Called when a handshake with these headers was refused, with its challenges."""
        ...


class Server(NamedTuple):
    """A server of events: the two parameters of IS-05 that Senders of a Device share."""

    uri: str
    authorization: bool


class Reception:
    """All event WebSockets of this Node's Receivers.

    Args:
        clock: the Node's clock.
        credentials: gets the tokens for servers that require authorization.
        tls: which certificates are trusted.
        deliver: called with what was received.
        trouble: called where nothing is received; it may not raise.
        subscribed: called where something may be received from now on; it may not raise.
        connector: makes the connections; by default, to any address.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        credentials: Credentials,
        tls: ssl.SSLContext,
        deliver: Deliver,
        trouble: Trouble = lambda *_: None,
        subscribed: Subscribed = lambda _: None,
        connector: TcpConnector | None = None,
    ) -> None:
        self._clock = clock
        self._credentials = credentials
        self._tls = tls
        self._deliver = deliver
        self._trouble = trouble
        self._subscribed = subscribed
        self._connector = connector or TcpConnector()
        self._connections: dict[Server, _Connection] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def connect(self, receiver_id: str, server: Server, source_id: str) -> None:
        """Let a Receiver receive a Source's events, and no others, from now on."""
        self.disconnect(receiver_id, keep=server)
        connection = self._connections.get(server)
        if connection is None:
            connection = self._connections[server] = _Connection(
                server,
                self._clock,
                self._credentials,
                self._tls,
                self._deliver,
                self._trouble,
                self._subscribed,
                self._connector,
            )
        connection.want({**connection.wanted, receiver_id: source_id})

    def disconnect(self, receiver_id: str, *, keep: Server | None = None) -> None:
        """Let a Receiver receive nothing; a connection without Receivers is closed.

        Args:
            receiver_id: the Receiver.
            keep: a server whose connection is not to be closed, since the Receiver will need it.
        """
        for server, connection in list(self._connections.items()):
            if receiver_id in connection.wanted and server != keep:
                connection.want(
                    {each: of for each, of in connection.wanted.items() if each != receiver_id}
                )
                if not connection.wanted:
                    self._close(self._connections.pop(server).task)

    async def stop(self) -> None:
        """Close all connections."""
        while self._connections:
            self._close(self._connections.popitem()[1].task)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _close(self, task: asyncio.Task[None]) -> None:
        # It closes the WebSocket properly first; only `stop` waits for that.
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        task.cancel()


class _Connection:
    """One connection, and the Sources that its Receivers want."""

    def __init__(
        self,
        server: Server,
        clock: Clock,
        credentials: Credentials,
        tls: ssl.SSLContext,
        deliver: Deliver,
        trouble: Trouble,
        subscribed: Subscribed,
        connector: TcpConnector,
    ) -> None:
        self.wanted: Mapping[str, str] = {}
        self._server = server
        self._clock = clock
        self._credentials = credentials
        self._tls = tls
        self._deliver = deliver
        self._trouble = trouble
        self._subscribed = subscribed
        self._connector = connector
        self._changed = asyncio.Event()
        self._heard = clock.elapsed()
        self.task = asyncio.create_task(self._keep_open(), name=f"events from {server.uri}")

    def want(self, wanted: Mapping[str, str]) -> None:
        """Set which Source each Receiver receives."""
        self.wanted = wanted
        self._changed.set()

    async def _keep_open(self) -> None:
        failures = 0
        while True:
            opened = self._clock.elapsed()
            try:
                async with self._opened() as socket:
                    logger.info("receiving events from %s", self._server.uri)
                    await self._use(socket)
            except* (OSError, ValueError, WebSocketException, NmosAuthError) as group:
                (error, *_) = group.exceptions
                why = told(error)
                logger.warning("events from %s cannot be received: %s", self._server.uri, why)
                for receiver_id in self.wanted:
                    self._trouble(receiver_id, why)
            # A server that accepts and soon closes is treated like one that does not answer.
            if self._heard >= opened + _HEALTH_INTERVAL:
                failures = 0
            failures += 1
            pause = int(_BACK_OFF.pause(failures) * NANOSECONDS)
            await self._clock.sleep(TaiTime(pause))

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[ClientConnection]:
        uri, authorization = self._server
        headers = await self._credentials.headers(uri) if authorization else {}
        to = Origin.of(uri)
        connected = await self._connector.connect(to.host.strip("[]"), to.port, _OPENING_TIME)
        try:
            async with Connect(
                uri,
                create_connection=EventConnection,
                additional_headers=headers,
                ssl=self._tls if uri.startswith("wss:") else None,
                open_timeout=_OPENING_TIME,
                close_timeout=_CLOSING_TIME,
                max_size=_LARGEST_MESSAGE,
                proxy=None,
                logger=_wire_logger,
                sock=connected,
            ) as socket:
                yield socket
        except InvalidStatus as refusal:
            answer = refusal.response
            if not authorization:
                if answer.status_code == 401:
                    raise PermissionError(
                        "401: the server requires an Access Token, although its Sender says that it"
                        " does not; stage connection_authorization true at the Receiver"
                    ) from refusal
                raise
            challenges = answer.headers.get_all("WWW-Authenticate")
            await self._credentials.refused(headers, answer.status_code, challenges)
            raise

    async def _use(self, socket: ClientConnection) -> None:
        self._heard = self._clock.elapsed()
        self._changed.set()
        async with asyncio.TaskGroup() as tasks:
            for work in (self._subscribe, self._stay_healthy, self._receive):
                tasks.create_task(work(socket))

    async def _subscribe(self, socket: ClientConnection) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = self.wanted
            command = SubscriptionCommand(sources=sorted(set(wanted.values())))
            await socket.send(command.model_dump_json())
            for receiver_id in wanted:
                self._subscribed(receiver_id)

    async def _stay_healthy(self, socket: ClientConnection) -> None:
        while self._clock.elapsed() < self._heard + _HEALTH_TIMEOUT:
            command = HealthCommand(timestamp=str(self._clock.now()))
            await socket.send(command.model_dump_json())
            await self._clock.sleep(_HEALTH_INTERVAL)
        raise TimeoutError("no answer to health commands for 12 seconds")

    async def _receive(self, socket: ClientConnection) -> None:
        async for data in socket:
            try:
                message = MESSAGE.validate_json(data)
            except ValidationError as error:
                logger.debug("not a message: %s", error.errors(include_input=False)[0]["msg"])
                continue
            if isinstance(message, Health):
                self._heard = self._clock.elapsed()
            elif isinstance(message, State):
                for receiver_id, source_id in self.wanted.items():
                    if source_id == message.identity.source_id:
                        self._deliver(receiver_id, message)
        raise ConnectionResetError("the server has closed the connection")
