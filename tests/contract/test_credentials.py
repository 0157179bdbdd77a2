"""The `Authorization` header and whatever else may look like credentials (RFC 6750, RFC 9110)."""

from __future__ import annotations

import base64
import uuid

from tests.contract.rows import (
    INVALID_REQUEST,
    INVALID_TOKEN,
    NO_CREDENTIALS,
    OK,
    REFUSED_BY_SERVER,
    SELF,
    Answer,
    Row,
    TableMint,
    parametrized,
)
from tests.contract.scene import Scene
from tests.support.sockets import Header

NONE_PASSED = "RFC 6750 Section 3: no authentication information, no error code"
SCHEME = "RFC 9110 Section 11.1: the scheme is case-insensitive"
SYNTAX = "RFC 6750 Section 2.1: credentials = Bearer 1*SP b64token"
MALFORMED = "RFC 6750 Section 3.1: invalid_request, otherwise malformed"
TWICE = "RFC 6750 Section 3.1: more than one method for including an access token"
STRUCTURE = "RFC 7515 Section 5.2; INFO-002 Validating Access Tokens: three segments"
SIZE = "IS-10 Access Tokens, Size Considerations"
QUERY = "design: query tokens count on WebSockets only"
ELSEWHERE = "IS-10 Resource Servers: the Authorization header field"


def _sent(name: str, source: str, *answers: Answer, value: str | bytes) -> Row:
    """Return a row with one Authorization header field, whose `{token}` is a good token."""
    needs = isinstance(value, str) and "{token}" in value
    row = Row(name, source, answers, headers=(("Authorization", value),))
    return row if needs else Row(name, source, answers, token=None, headers=row.headers)


def _repeated(name: str, *headers: Header) -> Row:
    return Row(name, TWICE, (INVALID_REQUEST,), headers=headers)


HEADER = [
    _sent("digest", NONE_PASSED, NO_CREDENTIALS, value='Digest username="a", realm="b"'),
    _sent(
        "scheme-and-token-joined",
        NONE_PASSED,
        NO_CREDENTIALS,
        INVALID_REQUEST,
        value="Bearer{token}",
    ),
    _sent("mixed-case", SCHEME, OK, value="bEaReR {token}"),
    _sent("two-spaces", SYNTAX, OK, value="Bearer  {token}"),
    _sent("space-before", "RFC 9112 Section 5: optional whitespace", OK, value="   Bearer {token}"),
    _sent("space-after", "RFC 9112 Section 5: optional whitespace", OK, value="Bearer {token} \t "),
    _sent("space-and-tab", SYNTAX, INVALID_REQUEST, value="Bearer \t{token}"),
    _sent("no-token", MALFORMED, INVALID_REQUEST, value="Bearer"),
    _sent("no-token-spaces", MALFORMED, INVALID_REQUEST, value="Bearer   "),
    _sent("no-token-lower-case", MALFORMED, INVALID_REQUEST, value="bearer"),
    _sent("two-tokens", MALFORMED, INVALID_REQUEST, value="Bearer {token} {token}"),
    _sent("comma-list-tight", MALFORMED, INVALID_REQUEST, value="Bearer {token},{token}"),
    _sent("comma-and-basic", MALFORMED, INVALID_REQUEST, value="Bearer {token}, Basic dXNlcjpw"),
    _sent("trailing-semicolon", MALFORMED, INVALID_REQUEST, value="Bearer {token};"),
    _sent("parameter-alone", MALFORMED, INVALID_REQUEST, value='Bearer token="{token}"'),
    _sent("angle-brackets", SYNTAX, INVALID_REQUEST, value="Bearer <{token}>"),
    _sent("percent", SYNTAX, INVALID_REQUEST, value="Bearer %61.b.c"),
    _sent("latin-1", SYNTAX, INVALID_REQUEST, value="Bearer {token}é"),
    _sent("latin-1-alone", SYNTAX, INVALID_REQUEST, value=b"Bearer \xe9\xff"),
    _sent("latin-1-scheme", NONE_PASSED, INVALID_REQUEST, NO_CREDENTIALS, value=b"B\xe9arer a.b.c"),
    _sent("utf-8", SYNTAX, INVALID_REQUEST, value="Bearer é.é.é".encode()),
    _sent("full-width", SYNTAX, INVALID_REQUEST, value="Bearer ａ.b.c".encode()),  # noqa: RUF001
    _sent("no-break-space", SYNTAX, INVALID_REQUEST, NO_CREDENTIALS, value=b"Bearer\xa0a.b.c"),
    _sent("control", SYNTAX, INVALID_REQUEST, REFUSED_BY_SERVER, value=b"Bearer a\x01.b.c"),
    _sent("padding-inside", SYNTAX, INVALID_REQUEST, INVALID_TOKEN, value="Bearer a=.b=.c"),
    _repeated(
        "good-and-basic", ("authorization", "Bearer {token}"), ("AUTHORIZATION", "Basic dTpw")
    ),
    _repeated("good-and-empty", ("Authorization", "Bearer {token}"), ("Authorization", "")),
    Row(
        "name-in-capitals",
        "RFC 9110 Section 5.1",
        (OK,),
        headers=(("AUTHORIZATION", "Bearer {token}"),),
    ),
]

