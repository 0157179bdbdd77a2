"""Patterns find what Python's regular expressions find, and take no longer the worse they are."""

import re
from collections.abc import Iterator
from typing import SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from example_node.registry.rql.patterns import (
    LONGEST,
    LONGEST_TEXT,
    MOST_REPEATS,
    Pattern,
    PatternError,
    UnsupportedPatternError,
)

TEXTS = st.text("ab.*\\\n", max_size=12)
PARTS = st.tuples(
    st.sampled_from(["a", "b", "A", ".", "\\.", "\\*", "\\\\", "\\$", "\n"]),
    st.sampled_from(["", "", "?", "*", "+"]),
)


@given(
    parts=st.lists(PARTS, max_size=MOST_REPEATS),
    start=st.sampled_from(["", "^"]),
    end=st.sampled_from(["", "$"]),
    text=TEXTS,
    ignore_case=st.booleans(),
)
def test_they_find_what_regular_expressions_find(
    parts: list[tuple[str, str]], start: str, end: str, text: str, *, ignore_case: bool
) -> None:
    """Whatever is supported; `$` is the very end, and `.` any character."""
    pattern = start + "".join(part + repeat for part, repeat in parts)
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else re.NOFLAG)
    expected = re.search(pattern + (r"\Z" if end else ""), text, flags)
    found = Pattern(pattern + end, ignore_case=ignore_case).is_found_in(text)
    assert found is (expected is not None)


@given(pattern=st.text("ab^$.?*+\\()[]{}|1", max_size=12))
def test_every_text_is_a_pattern_or_is_refused(pattern: str) -> None:
    """Where it is one, it means what it means to Python."""
    try:
        ours = Pattern(pattern)
    except (PatternError, UnsupportedPatternError):
        return
    theirs = re.compile(re.sub(r"(?<!\\)((?:\\\\)*)\$$", r"\1\\Z", pattern), re.DOTALL)
    for text in ("", "a", "ab", "a.b", "ba1", "$", "\\", "aab1"):
        assert ours.is_found_in(text) is (theirs.search(text) is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("", "anything", True),
        ("cam", "A camera", True),
        ("Cam", "A camera", False),
        ("number/temperature/*", "number/temperature/C", True),
        ("urn:x-nmos:format:video", "urn:x-nmos:format:video", True),
        ("^urn:x-nmos:transport:rtp", "urn:x-nmos:transport:rtp.mcast", True),
        ("rtp$", "urn:x-nmos:transport:rtp.mcast", False),
        ("^rtp$", "rtp\n", False),
        ("10.1", "10.1", True),
        (r"10\.1", "1021", False),
    ],
)
def test_what_controllers_ask_for(pattern: str, text: str, found: bool) -> None:  # noqa: FBT001
    """Pieces of text before all."""
    assert Pattern(pattern).is_found_in(text) is found


@pytest.mark.parametrize("pattern", ["STRASSE", "straße", "Straß."])
def test_case_may_be_ignored(pattern: str) -> None:
    """As Unicode folds it."""
    assert Pattern(pattern, ignore_case=True).is_found_in("Straße 1")


@pytest.mark.parametrize("pattern", ["*", "+a", "^?", "a**", "a\\", "a" * (LONGEST + 1), "a*" * 9])
def test_what_is_malformed(pattern: str) -> None:
    """Nothing to repeat, nothing to escape, and too long."""
    with pytest.raises(PatternError):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a|b)", "a|b", "[ab]", "a{2}", r"\d", "a^", "$a", r"\1"])
def test_what_is_not_supported(pattern: str) -> None:
    """Said so, and not taken for something else."""
    with pytest.raises(UnsupportedPatternError):
        Pattern(pattern)


class CountingText(str):
    """A text that counts how many of its characters are looked at."""

    __slots__ = ("seen",)
    seen: list[str]

    @override
    def __getitem__(self, key: SupportsIndex | slice) -> "CountingText":
        part = CountingText(super().__getitem__(key))
        part.seen = self.seen
        return part

    @override
    def __iter__(self) -> Iterator[str]:
        for character in super().__iter__():
            self.seen.append(character)
            yield character


def test_the_worst_pattern_looks_at_each_character_once() -> None:
    """One for which a search that tries one way after another takes hours."""
    text = CountingText("a" * 100_000)
    text.seen = []
    assert not Pattern("a*" * MOST_REPEATS + "b").is_found_in(text)
    assert len(text.seen) == LONGEST_TEXT
