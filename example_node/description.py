"""What this Node is: the resources it has from its start.

To describe your own Node, this is the file to replace.
"""

import uuid
from collections.abc import Sequence

from example_node.capabilities import audio_capabilities, video_capabilities
from example_node.channel_mapping.description import inputs_and_outputs
from example_node.channel_mapping.models import InputsAndOutputs
from example_node.clock import Clock
from example_node.events.description import event_resources
from example_node.events.links import EVENTS_API_VERSION, EventLinks
from example_node.interfaces import NetworkInterface
from example_node.is04 import (
    AudioChannel,
    InternalClock,
    NodeEndpoint,
    Rational,
    Service,
    VideoComponent,
)
from example_node.resources import (
    RTP,
    AudioSource,
    Device,
    Flow,
    Format,
    Interface,
    Node,
    NodeApi,
    RawAudioFlow,
    RawVideoFlow,
    Receiver,
    Resources,
    Sender,
    StreamCapabilities,
    VideoSource,
)
from example_node.settings import Settings

NODE_API_VERSION = "v1.3"
CONNECTION_API_VERSION = "v1.1"
CHANNEL_MAPPING_API_VERSION = "v1.0"

# Changing this would give every reference Node new UUIDs.
_NAMESPACE = uuid.UUID("0d3f6a52-5f0c-4b0e-9a5d-6f2b8f1c7e43")


