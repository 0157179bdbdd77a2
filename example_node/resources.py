"""The resources of IS-04 v1.3: what a Node says about itself.

The models have the attributes that this Node uses, in the shapes of IS-04's schemas. Resources
never change: a change makes a new one with a later `version`, through `Collection.update`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from example_node.clock import Clock, TaiTime
from example_node.is04 import (
    AudioChannel,
    InternalClock,
    NodeEndpoint,
    Rational,
    ReceiverSubscription,
    ResourceId,
    SenderSubscription,
    Service,
    VideoComponent,
)

Format = Literal["urn:x-nmos:format:video", "urn:x-nmos:format:audio", "urn:x-nmos:format:data"]

RTP = "urn:x-nmos:transport:rtp"
WEBSOCKET = "urn:x-nmos:transport:websocket"


class Part(BaseModel):
    """A part of a resource."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Resource(Part):
    """The attributes of all resources (IS-04 "APIs: Common Keys")."""

    id: ResourceId
    version: str
    label: str
    description: str = ""
    tags: dict[str, tuple[str, ...]] = {}


class Caps(Part):
    """Capabilities of a resource for which IS-04 defines none."""


class NodeApi(Part):
    """The versions of the Node API, and where it is."""

    versions: tuple[str, ...]
    endpoints: tuple[NodeEndpoint, ...]


class Interface(Part):
    """A network interface. MAC addresses are written with hyphens."""

    name: str
    port_id: str
    chassis_id: str | None


class Node(Resource):
    """The Node itself."""

    href: str
    caps: Caps = Caps()
    api: NodeApi
    services: tuple[Service, ...]
    clocks: tuple[InternalClock, ...]
    interfaces: tuple[Interface, ...]


class Device(Resource):
    """A part of the Node that has Sources, Senders and Receivers, and controls for them."""

    type: str
    node_id: ResourceId
    senders: tuple[ResourceId, ...]
    receivers: tuple[ResourceId, ...]
    controls: tuple[Service, ...]


class SourceCore(Resource):
    """The attributes of all Sources."""

    caps: Caps = Caps()
    device_id: ResourceId
    parents: tuple[ResourceId, ...] = ()
    clock_name: str | None


class VideoSource(SourceCore):
    """A Source of video."""

    format: Literal["urn:x-nmos:format:video"] = "urn:x-nmos:format:video"
    grain_rate: Rational


class AudioSource(SourceCore):
    """A Source of audio."""

    format: Literal["urn:x-nmos:format:audio"] = "urn:x-nmos:format:audio"
    channels: tuple[AudioChannel, ...]


class DataSource(SourceCore):
    """A Source of events (IS-07)."""

    format: Literal["urn:x-nmos:format:data"] = "urn:x-nmos:format:data"
    event_type: str


class FlowCore(Resource):
    """The attributes of all Flows."""

    source_id: ResourceId
    device_id: ResourceId
    parents: tuple[ResourceId, ...] = ()


