"""Forged and malformed tokens: their header, their segments and their payload."""

from __future__ import annotations

from collections.abc import Callable

from nmos_auth.probe.rows import Force, Maker, is_10, practice, rfc
from nmos_auth.probe.sentences import DEPTH, PUBLIC_KEYS, RUBBISH, TWO_WAYS
from nmos_auth.probe.table.forgeries import forged, good
from nmos_auth.probe.table.signatures import SIGNATURES
from nmos_auth.probe.table.tokens import by_stranger, with_header

__all__ = ["JOSE"]

_ALL_KEYS = is_10(PUBLIC_KEYS, "all keys are tried", Force.SHOULD)
_SEGMENTS = rfc(7515, "7.1", "the compact serialisation has three segments", Force.STATED)
_BASE64URL = rfc(7515, "2", "base64url has no padding and no other characters", Force.STATED)
_CRIT = rfc(7515, "4.1.11", "a token with a critical extension that is not understood is invalid")
_CRIT_FORM = rfc(7515, "4.1.11", "`crit` is a list of names that is not empty", Force.STATED)
_HEADER = rfc(7519, "7.2", "a token whose header is not a JSON object is rejected")
_PAYLOAD = rfc(7519, "7.2", "a token whose payload is not a JSON object is rejected")
_IGNORED = "Extensions that restrict a token are ignored."


def _segment(change: Callable[[list[str]], list[str]]) -> Maker:
    """Make a good token whose segments are changed."""
    return lambda mint: ".".join(change(mint.token().split(".")))


_HEADERS = (
    forged(
        "crit",
        "a critical extension that no server knows",
        _CRIT,
        with_header(crit=["urn:nmos-auth:probe"], **{"urn:nmos-auth:probe": True}),
        _IGNORED,
    ),
    *(
        forged(f"crit-{name}", f"`crit` {title}", _CRIT_FORM, with_header(crit=crit), _IGNORED)
        for name, title, crit in (
            ("malformed", "that is not a list of names", [1]),
            ("empty", "that is an empty list", []),
            ("text", "that is a text", "exp"),
        )
    ),
    forged(
        "b64",
        "a header that says that the payload is not encoded",
        rfc(7797, "7", "a JWT does not use an unencoded payload"),
        with_header(b64=False, crit=["b64"]),
        TWO_WAYS,
    ),
    *(
        forged(
            f"kid-{name}",
            f"a stranger's token whose `kid` is {title}",
            source,
            by_stranger(kid=value),
        )
        for name, title, value, source in (
            (
                "path",
                "a path",
                "../../../../../dev/null",
                practice("`kid` is a hint, and never a file"),
            ),
            (
                "sql",
                "a piece of SQL",
                "' OR '1'='1",
                rfc(8725, "3.10", "what `kid` says cannot become a part of a query", Force.STATED),
            ),
            ("number", "a number", 7, rfc(7515, "4.1.4", "`kid` is a string")),
            ("list", "a list", ["a"], rfc(7515, "4.1.4", "`kid` is a string")),
            (
                "long",
                "4,000 characters long",
                "k" * 4000,
                practice("no length makes a server fail"),
            ),
        )
    ),
    *(
        forged(
            f"header-{name}",
            f"a header that is {title}",
            _HEADER,
            lambda mint, header=header: mint.signed(mint.claims(), header=header),  # type: ignore[misc]
            RUBBISH,
        )
        for name, title, header in (
            ("not-json", "not JSON", b"not json"),
            ("list", "a list", b'[{"alg":"RS512"}]'),
            ("null", "null", b"null"),
            ("two", "two objects", b'{"alg":"RS512"}{}'),
            ("utf-16", "JSON in UTF-16", '{"alg":"RS512"}'.encode("utf-16-le")),
        )
    ),
    forged(
        "header-duplicate",
        "a header with `alg` twice, of which the second is `none`",
        rfc(7515, "4", "names in a header are unique, or the last one is used"),
        lambda mint: mint.signed(mint.claims(), header=b'{"alg":"RS512","alg":"none"}'),
        TWO_WAYS,
    ),
    forged(
        "header-open",
        "a header of 6,000 brackets that never close",
        DEPTH,
        lambda mint: mint.signed(mint.claims(), header=b'{"alg":"RS512","x":' + b"[" * 6000),
        RUBBISH,
        warns=frozenset({400, 403, 413, 431}),
    ),
    forged(
        "type",
        "a token that says it is a logout token",
        rfc(8725, "3.11", "kinds of tokens are told apart by `typ`", Force.SHOULD),
        with_header(typ="logout+jwt"),
        "Tokens that were made for another purpose open the API.",
    ),
)

