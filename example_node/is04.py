"""The parts of IS-04 v1.3's resources that a Node writes and a Registry checks.

The resources made of them are in `resources`, as this Node has them, and in `registry.models`, as
any Node may have them.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, StringConstraints

__all__ = [
    "AudioChannel",
    "ClockName",
    "InternalClock",
    "ListOf",
    "MediaType",
    "NodeEndpoint",
    "NonEmpty",
    "Rational",
    "ReceiverSubscription",
    "ResourceId",
    "SenderSubscription",
    "Service",
    "Shape",
    "Timestamp",
    "Version",
    "VideoComponent",
]

ResourceId = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
    ),
]
"""A UUID as IS-04 writes it: lower case, of a version from 1 to 5."""

Timestamp = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}:[0-9]{1,9}$")]
Version = Annotated[str, StringConstraints(pattern=r"^v[0-9]+\.[0-9]+$")]
ClockName = Annotated[str, StringConstraints(pattern=r"^clk[0-9]+$")]
MediaType = Annotated[str, StringConstraints(pattern=r"^[^\s/]+/[^\s/]+$")]
NonEmpty = Annotated[str, StringConstraints(min_length=1)]

T = TypeVar("T")
ListOf = Annotated[list[T], FailFast()]
"""A list from a client, validated up to its first fault: there may be half a million faults."""

# VSF TR-03 Appendix A, with numbered and undefined channels.
_SYMBOL = (
    "^(L|R|C|LFE|Ls|Rs|Lss|Rss|Lrs|Rrs|Lc|Rc|Cs|HI|VIN|M1|M2|Lt|Rt|Lst|Rst|S"
    "|NSC(0[0-9][0-9]|1[01][0-9]|12[0-8])|U(0[1-9]|[1-5][0-9]|6[0-4]))$"
)


class Shape(BaseModel):
    """A part of a resource. It never changes: a change makes another one.

    Types are not converted, so what is kept is what was sent. Attributes that IS-04 does not define
    are kept too, because other specifications add theirs.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")


class Rational(Shape):
    """A rate, such as grains or samples a second."""

    numerator: int
    denominator: int = 1


class NodeEndpoint(Shape):
    """One way to reach a Node API."""

    host: NonEmpty
    port: Annotated[int, Field(ge=1, le=65535)]
    protocol: Literal["http", "https"]
    authorization: bool = False


class Service(Shape):
    """A service of a Node, or a control of a Device."""

    href: NonEmpty
    type: NonEmpty
    authorization: bool = False


class InternalClock(Shape):
    """A clock without an external reference."""

    name: ClockName
    ref_type: Literal["internal"]


class AudioChannel(Shape):
    """A channel of an audio Source; the symbol is one of VSF TR-03 Appendix A."""

    label: str
    symbol: Annotated[str, StringConstraints(pattern=_SYMBOL)] = "L"


class VideoComponent(Shape):
    """A component of raw video: its size in samples, and the bits of one sample."""

    name: Literal["Y", "Cb", "Cr", "I", "Ct", "Cp", "A", "R", "G", "B", "DepthMap"]
    width: int
    height: int
    bit_depth: int


class SenderSubscription(Shape):
    """Whether a Sender sends, and to which Receiver (IS-04 "Behaviour: Nodes", Senders)."""

    active: bool
    receiver_id: ResourceId | None


class ReceiverSubscription(Shape):
    """Whether a Receiver receives, and from which Sender (IS-04 "Behaviour: Nodes", Receivers)."""

    active: bool
    sender_id: ResourceId | None
