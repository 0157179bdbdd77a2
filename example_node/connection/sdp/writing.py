"""Writes the session description of a Sender."""

import re
from collections.abc import Sequence

from example_node.connection.sdp.description import Session, Stream

# Characters that end a line for some readers, or that texts of RFC 8866 must not have.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def write(session: Session, *, name: str, version: int, reference_clocks: Sequence[str]) -> str:
    """Write a Sender's session description.

    Args:
        session: the streams, each with a source, and their media.
        name: its name, for people.
        version: a number that increases whenever the description changes.
        reference_clocks: the `ts-refclk` (RFC 7273) of each stream.
    """
    media, streams = session.media, session.streams
    paths = ("primary", "secondary")[: len(streams)]
    lines = [
        "v=0",
        f"o=- {version} {version} IN {_family(streams[0].source)} {streams[0].source}",
        # "a single dash" if there is no name (RFC 8866 Section 5.3).
        f"s={_CONTROL.sub(' ', name).strip() or '-'}",
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
        lines.append(f"a=rtpmap:{media.payload_type} {media.encoding}")
        if media.parameters:
            lines.append(f"a=fmtp:{media.payload_type} {media.parameters}")
        lines += [
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
    """Return the time to live, which an IPv4 multicast address requires (RFC 8866 Section 5.7)."""
    return "/64" if stream.is_multicast and _family(stream.destination) == "IP4" else ""
