"""Finds the streams that a session description offers a Receiver."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from example_node.connection.sdp.description import Media, SdpError, Session, Stream
from example_node.connection.sdp.lines import Section, Sections, split

# The payload types without a=rtpmap (RFC 3551 Section 6, RFC 8866 Section 6.6).
_STATIC_PAYLOADS = {
    0: "PCMU/8000",
    8: "PCMA/8000",
    10: "L16/44100/2",
    11: "L16/44100/1",
    26: "JPEG/90000",
    33: "MP2T/90000",
}
# Attributes that describe the media, beyond encoding and parameters.
_MEDIA_ATTRIBUTES = ("ptime", "maxptime")

# Each address is parsed, which takes longer than everything else.
_MOST_FILTERS, _LONGEST_FILTERS = 64, 8192

_PAYLOAD_TYPE = re.compile(r"[0-9]{1,3}")
_PORT = re.compile(r"([0-9]{1,5})(?:/[0-9]{1,5})?")


def parse(
    text: str,
    media_types: Sequence[str] = (),
    *,
    prefers: Callable[[Media], bool] = lambda _: True,
) -> Session:
    """Read a session description.

    Of several media the first is chosen that a Receiver prefers, or accepts at least, and whose
    port is not 0; and with it the second path of the same stream, if there is one.

    Args:
        text: the description.
        media_types: what the Receiver accepts, such as `video/raw`; empty for all RTP media.
        prefers: tells whether the Receiver can use a media of these types.

    Raises:
        SdpError: the text is not a session description, or describes no stream for the Receiver.
    """
    sections = split(text)
    if not sections.media:
        raise SdpError("the SDP has no m= line")
    described = [_Description(section, sections.session) for section in sections.media]
    acceptable = _acceptable(described, media_types)
    chosen, media = next((each for each in acceptable if prefers(each[1])), acceptable[0])
    streams = _streams(chosen, media, described, _group_of(chosen, sections))
    return Session(media, streams, sections.notes)


class _Description:
    """One media, with what the session says about it."""

    def __init__(self, section: Section, session: Section) -> None:
        self.section = section
        self._session = session
        fields = section.lines[0][1].split()
        port = _PORT.fullmatch(fields[1]) if len(fields) >= 3 else None
        self.port = int(port[1]) if port is not None else None
        self._kind, self._protocol, self._formats = fields[:1], fields[2:3], fields[3:]

    @property
    def mid(self) -> str | None:
        """The name of this media within the description (RFC 5888)."""
        return next(iter(self.section.values("mid")), None)

    @property
    def has_duplicates(self) -> bool:
        """Whether this media describes two streams by itself (RFC 7104 Section 3.1)."""
        return any(_is_dup(value.split()[:1]) for value in self.section.values("ssrc-group"))

    def media(self) -> Iterator[Media]:
        """Return its media, one for each payload type that is supported.

        Raises:
            SdpError: no payload type is supported.
        """
        line = self.section.lines[0][1]
        if self.port is None:
            raise SdpError(f"an m= line cannot be {line[:40]!r}")
        if self.port > 65535:
            raise SdpError(f"the media cannot have the port {self.port}")
        protocol = self._protocol[0]
        if not protocol.upper().startswith("RTP/"):
            raise SdpError(f"the media is {protocol[:40]}, not RTP")
        payloads = list(
            dict.fromkeys(int(each) for each in self._formats if _PAYLOAD_TYPE.fullmatch(each))
        )
        if not payloads:
            raise SdpError(f"an m= line cannot be {line[:40]!r}")
        encodings = _by_payload(self.section.values("rtpmap"))
        parameters = _by_payload(self.section.values("fmtp"))
        known = [each for each in payloads if each in encodings or each in _STATIC_PAYLOADS]
        if not known:
            raise SdpError(f"payload type {payloads[0]} has no a=rtpmap")
        attributes = tuple(
            f"{name}:{value}"
            for name, value in self.section.attributes
            if name in _MEDIA_ATTRIBUTES
        )
        for payload in known:
            yield Media(
                self._kind[0].lower(),
                payload,
                encodings.get(payload) or _STATIC_PAYLOADS[payload],
                parameters.get(payload, ""),
                attributes,
            )

    def streams(self) -> list[Stream]:
        """Return the streams: one for each source that the source filter lists.

        Raises:
            SdpError: the destination or the source of the packets cannot be used.
        """
        port = self.port or 0
        connection = self.section.connection() or self._session.connection()
        if connection is None and port == 0:
            return [Stream("0.0.0.0", port, None)]  # noqa: S104 - nowhere, and nobody listens
        destination = _connection_address(connection)
        sources: Sequence[str | None] = self._sources(destination)
        return [Stream(destination, port, source) for source in sources or (None,)]

    def _sources(self, destination: str) -> list[str]:
        """Return the sources that the filters for a destination include, each once.

        A filter of the media goes before those of the session, and of several for the same
        destination all hold (RFC 4570 Section 3).
        """
        for section in (self.section, self._session):
            values = section.values("source-filter")
            if len(values) > _MOST_FILTERS or sum(map(len, values)) > _LONGEST_FILTERS:
                raise SdpError("the SDP has too many source filters")
            filters = [_source_filter(value) for value in values]
            ours = [each for each in filters if each.is_for(destination)]
            included = [each for each in ours if each.includes]
            if included:
                sources = [_address(source) for each in included for source in each.sources]
                return list(dict.fromkeys(sources))
            if ours:
                raise SdpError(f"a source-filter cannot be {ours[0].text[:40]!r}; use incl")
        return []


@dataclass(frozen=True, slots=True)
class _SourceFilter:
    """The value of `a=source-filter` (RFC 4570 Section 3)."""

    text: str
    includes: bool
    destination: str
    sources: tuple[str, ...]

    def is_for(self, destination: str) -> bool:
        """Tell whether it is for an address; `*` is for all."""
        if self.destination == "*":
            return True
        try:
            # Some devices write the time to live here too, as in `c=`.
            address = self.destination.partition("/")[0]
            return str(ipaddress.ip_address(address)) == destination
        except ValueError:
            return False


def _source_filter(value: str) -> _SourceFilter:
    mode, network, family, destination, *sources = [*value.split(), *[""] * 4]
    sources = [source for source in sources if source]
    if (
        mode.lower() not in {"incl", "excl"}
        or network.upper() != "IN"
        or family.upper() not in {"IP4", "IP6", "*"}
        or not sources
    ):
        raise SdpError(f"a source-filter cannot be {value[:40]!r}")
    return _SourceFilter(value, mode.lower() == "incl", destination, tuple(sources))


def _acceptable(
    described: Sequence[_Description], media_types: Sequence[str]
) -> list[tuple[_Description, Media]]:
    """Return the media that the Receiver accepts; at least one.

    Raises:
        SdpError: nothing is for it.
    """
    acceptable: list[tuple[_Description, Media]] = []
    faults: list[SdpError] = []
    offered: dict[str, str] = {}
    for each in described:
        try:
            for media in each.media():
                if media_types and not any(map(media.has_type, media_types)):
                    offered.setdefault(media.media_type.lower(), media.media_type)
                elif each.port == 0:
                    faults.append(SdpError("the media cannot have the port 0, which is off"))
                else:
                    acceptable.append((each, media))
        except SdpError as error:
            faults.append(error)
    if acceptable:
        return acceptable
    if not offered:
        raise faults[0]
    raise SdpError(
        f"it offers {', '.join(offered.values())[:80]}, and this Receiver accepts"
        f" {', '.join(media_types)}" + "".join(f"; {fault}" for fault in faults[:1])
    )


def _group_of(chosen: _Description, sections: Sections) -> frozenset[str]:
    """Return the `mid`s of the media that duplicate the chosen one (RFC 7104 Section 3.2)."""
    for value in sections.session.values("group"):
        semantics, mids = value.split()[:1], value.split()[1:]
        if _is_dup(semantics) and chosen.mid in mids:
            return frozenset(mids)
    return frozenset()


def _is_dup(semantics: Sequence[str]) -> bool:
    return [each.upper() for each in semantics] == ["DUP"]


def _streams(
    chosen: _Description,
    media: Media,
    described: Sequence[_Description],
    group: frozenset[str],
) -> tuple[Stream, ...]:
    """Return the one or two paths. "The stream listed first in the SDP file" is Path 1 (IS-05)."""
    if group:
        members = [each for each in described if each.mid in group and _carries(each, media)]
        streams = [member.streams()[0] for member in members[:2]]
        if not all(stream.is_off for stream in streams):
            return tuple(streams)
    streams = chosen.streams()
    if chosen.has_duplicates:
        # Two sources, or the same packets twice (RFC 7104 Sections 4.1 and 4.3).
        return tuple((streams * 2)[:2])
    return (streams[0],)


def _carries(described: _Description, media: Media) -> bool:
    try:
        return any(each.has_type(media.media_type) for each in described.media())
    except SdpError:
        return False


def _by_payload(values: Sequence[str]) -> dict[int, str]:
    """Read `<payload type> <rest>` of each value; the first one of a payload type is used."""
    found: dict[int, str] = {}
    for value in values:
        payload, *rest = value.split(maxsplit=1) or [""]
        if rest and _PAYLOAD_TYPE.fullmatch(payload):
            found.setdefault(int(payload), rest[0])
    return found


def _connection_address(value: str | None) -> str:
    """Return the address of `IN IP4 239.1.1.1/64/2`."""
    network, family, address = [*(value or "").split()[:3], *[""] * 3][:3]
    if network.upper() != "IN" or family.upper() not in {"IP4", "IP6"} or not address:
        raise SdpError("the media has no usable c= line")
    return _address(address.partition("/")[0])


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or "%" in text:
        raise SdpError(f"{text[:40]!r} is not an IP address")
    return str(address)
