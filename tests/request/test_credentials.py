"""Where a request carries its access token: RFC 6750 Section 2."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote_plus, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from nmos_auth.errors import InvalidRequest, MissingCredentials
from nmos_auth.request.credentials import (
    authorization_fields,
    bearer_token,
    query_tokens,
    strike_tokens,
)
from tests.support.costs import cost_in_turns

TOKEN = b"mF_9.B5f-4.1JqM"


def authorization(*values: bytes) -> list[bytes]:
    """Find these Authorization fields among other header fields."""
    fields = [(b"authorization", value) for value in values]
    return authorization_fields([(b"host", b"node1.example.com"), *fields, (b"accept", b"*/*")])


# The Authorization header field


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer a", b"a"),
        # "1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=""
        (b"Bearer aZ09-._~+/", b"aZ09-._~+/"),
        (b"Bearer a==", b"a=="),
        # RFC 9110 Section 5.5: leading and trailing white space is excluded from the value
        (b" \t Bearer " + TOKEN + b"\t ", TOKEN),
    ],
)
def test_tokens_in_the_header(value: bytes, token: bytes) -> None:
    """The token of a well-formed header field is found."""
    assert bearer_token(authorization(value)) == token


@pytest.mark.parametrize(
    "value",
    [
        # RFC 6750 Section 3.1, invalid_request: "is otherwise malformed"
        b"BEARER a b",
        b"Bearer =",
        b"Bearer a=b",
        b"Bearer a:b",
        b"Bearer a\x00",
        b"Bearer a\n",
        b"\nBearer a",
        b"",
        b" ",
        b"\xff",
        b'"Basic" a',
    ],
)
def test_malformed_headers(value: bytes) -> None:
    """A Bearer field that does not fit its grammar, or no scheme at all, is malformed."""
    with pytest.raises(InvalidRequest):
        bearer_token(authorization(value))


@pytest.mark.parametrize(
    "value",
    [
        b"Negotiate",
        b"Bearer-Token " + TOKEN,
        b"Basic a, Bearer b",
        b"Token " + TOKEN,
        # RFC 9110 Section 5.6.2: `%` may be part of a token, so this is a scheme alone
        b"Bearer%20a",
    ],
)
def test_other_schemes(value: bytes) -> None:
    """Contract: another scheme is as good as no credentials."""
    with pytest.raises(MissingCredentials):
        bearer_token(authorization(value))


def test_no_header() -> None:
    """RFC 6750 Section 3.1: "lacks any authentication information"."""
    with pytest.raises(MissingCredentials):
        bearer_token(authorization())
    with pytest.raises(MissingCredentials):
        bearer_token([])


def test_three_headers() -> None:
    """Contract: header repeated → 400 (RFC 9110 Section 5.3: the field is not a list)."""
    with pytest.raises(InvalidRequest):
        bearer_token(authorization(b"Bearer a", b"Bearer b", b"Bearer c"))


@pytest.mark.parametrize(
    "name", [b"proxy-authorization", b"x-authorization", b"cookie", b"authorization-x"]
)
def test_other_header_fields(name: bytes) -> None:
    """Only the Authorization field counts."""
    with pytest.raises(MissingCredentials):
        bearer_token(authorization_fields([(name, b"Bearer " + TOKEN)]))


# The query of a WebSocket handshake


def test_a_token_in_the_query() -> None:
    """IS-10 "Operation with WebSocket": "clients MAY pass the … Token in the query parameters"."""
    assert bearer_token(authorization(), [TOKEN]) == TOKEN


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        # RFC 6750 Section 3.1: "uses more than one method for including an access token"
        ((b"Bearer a",), [b"a"]),
        ((b"Bearer a",), [b"b"]),
        # "repeats the same parameter"
        ((), [b"a", b"a"]),
        ((), [b"a", b"b"]),
        ((), [b"a", b""]),
        # "includes an unsupported parameter or parameter value", "is otherwise malformed"
        ((), [b""]),
        ((), [b"a b"]),
        ((), [b"="]),
        ((), [b"a&b"]),
        ((), [b"\xff"]),
        ((), [b"a\n"]),
        ((b"Bearer",), [b"a"]),
        ((b"Bearer a", b"Bearer b"), [b"a"]),
    ],
)
def test_malformed_or_repeated_query_tokens(values: tuple[bytes, ...], tokens: list[bytes]) -> None:
    """One token by one method, or none."""
    with pytest.raises(InvalidRequest):
        bearer_token(authorization(*values), tokens)


@given(
    st.lists(st.binary(max_size=20) | st.binary(max_size=12).map(b"Bearer ".__add__), max_size=3),
    st.lists(st.binary(max_size=10), max_size=2),
)
def test_no_credentials_raise_anything_but_their_own_errors(
    values: list[bytes], tokens: list[bytes]
) -> None:
    """Any bytes are one b64token, malformed, or no credentials."""
    try:
        token = bearer_token(authorization(*values), tokens)
    except (InvalidRequest, MissingCredentials):
        return
    assert re.fullmatch(rb"[A-Za-z0-9._~+/-]+=*", token)
    assert len(values) + len(tokens) >= 1


# Striking tokens out of queries

HARMLESS = st.sampled_from(
    rb"""
        a=1 a= = =b a%20b=%26%3d a+b=c+d access=1 token=1 access_tokens=1 my_access_token=1 %zz=%
        a=access_token a=b=c paging.limit=10 access%5ftokens=1 q=%61ccess_token%3Da
    """.split()
) | st.sampled_from([b"", b"\xff=1"])


@st.composite
def token_names(draw: st.DrawFn) -> bytes:
    """Spell `access_token` in any case, any of its characters escaped, white space around it."""
    spelt = b""
    for character in b"access_token":
        byte = bytes([character])
        spelling = draw(st.sampled_from([byte, byte.upper(), b"%%%02x" % character, b"upper"]))
        spelt += b"%%%02X" % byte.upper()[0] if spelling == b"upper" else spelling
    around = st.sampled_from([b"", b"+", b"%20", b"%09", b"++"])
    return draw(around) + spelt + draw(around)


@st.composite
def token_parameters(draw: st.DrawFn) -> bytes:
    """Return a parameter that some reader takes for an access token."""
    name = draw(st.just(b"access_token") | token_names())
    return name + draw(st.sampled_from([b"", b"=", b"=a", b"=a.b.c", b"=%61", b"=a=b"]))


def is_token(parameter: bytes) -> bool:
    """Tell whether a reader that decodes, folds case and trims would see `access_token`."""
    name = parameter.partition(b"=")[0].decode("latin-1")
    return unquote_plus(name, encoding="latin-1").strip().lower() == "access_token"


@given(st.lists(HARMLESS | token_parameters(), max_size=6))
@example([b"access_token=a"])
@example([b"", b"access_token=a", b""])
def test_everything_else_stays_byte_for_byte(parameters: list[bytes]) -> None:
    """What is left of a query is all of it but its tokens, in its order and its spelling."""
    left = strike_tokens(b"&".join(parameters))
    assert left == b"&".join(each for each in parameters if not is_token(each))


@given(
    st.lists(HARMLESS | token_parameters(), max_size=6),
    st.lists(st.sampled_from([b"&", b";"]), min_size=6, max_size=6),
)
def test_no_token_is_left(parameters: list[bytes], separators: list[bytes]) -> None:
    """Whoever reads what is left, splitting at `&` or at `;` too, finds no access token."""
    pairs = zip(parameters, separators, strict=False)
    query = b"".join(parameter + separator for parameter, separator in pairs)
    left = strike_tokens(query)
    kept = [each for each in re.split(b"[&;]", left) if each]
    assert kept == [each for each in re.split(b"[&;]", query) if each and not is_token(each)]
    text = left.decode("latin-1")
    names = [name for name, _ in parse_qsl(text, keep_blank_values=True, encoding="latin-1")]
    names += QueryParams(text).keys()
    assert "access_token" not in [name.strip().lower() for name in names]


@given(st.binary(max_size=40))
def test_striking_raises_nothing_and_is_done_once(query: bytes) -> None:
    """Any bytes may be a query, and striking twice strikes nothing more."""
    left = strike_tokens(query)
    assert strike_tokens(left) == left
    assert query_tokens(left) == []


@given(st.lists(HARMLESS | token_parameters(), max_size=6))
def test_tokens_are_the_values_of_the_parameter_proper(parameters: list[bytes]) -> None:
    """IS-10 has "the `access_token` key": in that case, escaped or not, decoded once."""
    expected = []  # of which the first two come out: more than one is too many
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if unquote_plus(name.decode("latin-1"), "latin-1").strip() == "access_token":
            expected.append(unquote_to_bytes(value))
    assert query_tokens(b"&".join(parameters)) == expected[:2]


def slow_strike(query: bytes) -> bytes:
    """Take tokens out parameter by parameter and piece by piece."""
    left = []
    for parameter in query.split(b"&"):
        pieces = [each for each in parameter.split(b";") if not is_token(each)]
        if pieces:
            left.append(b";".join(pieces))
    return b"&".join(left)


@given(
    st.lists(
        HARMLESS | token_parameters() | st.sampled_from([b"&", b";", b"&;", b";;", b"&&"]),
        max_size=12,
    )
)
@example([b"a", b"&", b"access_token", b";", b"access_token", b";", b"b"])
@example([b"a", b";", b"access_token", b"&", b"b"])
@example([b"access_token", b";", b"access_token", b"&", b"access_token"])
def test_agrees_with_a_slow_oracle(parts: list[bytes]) -> None:
    """Whatever stands beside what, the same is left as by taking each parameter by itself."""
    query = b"".join(parts)
    assert strike_tokens(query) == slow_strike(query)


ESCAPED = b"%61%63%63%65%73%73%5f%74%6f%6b%65%6e"


@pytest.mark.parametrize(
    "query",
    [
        b"&" * 65_000 + b"%",
        b"%" * 65_536,
        b"%6" * 32_768,
        b"a" * 65_536,
        b"%61" * 21_000,
        b"access_toke" * 5_900,
        b"access_token=&" * 4_600,
        b"access_token;" * 5_000,
        b"&access_token;" * 4_600,
        b"&access_token" + b";access_token" * 5_000 + b"x",
        b"access_token&" + b"&" * 65_000,
        b"access_token&" + b"&+" * 32_000,
        b"access_token&" + b"+" * 65_000,
        b"access_token&" + b"%20" * 21_000,
        (ESCAPED + b"&") * 1_700,
        b"access_token=" + b"%61" * 21_000,
        b"access_token=&" + b"a=b&" * 16_000,
    ],
    ids=lambda query: repr(query[:16] + b"..." + query[-12:]),
)
def test_no_query_takes_long(query: bytes) -> None:
    """The longest query takes some milliseconds, whatever it is made of."""
    assert cost_in_turns(lambda: (strike_tokens(query), query_tokens(query))) < 300_000


def test_no_representation_shows_a_token() -> None:
    """What is found is bytes for whoever uses it, and a length for whoever looks at it."""
    for token in (
        bearer_token(authorization(b"Bearer " + TOKEN)),
        bearer_token(authorization(b"bearer  " + TOKEN)),
        bearer_token(authorization(), [TOKEN]),
    ):
        assert token == TOKEN
        assert hash(token) == hash(TOKEN)
        assert TOKEN.decode() not in f"{token!r} {token!s} {token} {[token]}"


@pytest.mark.parametrize(
    ("query", "left", "tokens"),
    [
        (b"", b"", []),
        (b"a=1", b"a=1", []),
        (b"access_token=" + TOKEN, b"", [TOKEN]),
        (b"a=1&access_token=x&b=2", b"a=1&b=2", [b"x"]),
        (b"access_token=x&access_token=y", b"", [b"x", b"y"]),
        (b"access_token=%78", b"", [b"x"]),
        (b"access_token=%2578", b"", [b"%78"]),
        (b"access%5Ftoken=x", b"", [b"x"]),
        (b"%61%63%63%65%73%73%5f%74%6f%6b%65%6e=x", b"", [b"x"]),
        (b"ACCESS_TOKEN=x", b"", []),
        (b"Access_Token=x&a", b"a", []),
        (b"+access_token=x", b"", [b"x"]),
        (b"access_token", b"", [b""]),
        (b"a;access_token=x;b", b"a;b", []),
        (b"a&&b", b"a&&b", []),
        (b"access_tokens=x", b"access_tokens=x", []),
        (b"a=access_token", b"a=access_token", []),
    ],
)
def test_striking(query: bytes, left: bytes, tokens: list[bytes]) -> None:
    """Tokens go, and their values come out for those who may use them."""
    assert strike_tokens(query) == left
    assert query_tokens(query) == tokens
