"""Methods other than GET, without a token or with one that may only read."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, Row, Suite, practice, rfc
from nmos_auth.probe.sentences import LESS, NO_CREDENTIALS, READING
from nmos_auth.probe.table.statuses import INVALID, PERMITTED
from nmos_auth.probe.table.tokens import claims, good_token

__all__ = ["METHODS"]

_NONE = frozenset({400, 403, 404, 405, 411, 501})
# A server that does not know a method, or does not have it here, need not check the token.
_UNKNOWN = frozenset({400, 401, 403, 405, 501})
_UNCHECKED = "Unusual methods pass without a check."

METHODS = (
    Row(
        "methods-head",
        Suite.METHODS,
        "HEAD without a token",
        NO_CREDENTIALS,
        INVALID,
        "Anybody can find out which resources the device has.",
        warns=_NONE,
        method="HEAD",
    ),
    Row(
        "methods-head-token",
        Suite.METHODS,
        "HEAD with a good token",
        READING,
        PERMITTED,
        LESS,
        warns=frozenset({204, 404, 405, 501}),
        method="HEAD",
        token=good_token,
    ),
    *(
        Row(
            f"methods-{method.lower()}",
            Suite.METHODS,
            f"{method} without a token",
            NO_CREDENTIALS,
            _UNKNOWN,
            _UNCHECKED,
            warns=_NONE - _UNKNOWN,
            method=method,
        )
        for method in ("TRACE", "PROPFIND", "QUERY", "XYZZY")
    ),
    *(
        Row(
            f"methods-{method.lower()}-token",
            Suite.METHODS,
            f"{method} with a token that may do everything",
            practice("a method that neither reads nor writes is not permitted"),
            _UNKNOWN - INVALID,
            _UNCHECKED,
            warns=(_NONE | INVALID) - (_UNKNOWN - INVALID),
            method=method,
            token=claims(x_nmos={"read": ["*"], "write": ["*"]}),
        )
        for method in ("TRACE", "PROPFIND")
    ),
    *(
        Row(
            f"methods-case-{method.lower()}",
            Suite.METHODS,
            f"`{method}` without a token",
            rfc(9110, "9.1", "methods are case-sensitive", Force.STATED),
            _UNKNOWN,
            _UNCHECKED,
            warns=_NONE - _UNKNOWN,
            method=method,
        )
        for method in ("get", "options", "GET2")
    ),
    Row(
        "methods-override",
        Suite.METHODS,
        "HEAD without a token, with headers that claim OPTIONS of a public path",
        practice("headers that replace the method do not replace the check"),
        INVALID,
        "A header opens the API.",
        warns=_NONE,
        method="HEAD",
        headers=(("X-HTTP-Method-Override", "OPTIONS"), ("X-Original-URL", "/x-nmos/")),
    ),
)
