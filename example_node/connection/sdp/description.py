"""What a session description says, apart from how it is written."""

import ipaddress
from dataclasses import dataclass, field


class SdpError(ValueError):
    """A session description cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One RTP stream: the destination of its packets and, if it is known, their source.

    The port 0 says that this path is switched off.
    """

    destination: str
    port: int
    source: str | None

    @property
    def is_multicast(self) -> bool:
        """Whether the packets go to a multicast group."""
        return ipaddress.ip_address(self.destination).is_multicast

    @property
    def is_off(self) -> bool:
        """Whether nothing is sent here."""
        return self.port == 0


@dataclass(frozen=True, slots=True)
class Media:
    """What the streams of a session carry.

    Attributes:
        kind: the media of `m=`, such as `video`.
        payload_type: the RTP payload type, from 0 to 127.
        encoding: the name, clock rate and parameters of `a=rtpmap`, such as `L24/48000/2`.
        parameters: the format-specific parameters of `a=fmtp`, as they are written.
        attributes: further attributes of the media, such as `ptime:1`.
    """

    kind: str
    payload_type: int
    encoding: str
    parameters: str
    attributes: tuple[str, ...] = ()

    @property
    def media_type(self) -> str:
        """The media type, such as `audio/L24`."""
        return f"{self.kind}/{self.encoding.partition('/')[0]}"

    def has_type(self, media_type: str) -> bool:
        """Tell whether this is a media type, in which case does not matter (RFC 4855 Section 3)."""
        return self.media_type.lower() == media_type.lower()


@dataclass(frozen=True, slots=True)
class Session:
    """What a session description says: one or two streams of the same media.

    Attributes:
        media: what the streams carry.
        streams: one, or the two paths of ST 2022-7 (RFC 7104), at least one of them not off.
        notes: faults by RFC 8866 that were ignored.
    """

    media: Media
    streams: tuple[Stream, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)
