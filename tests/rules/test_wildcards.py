"""The wildcard of path specifiers: IS-10 "Behaviour: Access Tokens", Access Permissions Object."""

from __future__ import annotations

import time
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmos_auth.rules.wildcards import Wildcard

SENDER = "ea388089-9ffb-4a81-b109-a19da845b3b6"

# Few characters and many wildcards, so that most pairs almost match.
PATTERNS = st.text("aab/***", max_size=14)
TEXTS = st.text("aab/", max_size=18)


def slow_match(pattern: str, text: str) -> bool:
    """Decide by dynamic programming, row by row, what `.*` for every `*` would decide."""
    row = [True] + [False] * len(text)
    for symbol in pattern:
        below = [row[0] and symbol == "*"]
        for column, character in enumerate(text, 1):
            if symbol == "*":
                below.append(row[column] or below[column - 1])
            else:
                below.append(row[column - 1] and symbol == character)
        row = below
    return row[-1]


@given(PATTERNS, TEXTS)
@example("", "")
@example("*", "")
@example("**", "a")
@example("a*a", "a")
@example("*ab*b*", "aab")
@example("*aab", "aaab")
@example("ab*ba", "aba")
def test_agrees_with_a_slow_oracle(pattern: str, text: str) -> None:
    """Any pattern matches exactly the texts that a matcher trying everything finds."""
    assert Wildcard(pattern).matches(text) == slow_match(pattern, text)


def test_agrees_with_the_oracle_on_everything_small() -> None:
    """No pattern and no text of up to five characters is decided otherwise."""
    texts = ["".join(each) for size in range(6) for each in product("ab", repeat=size)]
    for size in range(6):
        for pattern in map("".join, product("ab*", repeat=size)):
            matched = set(filter(Wildcard(pattern).matches, texts))
            assert matched == {text for text in texts if slow_match(pattern, text)}, pattern


@given(st.lists(st.text("ab/", max_size=4), min_size=1, max_size=6), st.data())
def test_matches_whatever_its_wildcards_may_stand_for(
    pieces: list[str], data: st.DataObject
) -> None:
    """A text made by putting anything in place of each `*` is always matched."""
    fillings = [data.draw(st.text("ab/é", max_size=5)) for _ in pieces[1:]]
    text = pieces[0] + "".join(map("".join, zip(fillings, pieces[1:], strict=True)))
    assert Wildcard("*".join(pieces)).matches(text)


@given(st.text(max_size=12).filter(lambda text: "*" not in text), st.text(max_size=12))
def test_nothing_but_the_asterisk_is_special(pattern: str, text: str) -> None:
    """A pattern without `*`, whatever else is in it, matches itself alone."""
    assert Wildcard(pattern).matches(pattern)
    assert Wildcard(pattern).matches(text) == (text == pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        # "`single*` or `single/senders/*/constraints` would both match"
        ("single*", f"single/senders/{SENDER}/constraints", True),
        ("single/senders/*/constraints", f"single/senders/{SENDER}/constraints", True),
        # "replace zero or more characters"
        ("single*", "single", True),
        ("single/*", "single/", True),
        ("s*e", "se", True),
        # "may encompass multiple path segments"
        ("single/*/constraints", "single/senders/1/constraints", True),
        # "may be used multiple times"
        ("*/senders/*/con*", "single/senders/1/constraints", True),
        # "may appear at any position in the path permission"
        ("*constraints", "single/senders/1/constraints", True),
        # "equivalent to the `.*` regex pattern", and of the whole path
        ("single/*", "bulk/single/senders", False),
        ("*/senders", "single/senders/1", False),
        ("single/senders/*/staged", "single/senders/1/staged/x", False),
        # A wildcard's pieces never share characters of the text.
        ("ab*ba", "aba", False),
        # Design, decisions: case-sensitively, `*` alone special.
        ("Single/*", "single/senders", False),
        ("single/?enders", "single/senders", False),
        ("single/[s]enders", "single/senders", False),
        ("single.senders", "single/senders", False),
        ("(a|b)*", "a", False),
        ("a\\*", "a*", False),
    ],
)
def test_examples(pattern: str, text: str, *, expected: bool) -> None:
    """What IS-10 says of `*` holds, and nothing else about a pattern is special."""
    assert Wildcard(pattern).matches(text) is expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a" * 50_000 + "*b", "a" * 100_000),
        ("a*" * 50_000 + "b", "a" * 100_000),
        ("*" * 200_000 + "b", "a" * 200_000),
        ("*" + "a" * 100_000 + "b*", "a" * 400_000),
        ("*b" + "a" * 100_000 + "*", "a" * 400_000),
        ("*" + "ab" * 50_000 + "b*", "ab" * 200_000),
    ],
    ids=["many wildcards", "head first", "only wildcards", "long piece", "late", "periodic"],
)
def test_hostile_patterns_take_no_time(pattern: str, text: str) -> None:
    """Sizes at which anything quadratic takes minutes, by the millions what a token can carry."""
    assert not Wildcard(pattern).matches(text)


def test_time_grows_with_the_text_alone() -> None:
    """Eight times the pattern and text take nowhere near 64 times as long."""

    def seconds(size: int) -> float:
        wildcard, text = Wildcard("*a*b" * size + "*c"), "ab" * size
        best = float("inf")
        for _ in range(5):
            start = time.process_time()
            for _ in range(5):
                wildcard.matches(text)
            best = min(best, time.process_time() - start)
        return best

    # The best of several attempts, since other processes only ever add time.
    growth = min(seconds(64_000) / max(seconds(8_000), 1e-6) for _ in range(3))
    assert growth < 32


@given(PATTERNS, TEXTS, st.text("ab/", max_size=3))
def test_what_an_open_pattern_matches_may_go_on(pattern: str, text: str, more: str) -> None:
    """A pattern that ends with a wildcard matches a text with anything after it, too."""
    wildcard = Wildcard(pattern)
    assert wildcard.is_open == pattern.endswith("*")
    if wildcard.is_open and wildcard.matches(text):
        assert wildcard.matches(text + more)
