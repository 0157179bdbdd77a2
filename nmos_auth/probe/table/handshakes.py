"""WebSocket handshakes."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, Row, Suite, bcp_003_02, is_10, rfc
from nmos_auth.probe.table.statuses import FORBIDDEN, INVALID

__all__ = ["HANDSHAKES"]

_WEBSOCKET = "Behaviour: Resource Servers, Operation with WebSocket"
_SAME = is_10(_WEBSOCKET, "tokens of handshakes are validated as those of any request")
_BOTH = is_10(_WEBSOCKET, "a token is accepted in the header and in the query")
_UPGRADED = frozenset({101})
_REFUSALS = frozenset({400, 403})

HANDSHAKES = (
    Row(
        "handshake-none",
        Suite.HANDSHAKES,
        "a handshake without a token",
        _SAME,
        INVALID,
        "Anybody on the network may listen to this WebSocket.",
        warns=_REFUSALS,
        target="{websocket}",
        websocket=True,
        api="events",
    ),
    Row(
        "handshake-header",
        Suite.HANDSHAKES,
        "a handshake with the token in the header",
        _BOTH,
        _UPGRADED,
        "Clients with good tokens cannot listen.",
        target="{websocket}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(),
    ),
    Row(
        "handshake-query",
        Suite.HANDSHAKES,
        "a handshake with the token in the query",
        _BOTH,
        _UPGRADED,
        "Controllers in a browser cannot listen: scripts cannot set the header.",
        target="{websocket}{separator}access_token={token}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(),
        headers=(("X-Probe", "query"),),
    ),
    Row(
        "handshake-stranger",
        Suite.HANDSHAKES,
        "a handshake with a stranger's token",
        _SAME,
        INVALID,
        "Whoever knows how can make tokens for this device.",
        warns=_REFUSALS,
        target="{websocket}",
        websocket=True,
        api="events",
        token=lambda mint: mint.signed(mint.claims(), key=mint.stranger),
        forged=True,
    ),
    Row(
        "handshake-expired",
        Suite.HANDSHAKES,
        "a handshake with a token that expired a minute ago",
        _SAME,
        INVALID,
        "Tokens that ended open the WebSocket.",
        warns=_REFUSALS,
        target="{websocket}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(exp=int(mint.now()) - 60),
        forged=True,
    ),
    Row(
        "handshake-rubbish",
        Suite.HANDSHAKES,
        "a handshake with a token that is not one",
        _SAME,
        INVALID,
        "What is not a token opens the WebSocket.",
        warns=_REFUSALS,
        target="{websocket}",
        websocket=True,
        api="events",
        headers=(("Authorization", "Bearer rubbish"),),
    ),
    Row(
        "handshake-query-expired",
        Suite.HANDSHAKES,
        "a handshake with a token in the query that expired a minute ago",
        _SAME,
        INVALID,
        "Tokens that ended open the WebSocket.",
        warns=_REFUSALS,
        target="{websocket}{separator}access_token={token}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(exp=int(mint.now()) - 60),
        headers=(("X-Probe", "query"),),
        forged=True,
    ),
    Row(
        "handshake-audience",
        Suite.HANDSHAKES,
        "a handshake with a token for another device",
        _SAME,
        FORBIDDEN,
        "Tokens for another device open this one.",
        warns=frozenset({400, 401}),
        target="{websocket}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(aud=["other.invalid"]),
    ),
    Row(
        "handshake-other-api",
        Suite.HANDSHAKES,
        "a handshake with a token for another API",
        bcp_003_02(
            "IS-07 - Event and Tally, WebSocket Authorization",
            "the token covers the scope `events`, and has claims for the Sources",
            Force.STATED,
        ),
        FORBIDDEN,
        "Whoever may do anything at all may listen.",
        warns=frozenset({400, 401}),
        target="{websocket}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(
            scope="nonsense", x_nmos=None, **{"x-nmos-nonsense": {"read": ["*"]}}
        ),
    ),
    Row(
        "handshake-scope",
        Suite.HANDSHAKES,
        "a handshake with the scope, and no claim",
        bcp_003_02(
            "IS-07 - Event and Tally, WebSocket Authorization",
            "commands need no claim beside the scope `events`",
            Force.STATED,
        ),
        _UPGRADED,
        "Clients with small tokens cannot listen.",
        target="{websocket}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(scope="events", x_nmos=None),
    ),
    Row(
        "handshake-cookie",
        Suite.HANDSHAKES,
        "a handshake with the token in a cookie",
        is_10(_WEBSOCKET, "tokens of handshakes stand in the header or the query"),
        INVALID,
        "Any web page that a user opens can listen in his name.",
        warns=_REFUSALS,
        target="{websocket}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(),
        headers=(("Cookie", "access_token={token}"),),
    ),
    *(
        Row(
            f"handshake-{name}",
            Suite.HANDSHAKES,
            f"a handshake with {title}",
            rfc(
                6750, "3.1", "who sends more than one token sends an invalid_request", Force.SHOULD
            ),
            frozenset({400, 401}),
            "A proxy may check one token and the device use another.",
            target=f"{{websocket}}{{separator}}{query}",
            websocket=True,
            api="events",
            token=lambda mint: mint.token(),
            headers=headers,
        )
        for name, title, query, headers in (
            (
                "query-twice",
                "the token twice in the query",
                "access_token={token}&access_token={token}",
                (("X-Probe", "query"),),
            ),
            (
                "query-bad",
                "a good token in the header and a bad one in the query",
                "access_token=a.b.c",
                (("Authorization", "Bearer {token}"),),
            ),
        )
    ),
    Row(
        "handshake-both",
        Suite.HANDSHAKES,
        "a handshake with a token in the header and another in the query",
        rfc(
            6750, "3.1", "who uses two ways to send a token sends an invalid_request", Force.SHOULD
        ),
        frozenset({400, 401}),
        "A proxy may check one token and the device use another.",
        target="{websocket}{separator}access_token={token}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(),
        headers=(("Authorization", "Bearer {token}"),),
    ),
)
