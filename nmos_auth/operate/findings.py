"""The findings of checks, and how they are written for a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from nmos_auth.command import hanging

__all__ = ["Finding", "Level", "as_json", "as_lines", "exit_code", "worst"]

_MARGIN = " " * 9


class Level(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        level: the result.
        subject: what was checked, in a few words.
        text: what was found, as a sentence.
        cure: what to do about it; empty if nothing is wrong.
    """

    level: Level
    subject: str
    text: str
    cure: str = ""

    @classmethod
    def ok(cls, subject: str, text: str) -> Finding:
        """Return a finding that all is well."""
        return cls(Level.OK, subject, text)

    @classmethod
    def warning(cls, subject: str, text: str, cure: str) -> Finding:
        """Return a finding about something that works, but should be checked."""
        return cls(Level.WARNING, subject, text, cure)

    @classmethod
    def failure(cls, subject: str, text: str, cure: str) -> Finding:
        """Return a finding about something that does not work."""
        return cls(Level.FAILURE, subject, text, cure)


def as_lines(finding: Finding, width: int) -> str:
    """Return a finding as lines for a terminal, the cure below it.

    Args:
        finding: the finding.
        width: the columns of the terminal.
    """
    text = hanging(f"{finding.level.value:<8} ", f"{finding.subject}: {finding.text}", width)
    return f"{text}\n{hanging(f'{_MARGIN}→ ', finding.cure, width)}" if finding.cure else text


def as_json(findings: Sequence[Finding]) -> str:
    """Return findings as one JSON object with `findings` and the `worst` level."""
    return json.dumps(
        {
            "worst": worst(findings).value,
            "findings": [
                {
                    "level": each.level.value,
                    "subject": each.subject,
                    "text": each.text,
                    "cure": each.cure or None,
                }
                for each in findings
            ],
        },
        indent=2,
    )


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level."""
    levels = {each.level for each in findings}
    for level in (Level.FAILURE, Level.WARNING):
        if level in levels:
            return level
    return Level.OK


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 1 if a check failed, else 0; a warning is not a failure."""
    return 1 if worst(findings) is Level.FAILURE else 0