class RawVideoFlow(FlowCore):
    """Uncompressed video."""

    format: Literal["urn:x-nmos:format:video"] = "urn:x-nmos:format:video"
    media_type: Literal["video/raw"] = "video/raw"
    grain_rate: Rational
    frame_width: int
    frame_height: int
    interlace_mode: Literal["progressive"] = "progressive"
    colorspace: str
    transfer_characteristic: str
    components: tuple[VideoComponent, ...]

    @property
    def sampling(self) -> str:
        """The ratio of luma to chroma samples, as SDP and BCP-004-01 write it."""
        luma, chroma = self.components[0], self.components[1]
        return {1: "4:4:4", 2: "4:2:2"}[luma.width // chroma.width]


class RawAudioFlow(FlowCore):
    """Linear PCM audio."""

    format: Literal["urn:x-nmos:format:audio"] = "urn:x-nmos:format:audio"
    media_type: Literal["audio/L24", "audio/L16"]
    sample_rate: Rational
    bit_depth: int


class JsonDataFlow(FlowCore):
    """Events, as IS-07 writes them."""

    format: Literal["urn:x-nmos:format:data"] = "urn:x-nmos:format:data"
    media_type: Literal["application/json"] = "application/json"
    event_type: str


class Sender(Resource):
    """A Sender, which puts a Flow on the network."""

    caps: Caps = Caps()
    flow_id: ResourceId | None
    transport: str
    device_id: ResourceId
    manifest_href: str | None
    interface_bindings: tuple[str, ...]
    subscription: SenderSubscription = SenderSubscription(active=False, receiver_id=None)


class MediaTypes(Part):
    """The media types that a Receiver accepts."""

    media_types: tuple[str, ...]


class OneOf(Part):
    """The values that one parameter of a stream may have."""

    enum: tuple[str | int | Rational, ...]


class StreamCapabilities(MediaTypes):
    """The streams that a Receiver accepts: those that meet all constraints of one of the sets.

    The version says when this last changed (BCP-004-01).
    """

    constraint_sets: tuple[dict[str, OneOf | str], ...]
    version: str


class EventTypes(MediaTypes):
    """The types of events that a Receiver accepts."""

    event_types: tuple[str, ...]


class Receiver(Resource):
    """A Receiver, which receives a Flow from the network."""

    format: Format
    caps: StreamCapabilities | EventTypes
    device_id: ResourceId
    transport: str
    interface_bindings: tuple[str, ...]
    subscription: ReceiverSubscription = ReceiverSubscription(active=False, sender_id=None)


Source = VideoSource | AudioSource | DataSource
Flow = RawVideoFlow | RawAudioFlow | JsonDataFlow

ResourceT = TypeVar("ResourceT", bound=Resource)


class Collection(Mapping[str, ResourceT], Generic[ResourceT]):
    """The resources of one kind, by id.

    Args:
        clock: gives changed resources their versions.
        resources: the resources at the start.
        on_change: called after each change.
    """

    def __init__(
        self,
        clock: Clock,
        resources: Iterable[ResourceT],
        on_change: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._resources = {resource.id: resource for resource in resources}
        self._on_change = on_change

    @override
    def __getitem__(self, resource_id: str) -> ResourceT:
        return self._resources[resource_id]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._resources)

    @override
    def __len__(self) -> int:
        return len(self._resources)

    def update(self, resource_id: str, **changes: object) -> ResourceT:
        """Change attributes of a resource, which gives it the present time as its version.

        A version always increases, even if the clock stands still or is set back.
        """
        resource = self._resources[resource_id]
        earliest = TaiTime.parse(resource.version) + TaiTime(1)
        version = str(max(earliest, self._clock.now()))
        changed = resource.model_copy(update={**changes, "version": version})
        self._resources[resource_id] = changed
        self._on_change()
        return changed

    def add(self, resource: ResourceT) -> None:
        """Add a resource, whose version is the instant of this change."""
        self._resources[resource.id] = resource
        self._on_change()

    def remove(self, resource_id: str) -> None:
        """Remove a resource."""
        del self._resources[resource_id]
        self._on_change()


class Resources:
    """Everything that the Node API shows."""

    def __init__(
        self,
        clock: Clock,
        *,
        node: Node,
        devices: Iterable[Device],
        sources: Iterable[Source],
        flows: Iterable[Flow],
        senders: Iterable[Sender],
        receivers: Iterable[Receiver],
    ) -> None:
        self._watchers: list[Callable[[], None]] = []
        self.node = node
        self.devices = Collection[Device](clock, devices, self._changed)
        self.sources = Collection[Source](clock, sources, self._changed)
        self.flows = Collection[Flow](clock, flows, self._changed)
        self.senders = Collection[Sender](clock, senders, self._changed)
        self.receivers = Collection[Receiver](clock, receivers, self._changed)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` after each change of any resource."""
        self._watchers.append(watcher)

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher()