OTHER_WAYS = [
    Row(
        "query-and-header",
        QUERY,
        (OK,),
        SELF + "?access_token={token}",
        query_token=TableMint.token,
        query="",
    ),
    Row(
        "query-of-rubbish-and-header",
        QUERY,
        (OK,),
        SELF + "?access_token=x&access_token=y",
        query="",
    ),
    Row(
        "query-others-kept",
        QUERY,
        (OK,),
        SELF + "?a=1&access_token={token}&b=%20&&c",
        query_token=TableMint.token,
        query="a=1&b=%20&&c",
    ),
    Row(
        "query-encoded-name",
        QUERY,
        (NO_CREDENTIALS,),
        SELF + "?access%5Ftoken={token}",
        token=None,
        query_token=TableMint.token,
    ),
    Row(
        "query-encoded-name-struck",
        QUERY,
        (OK,),
        SELF + "?a=1&%61ccess%5ftoken={token}",
        query_token=TableMint.token,
        query="a=1",
    ),
    Row(
        "query-public",
        QUERY,
        (OK,),
        "/x-nmos/?access_token={token}&a=1",
        token=None,
        query_token=TableMint.token,
        query="a=1",
    ),
    Row(
        "query-outside",
        QUERY,
        (OK,),
        "/status?a=1&access_token={token}",
        token=None,
        query_token=TableMint.token,
        query="a=1",
        decided=False,
    ),
    Row(
        "query-of-write",
        QUERY,
        (NO_CREDENTIALS,),
        "/x-nmos/connection/v1.1/single/a?access_token={token}",
        method="PATCH",
        token=None,
        query_token=TableMint.token,
    ),
    Row(
        "query-of-refused-target",
        QUERY,
        (Answer(400),),
        "/x-nmos//?access_token={token}",
        token=None,
        query_token=TableMint.token,
    ),
    Row(
        "form-body",
        "IS-10 names no form parameter (RFC 6750 Section 2.2)",
        (NO_CREDENTIALS,),
        "/x-nmos/connection/v1.1/single/a",
        method="POST",
        token=None,
        headers=(("Content-Type", "application/x-www-form-urlencoded"),),
        body=b"access_token=a.b.c",
    ),
    Row(
        "underscore-name",
        ELSEWHERE,
        (NO_CREDENTIALS,),
        headers=(("Authorization_", "Bearer {token}"),),
    ),
]


def _segments(mint: TableMint) -> list[str]:
    return mint.token().split(".")


def _loosened(part: int) -> str:
    """Say which unused bits of the last character a strict decoder must find zero."""
    return f"RFC 4648 Section 3.5: pad bits of segment {part} must be zero"


