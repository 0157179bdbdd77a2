"""Claims that must be there and have a type, and the times they hold."""

from __future__ import annotations

import json

from nmos_auth.probe.rows import Force, Maker, Row, Source, Suite, is_10, practice, rfc
from nmos_auth.probe.table.statuses import INVALID, PERMITTED

__all__ = ["CLAIMS"]

_TOKENS = "Behaviour: Access Tokens"
_OLD = "Tokens that ended, or were never meant to hold now, open the API."
_NOBODY = "Nobody can tell from the log who used this token."


def _claims(**changes: object) -> Maker:
    return lambda mint: mint.token(**changes)


def _in(seconds: float, *names: str) -> Maker:
    return lambda mint: mint.token(**{name: int(mint.now() + seconds) for name in names})


def _refused(
    suite: Suite, name: str, title: str, source: Source, token: Maker, meaning: str
) -> Row:
    return Row(
        f"{suite.value}-{name}",
        suite,
        title,
        source,
        INVALID,
        meaning,
        warns=frozenset({400, 403}),
        token=token,
        forged=True,
    )


def _required(name: str) -> Source:
    return is_10(f"{_TOKENS}, {name}", f"`{name}` is included in the token")


CLAIMS = (
    *(
        _refused(
            Suite.CLAIMS,
            f"no-{name}",
            f"no `{name}`",
            _required(name),
            _claims(**{name: None}),
            meaning,
        )
        for name, meaning in (
            ("iss", "Any issuer's key verifies any token."),
            ("sub", _NOBODY),
            ("aud", "Tokens for another device open this one."),
            ("exp", "Tokens never end."),
        )
    ),
    _refused(
        Suite.CLAIMS,
        "no-client",
        "neither `client_id` nor `azp`",
        _required("client_id"),
        _claims(client_id=None),
        "A Registry cannot tell whose resources are whose.",
    ),
    Row(
        "claims-azp",
        Suite.CLAIMS,
        "`azp` in place of `client_id`",
        is_10(f"{_TOKENS}, azp", "`azp` is there where `client_id` is not"),
        PERMITTED,
        "Tokens of OpenID providers are refused, Keycloak's among them.",
        token=_claims(client_id=None, azp="nmos-auth-probe"),
    ),
    Row(
        "claims-aud-string",
        Suite.CLAIMS,
        "`aud` as a single string",
        rfc(7519, "4.1.3", "one audience may be written as a string", Force.SHOULD),
        PERMITTED,
        "Tokens of servers that write one audience without a list are refused.",
        warns=frozenset({401, 403}),
        token=lambda mint: mint.token(aud=mint.audience),
    ),
    _refused(
        Suite.CLAIMS,
        "issuer-slash",
        "the issuer with a slash behind it",
        rfc(8414, "3.3", "issuers are identical, or they are others"),
        lambda mint: mint.token(iss=f"{mint.issuer}/"),
        "Issuers are compared loosely.",
    ),
    _refused(
        Suite.CLAIMS,
        "exp-text",
        "`exp` as a text, and in the past",
        rfc(7519, "4.1.4", "`exp` is a number"),
        _claims(exp="1500000000"),
        "Tokens never end.",
    ),
    _refused(
        Suite.CLAIMS,
        "exp-huge",
        "`exp` of 400 digits",
        practice("no number makes a server fail"),
        lambda mint: mint.signed(_with_number(mint.claims(exp=None), "exp", "9" * 400)),
        "A stranger can make the server fail with one token.",
    ),
    _refused(
        Suite.CLAIMS,
        "scope-list",
        "`scope` as a list, and no other permission",
        is_10(f"{_TOKENS}, scope", "`scope` is a string"),
        lambda mint: mint.token(scope=[mint.api], x_nmos=None),
        "Claims of the wrong type are read as if they were right.",
    ),
    Row(
        "times-no-iat",
        Suite.TIMES,
        "no `iat`",
        is_10(f"{_TOKENS}, iat", "`iat` may be left out"),
        PERMITTED,
        "Tokens without an optional claim are refused.",
        token=_claims(iat=None),
    ),
    *(
        _refused(
            Suite.TIMES,
            f"expired-{name}",
            f"expired {title} ago",
            is_10(f"{_TOKENS}, exp", "a token is rejected once `exp` is less than the time"),
            _in(-seconds, "exp"),
            _OLD,
        )
        for name, title, seconds in (
            ("hour", "an hour", 3600),
            ("minute", "a minute", 60),
            ("moment", "five seconds", 5),
        )
    ),
    _refused(
        Suite.TIMES,
        "exp-zero",
        "`exp` 0",
        is_10(f"{_TOKENS}, exp", "a token is rejected once `exp` is less than the time"),
        _claims(exp=0),
        "Tokens never end.",
    ),
    _refused(
        Suite.TIMES,
        "future-iat",
        "issued in an hour",
        is_10(f"{_TOKENS}, iat", "a token is rejected while `iat` is greater than the time"),
        _in(3600, "iat"),
        _OLD,
    ),
    _refused(
        Suite.TIMES,
        "future-nbf",
        "not valid for another hour",
        is_10(f"{_TOKENS}, nbf", "a token is not accepted before `nbf`"),
        _in(3600, "nbf"),
        _OLD,
    ),
    Row(
        "times-past-nbf",
        Suite.TIMES,
        "valid for an hour",
        is_10(f"{_TOKENS}, nbf", "a token is accepted from `nbf` on"),
        PERMITTED,
        "Tokens with an optional claim are refused.",
        token=_in(-3600, "nbf"),
    ),
)


def _with_number(claims: dict[str, object], name: str, digits: str) -> bytes:

    return (json.dumps(claims)[:-1] + f',"{name}":{digits}}}').encode("ascii")
