"""Forged and malformed tokens: JOSE header, structure and signature."""

from __future__ import annotations

from nmos_auth.probe.mint import Mint
from nmos_auth.probe.rows import Force, Maker, Row, Source, Suite, is_10, practice, rfc
from nmos_auth.probe.table.statuses import INVALID, PERMITTED

__all__ = ["JOSE"]

_RS512 = is_10("Behaviour: Access Tokens", "tokens are signed by RS512, and by nothing else")
_VERIFY = is_10(
    "Behaviour: Resource Servers, Public keys", "a token that no key verifies is rejected"
)
_TAKES_OVER = "Whoever knows how can make tokens for this device, with any permission."
_FAILS = "A stranger can make the server fail with one token."


def _forged(
    name: str,
    title: str,
    source: Source,
    token: Maker,
    meaning: str = _TAKES_OVER,
    *,
    warns: frozenset[int] = frozenset({400, 403}),
) -> Row:
    return Row(
        f"jose-{name}",
        Suite.JOSE,
        title,
        source,
        INVALID,
        meaning,
        warns=warns,
        token=token,
        forged=True,
    )


def _header(**members: object) -> Maker:
    return lambda mint: mint.signed(mint.claims(), header=members)


def _by_stranger(**members: object) -> Maker:
    return lambda mint: mint.signed(mint.claims(), header=members, key=mint.stranger)


def _embedded(mint: Mint) -> str:
    header = {"jwk": mint.stranger.jwk(), "kid": None}
    return mint.signed(mint.claims(), header=header, key=mint.stranger)


def _fetched(member: str) -> Maker:
    def make(mint: Mint) -> str:
        header = {member: f"{mint.neighbour}/jwks", "kid": mint.neighbour_key.kid}
        return mint.signed(mint.claims(), header=header, key=mint.neighbour_key)

    return make


