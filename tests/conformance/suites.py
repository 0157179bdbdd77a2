"""What is run of the tool, and how the tool is asked for it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["FACADE_PORT", "SUITES", "Mode", "Subject", "Suite"]

FACADE_PORT = 8081
"""Where the questions of the suites of Controllers are answered."""

Mode = Literal["unicast", "multicast"]


@dataclass(frozen=True)
class Subject:
    """What is tested, as it is started.

    Attributes:
        kind: the reference Node, Registry or Controller, or the development Authorization Server.
        mode: how it finds Authorization Servers and Registries, and how it is found.
        authorization: whether it wants tokens.
        legs: two for a Node whose Senders and Receivers have the paths of ST 2022-7.
        redis: whether a Registry keeps the owners of Nodes in Redis.
        httptools: whether httptools reads its requests, which uvicorn prefers where it is
            installed; otherwise h11 does.
    """

    kind: Literal["node", "registry", "controller", "authority"] = "node"
    mode: Mode = "unicast"
    authorization: bool = True
    legs: Literal[1, 2] = 1
    redis: bool = False
    httptools: bool = False

    @property
    def peculiarities(self) -> tuple[str, ...]:
        """What tells it apart from others of its kind, in words."""
        words = {
            "multicast": self.mode == "multicast",
            "without authorization": not self.authorization,
            "two paths": self.legs == 2,
            "Redis": self.redis,
            "httptools": self.httptools,
        }
        return tuple(word for word, holds in words.items() if holds)

    @property
    def name(self) -> str:
        """A name for its files."""
        return "-".join([self.kind, *self.peculiarities]).replace(" ", "-").lower()


@dataclass(frozen=True)
class Suite:
    """One run of one suite.

    Attributes:
        name: as the tool has it.
        versions: of each API that the suite talks to.
        subject: what is tested.
        has_selectors: whether the tool wants to know which part of each API to test; all of it.
    """

    name: str
    versions: tuple[str, ...]
    subject: Subject = Subject()
    has_selectors: bool = False

    @property
    def label(self) -> str:
        """What tells runs of one suite apart."""
        kind = () if self.subject.kind == "node" else (self.subject.kind,)
        return ", ".join([self.name, *kind, *self.subject.peculiarities])

    def arguments(self, host: str, port: int) -> list[str]:
        """Return the tool's arguments for a subject whose APIs all have one name and port."""
        count = len(self.versions)
        if self.subject.kind == "controller":
            # The suites of Controllers talk to who answers their questions, and to nobody else.
            others = count - 1
            return [
                *("suite", self.name, "--host", "127.0.0.1", *["null"] * others),
                *("--port", str(FACADE_PORT), *["0"] * others, "--version", *self.versions),
            ]
        selectors = ["--selector", *["null"] * count] if self.has_selectors else []
        return [
            *("suite", self.name, "--host", *[host] * count, "--port", *[str(port)] * count),
            *("--version", *self.versions, *selectors),
        ]


def _of_controllers(subject: Subject) -> tuple[Suite, ...]:
    """The suites of a Controller, which ask a person."""
    return (
        Suite("IS-04-04", ("v1.0", "v1.3"), subject),
        Suite("IS-05-03", ("v1.0", "v1.3", "v1.1"), subject),
    )


def _of_nodes(subject: Subject) -> tuple[Suite, ...]:
    """The suites of a Node's APIs."""
    return (
        Suite("IS-04-01", ("v1.3",), subject),
        Suite("IS-05-01", ("v1.1",), subject),
        Suite("IS-05-02", ("v1.3", "v1.1"), subject),
        Suite("IS-07-01", ("v1.0",), subject),
        Suite("IS-07-02", ("v1.3", "v1.1", "v1.0"), subject),
        Suite("IS-08-01", ("v1.0",), subject, has_selectors=True),
        Suite("IS-08-02", ("v1.3", "v1.0"), subject, has_selectors=True),
    )


_MULTICAST, _OPEN, _TWO_PATHS, _HTTPTOOLS = (
    Subject(mode="multicast"),
    Subject(authorization=False),
    Subject(legs=2),
    Subject(httptools=True),
)
_REGISTRY, _AUTHORITY = Subject("registry"), Subject("authority")

SUITES = (
    *_of_nodes(Subject()),
    Suite("BCP-003-01", ("v1.0",)),
    Suite("IS-04-01", ("v1.3",), _MULTICAST),
    *_of_nodes(_OPEN),
    Suite("IS-05-01", ("v1.1",), _TWO_PATHS),
    Suite("IS-05-02", ("v1.3", "v1.1"), _TWO_PATHS),
    *_of_nodes(_HTTPTOOLS),
    Suite("IS-04-02", ("v1.3", "v1.3"), _REGISTRY),
    Suite("BCP-003-01", ("v1.0",), _REGISTRY),
    Suite("IS-04-02", ("v1.3", "v1.3"), Subject("registry", redis=True)),
    Suite("IS-04-02", ("v1.3", "v1.3"), Subject("registry", "multicast")),
    Suite("IS-04-02", ("v1.3", "v1.3"), Subject("registry", httptools=True)),
    Suite("BCP-003-01", ("v1.0",), _AUTHORITY),
    *_of_controllers(Subject("controller")),
    *_of_controllers(Subject("controller", authorization=False)),
)
