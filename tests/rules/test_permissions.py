"""Access permissions objects and path specifiers: IS-10 "Behaviour: Access Tokens"."""

from __future__ import annotations

import sys
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmos_auth.rules.permissions import AccessPermissions, PathSpecifiers, Verb, verb_for
from tests.rules.test_wildcards import slow_match
from tests.support.costs import cost_in_turns

SPECIFIERS = st.lists(st.text("ab/**", max_size=8), max_size=4)
PATHS = st.text("aab/", max_size=10)

# Every JSON value that is not an array; json.loads makes no other types.
NO_ARRAY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["*", "", "single/*"]),
    st.dictionaries(st.sampled_from(["*", "read", "0"]), st.just("*"), max_size=2),
)
NO_STRING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(["*"]), st.just({"*": "*"}), st.just([])
)
NO_OBJECT = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["*", "read", "", '{"read":["*"]}']),
    st.lists(st.sampled_from(["*", "read"]), max_size=3),
    st.just([{"read": ["*"], "write": ["*"]}]),
)


def oracle(specifiers: list[str], path: str) -> bool:
    """Match a path as the decision says: without its trailing slash, and with one if not empty."""
    bare = path.removesuffix("/")
    spellings = {bare, bare + "/"} if bare else {""}
    return any(slow_match(each, spelling) for each in specifiers for spelling in spellings)


@given(SPECIFIERS, PATHS)
@example([], "")
@example([""], "")
@example([""], "a")
@example(["/"], "")
@example(["*"], "")
@example(["a/"], "a")
@example(["a"], "a/")
@example(["a/*"], "a")
def test_agrees_with_a_slow_oracle(specifiers: list[str], path: str) -> None:
    """Any list of specifiers stands for what its entries stand for, one by one."""
    assert PathSpecifiers(specifiers).match(path) == oracle(specifiers, path)


@given(SPECIFIERS, PATHS)
def test_a_trailing_slash_means_nothing(specifiers: list[str], path: str) -> None:
    """A path and its form with a slash are permitted together (IS-04 "APIs", Trailing Slashes)."""
    compiled = PathSpecifiers(specifiers)
    bare = path.rstrip("/")
    assert compiled.match(bare) == compiled.match(bare + "/")


@given(SPECIFIERS, SPECIFIERS, PATHS)
def test_more_specifiers_never_permit_less(first: list[str], more: list[str], path: str) -> None:
    """A list permits what any part of it permits, in whatever order."""
    either = PathSpecifiers(first).match(path) or PathSpecifiers(more).match(path)
    assert PathSpecifiers(more + first).match(path) == either


@pytest.mark.parametrize(
    ("specifier", "path", "expected"),
    [
        # BCP-003-02, Registry WebSocket Authorization: "a write claim matching the subscriptions
        # path"
        ("subscriptions", "subscriptions", True),
        ("receivers/*", "receivers/3b8be755", True),
        # BCP-003-02, Transport File Authorization
        ("single/senders/*/transportfile", "single/senders/1/transportfile", True),
        ("single/senders/*/transportfile", "single/receivers/1/transportfile", False),
        # BCP-003-02, IS-07 WebSocket Authorization
        ("sources/9f463872", "sources/9f463872", True),
        ("sources/9f463872", "sources/9f463872x", False),
        # "all path specifiers MUST start _after_ the API version and its trailing slash"
        ("/single/*", "single/senders", False),
        ("/x-nmos/connection/v1.1/single/*", "single/senders", False),
        ("v1.1/single/*", "single/senders", False),
        # Design, decisions: with and without its trailing slash
        ("single/senders/", "single/senders", True),
        ("single/senders", "single/senders/", True),
        ("single/*", "single", True),
        # Design, decisions: a base path needs a specifier that matches the empty path
        ("*", "", True),
        ("**", "", True),
        ("", "", True),
        ("/", "", False),
        ("*/", "", False),
        ("single*", "", False),
        # JSON schema token_schema.json has no empty specifiers; they stand for nothing else.
        ("", "single", False),
    ],
)
def test_examples(specifier: str, path: str, *, expected: bool) -> None:
    """Specifiers stand for the paths that the texts say."""
    assert PathSpecifiers([specifier]).match(path) is expected


@pytest.mark.parametrize(
    ("method", "verb"),
    [
        # "write … *POST*, *PUT*, *PATCH* and *DELETE* HTTP request verbs"
        ("POST", "write"),
        ("PUT", "write"),
        ("PATCH", "write"),
        ("DELETE", "write"),
        # "read … *GET*, *OPTIONS* and *HEAD* HTTP request verbs"; OPTIONS asks for no permission
        # at all: "OPTIONS requests MUST NOT require authorization" (IS-10 "APIs")
        ("GET", "read"),
        ("HEAD", "read"),
        # Design, decisions: other methods are covered by no permission
        ("TRACE", None),
        ("CONNECT", None),
        ("PROPFIND", None),
        # RFC 9110 Section 9.1: "The method token is case-sensitive"
        ("get", None),
        ("Post", None),
        ("", None),
    ],
)
def test_verbs(method: str, verb: Verb | None) -> None:
    """Each method needs the permission that IS-10 names."""
    assert verb_for(method) == verb