_STRUCTURE = (
    forged(
        "two-segments",
        "a good token without its last segment",
        _SEGMENTS,
        _segment(lambda parts: parts[:2]),
    ),
    forged(
        "four-segments",
        "a good token with one more segment",
        _SEGMENTS,
        _segment(lambda parts: [*parts, "AAAA"]),
    ),
    forged(
        "trailing-dot",
        "a good token with a full stop after it",
        _SEGMENTS,
        _segment(lambda parts: [*parts, ""]),
    ),
    forged(
        "leading-dot",
        "a good token with a full stop before it",
        _SEGMENTS,
        _segment(lambda parts: ["", *parts]),
    ),
    forged(
        "no-header",
        "a good token without its header",
        _SEGMENTS,
        _segment(lambda parts: ["", *parts[1:]]),
    ),
    forged(
        "dots",
        "8,000 full stops in place of a token",
        _SEGMENTS,
        lambda _: "." * 8000,
        RUBBISH,
        warns=frozenset({400, 403, 413, 431}),
    ),
    forged(
        "encrypted",
        "an encrypted token",
        is_10("Behaviour: Access Tokens", "a token is a JSON Web Signature"),
        lambda _: (
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"
        ),
        RUBBISH,
    ),
    forged(
        "padded",
        "a good token with padding after it",
        _BASE64URL,
        _segment(lambda parts: [*parts[:2], f"{parts[2]}=="]),
        TWO_WAYS,
    ),
    forged(
        "tilde",
        "a good token with a tilde after it",
        _BASE64URL,
        _segment(lambda parts: [*parts[:2], f"{parts[2]}~"]),
        TWO_WAYS,
    ),
    *(
        forged(
            f"payload-{name}",
            f"a payload that is {title}, signed with the right key",
            _PAYLOAD,
            lambda mint, payload=payload: mint.signed(payload),  # type: ignore[misc]
            RUBBISH,
        )
        for name, title, payload in (
            ("not-json", "not JSON", b"not json"),
            ("list", "a list", b"[]"),
            ("number", "a number", b"1"),
            ("empty", "an empty object", b"{}"),
        )
    ),
    forged(
        "payload-string",
        "a payload that is a JSON string with a good payload in it, signed with the right key",
        _PAYLOAD,
        lambda mint: mint.signed(mint.as_text()),
        TWO_WAYS,
    ),
    forged(
        "payload-token",
        "a payload that is a good token, signed with the right key",
        _PAYLOAD,
        lambda mint: mint.signed(mint.token().encode()),
        TWO_WAYS,
    ),
    forged(
        "payload-nested",
        "1,500 levels of JSON, signed by a stranger",
        DEPTH,
        lambda mint: mint.signed(mint.nested(), key=mint.stranger),
        RUBBISH,
        warns=frozenset({400, 403, 413, 431}),
    ),
)

_GOOD = (
    good(
        "no-kid",
        "a good token without `kid`",
        rfc(7515, "4.1.4", "`kid` is optional", Force.STATED),
        with_header(kid=None),
        "Tokens that do not name a key, such as those of AMWA's test server, are refused.",
    ),
    *(
        good(
            f"kid-{name}",
            f"a good token whose `kid` is {title}",
            _ALL_KEYS,
            with_header(kid=kid),
            "Tokens of servers that renamed a key are refused.",
        )
        for name, title, kid in (("unknown", "not published", "never"), ("empty", "empty", ""))
    ),
    *(
        good(
            f"beside-{member}",
            f"a good token with a stranger's `{member}` in its header",
            practice("what a header says about keys is ignored"),
            lambda mint, member=member: mint.signed(  # type: ignore[misc]
                mint.claims(),
                header={
                    member: mint.stranger.jwk() if member == "jwk" else "https://keys.invalid/"
                },
            ),
            "Tokens of servers that describe their keys in the header are refused.",
        )
        for member in ("jwk", "jku")
    ),
    *(
        good(
            f"type-{name}",
            f"a good token {title}",
            source,
            with_header(typ=typ),
            "Tokens of servers that write `typ` in another way are refused.",
        )
        for name, title, typ, source in (
            ("none", "without `typ`", None, rfc(7519, "5.1", "`typ` is optional", Force.STATED)),
            (
                "lower-case",
                "of type `jwt`",
                "jwt",
                rfc(7519, "5.1", "names of media types are not case-sensitive", Force.STATED),
            ),
            (
                "at-jwt",
                "of type `at+jwt`",
                "at+jwt",
                rfc(9068, "2.1", "access tokens of this profile are of type at+jwt", Force.STATED),
            ),
        )
    ),
)

JOSE = (*SIGNATURES, *_HEADERS, *_STRUCTURE, *_GOOD)
