"""Whose resources are whose in a Registry.

While they are tried, one client, `OWNER`, has registered a Node and a Device, and another client,
`OTHER`, has registered another Node. Both may read and write everything.
"""

from __future__ import annotations

from nmos_auth.probe.resources import OTHER, OWNER, device, everything, node
from nmos_auth.probe.rows import Body, Force, Row, Source, Suite, bcp_003_02, is_10, practice
from nmos_auth.probe.sentences import NO_CREDENTIALS, PERMISSIONS_OBJECT, READERS_WRITE
from nmos_auth.probe.table.statuses import FORBIDDEN, INVALID, PERMITTED

__all__ = ["REGISTRY"]

_CLIENT = "Registry Client Authorization"
_OTHERS = bcp_003_02(_CLIENT, "only the client that registered a Node changes what belongs to it")
_OWN = bcp_003_02(_CLIENT, "the client that registered a Node changes it", Force.STATED)
_AZP = bcp_003_02(_CLIENT, "without `client_id` the same identifier is in `azp`", Force.STATED)
_HEARTBEAT = practice("a heartbeat for another client's Node is refused as well")
_EXACT = is_10(
    "Behaviour: Access Tokens, client_id", "`client_id` is exactly the client's identifier"
)
_WRITE = is_10(PERMISSIONS_OBJECT, "POST and DELETE require the permission to write", Force.STATED)
_HIJACKED = "Any Node of the plant can change, move or remove the resources of any other."
_KEPT = "Others can keep a Node registered that is gone, and clients try to connect to it."
_LOST = "Nodes cannot renew their own registration."

_RESOURCES = "{base}/resource"
_HEALTH = "{base}/health/nodes/{node}"
_DEVICE = "{base}/resource/devices/{device}"


def _row(
    name: str,
    title: str,
    source: Source,
    meaning: str,
    *,
    method: str = "POST",
    target: str = _RESOURCES,
    body: Body | None = None,
    passes: frozenset[int] = FORBIDDEN,
    **changes: object,
) -> Row:
    return Row(
        f"registry-{name}",
        Suite.REGISTRY,
        title,
        source,
        passes,
        meaning,
        warns=frozenset({401, 404, 409}) if passes == FORBIDDEN else frozenset(),
        token=lambda mint: everything(mint, **{"client_id": OTHER, **changes}),
        target=target,
        method=method,
        body=body,
        # BCP-003-02 requires the code; RFC 6750 only recommends it.
        error="insufficient_scope" if passes == FORBIDDEN and source is _OTHERS else None,
        api="registration",
        writes=True,
    )


REGISTRY = (
    _row(
        "own-heartbeat",
        "a heartbeat of the client's own Node",
        _OWN,
        _LOST,
        target=_HEALTH,
        passes=PERMITTED,
        client_id=OWNER,
    ),
    _row(
        "other-heartbeat", "a heartbeat of another client's Node", _HEARTBEAT, _KEPT, target=_HEALTH
    ),
    _row(
        "heartbeat-azp",
        "a heartbeat by `azp` in place of `client_id`",
        _AZP,
        _LOST,
        target=_HEALTH,
        passes=PERMITTED,
        client_id=None,
        azp=OWNER,
    ),
    _row(
        "heartbeat-other-user",
        "a heartbeat by the same client for another user",
        _OWN,
        _LOST,
        target=_HEALTH,
        passes=PERMITTED,
        client_id=OWNER,
        sub="another-user",
    ),
    _row(
        "heartbeat-capitals",
        "a heartbeat by a client whose id differs only in capitals",
        _EXACT,
        _HIJACKED,
        target=_HEALTH,
        client_id=OWNER.upper(),
    ),
    _row(
        "heartbeat-read",
        "a heartbeat with a token that may only read",
        _WRITE,
        READERS_WRITE,
        target=_HEALTH,
        client_id=OWNER,
        x_nmos={"read": ["*"]},
    ),
    Row(
        "registry-heartbeat-none",
        Suite.REGISTRY,
        "a heartbeat without a token",
        NO_CREDENTIALS,
        INVALID,
        _KEPT,
        target=_HEALTH,
        method="POST",
        api="registration",
        writes=True,
    ),
    _row("other-node", "another client's Node, registered again", _OTHERS, _HIJACKED, body=node),
    _row(
        "other-new-device",
        "a new Device below another client's Node",
        _OTHERS,
        "Any Node of the plant can register its resources below another Node.",
        body=lambda places: device(places, "new_device"),
    ),
    _row(
        "other-device", "another client's Device, registered again", _OTHERS, _HIJACKED, body=device
    ),
    _row(
        "other-move",
        "another client's Device, moved to the client's own Node",
        _OTHERS,
        _HIJACKED,
        body=lambda places: device(places, "device", "other_node"),
    ),
    _row(
        "move-to-other",
        "the client's own Device, moved to another client's Node",
        _OTHERS,
        "Any Node of the plant can register its resources below another Node.",
        body=lambda places: device(places, "device", "other_node"),
        # IS-04 "Behaviour: Registration" requires 400 for a Device that changes its Node.
        passes=frozenset({400, 403}),
        client_id=OWNER,
    ),
    _row(
        "other-delete-device",
        "DELETE of another client's Device",
        _OTHERS,
        _HIJACKED,
        method="DELETE",
        target=_DEVICE,
    ),
    _row(
        "other-delete-node",
        "DELETE of another client's Node",
        _OTHERS,
        _HIJACKED,
        method="DELETE",
        target="{base}/resource/nodes/{node}",
    ),
    _row(
        "still-there",
        "the Device, after others tried to change and to delete it",
        practice("what is refused changes nothing"),
        _HIJACKED,
        method="GET",
        target=_DEVICE,
        passes=PERMITTED,
        client_id=OWNER,
    ),
    _row(
        "own-device",
        "the client's own Device, registered again",
        _OWN,
        _LOST,
        body=device,
        passes=frozenset({200, 201}),
        client_id=OWNER,
    ),
    _row(
        "own-delete",
        "DELETE of the client's own Node",
        _OWN,
        "Nodes cannot remove what they registered.",
        method="DELETE",
        target="{base}/resource/nodes/{node}",
        passes=frozenset({204}),
        client_id=OWNER,
    ),
)
