"""Patterns that are searched for in a time that only grows with the text, for any pattern.

A pattern is a small regular expression: characters, `.`, `?`, `*`, `+`, `^` at the start, `$` at
the end, and a backslash before a character that stands for itself. Python's `re` would try one way
after another, for hours with the pattern `a*a*a*a*a*a*b`; here all ways are followed at the same
time, as the bits of a number.
"""

import re
from dataclasses import dataclass, field
from typing import Self

__all__ = ["Pattern", "PatternError", "UnsupportedPatternError"]

LONGEST = 256
MOST_REPEATS = 8
LONGEST_TEXT = 4096
"""The most characters of a text that are searched, if a pattern is more than plain text."""

_MOST_KNOWN = 4096

_PART = re.compile(r"(\\.|.)([?*+]?)", re.DOTALL)
_REPEATS = frozenset("?*+")
_UNSUPPORTED = frozenset("()[]{}|^$")


class PatternError(ValueError):
    """A pattern is malformed, or too long."""


class UnsupportedPatternError(ValueError):
    """A pattern is a regular expression that is not supported here."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One character of a pattern, and how often it may be repeated."""

    character: str | None
    """None for any."""
    may_be_absent: bool
    may_repeat: bool


class Pattern:
    """A pattern that can be searched for in texts.

    Args:
        text: the pattern.
        ignore_case: whether upper and lower case are the same.

    Raises:
        PatternError: it is malformed, or too long.
        UnsupportedPatternError: it has what is not supported, as groups, classes and alternatives.

    >>> Pattern("^cam.*[0-9]")
    Traceback (most recent call last):
    ...
    example_node.registry.patterns.UnsupportedPatternError: patterns have no [ here
    """

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        if len(text) > LONGEST:
            raise PatternError(f"a pattern has no more than {LONGEST} characters here")
        self._ignore_case = ignore_case
        text = text.casefold() if ignore_case else text
        self._from_start = text.startswith("^")
        text = text.removeprefix("^")
        self._to_end = text.endswith("$") and not _is_escaped(text, len(text) - 1)
        steps = _steps_of(text.removesuffix("$") if self._to_end else text)
        self._literal = _literal_of(steps)
        self._machine = _Machine.of(steps)

    def is_found_in(self, text: str) -> bool:
        """Tell whether the pattern matches a part of a text."""
        if self._ignore_case:
            text = text.casefold()
        if self._literal is None:
            return self._machine.runs_through(
                text[:LONGEST_TEXT], from_start=self._from_start, to_end=self._to_end
            )
        if self._from_start and self._to_end:
            return text == self._literal
        if self._from_start:
            return text.startswith(self._literal)
        if self._to_end:
            return text.endswith(self._literal)
        return self._literal in text


def _is_escaped(text: str, index: int) -> bool:
    before = text[:index]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _steps_of(text: str) -> list[_Step]:
    steps: list[_Step] = []
    parts = _PART.findall(text)
    for part, repeat in parts:
        character = _character(part)
        if repeat == "+":
            steps.append(_Step(character, may_be_absent=False, may_repeat=False))
        steps.append(_Step(character, may_be_absent=repeat != "", may_repeat=repeat in {"*", "+"}))
    if sum(repeat != "" for _, repeat in parts) > MOST_REPEATS:
        raise PatternError(f"a pattern repeats no more than {MOST_REPEATS} times here")
    return steps


def _character(part: str) -> str | None:
    """Return the character that a part of a pattern matches; None for any."""
    if part == ".":
        return None
    if part == "\\":
        raise PatternError("a pattern does not end with a backslash")
    if part in _REPEATS:
        raise PatternError(f"there is nothing that {part} could repeat")
    if part in _UNSUPPORTED or (len(part) > 1 and part[1].isalnum()):
        raise UnsupportedPatternError(f"patterns have no {part} here")
    return part[-1]


def _literal_of(steps: list[_Step]) -> str | None:
    characters = [
        step.character for step in steps if step.character is not None and not step.may_be_absent
    ]
    return "".join(characters) if len(characters) == len(steps) else None


@dataclass(frozen=True, slots=True)
class _Machine:
    """The steps of a pattern as bits: bit n of a state says that the first n steps are done."""

    steps: int
    by_character: dict[str, int]
    by_any: int
    optional: int
    repeating: int
    known: dict[tuple[int, str], int] = field(default_factory=dict)
    """The states that follow a state and a character, as far as they were needed."""

    @classmethod
    def of(cls, steps: list[_Step]) -> Self:
        by_any = sum(1 << n for n, step in enumerate(steps) if step.character is None)
        by_character: dict[str, int] = {}
        for n, step in enumerate(steps):
            if step.character is not None:
                by_character[step.character] = by_character.get(step.character, by_any) | 1 << n
        return cls(
            len(steps),
            by_character,
            by_any,
            sum(1 << n for n, step in enumerate(steps) if step.may_be_absent),
            sum(1 << n for n, step in enumerate(steps) if step.may_repeat),
        )

    def runs_through(self, text: str, *, from_start: bool, to_end: bool) -> bool:
        start = self._with_what_may_be_absent(1)
        again = 0 if from_start else start
        end = 1 << self.steps
        states = start
        for character in text:
            if states & end and not to_end:
                return True
            following = self.known.get((states, character))
            if following is None:
                following = self._after(states, character)
                if len(self.known) < _MOST_KNOWN:
                    self.known[states, character] = following
            states = following | again
        return bool(states & end)

    def _after(self, states: int, character: str) -> int:
        taken = states & self.by_character.get(character, self.by_any)
        repeated = taken & self.repeating
        return self._with_what_may_be_absent((taken ^ repeated) << 1 | repeated)

    def _with_what_may_be_absent(self, states: int) -> int:
        while more := (states & self.optional) << 1 & ~states:
            states |= more
        return states
