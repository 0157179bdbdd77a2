"""WebSocket handshakes."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, Row, Suite, is_10, rfc
from nmos_auth.probe.table.statuses import INVALID

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
        token=lambda mint: mint.token(exp=int(mint.now()) - 60),
        forged=True,
    ),
    Row(
        "handshake-both",
        Suite.HANDSHAKES,
        "a handshake with a token in the header and another in the query",
        rfc(6750, "3.1", "a request with more than one token is invalid_request", Force.SHOULD),
        frozenset({400, 401}),
        "A proxy may check one token and the device use another.",
        target="{websocket}{separator}access_token={token}",
        websocket=True,
        token=lambda mint: mint.token(),
        headers=(("Authorization", "Bearer {token}"),),
    ),
)
