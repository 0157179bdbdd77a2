"""The rows that other makers' devices are held to, as rows of this table.

They are data of `nmos_auth.probe`. Where the texts allow several answers, or leave the answer to
good practice, `_OURS` has the one that is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import nmos_auth.probe.rows as probe
from nmos_auth.probe.cases import Case, request_of
from nmos_auth.probe.mint import Mint, ProbeKey
from nmos_auth.probe.table import ROWS as PROBE_ROWS
from nmos_auth.probe.wire import Socket
from tests.contract.rows import (
    BAD_TARGET,
    FORBIDDEN,
    INVALID_REQUEST,
    INVALID_TOKEN,
    NO_CREDENTIALS,
    OK,
    UPGRADED,
    Answer,
    Row,
    TableMint,
)
from tests.support.sockets import request_bytes
from tests.support.tokens import SigningKey

__all__ = ["ROWS", "ProbeRow"]

_NODE = {
    "api": "node",
    "base": "/x-nmos/node/v1.3",
    "path": "self",
    "other": "devices",
    "domain": "example.com",
}
_PLACES: Mapping[str | None, Mapping[str, str]] = {
    None: _NODE,
    "connection": {
        **_NODE,
        "api": "connection",
        "base": "/x-nmos/connection/v1.1",
        "path": "single",
        "other": "bulk",
        "sender": "58f6b536-ca4c-43fd-880a-9df2501fc125",
    },
    "events": {**_NODE, "api": "events", "base": "/x-nmos/events/v1.0", "path": "sources"},
}
_SOCKET = Socket("/x-nmos/events/v1.0/devices/58f6b536-ca4c-43fd-880a-9df2501fc125")
# These need what an application has: resources that are there, and bodies that are looked at.
_OF_APPLICATIONS = {
    probe.Suite.REGISTRY,
    probe.Suite.SUBSCRIPTIONS,
}
_ELSEWHERE = {
    "connection-staged-granted",
    # It has another issuer of the same host asked, which the tests of trust are about.
    "claims-issuer-slash",
}

_OURS: Mapping[str, tuple[Answer, ...]] = {
    **dict.fromkeys(
        (
            *("credentials-empty", "credentials-no-token", "credentials-trailing"),
            *("credentials-list", "credentials-comma", "credentials-quotes"),
            *("credentials-parameter", "credentials-tab", "credentials-twice"),
            *("credentials-good-and-bad", "credentials-bad-and-good"),
            *("credentials-basic-and-good", "handshake-query-twice", "handshake-query-bad"),
            "handshake-both",
        ),
        (INVALID_REQUEST,),
    ),
    **dict.fromkeys(("credentials-token-alone", "credentials-query"), (NO_CREDENTIALS,)),
    **dict.fromkeys(
        (
            *("credentials-long-rubbish", "claims-aud-nested", "claims-scope-list"),
            *("claims-duplicate", "claims-number-huge"),
        ),
        (INVALID_TOKEN,),
    ),
    **dict.fromkeys(
        (
            *("paths-slash-escaped", "paths-backslash", "paths-overlong"),
            *("paths-overlong-slash", "paths-open-double-slash", "paths-open-inner-slash"),
            *("paths-open-null", "paths-open-newline", "paths-open-no-slash"),
            *("paths-bad-escape", "paths-bad-utf-8", "paths-surrogate"),
        ),
        (BAD_TARGET,),
    ),
    **dict.fromkeys(
        (
            *("paths-dots", "paths-dots-escaped", "paths-dots-mixed", "paths-dots-deep"),
            *("connection-example-dots", "methods-trace-token", "methods-propfind-token"),
        ),
        (FORBIDDEN,),
    ),
    **dict.fromkeys(
        (
            *("paths-open-capitals", "paths-open-escaped", "paths-open-dot", "paths-open-dots"),
            *("paths-open-absolute", "paths-open-absolute-dots"),
            *("methods-trace", "methods-propfind", "methods-query", "methods-xyzzy"),
            *("methods-case-get", "methods-case-options", "methods-case-get2"),
        ),
        (NO_CREDENTIALS,),
    ),
    # Here every path is there: what is permitted is another one than it looks like.
    **dict.fromkeys(
        (
            *("paths-dots-twice", "paths-parameters", "paths-wide-dots", "paths-open-parameters"),
            "paths-query-dots",
        ),
        (OK,),
    ),
    **dict.fromkeys(("preflight", "preflight-patch"), (OK,)),
}
_REACHED = {
    "paths-dots-twice": "/x-nmos/node/v1.3/devices/%2e%2e/self",
    "paths-parameters": "/x-nmos/node/v1.3/devices/..;x=y/self",
    "paths-wide-dots": "/x-nmos/node/v1.3/devices/\uff0e\uff0e/self",
    "paths-open-parameters": "/x-nmos;x=y/node/",
    "paths-query-dots": "/x-nmos/node/v1.3/devicesx",
}


def _key(key: SigningKey) -> ProbeKey:
    return ProbeKey("key", key.private, kid=key.kid or "")


@dataclass(frozen=True)
class ProbeRow(Row):
    """A row of the probe.

    Attributes:
        case: the row, on the server that is judged here.
    """

    case: Case = field(kw_only=True)

    def request(self, mint: TableMint) -> tuple[bytes, tuple[str, ...]]:
        """Write the request as the probe does."""
        listener = f"https://127.0.0.1:{mint.listener}"
        makes = Mint(
            issuer=mint.issuer,
            audience="node1.example.com",
            places=self.case.places,
            key=_key(mint.key),
            stranger=_key(mint.stranger),
            neighbour=listener,
            neighbour_key=_key(mint.stranger),
            now=mint.clock,
        )
        request = request_of(self.case, makes)
        tokens = () if request.token is None else (request.token,)
        headers = list(request.headers)
        if request.body is not None:
            headers.append(("Content-Type", "application/json"))
        return request_bytes(request.method, request.target, headers, request.body or b""), tokens


def _presents(row: probe.Row) -> bool:
    """Tell whether a row presents a token where one is looked for."""
    values = [value for name, value in row.headers if name.lower() == "authorization"]
    if values:
        return values[0].lower().startswith("bearer ")
    if row.token is None or any("{token}" in value for _, value in row.headers):
        return False
    return row.websocket or "token" not in row.needs


def _answer(row: probe.Row) -> Answer:
    (status,) = row.passes
    if status in {200, 101}:
        return OK if status == 200 else UPGRADED
    if status == 401:
        return INVALID_TOKEN if _presents(row) else NO_CREDENTIALS
    return FORBIDDEN if status == 403 else Answer(status)


def _row(row: probe.Row) -> ProbeRow:
    socket = _SOCKET if "websocket" in row.needs else None
    return ProbeRow(
        f"probe-{row.id}",
        str(row.source),
        _OURS.get(row.id) or (_answer(row),),
        method=row.method,
        websocket=row.websocket,
        reached=_REACHED.get(row.id),
        decided=row.id != "paths-open-parameters",
        case=Case(row, _PLACES[row.api], socket),
    )


ROWS = [
    _row(row)
    for row in PROBE_ROWS
    if row.suite not in _OF_APPLICATIONS and row.id not in _ELSEWHERE
]
