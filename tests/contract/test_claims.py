"""The payload of a token and the types of its claims (RFC 7519, IS-10 Access Tokens)."""

from __future__ import annotations

from collections.abc import Callable

from tests.contract.rows import FORBIDDEN, INVALID_TOKEN, OK, Answer, Row, TableMint, parametrized
from tests.contract.scene import Scene
from tests.support.tokens import NULL

UNIQUE = "RFC 7515 Section 4, RFC 7519 Section 4: member names are unique"
JSON = "RFC 8259; design: NaN, huge or nested JSON refused"
CLAIMS = "IS-10 Access Tokens, Registered Claims"


def _payload(
    name: str, source: str, *answers: Answer, payload: Callable[[TableMint], str | bytes]
) -> Row:
    return Row(f"payload-{name}", source, answers, token=lambda mint: mint.signed(payload(mint)))


def _member(name: str, source: str, *answers: Answer, text: str) -> Row:
    """Return a row whose payload has one more member, written as text."""
    return _payload(name, source, *answers, payload=lambda mint: mint.payload(text))


def _claims(name: str, source: str, *answers: Answer, **changes: object) -> Row:
    return Row(f"claims-{name}", source, answers, token=lambda mint: mint.token(**changes))


SURROGATE = "RFC 7493 Section 2.1: no unpaired surrogates"

PAYLOAD = [
    _payload(
        "array",
        "RFC 7519 Section 7.2: a JSON object",
        INVALID_TOKEN,
        payload=lambda mint: f"[{mint.payload()}]",
    ),
    _payload("null", JSON, INVALID_TOKEN, payload=lambda _: "null"),
    _payload("trailing", JSON, INVALID_TOKEN, payload=lambda mint: mint.payload() + "x"),
    _payload("twice", JSON, INVALID_TOKEN, payload=lambda mint: mint.payload() * 2),
    _payload(
        "single-quotes", JSON, INVALID_TOKEN, payload=lambda mint: mint.payload().replace('"', "'")
    ),
    _payload("comment", JSON, INVALID_TOKEN, payload=lambda mint: mint.payload() + "/* */"),
    _payload(
        "byte-order-mark", JSON, INVALID_TOKEN, payload=lambda mint: "\ufeff" + mint.payload()
    ),
    _payload(
        "utf-16", JSON, INVALID_TOKEN, payload=lambda mint: mint.payload().encode("utf-16-le")
    ),
    _payload(
        "utf-16-with-mark",
        JSON,
        INVALID_TOKEN,
        payload=lambda mint: mint.payload().encode("utf-16"),
    ),
    _payload(
        "utf-32", JSON, INVALID_TOKEN, payload=lambda mint: mint.payload().encode("utf-32-be")
    ),
    _payload(
        "latin-1",
        JSON,
        INVALID_TOKEN,
        payload=lambda mint: mint.payload('"x": "é"').encode("latin-1"),
    ),
    _payload("spaces", "RFC 8259 Section 2", OK, payload=lambda mint: f"\n {mint.payload()} \r\n"),
    _payload(
        "utf-8", "RFC 8259 Section 8.1", OK, payload=lambda mint: mint.payload('"name": "Zoë 😀"')
    ),
    _member("duplicate-aud", UNIQUE, INVALID_TOKEN, text='"aud": "*"'),
    _member("duplicate-exp", UNIQUE, INVALID_TOKEN, text='"exp": 9999999999'),
    _member("duplicate-by-escape", UNIQUE, INVALID_TOKEN, text='"\\u0065xp": 9999999999'),
    _member("duplicate-permissions", UNIQUE, INVALID_TOKEN, text='"x-nmos-node": {"read": ["*"]}'),
    _member(
        "duplicate-nested",
        UNIQUE,
        INVALID_TOKEN,
        text='"x-nmos-query": {"read": [], "read": ["*"]}',
    ),
    _member("duplicate-in-array", UNIQUE, INVALID_TOKEN, text='"x": [{"a": 1, "a": 1}]'),
    _member("infinity", JSON, INVALID_TOKEN, text='"x": Infinity'),
    _member("minus-infinity", JSON, INVALID_TOKEN, text='"x": -Infinity'),
    _member("number-too-large", JSON, INVALID_TOKEN, text='"x": 1e400'),
    _member("number-too-small", JSON, INVALID_TOKEN, text='"x": -1e400'),
    _member("number-with-plus", JSON, INVALID_TOKEN, text='"x": +1'),
    _member("number-with-zeros", JSON, INVALID_TOKEN, text='"x": 01'),
    _member("control-in-string", JSON, INVALID_TOKEN, text='"x": "a\nb"'),
    _member("nested", JSON, INVALID_TOKEN, text='"x": ' + "[" * 2500 + "]" * 2500),
    _member("nested-a-hundred", JSON, INVALID_TOKEN, text='"x": ' + "[" * 100 + "]" * 100),
    _member(
        "nested-objects", JSON, INVALID_TOKEN, text='"x": ' + '{"a":' * 1200 + "1" + "}" * 1200
    ),
    _member("surrogate", SURROGATE, INVALID_TOKEN, text='"x": "\\ud800"'),
    _member("surrogate-low", SURROGATE, INVALID_TOKEN, text='"x": "\\udc00\\ud800"'),
    _member("surrogate-name", SURROGATE, INVALID_TOKEN, text='"\\ud800": 1'),
    _member("surrogate-pair", "RFC 8259 Section 7", OK, text='"x": "\\ud83d\\ude00"'),
    _payload(
        "surrogate-sub",
        SURROGATE,
        INVALID_TOKEN,
        payload=lambda mint: mint.payload('"sub": "\\ud800"', sub=None),
    ),
    _payload(
        "surrogate-specifier",
        SURROGATE,
        INVALID_TOKEN,
        payload=lambda mint: mint.payload(
            '"x-nmos-node": {"read": ["*", "\\ud800"]}', x_nmos_node=None
        ),
    ),
]

CLAIM = [
    _claims("iss-null", CLAIMS, INVALID_TOKEN, iss=NULL),
    _claims("sub-null", CLAIMS, INVALID_TOKEN, sub=NULL),
    _claims("sub-array", CLAIMS, INVALID_TOKEN, sub=["operator"]),
    _claims("aud-null", CLAIMS, INVALID_TOKEN, aud=NULL),
    _claims("aud-array-of-numbers", CLAIMS, INVALID_TOKEN, FORBIDDEN, aud=[1]),
    _claims("client-id-null", CLAIMS, INVALID_TOKEN, client_id=NULL),
    _claims("azp-array", CLAIMS, INVALID_TOKEN, client_id=None, azp=["controller"]),
    _claims("jti-missing", "RFC 7519 Section 4.1.7: OPTIONAL", OK, jti=None),
]


ROWS = [*PAYLOAD, *CLAIM]


@parametrized(ROWS)
def test_claims(scene: Scene, row: Row) -> None:
    """A payload is one JSON object of unique names, with the claims that IS-10 demands."""
    scene.check(row)
