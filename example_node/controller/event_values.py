"""Live values of the plant's events, by IS-07 WebSockets with the user's own token.

Each Sender's `active` says where it sends, and Senders of a Device share a connection (IS-07
"WebSocket Transport"). It begins with the first page that shows events, and ends a while after the
last one.
"""

import asyncio
import math
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypedDict

from example_node.clock import SystemClock
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.plant import Plant, Sender
from example_node.controller.plant.resources import is_id, text
from example_node.controller.reach import OutOfReachError, Reach, ReachError
from example_node.events.messages import State
from example_node.events.reception import (
    Credentials,
    Deliver,
    Reception,
    Server,
    Subscribed,
    Trouble,
)
from example_node.events.tokens import EventTokens, NoTokens
from nmos_auth.client import TokenSource
from nmos_auth.servers.urls import Origin

WEBSOCKET = "urn:x-nmos:transport:websocket"
MOST_SENDERS = 500
_AT_ONCE = 8
_LOOK_EVERY = 2.0
_ASK_AGAIN = 10.0
_LONGEST_SILENCE = 15.0
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


_NOT_YET = Value("…")
_WAITING = Value("waiting for a value …")
# "The client receives the initial state for each source in its subscriptions list" (IS-07
# "WebSocket Transport", Connection logic flow), so the token may not be for one that stays silent.
_SILENT = Value("no value came: your token may not permit you to read this source of events")


class ShownEvent(TypedDict):
    """A row of the page Events as its template or script gets it; all but the id is for people."""

    id: str
    name: str
    device: str
    type: str
    text: str
    at: float | None


