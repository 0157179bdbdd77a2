"""Session descriptions (RFC 4566), as far as ST 2110 Senders and Receivers need them.

`write` makes the description of a Sender's streams. `parse` finds the streams that someone else's
description offers. Two streams are the two paths of ST 2022-7 (RFC 7104).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

# Far more than descriptions of ST 2110 streams need. Each media is looked up in all lines.
_LONGEST, _MOST_MEDIA = 1 << 16, 16

_MEDIA = re.compile(r"(\S+) ([0-9]{1,5})(?:/[0-9]+)? (\S+) ([0-9]{1,3})(?: .*)?")
_CONNECTION = re.compile(r"IN IP[46] ([^/\s]+)(?:/[0-9]+){0,2}")
_SOURCE_FILTER = re.compile(r"\s*incl IN (?:IP4|IP6|\*) (\S+) (.+)")


class SdpError(ValueError):
    """A session description that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One RTP stream: where its packets go and, where that is known, where they come from."""

    destination: str
    port: int
    source: str | None

    @property
    def is_multicast(self) -> bool:
        """Whether the packets go to a multicast group."""
        return ipaddress.ip_address(self.destination).is_multicast


@dataclass(frozen=True, slots=True)
class Media:
    """What the streams of a session carry.

    Attributes:
        kind: What stands in `m=`, such as `video`.
        encoding: The name, clock rate and parameters of `a=rtpmap`, such as `L24/48000/2`.
        attributes: Further attributes of the media, such as `ptime:1`.
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


@dataclass(frozen=True, slots=True)
class Session:
    """What a session description says: one or two streams of the same media."""

    media: Media
    streams: tuple[Stream, ...]


def write(session: Session, *, name: str, version: int, reference_clocks: Sequence[str]) -> str:
    """Write a Sender's session description.

    Args:
        session: The streams, each with a source, and what they carry.
        name: What people call it.
        version: A number that increases whenever the description changes.
        reference_clocks: The `ts-refclk` (RFC 7273) of each stream.
    """
    media, streams = session.media, session.streams
    paths = ("primary", "secondary")[: len(streams)]
    lines = [
        "v=0",
        f"o=- {version} {version} IN {_family(streams[0].source)} {streams[0].source}",
        f"s={name}",
        "t=0 0",
    ]
    if len(streams) > 1:
        lines.append(f"a=group:DUP {' '.join(paths)}")
    for path, stream, clock in zip(paths, streams, reference_clocks, strict=True):
        lines += [
            f"m={media.kind} {stream.port} RTP/AVP {media.payload_type}",
            f"c=IN {_family(stream.destination)} {stream.destination}{_time_to_live(stream)}",
        ]
        if stream.is_multicast:
            family = _family(stream.destination)
            lines.append(f"a=source-filter: incl IN {family} {stream.destination} {stream.source}")
        lines += [
            f"a=rtpmap:{media.payload_type} {media.encoding}",
            f"a=fmtp:{media.payload_type} {media.parameters}",
            *(f"a={attribute}" for attribute in media.attributes),
            f"a=ts-refclk:{clock}",
            "a=mediaclk:direct=0",
        ]
        if len(streams) > 1:
            lines.append(f"a=mid:{path}")
    return "".join(f"{line}\r\n" for line in lines)


def _family(address: str | None) -> str:
    return "IP6" if address is not None and ":" in address else "IP4"


def _time_to_live(stream: Stream) -> str:
    """An IPv4 multicast address must carry one (RFC 4566 section 5.7)."""
    return "/64" if stream.is_multicast and _family(stream.destination) == "IP4" else ""


