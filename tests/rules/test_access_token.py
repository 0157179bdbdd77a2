"""What a parsed access token permits, and when it counts."""

from __future__ import annotations

import copy
import math
from typing import get_args

import pytest
from fastapi.encoders import jsonable_encoder
from hypothesis import given
from hypothesis import strategies as st

from nmos_auth import AccessToken, InvalidToken
from nmos_auth.rules.access_token import check_times
from nmos_auth.rules.permissions import Verb
from tests.rules.test_permissions import NO_ARRAY, NO_OBJECT, NO_STRING
from tests.support.parsed import ISSUER, access_token_of, parsed
from tests.support.tokens import claims_of

NOW = 1_700_000_000
PATHS = ["", "self", "single/senders/1/staged", "a", "single/"]


def test_a_token_is_its_claims() -> None:
    """Two of the same claims are equal, whatever was asked of them; neither shows them all."""
    claims = claims_of(ISSUER, exp=NOW, iat=None, scope="node", jti="private")
    token, other = parsed(claims).token, parsed(claims).token
    assert token.allows("node", "read", "self")
    assert token == other
    assert token != parsed(claims | {"private": 1}).token
    assert repr(token) == (
        "AccessToken(iss='https://auth.example.com', sub='operator@example.com',"
        " aud=('https://node1.example.com',), exp=1700000000, iat=None, nbf=None,"
        " client_id='controller-0123456789', scopes=frozenset({'node'}))"
    )


def test_no_handler_changes_a_token() -> None:
    """Neither by an assignment, nor through what the token hands out, nor through a copy of it."""
    claims = claims_of(ISSUER, **{"x-nmos-node": {"read": ["self"]}, "private": ["a"]})
    token = parsed(claims).token
    for change in (setattr, object.__setattr__):
        with pytest.raises((AttributeError, TypeError)):
            change(token, "sub", "somebody")
    with pytest.raises(AttributeError):
        delattr(token, "exp")
    for own in (token.claims, copy.deepcopy(token)._claims):
        granted, private = own["x-nmos-node"], own["private"]
        assert isinstance(granted, dict)
        assert isinstance(private, list)
        granted["read"].append("*")
        private.append("b")
    assert not token.allows("node", "read", "devices")
    assert token == parsed(claims).token


def test_an_answer_does_not_show_a_token_that_a_handler_returns_by_mistake() -> None:
    """FastAPI does not know how to write one: the answer is 500, and not the private claims."""
    with pytest.raises(ValueError, match="not iterable") as caught:
        jsonable_encoder(parsed(claims_of(ISSUER, jti="secret", private="secret")).token)
    assert "secret" not in str(caught.value)


# Times


