"""The lines of a session description, read as tolerantly as RFC 8866 permits.

Devices write descriptions that are not quite as RFC 8866 Section 9 has them, and people edit them.
What can have but one meaning is read, and noted, so that whoever made the file can learn of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from example_node.connection.sdp.description import SdpError

# Far more than descriptions of ST 2110 streams need.
_LONGEST, _MOST_MEDIA = 1 << 16, 16

_BYTE_ORDER_MARK = "\ufeff"
_LINE_END = re.compile(r"\r\n|\n|\r")
_SPACES = " \t"
_WRAPPED = re.compile(r"(?:\r\n|\n|\r)[ \t]+(?=[^ \t\r\n])(?![a-z]=)")
_LONE_RETURN = re.compile(r"\r(?!\n)")
# A session without a name has "s= " (RFC 4566 Section 5.3).
_EMPTY_TEXTS = ("s= ", "i= ")
# Names and other texts may have any characters; in these lines a space separates fields.
_OF_FIELDS = frozenset("moctab")
_RUN_OF_SPACES = re.compile(r"[ \t]{2,}|\t")


@dataclass(frozen=True, slots=True)
class Section:
    """The lines of the session before the first media, or those of one media.

    Attributes:
        lines: type and value of each line, in order.
        attributes: the name and value of each `a=` line; the value may be empty.
    """

    lines: tuple[tuple[str, str], ...]
    attributes: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return the values of all attributes with a name."""
        return [value for each, value in self.attributes if each == name]

    def connection(self) -> str | None:
        """Return the value of the first `c=` line."""
        return next((value for kind, value in self.lines if kind == "c"), None)


@dataclass(frozen=True, slots=True)
class Sections:
    """A description, cut into its parts.

    Attributes:
        session: what is valid for all media that do not say otherwise.
        media: one for each `m=` line, which is the first line of its section.
        notes: faults that were ignored.
    """

    session: Section
    media: tuple[Section, ...]
    notes: tuple[str, ...]


def split(text: str) -> Sections:
    """Cut a description into the session's lines and those of each media.

    Raises:
        SdpError: the text is not a session description, or is too long.
    """
    if len(text) > _LONGEST:
        raise SdpError(f"an SDP has no more than {_LONGEST} characters here")
    if "\x00" in text:
        raise SdpError("an SDP has no NUL characters")
    notes: dict[str, None] = {}
    if text.startswith(_BYTE_ORDER_MARK):
        notes["a byte order mark"] = None
        text = text.removeprefix(_BYTE_ORDER_MARK)
    lines = _lines(text, notes)
    if lines[:1] != ["v=0"]:
        raise SdpError("an SDP begins with v=0")
    sections: list[list[tuple[str, str]]] = [[]]
    for line in lines:
        kind, equals, value = line[:1], line[1:2], line[2:]
        if equals != "=":
            raise SdpError(f"an SDP has no line such as {line[:40]!r}")
        if kind in _OF_FIELDS and _RUN_OF_SPACES.search(value):
            notes["runs of spaces"] = None
        if kind == "m":
            sections.append([])
        sections[-1].append((kind, value.strip()))
    if len(sections) > 1 + _MOST_MEDIA:
        raise SdpError(f"an SDP has no more than {_MOST_MEDIA} media here")
    session, *media = map(_section, sections)
    return Sections(session, tuple(media), tuple(notes))


def _lines(text: str, notes: dict[str, None]) -> list[str]:
    """Return the lines that are not blank, without white space around them.

    "parsers SHOULD be tolerant and also accept records terminated with a single newline
    character" (RFC 8866 Section 5): that is not noted. A line that begins with a space, and not
    with a type, goes on with the line before: format parameters are long, and people wrap them.
    """
    if _LONE_RETURN.search(text):
        notes["carriage returns without line feeds"] = None
    text, wrapped = _WRAPPED.subn(" ", text)
    if wrapped:
        notes["lines that were wrapped"] = None
    lines = []
    for written in _LINE_END.split(text.rstrip()):
        line = written.strip(_SPACES)
        if not line:
            notes["blank lines"] = None
            continue
        if written != line and written not in _EMPTY_TEXTS:
            notes["spaces round lines"] = None
        lines.append(line)
    return lines


def _section(lines: Sequence[tuple[str, str]]) -> Section:
    attributes = []
    for kind, value in lines:
        if kind == "a":
            name, _, content = value.partition(":")
            attributes.append((name.strip(), content.strip()))
    return Section(tuple(lines), tuple(attributes))
