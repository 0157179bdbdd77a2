"""Live values of the plant's events, by IS-07 WebSockets with the user's own token.

Each Sender's `active` says where it sends, and Senders of a Device share a connection (IS-07
"WebSocket Transport"). It begins with the first page that shows events, and ends a while after the
last one.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from example_node.clock import SystemClock
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.plant import Plant, Sender
from example_node.controller.plant.resources import is_id, text
from example_node.controller.reach import NoAnswerError, OutOfReachError, Reach
from example_node.events.messages import State
from example_node.events.reception import Deliver, Reception, Server
from nmos_auth.client import TokenSource, websocket_headers
from nmos_auth.client.presenting import carries, says_invalid_token
from nmos_auth.servers.transport import permitted_address
from nmos_auth.servers.urls import Origin

WEBSOCKET = "urn:x-nmos:transport:websocket"
MOST_SENDERS = 500
_AT_ONCE = 8
_LOOK_EVERY = 2.0
LINGER = 30.0


@dataclass(frozen=True, slots=True)
class Value:
    """The last value of a Source.

    Attributes:
        text: for people; or why there is none.
        at: seconds since the epoch; None where none came yet.
    """

    text: str
    at: float | None = None


class UserTokens:
    """Presents a user's token to event WebSockets."""

    def __init__(self, reach: Reach, tokens: TokenSource | None) -> None:
        self._reach = reach
        self._tokens = tokens

    async def headers(self, uri: str) -> Mapping[str, str]:
        """Return the headers for the handshake with a URL."""
        if self._tokens is None:
            return {}
        return await websocket_headers(self._tokens, uri, self._reach.hosts)

    async def refused(
        self, headers: Mapping[str, str], status: int, challenges: Sequence[str]
    ) -> None:
        """Get another token in place of one that was called invalid."""
        if self._tokens is not None and status == 401 and says_invalid_token(status, challenges):
            held = await self._tokens.token()
            if carries(headers.get("Authorization"), held):
                await self._tokens.replacement(held)


class EventValues:
    """The live values that one user sees.

    Args:
        plant: what there is.
        reach: tells where the user's token may go.
        endpoints: reads what Senders send, and where.
        reception: makes what keeps the WebSockets.
        on_value: called with the id of a Sender whose value is another now.
    """

    def __init__(
        self,
        plant: Plant,
        reach: Reach,
        endpoints: Endpoints,
        reception: Callable[[Deliver], Reception],
        on_value: Callable[[str], None],
    ) -> None:
        self._plant = plant
        self._reach = reach
        self._endpoints = endpoints
        self._reception = reception
        self._on_value = on_value
        self.values: dict[str, Value] = {}
        self._versions: dict[str, str] = {}
        self._wanted_until = 0.0
        self._task: asyncio.Task[None] | None = None

    def senders(self) -> list[Sender]:
        """Return the Senders of events."""
        found = (each for each in self._plant.senders.values() if each.transport == WEBSOCKET)
        return sorted(found, key=lambda each: (each.device_id, each.name))[:MOST_SENDERS]

    def want(self) -> None:
        """Say that a page shows values."""
        self._wanted_until = time.monotonic() + LINGER
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="controller events")

    async def aclose(self) -> None:
        """End all connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        reception = self._reception(self._take)
        try:
            while time.monotonic() < self._wanted_until:
                await self._look(reception)
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            self._versions.clear()
            await reception.stop()

    async def _look(self, reception: Reception) -> None:
        """Follow the Senders as they are now; each is asked once for each of its versions."""
        senders = {each.id: each for each in self.senders()}
        for gone in set(self._versions) - set(senders):
            reception.disconnect(gone)
            self._versions.pop(gone)
            self.values.pop(gone, None)
        changed = [each for each in senders.values() if self._versions.get(each.id) != each.version]
        for start in range(0, len(changed), _AT_ONCE):
            part = changed[start : start + _AT_ONCE]
            await asyncio.gather(*(self._connect(reception, each) for each in part))

    async def _connect(self, reception: Reception, sender: Sender) -> None:
        self._versions[sender.id] = sender.version
        try:
            server, source_id = await self._place(sender)
        except (OutOfReachError, NoAnswerError) as error:
            reception.disconnect(sender.id)
            self._say(sender.id, Value(str(error)))
            return
        if sender.id not in self.values or self.values[sender.id].at is None:
            self._say(sender.id, Value("waiting for a value …"))
        reception.connect(sender.id, server, source_id)

    async def _place(self, sender: Sender) -> tuple[Server, str]:
        """Return where a Sender sends, and which Source's events.

        Raises:
            OutOfReachError: there is nothing to connect to, or a token must not go there.
            NoAnswerError: the Node does not answer.
        """
        reply = await self._endpoints.read(sender, "active")
        active = reply.body if reply.is_success and isinstance(reply.body, Mapping) else {}
        legs = active.get("transport_params")
        leg = legs[0] if isinstance(legs, list) and legs and isinstance(legs[0], Mapping) else {}
        uri, source_id = leg.get("connection_uri"), leg.get("ext_is_07_source_id")
        if not reply.is_success:
            raise OutOfReachError(f"its Node does not show where it sends ({reply.status})")
        if active.get("master_enable") is not True:
            raise OutOfReachError("off")
        if not isinstance(uri, str) or not isinstance(source_id, str) or not is_id(source_id):
            raise OutOfReachError("its Node does not say where it sends")
        why = await self._reach.bar(uri)
        if why:
            raise OutOfReachError(why)
        return Server(uri, leg.get("connection_authorization") is True), source_id

    def _take(self, sender_id: str, state: State) -> None:
        value, scale = state.payload.value, state.payload.scale
        shown = text(str(value), 120)
        if isinstance(value, int) and not isinstance(value, bool) and scale is not None:
            shown = f"{value / scale:g}"
        self._say(sender_id, Value(shown, time.time()))

    def _say(self, sender_id: str, value: Value) -> None:
        self.values[sender_id] = value
        self._on_value(sender_id)


def locate(reach: Reach) -> Callable[[str], Awaitable[str]]:
    """Return what finds an address for a WebSocket that may be connected to."""

    async def of(uri: str) -> str:
        origin = Origin.of(uri)
        return await permitted_address(origin.host.strip("[]"), origin.port, reach.permitted)

    return of


def reception_of(
    reach: Reach, tokens: TokenSource | None, tls: ssl.SSLContext
) -> Callable[[Deliver], Reception]:
    """Return what makes what keeps the WebSockets of a user."""

    def make(deliver: Deliver) -> Reception:
        return Reception(
            SystemClock(),
            credentials=UserTokens(reach, tokens),
            tls=tls,
            deliver=deliver,
            locate=locate(reach),
        )

    return make
