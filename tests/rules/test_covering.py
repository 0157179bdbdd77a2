"""What a token covers: BCP-003-02 "a read claim matching all data which may be returned"."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmos_auth import AccessToken
from nmos_auth.rules.permissions import Verb, deciding_paths
from tests.support.parsed import access_token_of

RECEIVER = "3b8be755-08ff-452b-b217-c9151eb21193"

# Few characters and many wildcards, so that most lists almost cover.
PATTERNS = st.text("a/***", max_size=7)
SPECIFIERS = st.lists(st.text("ab/***", max_size=6), max_size=4)


def token_with(*specifiers: str, verb: Verb = "read") -> AccessToken:
    """Return a token with these path specifiers for the Query API."""
    return access_token_of(x_nmos_query={verb: list(specifiers)})


# The slow oracle: inclusion of regular languages, decided by trying every path, where paths that
# leave all patterns equally far are tried once. "#" stands for all characters that none names.

Positions = frozenset[tuple[int, int]]


def _start(patterns: list[str]) -> Positions:
    return _settled(patterns, ((number, 0) for number in range(len(patterns))))


def _settled(patterns: list[str], positions: Iterable[tuple[int, int]]) -> Positions:
    settled = set()
    for number, position in positions:
        settled.add((number, position))
        while patterns[number][position : position + 1] == "*":
            position += 1  # noqa: PLW2901 - where the wildcard stands for no more
            settled.add((number, position))
    return frozenset(settled)


def _step(patterns: list[str], positions: Positions, character: str) -> Positions:
    following = []
    for number, position in positions:
        symbol = patterns[number][position : position + 1]
        if symbol == "*":
            following.append((number, position))
        elif symbol == character:
            following.append((number, position + 1))
    return _settled(patterns, following)


def _accepts(patterns: list[str], positions: Positions) -> bool:
    return any(len(patterns[number]) == position for number, position in positions)


def slow_covers(specifiers: list[str], pattern: str) -> bool:
    """Look for a path that `pattern` stands for and no specifier permits."""
    sides = ([pattern], specifiers)
    alphabet = {*pattern, *"".join(specifiers), "#", "/"} - {"*"}
    start = (_start(sides[0]), _start(sides[1]))
    stands_for_a_path = False
    seen, todo = set(), [(start, "")]
    if pattern.startswith("*"):
        # A path may begin with a slash, which means nothing: the specifiers do not see it.
        todo.append(((_step(sides[0], start[0], "/"), start[1]), ""))
    while todo:
        state, last = todo.pop()
        if (state, last) in seen:
            continue
        seen.add((state, last))
        steps = {
            character: tuple(
                _step(side, positions, character)
                for side, positions in zip(sides, state, strict=True)
            )
            for character in alphabet
        }
        if last != "/":  # a path's form without its slash, and with one unless it is empty
            forms = [state, steps["/"]] if last else [state]
            named, permitted = (
                any(_accepts(sides[which], form[which]) for form in forms) for which in (0, 1)
            )
            if named and not permitted:
                return False
            stands_for_a_path |= named
        for character, (ours, theirs) in steps.items():
            if ours and not (character == "/" and last in {"", "/"}):  # no empty segments
                todo.append(((ours, theirs), character))
    return stands_for_a_path


@given(SPECIFIERS, PATTERNS)
@example(["*"], "*")
@example(["*/"], "*")
@example(["*/", ""], "*")
@example(["", "a*", "b*"], "*")
@example(["a/*/"], "a/*")
@example(["a/*/", "a"], "a/*")
@example(["a/*/", "a/"], "a/**")
@example(["a/*/", "a"], "a/*/")
@example(["a*", "b*"], "*")
@example(["a", "a/*"], "a*")
@example(["*/*", "a*a"], "a*")
@example(["*/b"], "*/b")
@example(["*/b", "b"], "*/b")
@example(["*/b/*", "b/*", "*/b"], "*/b/*")
@example(["*/"], "*/*")
@example([""], "")
def test_agrees_with_a_slow_oracle(specifiers: list[str], pattern: str) -> None:
    """No list of specifiers covers a pattern otherwise than language inclusion says."""
    token = token_with(*specifiers, verb="write")
    assert token.covers("query", "write", pattern) == slow_covers(
        specifiers, pattern.removeprefix("/")
    )


@given(SPECIFIERS, st.text("ab/", max_size=6), st.sampled_from(get_args(Verb)))
def test_a_pattern_without_wildcards_is_a_path(
    specifiers: list[str], path: str, verb: Verb
) -> None:
    """A token covers one path where it allows it."""
    token = token_with(*specifiers, verb=verb)
    assert token.covers("query", verb, path) == token.allows("query", verb, path)


@given(SPECIFIERS, PATTERNS, st.data())
def test_what_is_covered_is_allowed(
    specifiers: list[str], pattern: str, data: st.DataObject
) -> None:
    """Whatever stands in place of each `*`, the path is allowed if it is one."""
    first, *others = pattern.split("*")
    fillings = [data.draw(st.text("ab/.é*", max_size=4)) for _ in others]
    path = first + "".join(map("".join, zip(fillings, others, strict=True)))
    token, all_of_it = token_with(*specifiers), token_with("*")
    if token.covers("query", "read", pattern):
        assert token.allows("query", "read", path) == all_of_it.allows("query", "read", path)


@given(SPECIFIERS, PATTERNS, st.integers(0, 12))
@example(["*a*"], "*a*", 7)
@example(["*a*"], "*a*", 8)
@example(["*a*", "a*", "*a"], "*a*", 12)
@example(["*/*", ""], "a/*", 12)
def test_the_decisions_agree(specifiers: list[str], pattern: str, searching: int) -> None:
    """A pattern is covered exactly if its paths are allowed, short and long ones alike.

    In place of a `*` is nothing, or, once or many times, a character that no specifier has.
    """
    token = token_with(*specifiers, *(f"*{number}*" for number in range(searching)), verb="write")
    rest = pattern.removeprefix("/")
    paths = [] if rest.startswith("/") else [""]
    for character in rest:
        ends = ["", "#"] if character == "*" else [character]
        paths = [path + end for path in paths for end in ends]
    paths += [path.replace("#", "#" * 2049) for path in paths]
    everything = token_with("*", verb="write")
    allowed = [
        token.allows("query", "write", path)
        for path in paths
        if everything.allows("query", "write", path)
    ]
    assert token.covers("query", "write", pattern) == (bool(allowed) and all(allowed))


@pytest.mark.parametrize(
    ("specifiers", "pattern", "expected"),
    [
        # Issue of a Query subscription: "`receivers/*` covers, `receivers/3b…` and `receivers`
        # alone do not"
        (["receivers/*"], "receivers/*", True),
        (["*"], "receivers/*", True),
        (["receivers*"], "receivers/*", True),
        (["rec*"], "receivers/*", True),
        (["*/*"], "receivers/*", True),
        ([f"receivers/{RECEIVER}"], "receivers/*", False),
        (["receivers"], "receivers/*", False),
        (["receivers/"], "receivers/*", False),
        (["receivers", f"receivers/{RECEIVER}"], "receivers/*", False),
        (["receivers/3b*"], "receivers/*", False),
        (["senders/*"], "receivers/*", False),
        ([], "receivers/*", False),
        # "Note that the `resource_path` includes a leading slash where token claims do not."
        (["receivers/*"], "/receivers/*", True),
        (["/receivers/*"], "/receivers/*", False),
        (["*"], "//receivers/*", False),
        # A wildcard of the specifier takes several of the pattern, and parts between them.
        (["single/*/staged"], "single/*/*/staged", True),
        (["single/*/*/staged"], "single/*/staged", False),
        (["*/senders/*"], "single/senders/*/staged", True),
        (["a*b*c"], "a*c", False),
        (["a*c"], "a*b*c", True),
        # A slash at the start of a path means nothing.
        (["*/b"], "*/b", False),
        (["*b"], "*/b", True),
        (["**"], "*", True),
        (["*"], "**", True),
        # Specifiers together cover no more than each, for there are always further characters,
        (["a*", "b*", "c*"], "*", False),
        (["receivers/0*", "receivers/1*"], "receivers/*", False),
        # save where a wildcard leaves a slash, which means nothing, or a base path.
        (["receivers/*/"], "receivers/*", False),
        (["receivers/*/", "receivers"], "receivers/*", True),
        (["receivers/*/"], "receivers/a*", True),
        # A pattern that can be no path is covered by nothing.
        (["*"], "receivers/../*", False),
        (["*"], "receivers//*", False),
        (["*"], "*\\*", False),
        (["*"], "receivers/..*", True),
    ],
)
def test_examples(specifiers: list[str], pattern: str, *, expected: bool) -> None:
    """A token covers a pattern where all that it stands for is permitted."""
    assert token_with(*specifiers).covers("query", "read", pattern) is expected


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("receivers", ["receivers"]),
        ("receivers/*", ["receivers/*", "receivers"]),
        ("receivers/**", ["receivers/*", "receivers"]),
        ("*/b", ["*/b", "b"]),
        ("*/b/*", ["*/b/*", "b/*", "*/b", "b"]),
        ("*", ["*", ""]),
        ("*/*", ["*/*", "*", "*", ""]),
        ("a*", ["a*"]),
    ],
)
def test_few_paths_decide(pattern: str, paths: list[str]) -> None:
    """The pattern as it is, and what is left where a slash at its start or end means nothing.

    The first asterisk stands for as many characters as no path that is searched may have.
    """
    assert deciding_paths(pattern) == tuple(each.replace("*", "*" * 2049, 1) for each in paths)


def test_base_paths() -> None:
    """The empty path is read with the claim or the scope; written with a specifier for it."""
    token = access_token_of(
        scope="node", x_nmos_connection={"read": ["*/"], "write": ["*/"]}, x_nmos_node=None
    )
    assert token.covers("node", "read", "")
    assert not token.covers("node", "read", "*")
    assert token.covers("connection", "read", "*")
    assert not token.covers("connection", "write", "*")
    assert not token.covers("connection", "write", "*/")
    assert token.covers("connection", "write", "a*/")


def test_other_apis_and_verbs_are_not_covered() -> None:
    """A claim is of one API, and write of no use for reading."""
    token = access_token_of(x_nmos_query={"write": ["*"]})
    assert not token.covers("query", "read", "receivers/*")
    assert not token.covers("registration", "write", "*")
    assert token.covers("query", "write", "*")
    assert not token.covers("query", "delete", "*")  # type: ignore[arg-type]


def test_no_authorization_covers_all() -> None:
    """While NMOS_AUTH_ENABLED is false, all is covered that could be asked for."""
    assert AccessToken.unrestricted().covers("query", "read", "*")
    assert not AccessToken.unrestricted().covers("query", "read", "a/../*")


@pytest.mark.parametrize(
    ("specifiers", "pattern"),
    [
        (["*a" * 5_000 + "*b"], "*a" * 50_000),
        (["*" * 11_000 + "b"], "*" * 200_000),
        (["*" + "ab" * 5_000 + "b*"], "ab" * 100_000 + "*"),
        ([f"*{number}*a" for number in range(1_000)], "a*" * 4_000),
    ],
    ids=["many wildcards", "only wildcards", "periodic", "many specifiers"],
)
def test_hostile_specifiers_take_no_time(specifiers: list[str], pattern: str) -> None:
    """The most that a token can carry, with patterns longer than any target, is decided at once."""
    token = token_with(*specifiers)
    start = time.process_time()
    assert not token.covers("query", "read", pattern)
    assert time.process_time() - start < 2
