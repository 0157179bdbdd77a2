"""What is run of the tool, and how the tool is asked for it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["SUITES", "Mode", "Subject", "Suite"]

Subject = Literal["node", "registry"]
Mode = Literal["unicast", "multicast"]


@dataclass(frozen=True)
class Suite:
    """One run of one suite, or of one test of it.

    Attributes:
        name: As the tool has it.
        versions: Of each API that the suite talks to.
        subject: The example that is tested.
        mode: How it finds Authorization Servers and Registries meanwhile.
        test: The one test to run; None for all.
        has_selectors: Whether the tool wants to know which part of each API to test; all of it.
    """

    name: str
    versions: tuple[str, ...]
    subject: Subject = "node"
    mode: Mode = "unicast"
    test: str | None = None
    has_selectors: bool = False

    @property
    def label(self) -> str:
        """What tells runs of one suite apart."""
        mode = None if self.mode == "unicast" else self.mode
        return " ".join(filter(None, (self.name, self.test, mode)))

    def arguments(self, host: str, port: int) -> list[str]:
        """Give the tool's arguments for a subject whose APIs all have one name and port."""
        count = len(self.versions)
        selection = ["--selection", self.test] if self.test else []
        selectors = ["--selector", *["null"] * count] if self.has_selectors else []
        return [
            *("suite", self.name, "--host", *[host] * count, "--port", *[str(port)] * count),
            *("--version", *self.versions, *selection, *selectors),
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
    # What BCP-003-02 asks of Registries; the example has no more of IS-04 than shows it.
    Suite("IS-04-02", ("v1.3", "v1.3"), subject="registry", test="test_33"),
    Suite("IS-04-02", ("v1.3", "v1.3"), subject="registry", test="test_33_1"),
)
