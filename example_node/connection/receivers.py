"""Receivers of the Connection API. Another transport type is another subclass of `Receiver`."""

import logging
from abc import abstractmethod
from collections.abc import Sequence

from typing_extensions import override

from example_node.activation import Activation
from example_node.clock import Clock
from example_node.connection.endpoint import Apply, Endpoint
from example_node.connection.models import ReceiverPatch, ReceiverState, TransportFile
from example_node.connection.rtp import (
    RtpReceiverParams,
    changes_from_streams,
    receiver_constraints,
)
from example_node.connection.sdp import Media, SdpError, parse
from example_node.connection.stream_constraints import unmet
from example_node.connection.websocket import RECEIVER_CONSTRAINTS, WebSocketReceiverParams
from example_node.errors import BadRequestError
from example_node.interfaces import NetworkInterface
from example_node.resources import RTP, WEBSOCKET, StreamCapabilities

logger = logging.getLogger(__name__)


class Receiver(Endpoint[ReceiverState, ReceiverPatch]):
    """A Receiver of any transport type."""

    @override
    def merge(self, patch: ReceiverPatch) -> ReceiverState:
        """Return the `staged` that results from a patch.

        The transport file goes first, because where both speak of a parameter "the transport
        parameters take precedence" (IS-05 "APIs: Server Side Implementation Notes", Staged
        Requests Precedence).
        """
        changes: dict[str, object] = {"activation": Activation()}
        legs = self.staged.transport_params
        if patch.names("transport_file"):
            changes["transport_file"] = patch.transport_file
            legs = self.merge_legs(legs, self.changes_from_file(patch.transport_file))
        if patch.names("transport_params"):
            legs = self.merge_legs(legs, patch.transport_params)
        changes["transport_params"] = legs
        for name in ("sender_id", "master_enable"):
            if patch.names(name):
                changes[name] = getattr(patch, name)
        return self.staged.model_copy(update=changes)

    @abstractmethod
    def changes_from_file(self, file: TransportFile) -> list[dict[str, object]]:
        """Return what a transport file changes in each leg; nothing if its data is null.

        Raises:
            BadRequestError: the file cannot be used.
        """


class RtpReceiver(Receiver):
    """An RTP Receiver, with a leg for each interface.

    Args:
        receiver_id: the id that the Receiver has in the Node API too.
        capabilities: the streams that it accepts.
        enforces: whether a transport file of another stream is refused; otherwise it is staged,
            and the log says so.
        interfaces: the interface of each leg.
        clock: tells when activations are due.
        apply: makes a state true.
    """

    transport_type = RTP

    def __init__(
        self,
        receiver_id: str,
        *,
        capabilities: StreamCapabilities,
        enforces: bool,
        interfaces: Sequence[NetworkInterface],
        clock: Clock,
        apply: Apply[ReceiverState],
    ) -> None:
        self._capabilities = capabilities
        self._enforces = enforces
        self._interfaces = tuple(interfaces)
        super().__init__(
            receiver_id,
            initial=ReceiverState(
                master_enable=False,
                transport_params=tuple(RtpReceiverParams() for _ in interfaces),
            ),
            constraints=[receiver_constraints(interface) for interface in interfaces],
            clock=clock,
            apply=apply,
        )

    @override
    def changes_from_file(self, file: TransportFile) -> list[dict[str, object]]:
        """Return what an SDP changes in each leg; nothing if its data is null."""
        if file.data is None:
            return [{} for _ in self._interfaces]
        # Case does not matter in media types, which may have parameters (RFC 9110 Section 8.3.1).
        if (file.type or "").partition(";")[0].strip().lower() != "application/sdp":
            raise BadRequestError("transport_file.type: must be application/sdp")
        try:
            session = parse(
                file.data,
                self._capabilities.media_types,
                prefers=lambda media: unmet(self._capabilities.constraint_sets, media) is None,
            )
        except SdpError as error:
            raise BadRequestError(f"transport_file.data: {error}") from error
        if session.notes:
            logger.warning(
                "receiver %s: the transport file has %s, which RFC 8866 does not; it is used",
                self.id,
                ", ".join(session.notes),
            )
        self._check(session.media)
        return changes_from_streams(session.streams, len(self._interfaces))

    def _check(self, media: Media) -> None:
        fault = unmet(self._capabilities.constraint_sets, media)
        if fault is None:
            return
        if self._enforces:
            raise BadRequestError(
                f"transport_file.data: this Receiver's capabilities do not have the stream: {fault}"
            )
        logger.warning("receiver %s: its capabilities do not have the stream: %s", self.id, fault)

    @override
    def resolve(self, state: ReceiverState) -> ReceiverState:
        """Choose a value for everything that is `auto`."""
        legs = [
            leg.resolved(interface)
            for leg, interface in zip(state.transport_params, self._interfaces, strict=True)
            if isinstance(leg, RtpReceiverParams)
        ]
        return state.model_copy(update={"transport_params": tuple(legs)})


class WebSocketReceiver(Receiver):
    """A Receiver of events.

    Args:
        receiver_id: the id that the Receiver has in the Node API too.
        authorization: whether it uses authorization if that is `auto`.
        clock: tells when activations are due.
        apply: makes a state true.
    """

    transport_type = WEBSOCKET

    def __init__(
        self, receiver_id: str, *, authorization: bool, clock: Clock, apply: Apply[ReceiverState]
    ) -> None:
        self._authorization = authorization
        super().__init__(
            receiver_id,
            initial=ReceiverState(
                master_enable=False, transport_params=(WebSocketReceiverParams(),)
            ),
            constraints=[RECEIVER_CONSTRAINTS],
            clock=clock,
            apply=apply,
        )

    @override
    def changes_from_file(self, file: TransportFile) -> list[dict[str, object]]:
        """Return nothing: this transport type has no transport files."""
        if file.data is not None:
            raise BadRequestError("transport_file: this transport type has none")
        return [{}]

    @override
    def resolve(self, state: ReceiverState) -> ReceiverState:
        """Choose a value for everything that is `auto`."""
        legs = [
            leg.resolved(authorization=self._authorization)
            for leg in state.transport_params
            if isinstance(leg, WebSocketReceiverParams)
        ]
        return state.model_copy(update={"transport_params": tuple(legs)})
