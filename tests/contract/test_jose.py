"""The header and the signature of a token (RFC 7515, RFC 8725, IS-10 Access Tokens)."""

from __future__ import annotations

import json
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.contract.rows import INVALID_TOKEN, OK, Answer, Maker, Row, TableMint, parametrized
from tests.contract.scene import Scene
from tests.support.tokens import NULL, b64url

ALG = "IS-10 Access Tokens: alg MUST be RS512"
CRIT = "RFC 7515 Section 4.1.11; design: no crit and no b64"
EMBEDDED = "RFC 8725 Section 3.10; design: header keys and URLs ignored"
TYP = "RFC 7515 Section 4.1.9: typ is for applications; IS-10 demands none"
KID = "IS-10 Resource Servers, Public keys: all keys tried; design: kid is a hint"
UNIQUE = "RFC 7515 Section 4, RFC 7519 Section 4: member names are unique"
JSON = "RFC 8259; design: NaN, huge or nested JSON refused"
SIGNATURE = "IS-10 Resource Servers: fails to verify a token, MUST reject"


def _header(name: str, source: str, *answers: Answer, **changes: object) -> Row:
    """Return a row whose header has changes; it is signed with the good key and RS512."""
    return Row(
        f"header-{name}",
        source,
        answers,
        token=lambda mint: mint.signed(mint.claims(), mint.header(**changes)),
    )


def _raw_header(name: str, source: str, *answers: Answer, header: str | bytes) -> Row:
    return Row(
        f"header-{name}", source, answers, token=lambda mint: mint.signed(mint.claims(), header)
    )


def _input(mint: TableMint, **header: object) -> str:
    return f"{b64url(json.dumps(header).encode())}.{b64url(mint.payload().encode())}"


def _unsigned(**header: object) -> Maker:
    return lambda mint: f"{_input(mint, **header)}."


def _elliptic(mint: TableMint) -> str:
    signing_input = _input(mint, alg="ES512", typ="JWT")
    key = ec.generate_private_key(ec.SECP521R1())
    return f"{signing_input}.{b64url(key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA512())))}"


def _attacker(mint: TableMint, **header: object) -> str:
    return mint.signed(mint.claims(), mint.header(**header), key=mint.stranger)


HEADER = [
    Row("alg-none-spelt", ALG, (INVALID_TOKEN,), token=_unsigned(alg="nOnE", typ="JWT")),
    Row("alg-es512", ALG, (INVALID_TOKEN,), token=_elliptic),
    _header("alg-with-space", ALG, INVALID_TOKEN, alg="RS512 "),
    _header("alg-empty", ALG, INVALID_TOKEN, alg=""),
    _header("alg-null", ALG, INVALID_TOKEN, alg=NULL),
    _header("alg-number", ALG, INVALID_TOKEN, alg=512),
    _header("alg-object", ALG, INVALID_TOKEN, alg={"RS512": True}),
    _header("crit-exp", CRIT, INVALID_TOKEN, crit=["exp"], exp=9999999999),
    _header("crit-null", CRIT, INVALID_TOKEN, crit=NULL),
    _header("b64-false", CRIT, INVALID_TOKEN, b64=False),
    _header("b64-true", CRIT, INVALID_TOKEN, b64=True),
    Row(
        "jwk-of-attacker",
        EMBEDDED,
        (INVALID_TOKEN,),
        token=lambda mint: _attacker(mint, jwk=mint.stranger.jwk()),
    ),
    _header("typ-jwt", TYP, OK, typ="JWT"),
    _header("typ-media-type", TYP, OK, typ="application/at+jwt"),
    _header("kid-of-the-other", KID, OK, kid="key-1"),
    _header("kid-path", KID, OK, kid="../../../etc/passwd"),
    _header("kid-number", "RFC 7515 Section 4.1.4: kid MUST be a string", OK, INVALID_TOKEN, kid=1),
    _header(
        "kid-array",
        "RFC 7515 Section 4.1.4: kid MUST be a string",
        OK,
        INVALID_TOKEN,
        kid=["key-0"],
    ),
    Row(
        "second-key",
        KID,
        (OK,),
        token=lambda mint: mint.signed(
            mint.claims(), mint.header(kid=mint.second.kid), key=mint.second
        ),
    ),
    Row(
        "second-key-without-kid",
        KID,
        (OK,),
        token=lambda mint: mint.signed(mint.claims(), mint.header(kid=None), key=mint.second),
    ),
    Row(
        "second-key-under-first-kid",
        KID,
        (OK,),
        token=lambda mint: mint.signed(mint.claims(), mint.header(), key=mint.second),
    ),
    _raw_header("string", JSON, INVALID_TOKEN, header='"RS512"'),
    _raw_header("empty-object", ALG, INVALID_TOKEN, header="{}"),
    _raw_header("trailing", JSON, INVALID_TOKEN, header='{"alg":"RS512"}x'),
    _raw_header("trailing-comma", JSON, INVALID_TOKEN, header='{"alg":"RS512",}'),
    _raw_header(
        "duplicate-none-first", UNIQUE, INVALID_TOKEN, header='{"alg":"none","alg":"RS512"}'
    ),
    _raw_header(
        "duplicate-the-same", UNIQUE, INVALID_TOKEN, header='{"alg":"RS512","alg":"RS512"}'
    ),
    _raw_header(
        "duplicate-by-escape", UNIQUE, INVALID_TOKEN, header='{"alg":"RS512","\\u0061lg":"none"}'
    ),
    _raw_header(
        "duplicate-nested", UNIQUE, INVALID_TOKEN, header='{"alg":"RS512","x":{"a":1,"a":2}}'
    ),
    _raw_header("nan", JSON, INVALID_TOKEN, header='{"alg":"RS512","x":NaN}'),
    _raw_header("infinity", JSON, INVALID_TOKEN, header='{"alg":"RS512","x":1e400}'),
    _raw_header("byte-order-mark", JSON, INVALID_TOKEN, header='\ufeff{"alg":"RS512"}'),
    _raw_header("latin-1", JSON, INVALID_TOKEN, header=b'{"alg":"RS512","x":"\xe9"}'),
    _raw_header(
        "nested", JSON, INVALID_TOKEN, header='{"alg":"RS512","x":' + "[" * 3000 + "]" * 3000 + "}"
    ),
    _raw_header("spaces", "RFC 8259 Section 2", OK, header=' {\n "alg" : "RS512" }\n'),
    _raw_header("escaped-name", "RFC 8259 Section 7", OK, header='{"\\u0061lg":"RS\\u003512"}'),
    _raw_header(
        "alg-alone", "RFC 7515 Section 4.1: alg alone must be there", OK, header='{"alg":"RS512"}'
    ),
]


def _resigned(change: Callable[[bytes], bytes]) -> Maker:
    def make(mint: TableMint) -> str:
        signing_input = _input(mint, alg="RS512")
        signature = mint.key.signature(signing_input.encode())
        return f"{signing_input}.{b64url(change(signature))}"

    return make


SIGNATURES = [
    Row(
        "signed-by-stranger-strange-kid",
        SIGNATURE,
        (INVALID_TOKEN,),
        token=lambda mint: _attacker(mint, kid="x"),
    ),
    Row("signature-one-octet", SIGNATURE, (INVALID_TOKEN,), token=_resigned(lambda each: each[:1])),
]


ROWS = [*HEADER, *SIGNATURES]


@parametrized(ROWS)
def test_header_and_signature(scene: Scene, row: Row) -> None:
    """A token is valid if a key that its issuer publishes signed it with RS512."""
    scene.check(row)
