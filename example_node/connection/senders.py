"""Senders of the Connection API. Another transport type is another subclass of `Sender`."""

from abc import abstractmethod
from collections.abc import Sequence

from typing_extensions import override

from example_node.activation import Activation
from example_node.clock import Clock, TaiTime
from example_node.connection.endpoint import Apply, Endpoint
from example_node.connection.models import SenderPatch, SenderState
from example_node.connection.rtp import RtpSenderParams, multicast_group, sender_constraints
from example_node.connection.sdp import Media, Session, Stream, write
from example_node.connection.websocket import WebSocketSenderParams
from example_node.connection.websocket import sender_constraints as websocket_constraints
from example_node.events.links import EventLinks
from example_node.interfaces import NetworkInterface
from example_node.resources import RTP, WEBSOCKET


class Sender(Endpoint[SenderState, SenderPatch]):
    """A Sender of any transport type."""

    @override
    def merge(self, patch: SenderPatch) -> SenderState:
        """Return the `staged` that results from a patch."""
        changes: dict[str, object] = {"activation": Activation()}
        if patch.names("transport_params"):
            legs = self.staged.transport_params
            changes["transport_params"] = self.merge_legs(legs, patch.transport_params)
        for name in ("receiver_id", "master_enable"):
            if patch.names(name):
                changes[name] = getattr(patch, name)
        return self.staged.model_copy(update=changes)

    @abstractmethod
    def transport_file(self) -> str | None:
        """Return the text that tells Receivers how to connect; None if the transport has none."""

    @abstractmethod
    def receiver_of(self, state: SenderState) -> str | None:
        """Return the Receiver that a state sends to, as far as IS-04 shows it."""


class RtpSender(Sender):
    """An RTP Sender, with a leg for each interface.

    Args:
        sender_id: the id that the Sender has in the Node API too.
        name: the name of the Sender's session in its SDP.
        media: what it sends.
        interfaces: the interface of each leg.
        clock: tells when activations are due.
        apply: makes a state true.
    """

    transport_type = RTP

    def __init__(
        self,
        sender_id: str,
        *,
        name: str,
        media: Media,
        interfaces: Sequence[NetworkInterface],
        clock: Clock,
        apply: Apply[SenderState],
    ) -> None:
        self._name = name
        self._media = media
        self._interfaces = tuple(interfaces)
        self._groups = [multicast_group(sender_id, leg) for leg in range(len(interfaces))]
        self._made = clock.now()
        super().__init__(
            sender_id,
            initial=SenderState(
                master_enable=False, transport_params=tuple(RtpSenderParams() for _ in interfaces)
            ),
            constraints=[sender_constraints(interface) for interface in interfaces],
            clock=clock,
            apply=apply,
        )

    @override
    def resolve(self, state: SenderState) -> SenderState:
        """Choose a value for everything that is `auto`."""
        legs = [
            leg.resolved(interface, group)
            for leg, interface, group in zip(
                _rtp_legs(state), self._interfaces, self._groups, strict=True
            )
        ]
        return state.model_copy(update={"transport_params": tuple(legs)})

    @override
    def transport_file(self) -> str:
        """The SDP of what is active.

        It is there while the Sender is disabled too, so that Receivers can be connected first.
        """
        activated = self.active.activation.activation_time
        version = self._made if activated is None else TaiTime.parse(activated)
        return write(
            Session(self._media, self._streams(self.active)),
            name=self._name,
            version=version.total,
            reference_clocks=[f"localmac={each.mac.upper()}" for each in self._interfaces],
        )

    @override
    def receiver_of(self, state: SenderState) -> str | None:
        """Return None: multicast has no single Receiver (IS-04 "Behaviour: Nodes", Senders)."""
        is_multicast = any(stream.is_multicast for stream in self._streams(state))
        return None if is_multicast else state.receiver_id

    @staticmethod
    def _streams(state: SenderState) -> tuple[Stream, ...]:
        return tuple(leg.stream() for leg in _rtp_legs(state))


class WebSocketSender(Sender):
    """A Sender of a Source's events.

    Args:
        sender_id: the id that the Sender has in the Node API too.
        source_id: the Source.
        links: the URLs of its Device's events.
        clock: tells when activations are due.
        apply: makes a state true.
    """

    transport_type = WEBSOCKET

    def __init__(
        self,
        sender_id: str,
        *,
        source_id: str,
        links: EventLinks,
        clock: Clock,
        apply: Apply[SenderState],
    ) -> None:
        self._links = links
        params = WebSocketSenderParams(
            ext_is_07_rest_api_url=links.source(source_id), ext_is_07_source_id=source_id
        )
        super().__init__(
            sender_id,
            initial=SenderState(master_enable=False, transport_params=(params,)),
            constraints=[websocket_constraints(links, source_id)],
            clock=clock,
            apply=apply,
        )

    @override
    def resolve(self, state: SenderState) -> SenderState:
        """Choose a value for everything that is `auto`."""
        legs = [
            leg.resolved(self._links)
            for leg in state.transport_params
            if isinstance(leg, WebSocketSenderParams)
        ]
        return state.model_copy(update={"transport_params": tuple(legs)})

    @override
    def transport_file(self) -> None:
        """Return None: this transport type has no transport file."""

    @override
    def receiver_of(self, state: SenderState) -> None:
        """Return None: any number of Receivers may connect."""


def _rtp_legs(state: SenderState) -> list[RtpSenderParams]:
    return [leg for leg in state.transport_params if isinstance(leg, RtpSenderParams)]
