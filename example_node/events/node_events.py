"""All events of this Node while it runs: those that it sends, and those that it receives."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from example_node.clock import Clock, TaiTime
from example_node.events.event_types import accepts
from example_node.events.links import EventLinks
from example_node.events.messages import State
from example_node.events.reception import Credentials, Reception, Server
from example_node.events.signals import Generator, Signal
from example_node.events.sources import EventSource
from example_node.resources import EventTypes, JsonDataFlow, Resources

logger = logging.getLogger(__name__)


class NodeEvents:
    """The Sources of events, and what the Receivers of events received last.

    Args:
        resources: the resources of the Node.
        signals: what its Sources of events emit.
        links: the URLs of the events.
        clock: the Node's clock.
        interval: the time from one change of the values to the next.
        credentials: gets the tokens for servers that require authorization.
        tls: which certificates of those servers are trusted.

    Attributes:
        sources: the Sources, by id.
        received: the last state that each Receiver received, by the Receiver's id.
    """

    def __init__(
        self,
        resources: Resources,
        signals: Mapping[str, Signal],
        *,
        links: EventLinks,
        clock: Clock,
        interval: TaiTime,
        credentials: Credentials,
        tls: ssl.SSLContext,
    ) -> None:
        self.links = links
        self.sources = {
            flow.source_id: EventSource(
                flow.source_id,
                flow.id,
                event_type=flow.event_type,
                definition=signals[flow.source_id].definition,
                payload=signals[flow.source_id].payloads[0],
                clock=clock,
            )
            for flow in resources.flows.values()
            if isinstance(flow, JsonDataFlow)
        }
        self.received: dict[str, State] = {}
        self._resources = resources
        self._generator = Generator(
            clock, interval, [(each, signals[each.id]) for each in self.sources.values()]
        )
        self._reception = Reception(clock, credentials=credentials, tls=tls, deliver=self._deliver)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let values change until the block ends, then close all connections."""
        changing = asyncio.create_task(self._generator.run(), name="values of event Sources")
        try:
            yield
        finally:
            changing.cancel()
            await self._reception.stop()

    def receive(self, receiver_id: str, server: Server, source_id: str) -> None:
        """Let a Receiver receive a Source's events, and no others, from now on."""
        self._reception.connect(receiver_id, server, source_id)

    def receive_nothing(self, receiver_id: str) -> None:
        """Let a Receiver receive nothing from now on."""
        self._reception.disconnect(receiver_id)

    def _deliver(self, receiver_id: str, state: State) -> None:
        # Equipment would react to the event here. The other Node decides how many there are, so
        # they are only logged at DEBUG.
        caps = self._resources.receivers[receiver_id].caps
        if isinstance(caps, EventTypes) and accepts(caps.event_types, state.event_type):
            logger.debug("receiver %s: %s", receiver_id, state.payload)
            self.received[receiver_id] = state
        else:
            logger.debug(
                "receiver %s accepts no events of type %.100r", receiver_id, state.event_type
            )
