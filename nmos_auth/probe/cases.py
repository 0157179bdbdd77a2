"""How rows become requests: which rows fit a device, and what is sent. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmos_auth.probe.device import Device
from nmos_auth.probe.mint import Mint
from nmos_auth.probe.rows import Row
from nmos_auth.probe.wire import Socket

__all__ = ["UPGRADE", "Case", "Request", "cases_of", "request_of"]

# The names in a target that are not places of the device.
_OWN = {"token", "separator", "websocket", "escaped"}
UPGRADE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "bm1vcy1hdXRoLXByb2JlIQ=="),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A row, and the places of the device that it is tried on.

    Attributes:
        row: what is tried.
        places: what replaces the names in its target.
        socket: the WebSocket that its target names, or None.
    """

    row: Row
    places: Mapping[str, str]
    socket: Socket | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent for a case.

    Attributes:
        method: the HTTP method.
        target: the request target.
        headers: header fields.
        token: what is presented, or None.
        body: JSON, or None.
        shown: the request line for reports, without the token.
        socket: the WebSocket that it is sent to; None for the device's URL.
    """

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    token: str | None
    body: bytes | None
    shown: str
    socket: Socket | None = None


def cases_of(row: Row, device: Device) -> list[Case]:
    """Return the cases of a row; none if the device has no such place."""
    names_socket = "websocket" in row.needs
    if names_socket and device.websocket is None:
        return []
    fitting = [
        api.places
        for api in device.apis
        if row.api in {None, api.name} and all(api.places.get(each) for each in row.needs - _OWN)
    ]
    chosen = fitting if row.every_api else fitting[:1]
    return [Case(row, places, device.websocket if names_socket else None) for places in chosen]


def request_of(case: Case, mint: Mint) -> Request:
    """Write the request of a case.

    Args:
        case: the row and its places.
        mint: makes its token.
    """
    row = case.row
    token = None if row.token is None else row.token(mint)
    websocket = "" if case.socket is None else case.socket.target
    places = {
        **case.places,
        "websocket": websocket,
        "separator": "&" if "?" in websocket else "?",
        "escaped": "".join(f"%{ord(each):02x}" for each in case.places["path"]),
    }
    headers = list(row.headers)
    if token is not None:
        if any("{token}" in value for _, value in headers):
            headers = [(name, value.replace("{token}", token)) for name, value in headers]
        elif "token" not in row.needs:
            headers.append(("Authorization", f"Bearer {token}"))
    if row.websocket:
        headers += UPGRADE
    return Request(
        row.method,
        row.target_on({**places, "token": token or ""}),
        headers,
        token,
        None if row.body is None else json.dumps(row.body(case.places)).encode(),
        f"{row.method} {row.target_on({**places, 'token': 'TOKEN'})}",
        case.socket,
    )