class Description:
    """Makes the resources of this Node. All have the same version at first.

    Args:
        settings: name, address and seed of the Node.
        clock: the Node's clock.
        interfaces: the network interface of each leg of its Senders and Receivers.
        authorization: whether the APIs require Access Tokens.

    Attributes:
        signals: what each Source of events emits, by the Source's id.
        event_links: the URLs of the events.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        interfaces: Sequence[NetworkInterface],
        *,
        authorization: bool,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._interfaces = interfaces
        self._bindings = tuple(interface.name for interface in interfaces)
        self._authorization = authorization
        self._version = str(clock.now())
        self.event_links = EventLinks(settings.origin, self._id_of("device"), authorization)
        self._events = event_resources(
            self._id_of,
            device_id=self._id_of("device"),
            version=self._version,
            interface=interfaces[0].name,
        )
        self.signals = self._events.signals
        self._connection_api = f"{settings.origin}/x-nmos/connection/{CONNECTION_API_VERSION}"

    def resources(self) -> Resources:
        """Return all resources."""
        video_source, audio_source = self._video_source(), self._audio_source()
        video_flow, audio_flow = self._video_flow(video_source), self._audio_flow(audio_source)
        events = self._events
        senders = [
            self._sender("video", video_flow),
            self._sender("audio", audio_flow),
            *events.senders,
        ]
        receivers = [
            self._receiver("video", video_flow.format, video_capabilities(video_flow)),
            self._receiver(
                "audio", audio_flow.format, audio_capabilities(audio_flow, audio_source)
            ),
            *events.receivers,
        ]
        return Resources(
            self._clock,
            node=self._node(),
            devices=[self._device(senders, receivers)],
            sources=[video_source, audio_source, *events.sources],
            flows=[video_flow, audio_flow, *events.flows],
            senders=senders,
            receivers=receivers,
        )

    def inputs_and_outputs(self) -> InputsAndOutputs:
        """Return the Inputs and Outputs of the Channel Mapping API."""
        return inputs_and_outputs(
            receiver_id=self._id_of("receiver/audio"), source=self._audio_source()
        )

    def _id_of(self, role: str) -> str:
        """Return the UUID of the resource with a role in this Node.

        It is the same after every restart (IS-04 "Data Model: Identifier Mapping", Identifier
        Persistence & Generation).
        """
        seed = self._settings.seed or self._settings.host_name
        return str(uuid.uuid5(_NAMESPACE, f"{seed}/{role}"))

    def _node(self) -> Node:
        settings, advertised = self._settings, self._settings.advertised
        endpoint = NodeEndpoint(
            host=advertised.host,
            port=advertised.port,
            protocol=advertised.protocol,
            authorization=self._authorization,
        )
        return Node(
            id=self._id_of("node"),
            version=self._version,
            label=settings.label,
            description="A Node that shows how to use nmos_auth",
            tags=self._asset_tags("node"),
            href=f"{settings.origin}/",
            api=NodeApi(versions=(NODE_API_VERSION,), endpoints=(endpoint,)),
            services=(),
            clocks=(InternalClock(name="clk0", ref_type="internal"),),
            interfaces=tuple(
                Interface(name=each.name, port_id=each.mac, chassis_id=None)
                for each in dict.fromkeys(self._interfaces)
            ),
        )

    def _device(self, senders: Sequence[Sender], receivers: Sequence[Receiver]) -> Device:
        channel_mapping_api = (
            f"{self._settings.origin}/x-nmos/channelmapping/{CHANNEL_MAPPING_API_VERSION}"
        )
        return Device(
            id=self._id_of("device"),
            version=self._version,
            label=f"{self._settings.label} device",
            tags={
                **self._asset_tags("device"),
                "urn:x-nmos:tag:asset:function/v1.0": ("Reference",),
            },
            type="urn:x-nmos:device:generic",
            node_id=self._id_of("node"),
            senders=tuple(sender.id for sender in senders),
            receivers=tuple(receiver.id for receiver in receivers),
            controls=(
                self._control(f"sr-ctrl/{CONNECTION_API_VERSION}", self._connection_api),
                self._control(f"events/{EVENTS_API_VERSION}", self.event_links.api),
                self._control(f"cm-ctrl/{CHANNEL_MAPPING_API_VERSION}", channel_mapping_api),
            ),
        )

    def _control(self, name: str, href: str) -> Service:
        return Service(
            href=href, type=f"urn:x-nmos:control:{name}", authorization=self._authorization
        )

    def _asset_tags(self, role: str) -> dict[str, tuple[str, ...]]:
        """Return the tags by which people distinguish assets (BCP-002-02)."""
        return {
            "urn:x-nmos:tag:asset:manufacturer/v1.0": ("asgi-nmos-auth",),
            "urn:x-nmos:tag:asset:product/v1.0": ("Reference Node",),
            "urn:x-nmos:tag:asset:instance-id/v1.0": (self._id_of(role),),
        }

    def _video_source(self) -> VideoSource:
        return VideoSource(
            id=self._id_of("source/video"),
            version=self._version,
            label="Video source",
            device_id=self._id_of("device"),
            clock_name="clk0",
            grain_rate=Rational(numerator=25),
        )

    def _video_flow(self, source: VideoSource) -> RawVideoFlow:
        width, height, depth = 1920, 1080, 10
        return RawVideoFlow(
            id=self._id_of("flow/video"),
            version=self._version,
            label="Video flow, 1080p25",
            source_id=source.id,
            device_id=source.device_id,
            grain_rate=source.grain_rate,
            frame_width=width,
            frame_height=height,
            colorspace="BT709",
            transfer_characteristic="SDR",
            components=(
                VideoComponent(name="Y", width=width, height=height, bit_depth=depth),
                VideoComponent(name="Cb", width=width // 2, height=height, bit_depth=depth),
                VideoComponent(name="Cr", width=width // 2, height=height, bit_depth=depth),
            ),
        )

    def _audio_source(self) -> AudioSource:
        return AudioSource(
            id=self._id_of("source/audio"),
            version=self._version,
            label="Audio source",
            device_id=self._id_of("device"),
            clock_name="clk0",
            channels=(
                AudioChannel(label="Left", symbol="L"),
                AudioChannel(label="Right", symbol="R"),
            ),
        )

    def _audio_flow(self, source: AudioSource) -> RawAudioFlow:
        return RawAudioFlow(
            id=self._id_of("flow/audio"),
            version=self._version,
            label="Audio flow, stereo",
            source_id=source.id,
            device_id=source.device_id,
            media_type="audio/L24",
            sample_rate=Rational(numerator=48000),
            bit_depth=24,
        )

    def _sender(self, role: str, flow: Flow) -> Sender:
        sender_id = self._id_of(f"sender/{role}")
        return Sender(
            id=sender_id,
            version=self._version,
            label=f"{role.capitalize()} sender",
            tags={"urn:x-nmos:tag:grouphint/v1.0": (f"Output:{role}",)},
            flow_id=flow.id,
            transport=RTP,
            device_id=flow.device_id,
            manifest_href=f"{self._connection_api}/single/senders/{sender_id}/transportfile",
            interface_bindings=self._bindings,
        )

    def _receiver(self, role: str, flow_format: Format, caps: StreamCapabilities) -> Receiver:
        return Receiver(
            id=self._id_of(f"receiver/{role}"),
            version=self._version,
            label=f"{role.capitalize()} receiver",
            tags={"urn:x-nmos:tag:grouphint/v1.0": (f"Input:{role}",)},
            format=flow_format,
            caps=caps,
            device_id=self._id_of("device"),
            transport=RTP,
            interface_bindings=self._bindings,
        )