class EventValues:
    """The live values that one user sees.

    Args:
        plant: what there is.
        reach: tells where the user's token may go.
        endpoints: reads what Senders send, and where.
        reception: makes what keeps the WebSockets.
        on_value: called with the id of a Sender that has another value now, or is gone.
    """

    def __init__(
        self,
        plant: Plant,
        reach: Reach,
        endpoints: Endpoints,
        reception: Callable[[Deliver, Trouble, Subscribed], Reception],
        on_value: Callable[[str], None],
    ) -> None:
        self._plant = plant
        self._reach = reach
        self._endpoints = endpoints
        self._reception = reception
        self._on_value = on_value
        self.values: dict[str, Value] = {}
        # Of each Sender the version that was asked about, and when to ask again.
        self._asked: dict[str, tuple[str, float]] = {}
        self._waiting: dict[str, float] = {}
        self._wanted_until = 0.0
        self._task: asyncio.Task[None] | None = None

    def senders(self) -> list[Sender]:
        """Return the Senders of events."""
        found = (each for each in self._plant.senders.values() if each.transport == WEBSOCKET)
        return sorted(found, key=lambda each: (each.device_id, each.name))[:MOST_SENDERS]

    def shown(self, sender_id: str) -> ShownEvent | None:
        """Return what is shown of a Sender of events; None where it is gone."""
        sender = self._plant.senders.get(sender_id)
        if sender is None or sender.transport != WEBSOCKET:
            return None
        device, source = self._plant.device_of(sender), self._plant.source_of(sender)
        value = self.values.get(sender_id, _NOT_YET)
        return {
            "id": sender_id,
            "name": sender.name,
            "device": "" if device is None else device.name,
            "type": "" if source is None else source.event_type,
            "text": value.text,
            "at": value.at,
        }

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
        reception = self._reception(self._take, self._lost, self._subscribed)
        try:
            while time.monotonic() < self._wanted_until:
                await self._look(reception)
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            self._asked.clear()
            await reception.stop()

    async def _look(self, reception: Reception) -> None:
        """Follow the Senders as they are now.

        Each is asked once for each of its versions, and again if its Node does not say where it
        sends.
        """
        senders, now = {each.id: each for each in self.senders()}, time.monotonic()
        for gone in set(self.values) - set(senders):
            reception.disconnect(gone)
            self._asked.pop(gone, None)
            self.values.pop(gone)
            self._on_value(gone)
        for new in senders.keys() - self.values.keys():
            self._say(new, _NOT_YET)
        for waiting, since in list(self._waiting.items()):
            if self.values.get(waiting) is not _WAITING:
                del self._waiting[waiting]
            elif since + _LONGEST_SILENCE <= now:
                self._say(waiting, _SILENT)
        due = []
        for each in senders.values():
            version, again = self._asked.get(each.id, ("", 0.0))
            if version != each.version or again <= now:
                due.append(each)
        for start in range(0, len(due), _AT_ONCE):
            part = due[start : start + _AT_ONCE]
            await asyncio.gather(*(self._connect(reception, each) for each in part))

    async def _connect(self, reception: Reception, sender: Sender) -> None:
        self._asked[sender.id] = sender.version, math.inf
        try:
            place = await self._place(sender)
        except ReachError as error:
            self._asked[sender.id] = sender.version, time.monotonic() + _ASK_AGAIN
            reception.disconnect(sender.id)
            self._say(sender.id, Value(str(error)))
            return
        if place is None:
            reception.disconnect(sender.id)
            self._say(sender.id, Value("off"))
            return
        if self.values[sender.id].at is None:
            self._say(sender.id, _NOT_YET)
        reception.connect(sender.id, *place)

    async def _place(self, sender: Sender) -> tuple[Server, str] | None:
        """Return where a Sender sends, and which Source's events; None where it is off.

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
            raise OutOfReachError(f"Its Node does not show where it sends ({reply.status}).")
        if active.get("master_enable") is not True:
            return None
        if not isinstance(uri, str) or not isinstance(source_id, str) or not is_id(source_id):
            raise OutOfReachError("Its Node does not say where it sends.")
        why = await self._reach.bar(uri)
        if why:
            raise OutOfReachError(why)
        says_so = leg.get("connection_authorization") is True
        return Server(uri, says_so or self._requires_token(sender, uri)), source_id

    def _requires_token(self, sender: Sender, uri: str) -> bool:
        """Tell whether the Device of a Sender requires tokens at the host of its WebSocket.

        Senders of sony/nmos-cpp deny that theirs do, and then refuse whoever comes without one. The
        `authorization` of their Device's controls (IS-04) is true.
        """
        device, host = self._plant.device_of(sender), _host(uri)
        controls = () if device is None else device.controls
        return any(each.authorization and host == _host(each.href) for each in controls)

    def _take(self, sender_id: str, state: State) -> None:
        value, scale = state.payload.value, state.payload.scale
        shown = text(str(value), 120)
        if isinstance(value, int) and not isinstance(value, bool) and scale is not None:
            # A whole number may be too large for a float.
            shown = f"{Decimal(value) / scale:.12g}"
        self._say(sender_id, Value(shown, time.time()))

    def _lost(self, sender_id: str, why: str) -> None:
        self._say(sender_id, Value(text(f"not connected: {why}")))

    def _subscribed(self, sender_id: str) -> None:
        value = self.values.get(sender_id)
        if value is not None and value.at is None and value is not _SILENT:
            self._waiting[sender_id] = time.monotonic()
            self._say(sender_id, _WAITING)

    def _say(self, sender_id: str, value: Value) -> None:
        self.values[sender_id] = value
        self._on_value(sender_id)


def _host(url: str) -> str | None:
    try:
        return Origin.of(url).host
    except ValueError:
        return None


def reception_of(
    reach: Reach, tokens: TokenSource | None, tls: ssl.SSLContext
) -> Callable[[Deliver, Trouble, Subscribed], Reception]:
    """Return what makes what keeps the WebSockets of a user."""
    credentials: Credentials = (
        NoTokens("this plant has no authorization; see EXAMPLE_CONTROLLER_AUTHORIZATION")
        if tokens is None
        else EventTokens(tokens, lambda _: reach.hosts)
    )

    def make(deliver: Deliver, trouble: Trouble, subscribed: Subscribed) -> Reception:
        return Reception(
            SystemClock(),
            credentials=credentials,
            tls=tls,
            deliver=deliver,
            trouble=trouble,
            subscribed=subscribed,
            connector=reach.connector,
        )

    return make
