"""The header and the signature of a token (RFC 7515, RFC 8725, IS-10 Access Tokens)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from tests.contract.rows import (
    INVALID_TOKEN,
    OK,
    Answer,
    Maker,
    Row,
    TableMint,
    parametrized,
)
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


def _keeping_signature(**header: object) -> Maker:
    return lambda mint: f"{_input(mint, **header)}.{mint.token().split('.')[2]}"


def _public_pem(mint: TableMint) -> bytes:
    return mint.key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _with_secret(alg: str, digest: str, secret: Callable[[TableMint], bytes]) -> Maker:
    """Sign by HMAC, with something public as the secret (RFC 8725 Section 2.1)."""

    def make(mint: TableMint) -> str:
        signing_input = _input(mint, alg=alg, typ="JWT", kid=mint.key.kid)
        mac = hmac.new(secret(mint), signing_input.encode(), digest).digest()
        return f"{signing_input}.{b64url(mac)}"

    return make


def _public_modulus(mint: TableMint) -> bytes:
    return str(mint.key.jwk()["n"]).encode()


def _rsa(alg: str, digest: hashes.HashAlgorithm, *, pss: bool = False) -> Maker:
    """Sign with the right key and another algorithm."""

    def make(mint: TableMint) -> str:
        signing_input = _input(mint, alg=alg, typ="JWT", kid=mint.key.kid)
        scheme = (
            padding.PSS(padding.MGF1(digest), digest.digest_size) if pss else padding.PKCS1v15()
        )
        signature = mint.key.private.sign(signing_input.encode(), scheme, digest)
        return f"{signing_input}.{b64url(signature)}"

    return make


def _elliptic(mint: TableMint) -> str:
    signing_input = _input(mint, alg="ES512", typ="JWT")
    key = ec.generate_private_key(ec.SECP521R1())
    return f"{signing_input}.{b64url(key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA512())))}"


def _attacker(mint: TableMint, **header: object) -> str:
    return mint.signed(mint.claims(), mint.header(**header), key=mint.stranger)


def _listener(mint: TableMint, path: str) -> str:
    return f"https://127.0.0.1:{mint.listener}{path}"


HEADER = [
    Row("alg-none", ALG, (INVALID_TOKEN,), token=_unsigned(alg="none")),
    Row("alg-none-spelt", ALG, (INVALID_TOKEN,), token=_unsigned(alg="nOnE", typ="JWT")),
    Row("alg-none-signed", ALG, (INVALID_TOKEN,), token=_keeping_signature(alg="none")),
    Row("alg-hs256-pem", ALG, (INVALID_TOKEN,), token=_with_secret("HS256", "sha256", _public_pem)),
    Row("alg-hs512-pem", ALG, (INVALID_TOKEN,), token=_with_secret("HS512", "sha512", _public_pem)),
    Row(
        "alg-hs512-modulus",
        ALG,
        (INVALID_TOKEN,),
        token=_with_secret("HS512", "sha512", _public_modulus),
    ),
    Row(
        "alg-hs512-empty",
        ALG,
        (INVALID_TOKEN,),
        token=_with_secret("HS512", "sha512", lambda _: b""),
    ),
    Row(
        "alg-rs512-by-hmac",
        ALG,
        (INVALID_TOKEN,),
        token=_with_secret("RS512", "sha512", _public_pem),
    ),
    Row("alg-rs256", ALG, (INVALID_TOKEN,), token=_rsa("RS256", hashes.SHA256())),
    Row("alg-rs384", ALG, (INVALID_TOKEN,), token=_rsa("RS384", hashes.SHA384())),
    Row("alg-ps512", ALG, (INVALID_TOKEN,), token=_rsa("PS512", hashes.SHA512(), pss=True)),
    Row("alg-rs512-by-pss", ALG, (INVALID_TOKEN,), token=_rsa("RS512", hashes.SHA512(), pss=True)),
    Row("alg-rs512-by-sha256", ALG, (INVALID_TOKEN,), token=_rsa("RS512", hashes.SHA256())),
    Row("alg-es512", ALG, (INVALID_TOKEN,), token=_elliptic),
    _header("alg-lower-case", ALG, INVALID_TOKEN, alg="rs512"),
    _header("alg-with-space", ALG, INVALID_TOKEN, alg="RS512 "),
    _header("alg-missing", ALG, INVALID_TOKEN, alg=None),
    _header("alg-null", ALG, INVALID_TOKEN, alg=NULL),
    _header("alg-number", ALG, INVALID_TOKEN, alg=512),
    _header("alg-array", ALG, INVALID_TOKEN, alg=["RS512"]),
    _header("alg-object", ALG, INVALID_TOKEN, alg={"RS512": True}),
    _header("crit-exp", CRIT, INVALID_TOKEN, crit=["exp"], exp=9999999999),
    _header("crit-unknown", CRIT, INVALID_TOKEN, crit=["x-nmos"]),
    _header("crit-empty", CRIT, INVALID_TOKEN, crit=[]),
    _header("crit-string", CRIT, INVALID_TOKEN, crit="exp"),
    _header("crit-null", CRIT, INVALID_TOKEN, crit=NULL),
    _header("b64-false", CRIT, INVALID_TOKEN, b64=False),
    _header("b64-true", CRIT, INVALID_TOKEN, b64=True),
    _header("b64-critical", CRIT, INVALID_TOKEN, b64=False, crit=["b64"]),
    Row(
        "jwk-of-attacker",
        EMBEDDED,
        (INVALID_TOKEN,),
        token=lambda mint: _attacker(mint, jwk=mint.stranger.jwk()),
    ),
    Row(
        "jwk-of-attacker-without-kid",
        EMBEDDED,
        (INVALID_TOKEN,),
        token=lambda mint: _attacker(mint, kid=None, jwk=mint.stranger.jwk()),
    ),
    Row(
        "jku-of-attacker",
        EMBEDDED,
        (INVALID_TOKEN,),
        token=lambda mint: _attacker(mint, jku=_listener(mint, "/jwks")),
    ),
    Row(
        "x5u-of-attacker",
        EMBEDDED,
        (INVALID_TOKEN,),
        token=lambda mint: _attacker(mint, x5u=_listener(mint, "/certificate")),
    ),
    Row(
        "x5c-of-attacker",
        EMBEDDED,
        (INVALID_TOKEN,),
        token=lambda mint: _attacker(mint, x5c=["MIIB"], x5t="x"),
    ),
    Row(
        "jwk-beside-good-key",
        EMBEDDED,
        (OK,),
        token=lambda mint: mint.signed(mint.claims(), mint.header(jwk=mint.stranger.jwk())),
    ),
    Row(
        "jku-beside-good-key",
        EMBEDDED,
        (OK,),
        token=lambda mint: mint.signed(mint.claims(), mint.header(jku=_listener(mint, "/"))),
    ),
    _header("typ-jwt", TYP, OK, typ="JWT"),
    _header("typ-lower-case", TYP, OK, typ="jwt"),
    _header("typ-access-token", TYP, OK, typ="at+jwt"),
    _header("typ-media-type", TYP, OK, typ="application/at+jwt"),
    _header("typ-absent", TYP, OK, typ=None),
    _header("kid-absent", KID, OK, kid=None),
    _header("kid-unknown", KID, OK, kid="never-published"),
    _header("kid-of-the-other", KID, OK, kid="key-1"),
    _header("kid-empty", KID, OK, kid=""),
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
    _raw_header("not-json", JSON, INVALID_TOKEN, header="RS512"),
    _raw_header("array", JSON, INVALID_TOKEN, header='[{"alg":"RS512"}]'),
    _raw_header("string", JSON, INVALID_TOKEN, header='"RS512"'),
    _raw_header("null", JSON, INVALID_TOKEN, header="null"),
    _raw_header("empty-object", ALG, INVALID_TOKEN, header="{}"),
    _raw_header("trailing", JSON, INVALID_TOKEN, header='{"alg":"RS512"}x'),
    _raw_header("two-objects", JSON, INVALID_TOKEN, header='{"alg":"RS512"}{}'),
    _raw_header("trailing-comma", JSON, INVALID_TOKEN, header='{"alg":"RS512",}'),
    _raw_header(
        "duplicate-none-last", UNIQUE, INVALID_TOKEN, header='{"alg":"RS512","alg":"none"}'
    ),
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
    _raw_header("utf-16", JSON, INVALID_TOKEN, header='{"alg":"RS512"}'.encode("utf-16-le")),
    _raw_header(
        "nested", JSON, INVALID_TOKEN, header='{"alg":"RS512","x":' + "[" * 3000 + "]" * 3000 + "}"
    ),
    _raw_header("never-closed", JSON, INVALID_TOKEN, header='{"alg":"RS512","x":' + "[" * 6000),
    _raw_header("spaces", "RFC 8259 Section 2", OK, header=' {\n "alg" : "RS512" }\n'),
    _raw_header("escaped-name", "RFC 8259 Section 7", OK, header='{"\\u0061lg":"RS\\u003512"}'),
    _raw_header(
        "alg-alone", "RFC 7515 Section 4.1: alg alone must be there", OK, header='{"alg":"RS512"}'
    ),
]


def _resigned(change: Callable[[bytes], bytes]) -> Maker:
    def make(mint: TableMint) -> str:
        signing_input = _input(mint, alg="RS512")
        signature = mint.key.private.sign(
            signing_input.encode(), padding.PKCS1v15(), hashes.SHA512()
        )
        return f"{signing_input}.{b64url(change(signature))}"

    return make


def _flipped(signature: bytes) -> bytes:
    return signature[:-1] + bytes([signature[-1] ^ 1])


def _other_payload(mint: TableMint) -> str:
    header, _, signature = mint.token().split(".")
    return f"{header}.{b64url(mint.payload(scope='node connection query').encode())}.{signature}"


SIGNATURES = [
    Row("signed-by-stranger", SIGNATURE, (INVALID_TOKEN,), token=_attacker),
    Row(
        "signed-by-stranger-without-kid",
        SIGNATURE,
        (INVALID_TOKEN,),
        token=lambda mint: _attacker(mint, kid=None),
    ),
    Row(
        "signed-by-stranger-strange-kid",
        SIGNATURE,
        (INVALID_TOKEN,),
        token=lambda mint: _attacker(mint, kid="x"),
    ),
    Row("signature-flipped", SIGNATURE, (INVALID_TOKEN,), token=_resigned(_flipped)),
    Row(
        "signature-cut-short", SIGNATURE, (INVALID_TOKEN,), token=_resigned(lambda each: each[:-1])
    ),
    Row("signature-one-octet", SIGNATURE, (INVALID_TOKEN,), token=_resigned(lambda each: each[:1])),
    Row(
        "signature-longer", SIGNATURE, (INVALID_TOKEN,), token=_resigned(lambda each: each + b"\0")
    ),
    Row(
        "signature-zero-in-front",
        SIGNATURE,
        (INVALID_TOKEN,),
        token=_resigned(lambda each: b"\0" + each),
    ),
    Row(
        "signature-of-zeros",
        SIGNATURE,
        (INVALID_TOKEN,),
        token=_resigned(lambda each: b"\0" * len(each)),
    ),
    Row(
        "signature-of-ones",
        SIGNATURE,
        (INVALID_TOKEN,),
        token=_resigned(lambda each: b"\xff" * len(each)),
    ),
    Row(
        "signature-is-a-digest",
        SIGNATURE,
        (INVALID_TOKEN,),
        token=_resigned(lambda each: hashlib.sha512(each).digest()),
    ),
    Row("payload-changed", SIGNATURE, (INVALID_TOKEN,), token=_other_payload),
]


ROWS = [*HEADER, *SIGNATURES]


@parametrized(ROWS)
def test_header_and_signature(scene: Scene, row: Row) -> None:
    """A token counts that is signed with RS512 by a key its issuer publishes."""
    scene.check(row)
