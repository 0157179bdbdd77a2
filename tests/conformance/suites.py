"""Which suites of the tool are for a Node, and how the tool is asked for each."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["SUITES", "Mode", "Suite"]

Mode = Literal["unicast", "multicast"]


@dataclass(frozen=True)
class Suite:
    """One run of one suite.

    Attributes:
        name: As the tool has it.
        versions: Of each API that the suite talks to.
        mode: How the Node finds Authorization Servers and Registries meanwhile.
        has_selectors: Whether the tool wants to know which part of each API to test; all of it.
    """

    name: str
    versions: tuple[str, ...]
    mode: Mode = "unicast"
    has_selectors: bool = False

    @property
    def label(self) -> str:
        """What tells runs of one suite apart."""
        return self.name if self.mode == "unicast" else f"{self.name} {self.mode}"

    def arguments(self, host: str, port: int) -> list[str]:
        """Give the tool's arguments for a Node whose APIs all have one name and port."""
        count = len(self.versions)
        selectors = ["--selector", *["null"] * count] if self.has_selectors else []
        return [
            *("suite", self.name, "--host", *[host] * count, "--port", *[str(port)] * count),
            *("--version", *self.versions, *selectors),
        ]


SUITES = (
    Suite("IS-04-01", ("v1.3",)),
    Suite("IS-05-01", ("v1.1",)),
    Suite("IS-05-02", ("v1.3", "v1.1")),
    Suite("IS-07-01", ("v1.0",)),
    Suite("IS-07-02", ("v1.3", "v1.1", "v1.0")),
    Suite("IS-08-01", ("v1.0",), has_selectors=True),
    Suite("IS-08-02", ("v1.3", "v1.0"), has_selectors=True),
    Suite("BCP-003-01", ("v1.0",)),
    Suite("IS-04-01", ("v1.3",), mode="multicast"),
)
