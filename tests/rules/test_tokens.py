"""Access tokens: the header and the claims that IS-10 demands, strictly."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmos_auth import InvalidToken
from nmos_auth.rules.access_token import check_times
from nmos_auth.rules.tokens import TokenText, parse_token, readable_claims
from tests.support.parsed import (
    GOOD,
    GOOD_HEADER,
    GOOD_PAYLOAD,
    HEADER,
    ISSUER,
    access_token_of,
    compact,
    parsed,
)
from tests.support.tokens import b64url, claims_of, signing_key

NOW = 1_700_000_000

# A good token


def test_a_signed_token_is_parsed() -> None:
    """What an Authorization Server signs is taken apart into what is verified and by which key."""
    key = signing_key()
    text = key.sign(claims_of(ISSUER, jti="t1"))
    signed = parse_token(text.encode())
    signing_input, _, signature = text.rpartition(".")
    assert signed.kid == key.kid
    assert signed.digest == hashlib.sha512(signing_input.encode()).digest()
    assert b64url(signed.signature) == signature
    assert signed.token.jti == "t1"


def test_the_example_of_is_10_is_parsed() -> None:
    """The example access token claim set is an access token, member by member."""
    token = parsed(
        {
            "iss": "https://auth.example.com",
            "sub": "username@example.com",
            "aud": ["https://node-*.example.com"],
            "iat": 1548779460,
            "exp": 1548783060,
            "scope": "registration query connection",
            "client_id": "hopy0dNRPNTiGJDqPfqYwGmw",
            "x-nmos-registration": {"read": ["*"]},
            "x-nmos-query": {"read": ["*"], "write": ["subscriptions/*"]},
            "x-nmos-connection": {"read": ["*"], "write": ["single/*"]},
        },
        {"typ": "JWT", "alg": "RS512"},
    ).token
    assert token.iss == "https://auth.example.com"
    assert token.sub == "username@example.com"
    assert token.aud == ("https://node-*.example.com",)
    assert (token.iat, token.exp, token.nbf) == (1548779460, 1548783060, None)
    assert token.scopes == frozenset({"registration", "query", "connection"})
    assert token.jti is None
    assert token.client_id == "hopy0dNRPNTiGJDqPfqYwGmw"
    assert token.claims["x-nmos-registration"] == {"read": ["*"]}
    assert token.allows("query", "write", "subscriptions/1")
    assert not token.allows("registration", "write", "resource")


# The JOSE header


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "RS512"},
        HEADER,
        # RFC 7519 Section 5.1: typ is compared blind to case; RFC 9068 Section 2.1; RFC 7515
        # Section 4.1.9: "application/" may be omitted
        {"alg": "RS512", "typ": "AT+JWT"},
        {"alg": "RS512", "typ": "application/jwt"},
        {"alg": "RS512", "typ": "Application/JWT"},
        # Design, decisions: header keys and URLs ignored
        {**HEADER, "x5u": "https://evil.example.org/cert"},
        {**HEADER, "x5c": ["MIIB"]},
        # RFC 7515 Section 4: "All other Header Parameters … MUST be ignored when not understood"
        {**HEADER, "unheard-of": {"a": [1]}},
    ],
)
def test_accepted_headers(header: dict[str, object]) -> None:
    """A header that says RS512 and demands nothing else is enough."""
    assert parsed(claims_of(ISSUER), header).kid == header.get("kid")


@pytest.mark.parametrize(
    "header",
    [
        # IS-10 "Behaviour: Access Tokens": "the value of the `alg` field … MUST be set to `RS512`"
        # RFC 8725 Section 3.1
        {"alg": ""},
        # RFC 8725 Section 3.11: other types of token
        {**HEADER, "typ": "logout+jwt"},
        {**HEADER, "typ": "secevent+jwt"},
        {**HEADER, "typ": "JOSE"},
        {**HEADER, "typ": ""},
        {**HEADER, "typ": 1},
        {**HEADER, "typ": ["JWT"]},
        # RFC 7515 Section 4.1.4: "Its value MUST be a case-sensitive string."
        {**HEADER, "kid": 1},
        {**HEADER, "kid": ["key-0"]},
        {**HEADER, "kid": {}},
    ],
    ids=json.dumps,
)
def test_refused_headers(header: dict[str, object]) -> None:
    """Any other header makes a token invalid, however good its claims."""
    with pytest.raises(InvalidToken):
        parsed(claims_of(ISSUER), header)


# Claims


@pytest.mark.parametrize(
    "changes",
    [
        # "This claim MUST contain a JSON array"; RFC 7519 Section 4.1.3 and token_schema.json: or
        # a string
        {"aud": ["a", "b", "a"]},
        {"aud": []},
        {"exp": 0},
        {"exp": -1},
        {"exp": 2**53},
        # "The `scope` claim SHOULD be included"
        {"scope": ""},
        # "The `client_id` claim MUST be included …, unless the `azp` claim is present"
        {"client_id": "controller", "azp": "controller"},
        {"jti": ""},
        # "One or more `x-nmos-*` claims SHOULD be included in the token"
        {"x_nmos_node": None, "x_nmos_connection": None},
        # Wrong permissions grant nothing and spoil nothing else.
        {"x_nmos_node": "*"},
    ],
    ids=repr,
)
def test_accepted_claims(changes: dict[str, object]) -> None:
    """Claims that IS-10 and RFC 7519 allow make an access token."""
    claims = claims_of(ISSUER, **changes)
    token = parsed(claims).token
    assert dict(token.claims) == claims
    assert token.client_id
    assert token.jti == (claims.get("jti") or None)


MISSING = "missing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # "The `iss` (issuer) claim MUST be included in the token", a URL
        ("iss", ""),
        # IS-10, aud: it MUST be included and MUST contain "a JSON array of … strings"
        ("aud", [1]),
        ("aud", ["node1.example.com", None]),
        ("aud", [["node1.example.com"]]),
        # Beyond 2^53 seconds a float has no second of its own.
        ("exp", 2**53 + 1),
        ("exp", 1e300),
        ("exp", -(2**53) - 1),
        ("iat", False),
        # "This claim corresponds with the client identifier", a string (RFC 6749 Appendix A.1)
        ("client_id", ["controller"]),
        # "The value of the "scope" claim is a JSON string"
        ("scope", None),
        ("scope", ["node"]),
        ("scope", 1),
        ("scope", {"node": True}),
        # RFC 7519 Section 4.1.7: "The "jti" value is a case-sensitive string."
        ("jti", 1),
        ("jti", None),
        ("jti", ["a"]),
    ],
)
def test_refused_claims(name: str, value: object) -> None:
    """A claim that is missing or of another JSON type makes a token invalid."""
    claims = claims_of(ISSUER)
    if value == MISSING:
        del claims[name]
    else:
        claims[name] = value
    with pytest.raises(InvalidToken):
        parsed(claims)


_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(exp=_NUMBERS, iat=_NUMBERS, nbf=_NUMBERS, now=st.floats(0, 1e11))
@example(exp=-(10**309), iat=0, nbf=0, now=2e9)
@example(exp=4e9, iat=-(10**309), nbf=0, now=2e9)
@example(exp=4e9, iat=0, nbf=-(10**309), now=2e9)
def test_dates_of_any_size(exp: float, iat: float, nbf: float, now: float) -> None:
    """JSON limits no number (RFC 8259 Section 6): a date of any size is checked, or refused."""
    claims = claims_of(ISSUER, exp=exp, iat=iat, nbf=nbf)
    try:
        check_times(parsed(claims).token, now, 1.0)
    except InvalidToken:
        return
    assert max(iat, nbf) - 1 <= now < exp


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None, "azp": None},
        {"client_id": 1, "azp": "controller"},
    ],
    ids=repr,
)
def test_refused_client_identifiers(changes: dict[str, object]) -> None:
    """`azp` stands in for a `client_id` that is absent, not for a wrong one."""
    with pytest.raises(InvalidToken):
        parsed(claims_of(ISSUER, **changes))


def test_client_id_comes_before_azp() -> None:
    """Contract: `client_id` (azp where client_id is absent)."""
    assert access_token_of(client_id="a", azp="b").client_id == "a"
    assert access_token_of(client_id=None, azp="b").client_id == "b"


def test_scopes_are_the_entries_of_scope() -> None:
    """RFC 6749 Section 3.3: "a list of space-delimited, case-sensitive strings"."""
    assert access_token_of(scope="node Node connection").scopes == {"node", "Node", "connection"}
    assert access_token_of(scope=" node  node ").scopes == {"node"}
    assert access_token_of(scope="node\tquery").scopes == {"node\tquery"}
    assert access_token_of(scope=None).scopes == frozenset()


# What is told of a token

NOTHING = {"iss": None, "sub": None, "client_id": None, "scope": None, "jti": None}
CLAIMS = b'{"iss":"i","sub":"s","client_id":"c","azp":"a","scope":"n q","jti":"j","exp":"soon"}'
READ = {"iss": "i", "sub": "s", "client_id": "c", "scope": "n q", "jti": "j"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (compact(b"no header", CLAIMS), READ),
        (compact(GOOD_HEADER, b'{"azp":"a"}'), {**NOTHING, "client_id": "a"}),
        (compact(GOOD_HEADER, b'{"client_id":"","azp":"a"}'), {**NOTHING, "client_id": "a"}),
        (
            compact(GOOD_HEADER, b'{"iss":"i","sub":1,"scope":["n"],"jti":{}}'),
            {**NOTHING, "iss": "i"},
        ),
        (compact(GOOD_HEADER, b'["iss"]'), NOTHING),
        (compact(GOOD_HEADER, b"{"), NOTHING),
        (b"opaque", NOTHING),
        (b".".join([compact(GOOD_HEADER, CLAIMS), b"AAAA"]), NOTHING),
        (compact(GOOD_HEADER, CLAIMS).ljust(16384, b"A"), READ),
        (compact(GOOD_HEADER, CLAIMS).ljust(16385, b"A"), NOTHING),
    ],
    ids=["header", "azp", "empty", "types", "array", "payload", "opaque", "four", "long", "longer"],
)
def test_what_can_be_read_of_a_token_that_is_refused(
    text: bytes, expected: dict[str, str | None]
) -> None:
    """Claims that are texts, for the audit log; with nothing verified."""
    assert readable_claims(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        GOOD + b"!",
        compact(b'{"alg":"none"}', GOOD_PAYLOAD),
        compact(GOOD_HEADER, GOOD_PAYLOAD[:-1]),
        compact(GOOD_HEADER, b'{"sub":"operator@example.com"}'),
    ],
    ids=["structure", "header", "payload", "claims"],
)
def test_an_error_tells_nothing_of_the_token(text: bytes) -> None:
    """Neither message nor traceback of a refusal repeats what was sent."""
    with pytest.raises(InvalidToken) as caught:
        parse_token(text)
    told = f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert "operator@example.com" not in told
    assert text.split(b".")[1].decode() not in told
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_repr_cannot_be_used_as_a_token() -> None:
    """What a debugger or a log prints of a parsed token has no signature and no private claim."""
    assert repr(TokenText(b"secret")) == str(TokenText(b"secret")) == "TokenText(6 bytes)"
    signed = parsed(claims_of(ISSUER, jti="secret-jti", private="secret-claim"))
    # Crash reporters that use rich ask for this instead of `repr`.
    rich = f"{signed.__rich_repr__()} {signed.token.__rich_repr__()}"
    for told in (repr(signed), str(signed), repr(signed.token), f"{signed.token}", rich):
        assert "secret" not in told
        assert b64url(signed.signature) not in told
        assert repr(signed.signature) not in told
