"""A client's WebSocket, at the Senders' side: IS-07 "WebSocket Transport", BCP-003-02.

A connection begins with no subscriptions. Each `subscription` command replaces them, as far as the
client's Access Token permits, and is answered with the present states; each `health` command is
answered, and without one for 12 seconds the connection ends. IS-07 says nothing of other commands:
here they change nothing, and are not signs of life.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from example_node.clock import NANOSECONDS, Clock, TaiTime
from example_node.events.messages import (
    COMMAND,
    Health,
    HealthCommand,
    State,
    SubscriptionCommand,
    Timing,
)
from example_node.events.sources import EventSource
from nmos_auth import EventSources

logger = logging.getLogger(__name__)

HEALTH_TIMEOUT = TaiTime(12 * NANOSECONDS)
"""Two missed `health` commands and 2 seconds (IS-07 "WebSocket Transport", Heartbeats)."""

LARGEST_COMMAND = 1 << 16
"""How many bytes a command may have: a subscription to some 1600 Sources."""

MOST_SUBSCRIBERS = 1000
"""The most connections at a time; the messages that wait for a slow one need some 100 kB."""

# RFC 6455 section 7.4.1, and "try again later" of its registry.
_POLICY_VIOLATION, _TRY_AGAIN_LATER = 1008, 1013
_MOST_WAITING = 256
_CLOSING_TIME = 1.0


class Subscriber:
    """One client's connection.

    Args:
        websocket: its WebSocket, not accepted yet.
        permitted: decides which Sources its token lets it see.
        sources: the Device's Sources, by id.
        clock: the Node's clock.
    """

    def __init__(
        self,
        websocket: WebSocket,
        permitted: EventSources,
        sources: Mapping[str, EventSource],
        clock: Clock,
    ) -> None:
        self._websocket = websocket
        self._permitted = permitted
        self._sources = sources
        self._clock = clock
        self._heard = clock.elapsed()
        self._subscribed: dict[str, EventSource] = {}
        self._waiting: asyncio.Queue[State | Health] = asyncio.Queue(_MOST_WAITING)
        self._behind = asyncio.Event()

    async def serve(self) -> None:
        """Accept the connection, and return when it has ended."""
        await self._websocket.accept()
        self._heard = self._clock.elapsed()
        fault = None
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (self._receive, self._send, self._miss_health, self._fall_behind):
                    tasks.create_task(work())
        except* WebSocketDisconnect:
            pass
        except* _ClientFault as group:
            fault = group.exceptions[0]
        finally:
            self._replace({})
        if isinstance(fault, _ClientFault):
            await self._close(fault)

    async def _receive(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            try:
                command = COMMAND.validate_json(message.get("text") or b"")
            except ValidationError as error:
                logger.debug("not a command: %s", error.errors(include_input=False)[0]["msg"])
                continue
            if isinstance(command, HealthCommand):
                self._answer(command)
            else:
                self._subscribe(command)

    def _answer(self, command: HealthCommand) -> None:
        self._heard = self._clock.elapsed()
        now = str(self._clock.now())
        timing = Timing(creation_timestamp=now, origin_timestamp=command.timestamp)
        self._put(Health(timing=timing))

    def _subscribe(self, command: SubscriptionCommand) -> None:
        permitted = self._permitted.allowed(command.sources)
        self._replace({each: self._sources[each] for each in permitted if each in self._sources})

    def _replace(self, subscribed: dict[str, EventSource]) -> None:
        """Watch these Sources; those that were watched before send their state again too."""
        for source in self._subscribed.values():
            source.unwatch(self._put)
        self._subscribed = subscribed
        for source in subscribed.values():
            source.watch(self._put)

    def _put(self, message: State | Health) -> None:
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self._behind.set()

    async def _send(self) -> None:
        while True:
            message = await self._waiting.get()
            await self._websocket.send_text(message.model_dump_json(exclude_none=True))

    async def _miss_health(self) -> None:
        while (due := self._heard + HEALTH_TIMEOUT) > (now := self._clock.elapsed()):
            await self._clock.sleep(TaiTime(due.total - now.total))
        raise _ClientFault(_POLICY_VIOLATION, "no health command for 12 seconds")

    async def _fall_behind(self) -> None:
        """Disconnect a client that reads too slowly, instead of losing events silently."""
        await self._behind.wait()
        raise _ClientFault(_TRY_AGAIN_LATER, "too many messages are waiting")

    async def _close(self, fault: "_ClientFault") -> None:
        # A client that does not read cannot be told, and one that has left need not be.
        with suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(_CLOSING_TIME):
                await self._websocket.close(fault.code, fault.reason)


class _ClientFault(Exception):
    """The connection is to be closed, with a code of RFC 6455 section 7.4 and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
