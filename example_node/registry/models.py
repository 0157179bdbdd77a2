"""The shapes of registered resources, from IS-04's schemas.

Attributes that a schema does not name are kept as they are: other specifications add theirs. A
default in this module means that the attribute may be left out; the default is never shown.
"""

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from example_node.is04 import (
    AudioChannel,
    ClockName,
    InternalClock,
    ListOf,
    MediaType,
    NodeEndpoint,
    NonEmpty,
    Rational,
    ReceiverSubscription,
    ResourceId,
    SenderSubscription,
    Service,
    Shape,
    Timestamp,
    Version,
    VideoComponent,
)

Mac = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}-){5}([0-9a-f]{2})$")]
Gmid = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}-){7}([0-9a-f]{2})$")]
Word = Annotated[str, StringConstraints(pattern=r"^\S+$")]

DEEPEST = 32
"""How deep a body may be nested; IS-04's own resources have at most six levels."""

_LINEAR_AUDIO = re.compile("audio/L[0-9]+")


def _urn_of(kind: str) -> AfterValidator:
    """Check that a URN of NMOS is of this kind; other URNs may be anything."""

    def check(urn: str) -> str:
        if urn.startswith("urn:x-nmos:") and not urn.startswith(f"urn:x-nmos:{kind}:"):
            raise ValueError(f"a URN of NMOS begins with urn:x-nmos:{kind}: here")
        return urn

    return AfterValidator(check)


DeviceType = Annotated[str, _urn_of("device")]
Transport = Annotated[str, _urn_of("transport")]


class Resource(Shape):
    """The attributes of all resources."""

    id: ResourceId
    version: Timestamp
    label: str
    description: str
    tags: dict[str, ListOf[str]]


class NodeApi(Shape):
    """The versions of a Node API, and where it is."""

    versions: ListOf[Version]
    endpoints: ListOf[NodeEndpoint]


class PtpClock(Shape):
    """A clock that follows PTP."""

    name: ClockName
    ref_type: Literal["ptp"]
    traceable: bool
    version: Literal["IEEE1588-2008"]
    gmid: Gmid
    locked: bool


class AttachedDevice(Shape):
    """The network device at the other end of an interface's cable."""

    chassis_id: NonEmpty
    port_id: NonEmpty


class Interface(Shape):
    """A network interface."""

    name: str
    port_id: Mac
    chassis_id: NonEmpty | None
    attached_network_device: AttachedDevice = AttachedDevice(chassis_id="-", port_id="-")


class Node(Resource):
    """A Node."""

    href: NonEmpty
    hostname: str = ""
    caps: dict[str, object]
    api: NodeApi
    services: ListOf[Service]
    clocks: ListOf[Annotated[InternalClock | PtpClock, Field(discriminator="ref_type")]]
    interfaces: ListOf[Interface]


class Device(Resource):
    """A Device."""

    type: DeviceType
    node_id: ResourceId
    senders: ListOf[ResourceId]
    receivers: ListOf[ResourceId]
    controls: ListOf[Service]


class SourceCore(Resource):
    """The attributes of all Sources."""

    caps: dict[str, object]
    device_id: ResourceId
    parents: ListOf[ResourceId]
    clock_name: ClockName | None
    grain_rate: Rational = Rational(numerator=0)


class AudioSource(SourceCore):
    """A Source of audio."""

    format: Literal["urn:x-nmos:format:audio"]
    channels: Annotated[ListOf[AudioChannel], Field(min_length=1)]


class OtherSource(SourceCore):
    """A Source of something else."""

    format: Literal["urn:x-nmos:format:video", "urn:x-nmos:format:data", "urn:x-nmos:format:mux"]
    event_type: str = ""


class FlowCore(Resource):
    """The attributes of all Flows."""

    source_id: ResourceId
    device_id: ResourceId
    parents: ListOf[ResourceId]
    media_type: MediaType
    grain_rate: Rational = Rational(numerator=0)


class VideoFlow(FlowCore):
    """A Flow of video."""

    format: Literal["urn:x-nmos:format:video"]
    frame_width: int
    frame_height: int
    colorspace: Word
    transfer_characteristic: Word = "SDR"
    interlace_mode: Literal["progressive", "interlaced_tff", "interlaced_bff", "interlaced_psf"] = (
        "progressive"
    )
    components: ListOf[VideoComponent] = Field(default_factory=list)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.media_type.startswith("video/"):
            raise ValueError("the media type of video begins with video/")
        if self.media_type == "video/raw" and not self.components:
            raise ValueError("raw video has components")
        return self


