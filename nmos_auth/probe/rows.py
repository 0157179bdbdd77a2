"""One row of the table: a request, the answers that a specification allows, and its sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from string import Formatter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nmos_auth.probe.mint import Mint

__all__ = [
    "Body",
    "Force",
    "Maker",
    "Row",
    "Source",
    "Suite",
    "bcp_003_02",
    "is_04",
    "is_07",
    "is_10",
    "practice",
    "rfc",
]

Maker = Callable[["Mint"], str]
"""Makes the token of one row."""

Body = Callable[[Mapping[str, str]], object]
"""Makes the JSON body of one row from the places of the device."""


class Force(StrEnum):
    """How binding a sentence is."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    STATED = "stated"
    """The text says so in a sentence without a key word of RFC 2119."""
    PRACTICE = "no text"


class Suite(StrEnum):
    """What a group of rows is about."""

    CREDENTIALS = "credentials"
    JOSE = "jose"
    CLAIMS = "claims"
    TIMES = "times"
    AUDIENCE = "audience"
    PERMISSIONS = "permissions"
    PATHS = "paths"
    METHODS = "methods"
    ANSWERS = "answers"
    HANDSHAKES = "handshakes"
    EVENTS = "events"
    CONNECTION = "connection"
    RESOURCES = "resources"
    ISSUERS = "issuers"
    KEYS = "keys"
    OUTAGES = "outages"
    WRITES = "writes"
    REGISTRY = "registry"
    SUBSCRIPTIONS = "subscriptions"
    WITHDRAWAL = "withdrawal"


@dataclass(frozen=True, slots=True)
class Source:
    """The sentence that a row holds a device to.

    Attributes:
        document: "IS-10" or "RFC 7515" for example; empty for good practice.
        section: the section's number or title.
        force: how binding it is.
        says: the sentence's gist, in words of this project.
    """

    document: str
    section: str
    force: Force
    says: str

    def __str__(self) -> str:
        """Return the document, the section, and what the sentence says."""
        if self.force is Force.PRACTICE:
            return f"good practice, not in any specification: {self.says}"
        force = "" if self.force is Force.STATED else f", {self.force.value}"
        return f"{self.document} {self.section}{force}: {self.says}"


def is_04(section: str, says: str, force: Force = Force.MUST) -> Source:
    """Return a sentence of AMWA IS-04 v1.3."""
    return Source("IS-04", f'"{section}"', force, says)


def is_07(section: str, says: str, force: Force = Force.MUST) -> Source:
    """Return a sentence of AMWA IS-07 v1.0."""
    return Source("IS-07", f'"{section}"', force, says)


def is_10(section: str, says: str, force: Force = Force.MUST) -> Source:
    """Return a sentence of AMWA IS-10 v1.0."""
    return Source("IS-10", f'"{section}"', force, says)


def bcp_003_02(section: str, says: str, force: Force = Force.MUST) -> Source:
    """Return a sentence of AMWA BCP-003-02."""
    return Source("BCP-003-02", f'"{section}"', force, says)


def rfc(number: int, section: str, says: str, force: Force = Force.MUST) -> Source:
    """Return a sentence of an RFC."""
    return Source(f"RFC {number}", f"Section {section}", force, says)


def practice(says: str) -> Source:
    """Return good practice that no specification requires."""
    return Source("", "", Force.PRACTICE, says)


@dataclass(frozen=True, slots=True)
class Row:
    """One request, and how its answer is judged.

    Attributes:
        id: its name in reports, which never changes.
        suite: the group it belongs to.
        title: what is tried.
        source: the sentence that the device is checked against.
        passes: the statuses that are right.
        warns: the statuses that serve the purpose but break the wording. Any other status fails.
        meaning: what a failure means for the operator, in a sentence.
        token: makes the token; None sends none.
        target: the request target; `{base}`, `{api}`, `{path}` and `{other}` in it are replaced by
            the places of the device: the API's versioned base path, its name, and two paths below.
            Some APIs have more: `{sender}` and `{source}` are ids, `{websocket}` is a whole target.
        method: the HTTP method.
        headers: further header fields; `{token}` in a value is replaced by the token, and then no
            Authorization field is added.
        body: makes the body, which is sent as JSON; None sends none.
        error: the RFC 6750 error code that the challenge must have; None if any is right.
        forged: whether an honest server never makes such a token; a device may answer 503 first,
            while it looks for a key.
        api: the API that it is about; None for any API of the device.
        every_api: whether it is tried on each API of the device, and not only on one.
        websocket: whether it is a WebSocket handshake.
        writes: whether it could change something, and is sent only if the user allows that.
        uses: the places that its token requires; a device whose name has a domain has `domain`.
    """

    id: str
    suite: Suite
    title: str
    source: Source
    passes: frozenset[int]
    meaning: str
    warns: frozenset[int] = frozenset()
    token: Maker | None = None
    target: str = "{base}/{path}"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    error: str | None = None
    forged: bool = False
    api: str | None = None
    every_api: bool = False
    websocket: bool = False
    writes: bool = False
    uses: frozenset[str] = frozenset()
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Note which of the device's places the row requires."""
        names = {name for _, name, _, _ in Formatter().parse(self.target) if name}
        object.__setattr__(self, "needs", self.uses | names)

    def target_on(self, places: Mapping[str, str]) -> str:
        """Return the target on a device that has these places."""
        return self.target.format_map(places)
