"""Claims that a token must have, and their types."""

from __future__ import annotations

import json
from collections.abc import Mapping

from nmos_auth.probe.rows import Force, Maker, Row, Source, Suite, is_10, practice, rfc
from nmos_auth.probe.sentences import OTHERS, TWO_WAYS
from nmos_auth.probe.table.statuses import INVALID, PERMITTED
from nmos_auth.probe.table.tokens import claims

__all__ = ["CLAIMS", "with_number"]

_TOKENS = "Behaviour: Access Tokens"
_SCHEMA = "token_schema.json"
_NOBODY = "The log does not show who used this token."
_WHOSE = "A Registry cannot tell whose resources are whose."


def with_number(document: Mapping[str, object], name: str, digits: str) -> bytes:
    """Write claims with one more, whose number is too large for a float."""
    return (json.dumps(document)[:-1] + f',"{name}":{digits}}}').encode("ascii")


def _refused(
    name: str,
    title: str,
    source: Source,
    token: Maker,
    meaning: str,
    *,
    passes: frozenset[int] = INVALID,
    warns: frozenset[int] = frozenset({400, 403}),
) -> Row:
    return Row(
        f"claims-{name}",
        Suite.CLAIMS,
        title,
        source,
        passes,
        meaning,
        warns=warns - passes,
        token=token,
        forged=True,
    )


def _accepted(name: str, title: str, source: Source, token: Maker, meaning: str) -> Row:
    return Row(f"claims-{name}", Suite.CLAIMS, title, source, PERMITTED, meaning, token=token)


def _required(name: str) -> Source:
    return is_10(f"{_TOKENS}, {name}", f"`{name}` is included in the token")


def _typed(name: str, kind: str) -> Source:
    return is_10(_SCHEMA, f"`{name}` is {kind}", Force.STATED)


_MEANINGS = {
    "iss": "Any issuer's key verifies any token.",
    "sub": _NOBODY,
    "aud": OTHERS,
    "exp": "Tokens never expire.",
    "client_id": _WHOSE,
    "azp": _WHOSE,
}
# Values that a loose check accepts.
_WRONG: tuple[tuple[str, str, object], ...] = (
    ("number", "a number", 42),
    ("true", "true", True),
    ("object", "an object", {"a": True}),
)


CLAIMS = (
    *(
        _refused(f"no-{name}", f"no `{name}`", _required(name), claims(**{name: None}), meaning)
        for name, meaning in _MEANINGS.items()
        if name not in {"client_id", "azp"}
    ),
    _refused(
        "no-client",
        "neither `client_id` nor `azp`",
        _required("client_id"),
        claims(client_id=None),
        _WHOSE,
    ),
    *(
        _refused(
            f"{claim}-{name}".replace("client_id", "client"),
            f"`{claim}` that is {title}",
            _typed(claim, "a string, or a list of them" if claim == "aud" else "a string"),
            claims(**{"client_id": None, claim: value} if claim == "azp" else {claim: value}),
            _MEANINGS[claim],
        )
        for claim in ("iss", "sub", "aud", "client_id", "azp")
        for name, title, value in _WRONG
    ),
    _refused(
        "iss-list",
        "`iss` that is a list with the issuer in it",
        _typed("iss", "a string"),
        lambda mint: mint.token(iss=[mint.issuer]),
        _MEANINGS["iss"],
    ),
    _refused(
        "aud-nested",
        "`aud` that is a list in a list",
        _typed("aud", "a string, or a list of them"),
        lambda mint: mint.token(aud=[[mint.audience]]),
        OTHERS,
        passes=frozenset({401, 403}),
    ),
    _refused(
        "scope-list",
        "`scope` as a list, without any other permission",
        is_10(f"{_TOKENS}, scope", "`scope` is a string", Force.STATED),
        lambda mint: mint.token(scope=[mint.api], x_nmos=None),
        "Claims of the wrong type are read as if they were right.",
        passes=frozenset({401, 403}),
    ),
    _accepted(
        "azp",
        "`azp` in place of `client_id`",
        is_10(f"{_TOKENS}, azp", "`azp` is present where `client_id` is not"),
        claims(client_id=None, azp="nmos-auth-probe"),
        "Tokens of OpenID providers, such as Keycloak, are refused.",
    ),
    _accepted(
        "azp-both",
        "`azp` beside the same `client_id`",
        is_10(f"{_TOKENS}, client_id", "`client_id` is optional beside `azp`", Force.STATED),
        claims(azp="nmos-auth-probe"),
        "Tokens of OpenID providers, such as Keycloak, are refused.",
    ),
    _accepted(
        "no-scope",
        "a claim of the API without `scope`",
        is_10(f"{_TOKENS}, scope", "`scope` is only recommended", Force.STATED),
        claims(scope=None),
        "Tokens without an optional claim are refused.",
    ),
    _accepted(
        "more",
        "claims that IS-10 does not define",
        rfc(7519, "4", "claims that are not understood are ignored"),
        claims(roles=["a"], acr="1", nested={"a": [1, 2.5, None, True]}),
        "Tokens with claims that IS-10 does not define are refused.",
    ),
    Row(
        "claims-aud-string",
        Suite.CLAIMS,
        "`aud` as a single string",
        # Access Tokens, aud, only allows a list; RFC 7519 4.1.3 and this schema allow both.
        is_10(_SCHEMA, "`aud` is a list of strings or a string", Force.STATED),
        PERMITTED,
        "Tokens of servers that write one audience without a list are refused.",
        warns=frozenset({401, 403}),
        token=lambda mint: mint.token(aud=mint.audience),
    ),
    _refused(
        "issuer-slash",
        "the issuer with a slash after it",
        rfc(7519, "2", "a StringOrURI is compared without any transformation", Force.STATED),
        lambda mint: mint.token(iss=f"{mint.issuer}/"),
        "Issuers are compared loosely, or not at all.",
        warns=frozenset({200, 400, 403}),
    ),
    _refused(
        "duplicate",
        "`aud` twice, of which the second names another device",
        rfc(7519, "4", "names of claims are unique, or the last one is used"),
        lambda mint: mint.signed(
            json.dumps(mint.claims())[:-1].encode() + b',"aud":["other.invalid"]}'
        ),
        TWO_WAYS,
        passes=frozenset({401, 403}),
    ),
    _refused(
        "exp-huge",
        "`exp` of 400 digits",
        practice("no number makes a server fail"),
        lambda mint: mint.signed(with_number(mint.claims(exp=None), "exp", "9" * 400)),
        "Tokens never expire.",
    ),
    _refused(
        "number-huge",
        "a number of 5,000 digits",
        practice("no number makes a server fail"),
        lambda mint: mint.signed(with_number(mint.claims(), "x", "9" * 5000)),
        TWO_WAYS,
        passes=frozenset({200, 401, 431}),
    ),
    _refused(
        "nan",
        "a number that is NaN",
        rfc(8259, "6", "NaN is not JSON", Force.STATED),
        lambda mint: mint.signed(with_number(mint.claims(), "x", "NaN")),
        TWO_WAYS,
    ),
)