def _set_pad_bits(segment: str) -> str:
    """Write the same octets with other unused bits in the last character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(segment) % 4 in {2, 3}, "a whole number of octet triples has no unused bits"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]


def _loose_signature(mint: TableMint) -> str:
    header, payload, signature = _segments(mint)
    return f"{header}.{payload}.{_set_pad_bits(signature)}"


def _encoded(data: bytes, *, padded: bool = False) -> str:
    text = base64.urlsafe_b64encode(data).decode()
    return text if padded else text.rstrip("=")


def _json_of_length(text: str, remainder: int) -> bytes:
    """Widen a JSON text with spaces until its length leaves a remainder of three."""
    while len(text) % 3 != remainder:
        text += " "
    return text.encode()


def _loose_header(mint: TableMint) -> str:
    header = _json_of_length('{"alg":"RS512"}', 1)
    return mint.key.sign_text(_set_pad_bits(_encoded(header)), _encoded(mint.payload().encode()))


def _loose_payload(mint: TableMint) -> str:
    payload = _json_of_length(mint.payload(), 2)
    return mint.key.sign_text(_encoded(b'{"alg":"RS512"}'), _set_pad_bits(_encoded(payload)))


def _padded_payload(mint: TableMint) -> str:
    payload = _json_of_length(mint.payload(), 1)
    return mint.key.sign_text(_encoded(b'{"alg":"RS512"}'), _encoded(payload, padded=True))


def _plain_alphabet(mint: TableMint) -> str:
    payload = mint.payload('"x": "???>>>~~~"')
    standard = base64.b64encode(payload.encode()).decode().rstrip("=")
    assert set(standard) & set("+/")
    return mint.key.sign_text(_encoded(b'{"alg":"RS512"}'), standard)


def _one_character_over(mint: TableMint) -> str:
    payload = _encoded(_json_of_length(mint.payload(), 0))
    return mint.key.sign_text(_encoded(b'{"alg":"RS512"}'), payload + "A")


def sized(mint: TableMint, size: int) -> str:
    """Return a good token of about `size` octets."""
    specifiers = [f"single/senders/{uuid.uuid4()}/staged" for _ in range(max(0, size // 80))]
    return mint.token(x_nmos_connection={"read": ["*"], "write": specifiers})


TEXT = [
    Row("one-segment", STRUCTURE, (INVALID_TOKEN,), token=lambda mint: _segments(mint)[1]),
    Row("dots-alone", STRUCTURE, (INVALID_TOKEN,), token=lambda _: ".."),
    Row("one-dot", STRUCTURE, (INVALID_TOKEN,), token=lambda _: "."),
    Row("five-segments", STRUCTURE, (INVALID_TOKEN,), token=lambda _: "a.b.c.d.e"),
    Row(
        "empty-payload",
        STRUCTURE,
        (INVALID_TOKEN,),
        token=lambda mint: mint.key.sign_text(_segments(mint)[0], ""),
    ),
    Row(
        "padded-inside",
        "RFC 7515 Section 2: no trailing padding",
        (INVALID_TOKEN, INVALID_REQUEST),
        token=_padded_payload,
    ),
    Row("plain-base64", "RFC 7515 Section 2: base64url", (INVALID_TOKEN,), token=_plain_alphabet),
    Row("impossible-length", "RFC 4648 Section 4", (INVALID_TOKEN,), token=_one_character_over),
    Row("loose-header", _loosened(1), (INVALID_TOKEN,), token=_loose_header),
    Row("loose-payload", _loosened(2), (INVALID_TOKEN,), token=_loose_payload),
    Row("loose-signature", _loosened(3), (INVALID_TOKEN,), token=_loose_signature),
    Row("eight-kibibytes", SIZE, (OK,), token=lambda mint: sized(mint, 8 * 1024)),
    Row("fifteen-kibibytes", SIZE, (OK,), token=lambda mint: sized(mint, 14 * 1024)),
    Row(
        "forty-kibibytes-of-rubbish",
        SIZE,
        (INVALID_TOKEN, REFUSED_BY_SERVER, Answer(431, server=True)),
        token=lambda _: "a" * 40 * 1024,
    ),
    Row("json-as-token", SYNTAX, (INVALID_REQUEST,), token=lambda _: '{"alg":"RS512"}'),
]

ROWS = [*HEADER, *OTHER_WAYS, *TEXT]


@parametrized(ROWS)
def test_credentials(scene: Scene, row: Row) -> None:
    """Only a well-formed bearer token in one Authorization header is accepted."""
    scene.check(row)