def test_read_and_write_are_apart() -> None:
    """Neither permission implies the other: "a permission key of "read" MUST also be present"."""
    permissions = AccessPermissions.from_claim({"read": ["single/*"], "write": ["bulk/*"]})
    assert permissions is not None
    assert permissions.read.match("single/senders")
    assert not permissions.read.match("bulk/senders")
    assert permissions.write.match("bulk/senders")
    assert not permissions.write.match("single/senders")


def test_an_object_without_permissions_grants_no_path() -> None:
    """What is omitted is not granted: "the permission key MUST be omitted"."""
    permissions = AccessPermissions.from_claim({})
    assert permissions is not None
    assert not permissions.read.match("")
    assert not permissions.write.match("")


def test_unknown_permission_keys_grant_nothing() -> None:
    """Keys that other specifications add, and misspelt ones, permit nothing."""
    permissions = AccessPermissions.from_claim({"Read": ["*"], "*": ["*"], "delete": ["*"]})
    assert permissions is not None
    assert not permissions.read.match("single")
    assert not permissions.write.match("single")


@given(NO_OBJECT)
def test_a_claim_that_is_no_object_grants_nothing(claim: object) -> None:
    """Anything but "a JSON object, indicating access permissions" is as if it were not there."""
    assert AccessPermissions.from_claim(claim) is None


@given(st.sampled_from(get_args(Verb)), NO_ARRAY, PATHS)
def test_a_permission_that_is_no_array_grants_nothing(
    verb: Verb, permission: object, path: str
) -> None:
    """Anything but "a JSON array containing URL path specifiers" is as if it were not there."""
    permissions = AccessPermissions.from_claim({verb: permission})
    assert permissions is not None
    assert not permissions.read.match(path)
    assert not permissions.write.match(path)


@given(SPECIFIERS, NO_STRING, SPECIFIERS, st.sampled_from(get_args(Verb)), PATHS)
@example([], 1, ["*"], "read", "a")
def test_an_array_with_an_entry_that_is_not_a_string_grants_nothing(
    before: list[str], entry: object, after: list[str], verb: Verb, path: str
) -> None:
    """One entry of another type makes the whole array one that grants nothing."""
    permissions = AccessPermissions.from_claim({verb: [*before, entry, *after]})
    assert permissions is not None
    assert not permissions.read.match(path)
    assert not permissions.write.match(path)


SEARCHING = [f"*/{number}/*" for number in range(7)]


@pytest.mark.parametrize(
    ("specifiers", "longer_too"),
    [
        (["*/senders/*"], True),
        ([*SEARCHING, "*/senders/*"], True),
        ([*SEARCHING, "*/senders/*", *map("{}*".format, range(9))], True),
        ([*SEARCHING, "*/7/*", "*/senders/*"], False),
        ([*SEARCHING, "*/7/*", "s*/senders/*"], False),
        ([*SEARCHING, "*/7/*", "*/8/*", "single/*"], True),
        ([*SEARCHING, "*/7/*", "*/8/*", "single/***"], True),
        ([*SEARCHING, "*/7/*", "*/8/*", "*a"], True),
        ([*SEARCHING, "*/7/*", "*/8/*", "*"], True),
    ],
)
def test_long_paths_are_searched_for_few(specifiers: list[str], *, longer_too: bool) -> None:
    """Text between two wildcards of nine specifiers is not searched for beyond 2,048 characters."""
    longest = "single/senders/" + "a" * 2033
    assert PathSpecifiers(specifiers).match(longest)
    assert PathSpecifiers(specifiers).match(longest + "a") is longer_too
    assert PathSpecifiers([*specifiers, longest + "a"]).match(longest + "a")


def test_a_specifier_is_not_a_path_of_its_own() -> None:
    """A long path that is written as a specifier with wildcards is matched as any other path."""
    specifier = "*a" * 2000 + "*"
    assert PathSpecifiers([specifier]).match(specifier)
    assert not PathSpecifiers([*SEARCHING, "*/7/*", specifier]).match(specifier)


def test_the_most_wildcards_and_the_longest_path_take_no_time() -> None:
    """As many specifiers as a token has room for, and the longest path, are decided at once."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    specifiers = PathSpecifiers(f"*{a}{b}*" for a in letters for b in letters)
    assert not specifiers.match("a/" * 30_000)
    assert cost_in_turns(lambda: specifiers.match("a/" * 30_000)) < 1_500_000


@pytest.mark.parametrize("ending", ["", "z", "/"])
def test_no_path_is_searched_twice_for_one_specifier(ending: str) -> None:
    """Eight specifiers cost eight searches, although a path has two forms.

    What a search costs is the product of two lengths at worst, so each of them matters.
    """
    specifiers = PathSpecifiers(
        f"*{'a' * (95 - each)}b{'a' * each}*{ending}" for each in range(1, 9)
    )
    searches = 0

    def count(_frame: object, event: str, called: object) -> None:
        nonlocal searches
        searches += event == "c_call" and getattr(called, "__name__", "") == "find"

    path = "a" * 2000 + ending
    sys.setprofile(count)
    try:
        assert not specifiers.match(path)
    finally:
        sys.setprofile(None)
    assert searches == 8
