"""Who may follow what in a Registry: Query API subscriptions and their WebSockets."""

from __future__ import annotations

from nmos_auth.probe.resources import subscribing, subscription
from nmos_auth.probe.rows import Maker, Row, Source, Suite, bcp_003_02
from nmos_auth.probe.sentences import BOTH_WAYS, HANDSHAKE
from nmos_auth.probe.table.statuses import FORBIDDEN, INVALID
from nmos_auth.probe.table.tokens import by_stranger, claims, expired_token

__all__ = ["SUBSCRIPTIONS"]

_SOCKETS = "Registry WebSocket Authorization"
_MAKING = bcp_003_02(_SOCKETS, "the token has a write claim that matches `subscriptions`")
_READING = bcp_003_02(_SOCKETS, "the token has a read claim that matches all that may be sent")
_HREF = bcp_003_02(_SOCKETS, "`ws_href` is not compared with the claims")
_FOLLOWS = "Clients can follow what the operator did not grant them."
_LISTENS = "Anybody on the network can follow what the Registry learns."
_LESS = "Clients cannot follow what the operator granted them."

# With any of these answers the connection does not become a WebSocket.
_NOT_UPGRADED = frozenset({200, 400, 401, 403, 404, 405, 426, 501})


def _reading(*specifiers: str) -> Maker:
    """Make a token that may subscribe, and read what these match."""
    return lambda mint: mint.token(
        x_nmos={"read": [mint.filled(each) for each in specifiers], "write": ["subscriptions"]}
    )


def _making(name: str, title: str, token: Maker | None, passes: frozenset[int]) -> Row:
    return Row(
        f"subscriptions-make-{name}",
        Suite.SUBSCRIPTIONS,
        title,
        _MAKING,
        passes,
        _LESS if 201 in passes else _FOLLOWS,
        warns=frozenset() if 201 in passes else frozenset({401, 403}) - passes,
        token=token,
        target="{base}/subscriptions",
        method="POST",
        body=subscription,
        api="query",
        writes=True,
    )


def _upgrade(name: str, title: str, token: Maker | None) -> Row:
    return Row(
        f"subscriptions-upgrade-{name}",
        Suite.SUBSCRIPTIONS,
        title,
        _MAKING if name == "read" else _READING,
        _NOT_UPGRADED,
        _FOLLOWS,
        token=token,
        target="{base}/nodes",
        api="query",
        websocket=True,
    )


def _connect(
    name: str,
    title: str,
    source: Source,
    token: Maker | None,
    passes: frozenset[int],
    meaning: str,
    *,
    target: str = "{websocket}",
    forged: bool = False,
) -> Row:
    return Row(
        f"subscriptions-connect-{name}",
        Suite.SUBSCRIPTIONS,
        title,
        source,
        passes,
        meaning,
        warns=frozenset() if 101 in passes else frozenset({400, 401, 403}) - passes,
        token=token,
        target=target,
        api="query",
        websocket=True,
        forged=forged,
        # It requires a subscription, which only a POST makes.
        writes=True,
    )


SUBSCRIPTIONS = (
    _upgrade(
        "read",
        "a WebSocket by Upgrade, with a token that may only read",
        claims(x_nmos={"read": ["*"]}),
    ),
    _upgrade(
        "other",
        "a WebSocket by Upgrade, with a token that may read something else",
        _reading("receivers", "receivers/*"),
    ),
    _making("none", "a subscription without a token", None, INVALID),
    _making(
        "read",
        "a subscription with a token that may only read",
        claims(x_nmos={"read": ["*"]}),
        FORBIDDEN,
    ),
    _making(
        "elsewhere",
        "a subscription with a token that may write elsewhere",
        claims(x_nmos={"read": ["*"], "write": ["nodes/*"]}),
        FORBIDDEN,
    ),
    _making(
        "write",
        "a subscription with a token that may write `subscriptions`",
        subscribing,
        frozenset({200, 201}),
    ),
    _connect("none", "`ws_href` without a token", HANDSHAKE, None, INVALID, _LISTENS),
    _connect(
        "expired",
        "`ws_href` with a token that expired a minute ago",
        HANDSHAKE,
        expired_token,
        INVALID,
        _LISTENS,
        forged=True,
    ),
    _connect(
        "stranger",
        "`ws_href` with a stranger's token",
        HANDSHAKE,
        by_stranger(),
        INVALID,
        _LISTENS,
        forged=True,
    ),
    _connect(
        "audience",
        "`ws_href` with a token for another server",
        HANDSHAKE,
        claims(aud=["other.invalid"]),
        FORBIDDEN,
        _LISTENS,
    ),
    _connect(
        "other",
        "`ws_href` with a token that may read something else",
        _READING,
        _reading("receivers", "receivers/*"),
        FORBIDDEN,
        _FOLLOWS,
    ),
    _connect(
        "one",
        "`ws_href` with a token that may read one Node",
        _READING,
        _reading("nodes/00000000-0000-4000-8000-000000000000"),
        FORBIDDEN,
        _FOLLOWS,
    ),
    _connect(
        "write",
        "`ws_href` with a token that may subscribe but not read",
        _READING,
        claims(x_nmos={"write": ["subscriptions"]}),
        FORBIDDEN,
        _FOLLOWS,
    ),
    _connect(
        "scope",
        "`ws_href` with a token that has the scope and not the claim",
        _READING,
        claims(x_nmos=None),
        FORBIDDEN,
        _FOLLOWS,
    ),
    _connect(
        "path",
        "`ws_href` with a token that may read its path",
        _HREF,
        _reading("{href}", "{href}*"),
        FORBIDDEN,
        _FOLLOWS,
    ),
    _connect(
        "read",
        "`ws_href` with a token that may read all Nodes",
        _READING,
        _reading("nodes/*"),
        frozenset({101}),
        _LESS,
    ),
    _connect(
        "query",
        "`ws_href` with the token in its query",
        BOTH_WAYS,
        _reading("nodes/*"),
        frozenset({101}),
        "Controllers in a browser cannot follow the Registry: scripts cannot set the header.",
        target="{websocket}{separator}access_token={token}",
    ),
)
