"""WebSocket handshakes."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, Row, Suite, bcp_003_02, is_10, rfc
from nmos_auth.probe.sentences import OTHERS, PROXY
from nmos_auth.probe.table.statuses import FORBIDDEN, INVALID

__all__ = ["HANDSHAKES"]

_WEBSOCKET = "Behaviour: Resource Servers, Operation with WebSocket"
_SAME = is_10(_WEBSOCKET, "the token of a handshake is validated like that of any request")
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
        "Anybody on the network can listen to this WebSocket.",
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
        "Anyone who knows how can make tokens for this device.",
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
        "Expired tokens open the WebSocket.",
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
        "a handshake with a text that is not a token",
        _SAME,
        INVALID,
        "A text that is not a token opens the WebSocket.",
        warns=_REFUSALS,
        target="{websocket}",
        websocket=True,
        api="events",
        headers=(("Authorization", "Bearer rubbish"),),
    ),
    Row(
        "handshake-query-expired",
        Suite.HANDSHAKES,
        "a handshake with an expired token in the query",
        _SAME,
        INVALID,
        "Expired tokens open the WebSocket.",
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
        OTHERS,
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
        "Every client that has a token for this device can listen.",
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
        "a handshake with the scope and without a claim",
        bcp_003_02(
            "IS-07 - Event and Tally, WebSocket Authorization",
            "commands require only the scope `events`, not a claim",
            Force.STATED,
        ),
        _UPGRADED,
        "Clients whose tokens have only the scope cannot listen.",
        target="{websocket}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(scope="events", x_nmos=None),
    ),
    Row(
        "handshake-cookie",
        Suite.HANDSHAKES,
        "a handshake with the token in a cookie",
        is_10(_WEBSOCKET, "the token of a handshake is in the header or the query"),
        INVALID,
        "Any web page that a user opens can listen in the user's name.",
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
            rfc(6750, "3.1", "a request with more than one token is invalid_request", Force.SHOULD),
            frozenset({400, 401}),
            PROXY,
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
            6750, "3.1", "a request that sends tokens in two ways is invalid_request", Force.SHOULD
        ),
        frozenset({400, 401}),
        PROXY,
        target="{websocket}{separator}access_token={token}",
        websocket=True,
        api="events",
        token=lambda mint: mint.token(),
        headers=(("Authorization", "Bearer {token}"),),
    ),
)