def parse(text: str) -> Session:
    """Read a session description: its first RTP media, and the second path of it if there is one.

    Raises:
        SdpError: The text is not a session description, or describes no RTP stream.
    """
    sections = _sections(text)
    session, medias = sections[0], [_MediaSection(section, sections[0]) for section in sections[1:]]
    if not medias:
        raise SdpError("the SDP has no m= line")
    first = medias[0]
    group = _group(session)
    if first.mid is not None and first.mid in group:
        streams = [
            stream for media in medias if media.mid in group for stream in media.streams()[:1]
        ]
    elif first.has_duplicates:
        # Two sources, or the same packets twice (RFC 7104 sections 4.1 and 4.3).
        streams = first.streams() * 2
    else:
        streams = first.streams()[:1]
    return Session(first.media(), tuple(streams[:2]))


def _sections(text: str) -> list[list[tuple[str, str]]]:
    """Split the text into the session's lines and those of each media, each as (type, value)."""
    if len(text) > _LONGEST:
        raise SdpError(f"an SDP has no more than {_LONGEST} characters here")
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if lines[0] != "v=0":
        raise SdpError("an SDP begins with v=0")
    sections: list[list[tuple[str, str]]] = [[]]
    for line in lines:
        if len(line) < 2 or line[1] != "=":
            raise SdpError(f"an SDP has no line such as {line[:40]!r}")
        if line[0] == "m":
            sections.append([])
            if len(sections) > 1 + _MOST_MEDIA:
                raise SdpError(f"an SDP has no more than {_MOST_MEDIA} media here")
        sections[-1].append((line[0], line[2:]))
    return sections


def _group(session: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The `mid`s of the media that duplicate each other (RFC 7104 section 4)."""
    for kind, value in session:
        if kind == "a" and value.startswith("group:DUP "):
            return tuple(value.split()[1:])
    return ()


class _MediaSection:
    """The lines of one media, and of the session for what the media leaves to it."""

    def __init__(
        self, lines: Sequence[tuple[str, str]], session: Sequence[tuple[str, str]]
    ) -> None:
        match = _MEDIA.fullmatch(lines[0][1])
        if match is None:
            raise SdpError(f"an m= line cannot be {lines[0][1][:40]!r}")
        self._kind, self._protocol = match[1], match[3]
        self._port, self._payload_type = int(match[2]), int(match[4])
        self._lines = [*lines[1:], *session]

    def _attribute(self, name: str) -> str | None:
        return next(
            (v.removeprefix(name) for k, v in self._lines if k == "a" and v.startswith(name)), None
        )

    @property
    def mid(self) -> str | None:
        """The name of this media within the description."""
        return self._attribute("mid:")

    @property
    def has_duplicates(self) -> bool:
        """Whether this media alone describes two streams (RFC 7104 section 3.1)."""
        return self._attribute("ssrc-group:DUP ") is not None

    def media(self) -> Media:
        """What the media carries."""
        if not self._protocol.startswith("RTP/"):
            raise SdpError(f"the first media is {self._protocol[:40]}, not RTP")
        encoding = self._attribute(f"rtpmap:{self._payload_type} ")
        if encoding is None:
            raise SdpError(f"payload type {self._payload_type} has no a=rtpmap")
        parameters = self._attribute(f"fmtp:{self._payload_type} ") or ""
        return Media(self._kind, self._payload_type, encoding, parameters)

    def streams(self) -> list[Stream]:
        """The streams: one for each source that the source filter lists."""
        line = next((value for kind, value in self._lines if kind == "c"), None)
        match = _CONNECTION.fullmatch(line) if line is not None else None
        if match is None:
            raise SdpError("the media has no usable c= line")
        if not 1 <= self._port <= 65535:
            raise SdpError(f"the media cannot have the port {self._port}")
        destination = _address(match[1])
        sources: list[str | None] = [None]
        source_filter = self._attribute("source-filter:")
        if source_filter is not None:
            found = _SOURCE_FILTER.fullmatch(source_filter)
            if found is None:
                raise SdpError(f"a source-filter cannot be {source_filter[:40]!r}")
            if found[1] in {destination, "*"}:
                sources = [_address(source) for source in found[2].split()]
        return [Stream(destination, self._port, source) for source in sources]


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise SdpError(f"{text[:40]!r} is not an IP address") from None
