"""The Node as it runs: its resources, Senders and Receivers, and the map between audio channels."""

import logging
from collections.abc import Sequence

from example_node.changes import ChangeLog
from example_node.channel_mapping.matrix import Matrix
from example_node.channel_mapping.models import Action, InputsAndOutputs
from example_node.clock import Clock
from example_node.connection.endpoint import Apply
from example_node.connection.models import ReceiverState, SenderState
from example_node.connection.receivers import Receiver, RtpReceiver
from example_node.connection.senders import RtpSender, Sender
from example_node.interfaces import NetworkInterface
from example_node.media import media_of
from example_node.resources import ReceiverSubscription, Resources, SenderSubscription

logger = logging.getLogger(__name__)


class ExampleNode:
    """Everything that the APIs show and change.

    Args:
        resources: What the Node is.
        interfaces: The network interface of each leg of its Senders and Receivers.
        inputs_and_outputs: What audio can be mapped to what.
        clock: The Node's clock.
    """

    def __init__(
        self,
        resources: Resources,
        interfaces: Sequence[NetworkInterface],
        inputs_and_outputs: InputsAndOutputs,
        clock: Clock,
    ) -> None:
        self.resources = resources
        self.clock = clock
        self.changes = ChangeLog()
        self.senders: dict[str, Sender] = {}
        self.receivers: dict[str, Receiver] = {}
        for sender in resources.senders.values():
            if sender.flow_id is None:
                continue
            flow = resources.flows[sender.flow_id]
            self.senders[sender.id] = RtpSender(
                sender.id,
                name=sender.label,
                media=media_of(flow, resources.sources[flow.source_id]),
                interfaces=interfaces,
                clock=clock,
                apply=self._apply_to_sender(sender.id),
            )
        for receiver in resources.receivers.values():
            self.receivers[receiver.id] = RtpReceiver(
                receiver.id,
                media_types=receiver.caps.media_types,
                interfaces=interfaces,
                clock=clock,
                apply=self._apply_to_receiver(receiver.id),
            )
        self.matrix = Matrix(inputs_and_outputs, clock=clock, apply=self._apply_routes)

    def stop(self) -> None:
        """Forget all scheduled activations."""
        for sender in self.senders.values():
            sender.cancel()
        for receiver in self.receivers.values():
            receiver.cancel()
        self.matrix.stop()

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

    def _apply_to_sender(self, sender_id: str) -> Apply[SenderState]:
        async def apply(state: SenderState) -> None:
            # Equipment would be programmed here. A re-activation of the same parameters programs it
            # again (IS-05 "Behaviour", Re-Activating Senders & Receivers).
            logger.info("sender %s: %s", sender_id, state.model_dump_json())
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

        return apply

    def _apply_to_receiver(self, receiver_id: str) -> Apply[ReceiverState]:
        async def apply(state: ReceiverState) -> None:
            # Equipment would be programmed here: from the transport parameters, and for what is in
            # the stream from the transport file (IS-05 "Behaviour: RTP Transport Type").
            logger.info("receiver %s: %s", receiver_id, state.model_dump_json())
            self.resources.receivers.update(
                receiver_id,
                subscription=ReceiverSubscription(
                    active=state.master_enable,
                    sender_id=state.sender_id if state.master_enable else None,
                ),
            )

        return apply