@pytest.mark.parametrize(
    ("times", "now", "leeway", "good"),
    [
        # RFC 7519 Section 4.1.4: "the expiration time on or after which the JWT MUST NOT be
        # accepted"
        ({"exp": NOW + 1}, NOW, 0, True),
        ({"exp": NOW}, NOW, 0, False),
        ({"exp": NOW - 1}, NOW, 0, False),
        ({"exp": NOW + 0.5}, NOW + 0.25, 0, True),
        ({"exp": NOW + 0.5}, NOW + 0.5, 0, False),
        ({"exp": 0}, NOW, 0, False),
        ({"exp": -1}, NOW, 0, False),
        # Contract: leeway "never on exp"
        ({"exp": NOW}, NOW, 300, False),
        ({"exp": NOW}, NOW + 0.5, 1, False),
        # IS-10: "MUST reject a token where the `iat` claim is greater than the current UTC time";
        # contract: leeway "on iat and nbf"
        ({"iat": NOW}, NOW, 0, True),
        ({"iat": NOW + 1}, NOW, 0, False),
        ({"iat": NOW + 1}, NOW, 1, True),
        ({"iat": NOW + 1}, NOW + 0.5, 1, True),
        ({"iat": NOW + 2}, NOW, 1, False),
        ({"iat": NOW - 10**9}, NOW, 0, True),
        # IS-10, nbf: "the current date/time MUST be after or equal to the not-before date/time"
        ({"nbf": NOW}, NOW, 0, True),
        ({"nbf": NOW + 1}, NOW, 0, False),
        ({"nbf": NOW + 1}, NOW, 1, True),
        ({"nbf": NOW + 2}, NOW, 1, False),
    ],
)
def test_times(times: dict[str, float], now: float, leeway: float, *, good: bool) -> None:
    """A token is valid from iat and nbf, give or take the leeway, until exp exactly."""
    changes: dict[str, object] = {"exp": NOW + 1000, "iat": None, **times}
    token = access_token_of(**changes)
    if good:
        check_times(token, now, leeway)
    else:
        with pytest.raises(InvalidToken):
            check_times(token, now, leeway)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"iat": NOW, "nbf": NOW + 5}, NOW + 3),
        ({"iat": NOW + 5, "nbf": NOW}, NOW + 3),
        ({"iat": NOW, "nbf": None}, NOW - 2),
        ({"iat": None, "nbf": NOW}, NOW - 2),
        ({"iat": None, "nbf": None}, -math.inf),
    ],
)
def test_a_token_is_valid_from_the_later_of_its_times(
    times: dict[str, object], expected: float
) -> None:
    """Less the leeway; a token without them always was."""
    assert check_times(access_token_of(**times), NOW + 60, leeway=2) == expected


# What a token permits


def test_claims_are_read_only() -> None:
    """Handlers see every claim and change none, at any depth."""
    token = access_token_of(private={"list": [1]}, x_nmos_node={"read": ["self"]})
    with pytest.raises(TypeError):
        token.claims["iss"] = "https://evil.example.org"  # type: ignore[index]
    own = token.claims["x-nmos-node"]
    assert isinstance(own, dict)
    own["read"] = ["*"]
    own["write"] = ["*"]
    assert token.claims["x-nmos-node"] == {"read": ["self"]}
    assert not token.allows("node", "read", "devices")
    with pytest.raises(AttributeError):
        token.sub = "somebody else"  # type: ignore[misc]


def test_scope_is_told_as_it_is_written() -> None:
    """Beside its entries, for what shows a token to people."""
    token = access_token_of(scope="node connection  node")
    assert token.scope == "node connection  node"
    assert token.scopes == {"connection", "node"}
    assert access_token_of(scope=None).scope is None
    assert access_token_of(scope=None).scopes == frozenset()


DOT_SEGMENTS = st.sampled_from([".", ".."])
OTHER_SEGMENTS = st.sampled_from(["single", "a", "..a", "...", "é", ""])


EVERYTHING = access_token_of(x_nmos_connection={"read": ["*"], "write": ["*"]})


@given(
    st.lists(OTHER_SEGMENTS, max_size=4),
    DOT_SEGMENTS,
    st.lists(OTHER_SEGMENTS | DOT_SEGMENTS, max_size=4),
    st.sampled_from(get_args(Verb)),
)
def test_no_path_with_dot_segments_is_allowed(
    before: list[str], dots: str, after: list[str], verb: Verb
) -> None:
    """IS-10: `single/../bulk` "MUST NOT be permitted by `single/*`", nor by anything else."""
    path = "/".join([*before, dots, *after])
    assert not EVERYTHING.allows("connection", verb, path)
    assert not EVERYTHING.allows("connection", verb, path + "/")


@pytest.mark.parametrize(
    "path",
    ["a//b", "//", "a\\b", "a\nb", "a\x00", "a\x7f", "a\x85", "single/../bulk", "..", ".", "./a"],
)
def test_no_path_without_a_canonical_form_is_allowed(path: str) -> None:
    """What the middleware would refuse as malformed is permitted to nobody."""
    assert not EVERYTHING.allows("connection", "read", path)


