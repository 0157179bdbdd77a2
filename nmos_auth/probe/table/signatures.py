"""Who signed a token, and how: algorithms, keys and signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from nmos_auth.probe.mint import Mint
from nmos_auth.probe.rows import Maker, is_10, rfc
from nmos_auth.probe.sentences import ISSUERS_KEYS, TWO_WAYS, UNVERIFIED
from nmos_auth.probe.table.forgeries import forged
from nmos_auth.probe.table.tokens import by_stranger, with_header

__all__ = ["SIGNATURES"]

_RS512 = is_10("Behaviour: Access Tokens", "tokens are signed only with RS512")
_ONE_ALGORITHM = rfc(8725, "3.1", "each key is used with exactly one algorithm")
_ALG = rfc(7515, "4.1.1", "`alg` is present, and is a case-sensitive string")


def _embedded(mint: Mint) -> str:
    header = {"jwk": mint.stranger.jwk(), "kid": None}
    return mint.signed(mint.claims(), header=header, key=mint.stranger)


def _fetched(member: str) -> Maker:
    def make(mint: Mint) -> str:
        header = {member: f"{mint.neighbour}/jwks", "kid": mint.neighbour_key.kid}
        return mint.signed(mint.claims(), header=header, key=mint.neighbour_key)

    return make


def _resigned(change: Callable[[bytes], bytes]) -> Maker:
    """Make a token with a good signature, changed."""
    return lambda mint: mint.with_signature(
        "RS512", lambda data: change(mint.key.sign(data, "RS512"))
    )


_ALGORITHMS = (
    *(
        forged(
            f"alg-{name.lower()}-{number}",
            f"alg `{name}`, without a signature",
            _RS512,
            lambda mint, name=name: mint.unsigned(name),  # type: ignore[misc]
        )
        for number, name in enumerate(("none", "None", "NONE"), 1)
    ),
    forged(
        "alg-none-signed",
        "alg `none`, with the signature of a good token",
        _RS512,
        lambda mint: mint.with_signature("none", lambda data: mint.key.sign(data, "RS512")),
    ),
    *(
        forged(
            f"alg-{name.lower()}",
            f"alg {name}, with the public key as the secret",
            _ONE_ALGORITHM,
            lambda mint, name=name: mint.keyed_by(mint.key.public_pem(), name),  # type: ignore[misc]
        )
        for name in ("HS256", "HS512")
    ),
    forged(
        "alg-hs512-modulus",
        "alg HS512, with the modulus of the public key as the secret",
        _ONE_ALGORITHM,
        lambda mint: mint.keyed_by(mint.key.modulus().encode(), "HS512"),
    ),
    forged(
        "alg-hs512-empty",
        "alg HS512, with an empty secret",
        _ONE_ALGORITHM,
        lambda mint: mint.keyed_by(b"", "HS512"),
    ),
    forged(
        "alg-mac",
        "alg RS512 in the header, and an HMAC with the public key as the secret",
        _RS512,
        lambda mint: mint.keyed_by(mint.key.public_pem(), "RS512"),
    ),
    *(
        forged(
            f"alg-{name.lower()}",
            f"alg {name}, properly signed with the right key",
            _RS512,
            lambda mint, name=name: mint.signed(mint.claims(), algorithm=name),  # type: ignore[misc]
            "The device accepts algorithms that the plant did not choose.",
        )
        for name in ("RS256", "RS384", "PS512")
    ),
    forged(
        "alg-mismatch",
        "alg RS512 in the header, and an RS256 signature",
        _RS512,
        lambda mint: mint.signed(mint.claims(), header={"alg": "RS512"}, algorithm="RS256"),
    ),
    forged(
        "alg-mismatch-pss",
        "alg RS512 in the header, and a PS512 signature",
        _RS512,
        lambda mint: mint.signed(mint.claims(), header={"alg": "RS512"}, algorithm="PS512"),
    ),
    forged("alg-lower-case", "alg `rs512`", _ALG, with_header(alg="rs512"), TWO_WAYS),
    forged("alg-missing", "no `alg`", _ALG, with_header(alg=None), TWO_WAYS),
    forged("alg-list", "`alg` as a list", _ALG, with_header(alg=["RS512"]), TWO_WAYS),
)

_SIGNATURES = (
    forged("stranger", "signed with a key that is not published", UNVERIFIED, by_stranger()),
    forged(
        "stranger-no-kid",
        "signed with a key that is not published, without a `kid`",
        UNVERIFIED,
        by_stranger(kid=None),
    ),
    forged(
        "stranger-kid",
        "signed with a key that is not published, under the `kid` of one that is published",
        UNVERIFIED,
        lambda mint: mint.signed(mint.claims(), header={"kid": mint.key.kid}, key=mint.stranger),
    ),
    forged(
        "no-signature",
        "a good token without its signature",
        UNVERIFIED,
        lambda mint: mint.token().rpartition(".")[0] + ".",
    ),
    forged(
        "changed",
        "a payload that was changed after signing",
        UNVERIFIED,
        lambda mint: mint.with_other_payload(sub="administrator"),
    ),
    *(
        forged(f"signature-{name}", f"a signature {title}", UNVERIFIED, _resigned(change))
        for name, title, change in (
            ("flipped", "with one bit flipped", lambda each: each[:-1] + bytes([each[-1] ^ 1])),
            ("short", "without its last byte", lambda each: each[:-1]),
            ("longer", "with a byte after it", lambda each: each + b"\0"),
            ("in-front", "with a byte before it", lambda each: b"\0" + each),
            ("zeros", "of zeros", lambda each: b"\0" * len(each)),
            ("ones", "of ones", lambda each: b"\xff" * len(each)),
            ("digest", "that is a digest", lambda each: hashlib.sha512(each).digest()),
        )
    ),
    forged("jwk", "a stranger's token with its key in the header", ISSUERS_KEYS, _embedded),
    forged("jku", "a token with the URL of its keys in the header", ISSUERS_KEYS, _fetched("jku")),
    forged(
        "x5u",
        "a token with the URL of its certificate in the header",
        ISSUERS_KEYS,
        _fetched("x5u"),
    ),
    forged(
        "x5c",
        "a stranger's token with a certificate in the header",
        ISSUERS_KEYS,
        by_stranger(x5c=["MIIB"], x5t="x"),
    ),
)


SIGNATURES = (*_ALGORITHMS, *_SIGNATURES)
