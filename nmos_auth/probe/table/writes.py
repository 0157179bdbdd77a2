"""Requests that could change something; each names a resource that does not exist."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, Row, Suite, is_10
from nmos_auth.probe.sentences import NO_CREDENTIALS, PERMISSIONS_OBJECT, READERS_WRITE
from nmos_auth.probe.table.statuses import FORBIDDEN, INVALID
from nmos_auth.probe.table.tokens import good_token

__all__ = ["WRITES"]

_NOWHERE = "{base}/{path}/00000000-0000-4000-8000-000000000000"
_WRITE = is_10(
    PERMISSIONS_OBJECT, "POST, PUT, PATCH and DELETE require the permission to write", Force.STATED
)

WRITES = tuple(
    row
    for method in ("POST", "PUT", "PATCH", "DELETE")
    for row in (
        Row(
            f"writes-{method.lower()}-none",
            Suite.WRITES,
            f"{method} without a token",
            NO_CREDENTIALS,
            INVALID,
            "Anybody on the network can change this device.",
            target=_NOWHERE,
            method=method,
            writes=True,
        ),
        Row(
            f"writes-{method.lower()}-read",
            Suite.WRITES,
            f"{method} with a token that may only read",
            _WRITE,
            FORBIDDEN,
            READERS_WRITE,
            token=good_token,
            target=_NOWHERE,
            method=method,
            writes=True,
        ),
        Row(
            f"writes-{method.lower()}-other",
            Suite.WRITES,
            f"{method} with a token that may write elsewhere",
            _WRITE,
            FORBIDDEN,
            "Clients that may write one thing can write everything.",
            token=lambda mint: mint.token(x_nmos={"read": ["*"], "write": [mint.other]}),
            target=_NOWHERE,
            method=method,
            writes=True,
        ),
    )
)