@pytest.mark.parametrize(
    ("api", "verb", "path", "expected"),
    [
        # IS-10 "Behaviour: Resource Servers", Path Validation: the last three rows
        ("connection", "read", "", True),
        ("connection", "read", "bulk", True),
        ("connection", "write", "single/senders/1/staged", True),
        ("connection", "write", "single/senders/1/staged/", True),
        ("connection", "write", "/single/senders/1/staged", True),
        ("connection", "write", "bulk/senders", False),
        ("connection", "write", "single/../bulk", False),
        ("node", "read", "self", True),
        ("node", "write", "self", False),
        # a claim without a scope, a scope without a claim, neither
        ("channelmapping", "read", "", True),
        ("channelmapping", "read", "map", True),
        ("query", "read", "", True),
        ("query", "read", "nodes", False),
        ("registration", "read", "", False),
        # Design, decisions: base paths are written with a specifier that matches the empty path
        ("connection", "write", "", False),
        ("channelmapping", "write", "", True),
        ("query", "write", "", False),
        # names are case-sensitive, and the claim's prefix is not part of them
        ("Connection", "read", "bulk", False),
        ("x-nmos-connection", "read", "bulk", False),
        ("", "read", "", False),
        ("*", "read", "self", False),
    ],
)
def test_what_a_token_allows(api: str, verb: Verb, path: str, *, expected: bool) -> None:
    """A token permits what its claims and, on base paths, its scopes say."""
    token = access_token_of(
        scope="connection node query",
        x_nmos_channelmapping={"read": ["*"], "write": ["*"]},
    )
    assert token.allows(api, verb, path) is expected
    assert token.allows(api, verb, path) is expected


def test_without_authorization_everything_is_allowed_to_nobody_in_particular() -> None:
    """What handlers see while NMOS_AUTH_ENABLED is false names no issuer, user or client."""
    token = AccessToken.unrestricted()
    assert token.allows("connection", "write", "single/senders/1/staged")
    assert not token.allows("connection", "write", "single/../bulk")
    assert (token.iss, token.sub, token.client_id, token.aud) == ("", "", "", ())
    assert (token.exp, token.iat, token.nbf, token.jti, token.scope) == (0, None, None, None, None)
    assert not token.scopes
    assert not token.claims


def test_no_other_verb_is_allowed() -> None:
    """There is read and there is write."""
    for verb in ("", "delete", "Read", "GET"):
        assert not EVERYTHING.allows("connection", verb, "single")  # type: ignore[arg-type]


@given(NO_OBJECT, st.sampled_from(get_args(Verb)), st.sampled_from(PATHS))
def test_a_claim_that_is_no_object_allows_nothing(claim: object, verb: Verb, path: str) -> None:
    """Design, decisions: a claim of the wrong JSON type never grants, base paths included."""
    claims = {**claims_of(ISSUER, scope=None), "x-nmos-connection": claim}
    assert not parsed(claims).token.allows("connection", verb, path)


@given(
    NO_ARRAY | st.lists(NO_STRING, max_size=3),
    st.sampled_from(get_args(Verb)),
    st.sampled_from(PATHS[1:]),
)
def test_a_permission_of_the_wrong_type_allows_nothing(
    permission: object, verb: Verb, path: str
) -> None:
    """Nothing but an array of strings grants a path."""
    claims = claims_of(ISSUER, x_nmos_connection={"read": permission, "write": permission})
    token = parsed(claims).token
    assert not token.allows("connection", verb, path)
    assert not token.allows("connection", "write", "")


@given(st.text(max_size=8), st.text(max_size=12), st.sampled_from(get_args(Verb)))
def test_allows_raises_nothing(api: str, path: str, verb: Verb) -> None:
    """Handlers may ask about any API and any path."""
    assert isinstance(EVERYTHING.allows(api, verb, path), bool)