class AudioFlow(FlowCore):
    """A Flow of audio."""

    format: Literal["urn:x-nmos:format:audio"]
    sample_rate: Rational
    bit_depth: int = 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.media_type.startswith("audio/"):
            raise ValueError("the media type of audio begins with audio/")
        if _LINEAR_AUDIO.fullmatch(self.media_type) and "bit_depth" not in self.model_fields_set:
            raise ValueError("raw audio has a bit depth")
        return self


class OtherFlow(FlowCore):
    """A Flow of something else."""

    format: Literal["urn:x-nmos:format:data", "urn:x-nmos:format:mux"]
    event_type: str = ""


class Sender(Resource):
    """A Sender."""

    caps: dict[str, object] = Field(default_factory=dict)
    flow_id: ResourceId | None
    transport: Transport
    device_id: ResourceId
    manifest_href: NonEmpty | None
    interface_bindings: ListOf[str]
    subscription: SenderSubscription


class ReceiverCaps(Shape):
    """What a Receiver accepts."""

    media_types: ListOf[MediaType] = Field(default_factory=list, min_length=1)
    event_types: ListOf[str] = Field(default_factory=list, min_length=1)


class Receiver(Resource):
    """A Receiver."""

    format: Literal[
        "urn:x-nmos:format:video",
        "urn:x-nmos:format:audio",
        "urn:x-nmos:format:data",
        "urn:x-nmos:format:mux",
    ]
    caps: ReceiverCaps
    device_id: ResourceId
    transport: Transport
    interface_bindings: ListOf[str]
    subscription: ReceiverSubscription


def _is_deeper_than(levels: int, value: dict[str, object]) -> bool:
    level: list[dict[str, object] | list[object]] = [value]
    for _ in range(levels):
        within = (each if isinstance(each, list) else each.values() for each in level)
        level = [child for each in within for child in each if isinstance(child, (dict, list))]
    return bool(level)


class Body(Shape):
    """The body of a request, which can be written as JSON again.

    A resource that cannot be written would make every list that contains it fail.
    """

    @model_validator(mode="before")
    @classmethod
    def _can_be_shown(cls, value: object) -> object:
        if not isinstance(value, dict) or _is_deeper_than(DEEPEST, value):
            raise ValueError("not an object, or nested too deeply")
        try:
            # Python reads some numbers, and halves of surrogate pairs, that it cannot write.
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except ValueError:
            raise ValueError("this cannot be written as JSON") from None
        return value


class NodeRegistration(Body):
    """The body of a request that registers a Node."""

    type: Literal["node"]
    data: Node


class DeviceRegistration(Body):
    """The body of a request that registers a Device."""

    type: Literal["device"]
    data: Device


class SourceRegistration(Body):
    """The body of a request that registers a Source."""

    type: Literal["source"]
    data: Annotated[AudioSource | OtherSource, Field(discriminator="format")]


class FlowRegistration(Body):
    """The body of a request that registers a Flow."""

    type: Literal["flow"]
    data: Annotated[VideoFlow | AudioFlow | OtherFlow, Field(discriminator="format")]


class SenderRegistration(Body):
    """The body of a request that registers a Sender."""

    type: Literal["sender"]
    data: Sender


class ReceiverRegistration(Body):
    """The body of a request that registers a Receiver."""

    type: Literal["receiver"]
    data: Receiver


Registration = Annotated[
    NodeRegistration
    | DeviceRegistration
    | SourceRegistration
    | FlowRegistration
    | SenderRegistration
    | ReceiverRegistration,
    Field(discriminator="type"),
]
"""The body of a `POST` to `/resource`."""


class Health(BaseModel):
    """The seconds, TAI, at which the last heartbeat of a Node came."""

    health: str


ResourcePath = Literal["/nodes", "/devices", "/sources", "/flows", "/senders", "/receivers"]
_Short = Annotated[str, StringConstraints(max_length=256)]
_Rql = Annotated[str, StringConstraints(max_length=4096)]


def _only_rql_is_long(params: dict[str, str | bool | int | float]) -> dict[str, Any]:
    for name, value in params.items():
        if name != "query.rql" and isinstance(value, str) and len(value) > 256:
            raise ValueError(f"{name} has no more than 256 characters")
    return params


Params = Annotated[
    dict[_Short, _Rql | bool | int | float],
    Field(max_length=32),
    AfterValidator(_only_rql_is_long),
]


class SubscriptionRequest(Body):
    """The body of a `POST` to `/subscriptions`."""

    resource_path: ResourcePath
    params: Params
    persist: bool
    max_update_rate_ms: Annotated[int, Field(ge=0, le=60_000)]
    secure: bool | None = None
    authorization: bool | None = None


class Subscription(BaseModel):
    """A subscription, as the Query API shows it."""

    model_config = ConfigDict(frozen=True)

    id: ResourceId
    ws_href: str
    resource_path: ResourcePath
    params: Params
    persist: bool
    max_update_rate_ms: int
    secure: bool
    authorization: bool
