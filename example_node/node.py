"""The Node as it runs: its resources, Senders and Receivers, and the map between audio channels."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from example_node.changes import ChangeLog
from example_node.channel_mapping.matrix import Matrix
from example_node.channel_mapping.models import Action, InputsAndOutputs
from example_node.clock import Clock
from example_node.connection.models import ReceiverState, SenderState
from example_node.connection.receivers import Receiver, RtpReceiver, WebSocketReceiver
from example_node.connection.senders import RtpSender, Sender, WebSocketSender
from example_node.connection.websocket import WebSocketReceiverParams
from example_node.events.node_events import NodeEvents
from example_node.events.reception import Server
from example_node.interfaces import NetworkInterface
from example_node.is04 import ReceiverSubscription, SenderSubscription
from example_node.media import media_of
from example_node.resources import WEBSOCKET, JsonDataFlow, Resources, StreamCapabilities
from example_node.resources import Receiver as ReceiverResource
from example_node.resources import Sender as SenderResource

logger = logging.getLogger(__name__)


class ReferenceNode:
    """Everything that the APIs show and change.

    Args:
        resources: the resources of the Node.
        interfaces: the network interface of each leg of its Senders and Receivers.
        inputs_and_outputs: the Inputs and Outputs that the channel mapping connects.
        events: the events that it sends and receives.
        clock: the Node's clock.
        enforces_capabilities: whether Receivers refuse the transport file of a stream that their
            capabilities do not include.
    """

    def __init__(
        self,
        resources: Resources,
        interfaces: Sequence[NetworkInterface],
        inputs_and_outputs: InputsAndOutputs,
        events: NodeEvents,
        clock: Clock,
        *,
        enforces_capabilities: bool,
    ) -> None:
        self.resources = resources
        self.events = events
        self.clock = clock
        self._interfaces = tuple(interfaces)
        self._enforces_capabilities = enforces_capabilities
        self.changes = ChangeLog()
        self.senders: dict[str, Sender] = {}
        self.receivers: dict[str, Receiver] = {}
        for sender in resources.senders.values():
            if sender.flow_id is not None:
                self.senders[sender.id] = self._sender(sender, sender.flow_id)
        for receiver in resources.receivers.values():
            self.receivers[receiver.id] = self._receiver(receiver)
        self.matrix = Matrix(inputs_and_outputs, clock=clock, apply=self._apply_routes)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send and receive events until the block ends, and then `stop`."""
        try:
            async with self.events.running():
                yield
        finally:
            self.stop()

    def stop(self) -> None:
        """Forget all scheduled activations."""
        for sender in self.senders.values():
            sender.cancel()
        for receiver in self.receivers.values():
            receiver.cancel()
        self.matrix.stop()

    def _sender(self, sender: SenderResource, flow_id: str) -> Sender:
        flow = self.resources.flows[flow_id]
        if isinstance(flow, JsonDataFlow):
            return WebSocketSender(
                sender.id,
                source_id=flow.source_id,
                links=self.events.links,
                clock=self.clock,
                apply=partial(self._apply_to_sender, sender.id, flow.source_id),
            )
        return RtpSender(
            sender.id,
            name=sender.label,
            media=media_of(flow, self.resources.sources[flow.source_id]),
            interfaces=self._interfaces,
            clock=self.clock,
            apply=partial(self._apply_to_sender, sender.id, flow.source_id),
        )

    def _receiver(self, receiver: ReceiverResource) -> Receiver:
        if receiver.transport == WEBSOCKET:
            return WebSocketReceiver(
                receiver.id,
                authorization=self.events.links.authorization,
                clock=self.clock,
                apply=partial(self._apply_to_receiver, receiver.id),
            )
        if not isinstance(receiver.caps, StreamCapabilities):
            raise TypeError(f"Receiver {receiver.id} does not say which streams it accepts")
        return RtpReceiver(
            receiver.id,
            capabilities=receiver.caps,
            enforces=self._enforces_capabilities,
            interfaces=self._interfaces,
            clock=self.clock,
            apply=partial(self._apply_to_receiver, receiver.id),
        )

    async def _apply_to_sender(self, sender_id: str, source_id: str, state: SenderState) -> None:
        # Equipment would be programmed here. A re-activation of the same parameters programs it
        # again (IS-05 "Behaviour", Re-Activating Senders & Receivers).
        logger.info("sender %s: %s", sender_id, state.model_dump_json())
        if source_id in self.events.sources:
            self.events.sources[source_id].activate(active=state.master_enable)
        receiver_id = self.senders[sender_id].receiver_of(state)
        # The version changes with every activation (IS-05 "Interoperability: IS-04", Version
        # Increments), and both ids are null unless the connection is active.
        self.resources.senders.update(
            sender_id,
            subscription=SenderSubscription(
                active=state.master_enable,
                receiver_id=receiver_id if state.master_enable else None,
            ),
        )

    async def _apply_to_receiver(self, receiver_id: str, state: ReceiverState) -> None:
        # Equipment would be programmed here: from the transport parameters, and for what is in
        # the stream from the transport file (IS-05 "Behaviour: RTP Transport Type").
        logger.info("receiver %s: %s", receiver_id, state.model_dump_json())
        for leg in state.transport_params:
            if isinstance(leg, WebSocketReceiverParams):
                self._apply_to_event_receiver(receiver_id, leg, enabled=state.master_enable)
        self.resources.receivers.update(
            receiver_id,
            subscription=ReceiverSubscription(
                active=state.master_enable,
                sender_id=state.sender_id if state.master_enable else None,
            ),
        )

    def _apply_to_event_receiver(
        self, receiver_id: str, leg: WebSocketReceiverParams, *, enabled: bool
    ) -> None:
        uri, source_id = leg.connection_uri, leg.ext_is_07_source_id
        if enabled and uri is not None and source_id is not None:
            server = Server(uri, leg.connection_authorization is True)
            self.events.receive(receiver_id, server, source_id)
        else:
            self.events.receive_nothing(receiver_id)

    async def _apply_routes(self, action: Action) -> None:
        # Equipment would be programmed here. The versions tell controllers to look at the map again
        # (IS-08 "Interoperability: NMOS IS-04", Version Increments).
        logger.info("channel mapping: %s", action)
        for output_id in action:
            source_id = self.matrix.outputs[output_id].source_id
            if source_id is not None:
                self.resources.sources.update(source_id)
        for device_id in self.resources.devices:
            self.resources.devices.update(device_id)
