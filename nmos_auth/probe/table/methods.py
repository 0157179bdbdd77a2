"""Methods other than GET, without a token or with one that may only read."""

from __future__ import annotations

from nmos_auth.probe.rows import Row, Suite, is_10, practice
from nmos_auth.probe.table.statuses import INVALID, PERMITTED

__all__ = ["METHODS"]

_REJECT = is_10(
    "Behaviour: Resource Servers, Accessing Protected Resources",
    "a request without credentials is rejected",
)
_NONE = frozenset({400, 403, 404, 405, 411, 501})

METHODS = (
    Row(
        "methods-head",
        Suite.METHODS,
        "HEAD without a token",
        _REJECT,
        INVALID,
        "Anybody can find out what is there.",
        warns=_NONE,
        method="HEAD",
    ),
    Row(
        "methods-head-token",
        Suite.METHODS,
        "HEAD with a good token",
        is_10("Behaviour: Access Tokens, The Access Permissions Object", "read includes HEAD"),
        PERMITTED,
        "Clients cannot do what the operator granted.",
        warns=frozenset({204, 404, 405, 501}),
        method="HEAD",
        token=lambda mint: mint.token(),
    ),
    *(
        Row(
            f"methods-{method.lower()}",
            Suite.METHODS,
            f"{method} without a token",
            _REJECT,
            INVALID,
            "Anybody on the network may change this device.",
            warns=_NONE,
            method=method,
        )
        for method in ("TRACE", "PROPFIND")
    ),
    Row(
        "methods-override",
        Suite.METHODS,
        "HEAD without a token that says it is an OPTIONS of a public path",
        practice("headers that replace the method replace no check"),
        INVALID,
        "A header opens the API.",
        warns=_NONE,
        method="HEAD",
        headers=(("X-HTTP-Method-Override", "OPTIONS"), ("X-Original-URL", "/x-nmos/")),
    ),
)