JOSE = (
    *(
        _forged(
            f"alg-{name.lower()}-{number}",
            f"alg `{name}`, without a signature",
            rfc(8725, "3.2", "`none` is accepted only where a caller asks for it by name"),
            lambda mint, name=name: mint.unsigned(name),  # type: ignore[misc]
        )
        for number, name in enumerate(("none", "None", "NONE"), 1)
    ),
    *(
        _forged(
            f"alg-{name.lower()}",
            f"alg {name}, with the public key for a secret",
            rfc(8725, "3.1", "each key is used with exactly one algorithm"),
            lambda mint, name=name: mint.keyed_by_public_key(name),  # type: ignore[misc]
        )
        for name in ("HS256", "HS512")
    ),
    *(
        _forged(
            f"alg-{name.lower()}",
            f"alg {name}, properly signed with the right key",
            _RS512,
            lambda mint, name=name: mint.signed(mint.claims(), algorithm=name),  # type: ignore[misc]
            "The device accepts algorithms that the plant did not choose.",
        )
        for name in ("RS256", "PS512")
    ),
    _forged(
        "alg-mismatch",
        "alg RS512 in the header, and an RS256 signature",
        _RS512,
        lambda mint: mint.signed(mint.claims(), header={"alg": "RS512"}, algorithm="RS256"),
    ),
    _forged(
        "stranger",
        "signed with a key that nobody publishes",
        _VERIFY,
        _by_stranger(),
    ),
    _forged(
        "stranger-kid",
        "signed with a key that nobody publishes, under the name of one that is published",
        _VERIFY,
        lambda mint: mint.signed(mint.claims(), header={"kid": mint.key.kid}, key=mint.stranger),
    ),
    _forged(
        "no-signature",
        "a good token without its signature",
        _VERIFY,
        lambda mint: mint.token().rpartition(".")[0] + ".",
    ),
    _forged(
        "two-segments",
        "a good token without its last segment",
        rfc(7515, "7.1", "the compact serialisation has three segments"),
        lambda mint: mint.token().rpartition(".")[0],
    ),
    _forged(
        "changed",
        "a payload that was changed after signing",
        _VERIFY,
        lambda mint: mint.with_other_payload(sub="administrator"),
    ),
    _forged(
        "jwk",
        "a stranger's token with its key in the header",
        rfc(8725, "3.10", "keys come from the issuer and not from the token"),
        _embedded,
    ),
    _forged(
        "jku",
        "a token with the URL of its keys in the header",
        rfc(8725, "3.10", "URLs in a token are not followed"),
        _fetched("jku"),
    ),
    _forged(
        "x5u",
        "a token with the URL of its certificate in the header",
        rfc(8725, "3.10", "URLs in a token are not followed"),
        _fetched("x5u"),
    ),
    _forged(
        "crit",
        "an extension that must be understood",
        rfc(7515, "4.1.11", "a token with an unknown critical extension is invalid"),
        _header(crit=["urn:nmos-auth:probe"], **{"urn:nmos-auth:probe": True}),
        "Extensions that restrict a token are ignored.",
    ),
    _forged(
        "crit-malformed",
        "`crit` that is not a list of names",
        rfc(7515, "4.1.11", "`crit` is a list of names and not empty"),
        _header(crit=[1]),
        _FAILS,
    ),
    _forged(
        "b64",
        "a payload that is said not to be encoded",
        Source("RFC 7797", "Abstract", Force.MUST, "a JWT does not use unencoded payloads"),
        _header(b64=False, crit=["b64"]),
        "Two servers may read one token in two ways.",
    ),
    *(
        _forged(
            f"kid-{name}",
            f"a stranger's token whose `kid` is {title}",
            practice("`kid` is a hint, and never a file, a query or a reason to fail"),
            _by_stranger(kid=value),
        )
        for name, title, value in (
            ("path", "a path", "../../../../../dev/null"),
            ("sql", "a piece of SQL", "' OR '1'='1"),
            ("number", "a number", 7),
            ("list", "a list", ["a"]),
            ("long", "4,000 characters long", "k" * 4000),
        )
    ),
    _forged(
        "header-not-json",
        "a header that is not JSON",
        rfc(7515, "5.2", "the header is a JSON object"),
        lambda mint: mint.signed(mint.claims(), header=b"not json"),
        _FAILS,
    ),
    _forged(
        "payload-not-json",
        "a payload that is not JSON, signed with the right key",
        rfc(7519, "7.2", "the payload is a JSON object"),
        lambda mint: mint.signed(b"not json"),
        _FAILS,
    ),
    _forged(
        "payload-list",
        "a payload that is a list, signed with the right key",
        rfc(7519, "7.2", "the payload is a JSON object"),
        lambda mint: mint.signed(b"[]"),
        _FAILS,
    ),
    _forged(
        "payload-nested",
        "1,500 levels of JSON, by a stranger",
        practice("no depth of JSON makes a server fail"),
        lambda mint: mint.signed(mint.nested(), key=mint.stranger),
        _FAILS,
        warns=frozenset({400, 403, 413, 431}),
    ),
    _forged(
        "type",
        "a token that says it is a logout token",
        rfc(8725, "3.11", "kinds of tokens are told apart by `typ`"),
        _header(typ="logout+jwt"),
        "Tokens that were made for another purpose open the API.",
    ),
    Row(
        "jose-no-kid",
        Suite.JOSE,
        "a good token without `kid`",
        rfc(7515, "4.1.4", "`kid` is optional"),
        PERMITTED,
        "Tokens of servers that name no key are refused, AMWA's test server among them.",
        token=_header(kid=None),
    ),
    Row(
        "jose-at-jwt",
        Suite.JOSE,
        "a good token of type at+jwt",
        rfc(9068, "2.1", "access tokens may say what they are"),
        PERMITTED,
        "Tokens of servers that follow RFC 9068 are refused.",
        warns=INVALID,
        token=_header(typ="at+jwt"),
    ),
)
