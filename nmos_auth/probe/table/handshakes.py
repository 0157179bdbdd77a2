"""WebSocket handshakes."""

from __future__ import annotations

from dataclasses import replace

from nmos_auth.probe.rows import Force, Maker, Row, Source, Suite, bcp_003_02, is_10, rfc
from nmos_auth.probe.sentences import (
    BOTH_WAYS,
    EVENTS_AUTHORIZATION,
    HANDSHAKE,
    OTHERS,
    PROXY,
    WEBSOCKET,
)
from nmos_auth.probe.table.statuses import FORBIDDEN, INVALID
from nmos_auth.probe.table.tokens import by_stranger, claims, expired_token, good_token

__all__ = ["HANDSHAKES"]

_REPEATED = rfc(
    6750, "3.1", "a request with more than one token is answered 400, invalid_request", Force.SHOULD
)
_UPGRADED = frozenset({101})
_GOOD = "access_token={token}"
_BAD = "access_token=a.b.c"
_HEADER = (("Authorization", "Bearer {token}"),)
_OLD = "Expired tokens open the WebSocket."


def _row(
    name: str,
    title: str,
    token: Maker | None,
    passes: frozenset[int],
    meaning: str,
    source: Source = HANDSHAKE,
    *,
    query: str = "",
    headers: tuple[tuple[str, str], ...] = (),
) -> Row:
    # Only a refusal has statuses that serve its purpose as well.
    warns = frozenset({400, 401, 403}) if passes in (INVALID, FORBIDDEN) else passes
    return Row(
        f"handshake-{name}",
        Suite.HANDSHAKES,
        f"a handshake {title}",
        source,
        passes,
        meaning,
        warns=warns - passes,
        token=token,
        target=f"{{websocket}}{{separator}}{query}" if query else "{websocket}",
        headers=headers,
        api="events",
        websocket=True,
    )


def _forged(name: str, title: str, token: Maker, meaning: str, query: str = "") -> Row:
    return replace(_row(name, title, token, INVALID, meaning, query=query), forged=True)


HANDSHAKES = (
    _row(
        "none",
        "without a token",
        None,
        INVALID,
        "Anybody on the network can listen to this WebSocket.",
    ),
    _row(
        "header",
        "with the token in the header",
        good_token,
        _UPGRADED,
        "Clients with good tokens cannot listen.",
        BOTH_WAYS,
    ),
    _row(
        "query",
        "with the token in the query",
        good_token,
        _UPGRADED,
        "Controllers in a browser cannot listen: scripts cannot set the header.",
        BOTH_WAYS,
        query=_GOOD,
    ),
    _forged(
        "stranger",
        "with a stranger's token",
        by_stranger(),
        "Anyone who knows how can make tokens for this device.",
    ),
    _forged("expired", "with a token that expired a minute ago", expired_token, _OLD),
    _row(
        "rubbish",
        "with a text that is not a token",
        None,
        INVALID,
        "A text that is not a token opens the WebSocket.",
        headers=(("Authorization", "Bearer rubbish"),),
    ),
    _forged("query-expired", "with an expired token in the query", expired_token, _OLD, _GOOD),
    _row(
        "audience",
        "with a token for another device",
        claims(aud=["other.invalid"]),
        FORBIDDEN,
        OTHERS,
    ),
    _row(
        "other-api",
        "with a token for another API",
        claims(scope="nonsense", x_nmos=None, **{"x-nmos-nonsense": {"read": ["*"]}}),
        FORBIDDEN,
        "Every client that has a token for this device can listen.",
        bcp_003_02(
            EVENTS_AUTHORIZATION,
            "the token covers the scope `events`, and has claims for the Sources",
            Force.STATED,
        ),
    ),
    _row(
        "scope",
        "with the scope and without a claim",
        claims(scope="events", x_nmos=None),
        _UPGRADED,
        "Clients whose tokens have only the scope cannot listen.",
        bcp_003_02(
            EVENTS_AUTHORIZATION,
            "commands require only the scope `events`, not a claim",
            Force.STATED,
        ),
    ),
    _row(
        "cookie",
        "with the token in a cookie",
        good_token,
        INVALID,
        "Any web page that a user opens can listen in the user's name.",
        is_10(WEBSOCKET, "the token of a handshake is in the header or the query"),
        headers=(("Cookie", "access_token={token}"),),
    ),
    *(
        _row(
            name,
            f"with {title}",
            good_token,
            frozenset({400, 401}),
            PROXY,
            _REPEATED,
            query=query,
            headers=headers,
        )
        for name, title, query, headers in (
            ("query-twice", "the token twice in the query", f"{_GOOD}&{_GOOD}", ()),
            ("query-bad", "a good token in the header and a bad one in the query", _BAD, _HEADER),
            ("both", "a token in the header and another in the query", _GOOD, _HEADER),
        )
    ),
)
