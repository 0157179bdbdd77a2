"""What a device has: its APIs, a few paths below each, a WebSocket."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from nmos_auth.probe.wire import NoReply, Reply, Wire

__all__ = ["Api", "Device", "learn"]

_VERSION = re.compile(r"v[0-9]+\.[0-9]+")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_MOST_APIS = 12
_MOST_SENDERS = 20
# Where a token's own API is not known yet, or is another's.
_GUESSED = ("node", "connection", "events", "channelmapping", "query", "registration")


@dataclass(frozen=True, slots=True)
class Api:
    """One API of a device.

    Attributes:
        name: as in the URL.
        base: `/x-nmos/NAME/VERSION`.
        path: a path below it that can be read, without slashes around it.
        other: another one, that is not below it; "" where there is none.
    """

    name: str
    base: str
    path: str
    other: str

    @property
    def places(self) -> dict[str, str]:
        """What targets of rows stand on."""
        return {"base": self.base, "api": self.name, "path": self.path, "other": self.other}


@dataclass(frozen=True, slots=True)
class Device:
    """What was found.

    Attributes:
        apis: those whose base path lists at least one path that can be read.
        websocket: the target of a WebSocket, or None.
    """

    apis: tuple[Api, ...]
    websocket: str | None


async def learn(
    wire: Wire, token_for: Callable[[str], str], *, websocket: str | None = None
) -> Device:
    """Read a device's own lists.

    Args:
        wire: the way to it.
        token_for: makes a token that may read all of an API.
        websocket: the target of a WebSocket, where the user named one.
    """
    listed = await _list(wire, "/x-nmos/", None)
    names = [each for each in listed if _NAME.fullmatch(each)] or list(_GUESSED)
    apis = []
    for name in names[:_MOST_APIS]:
        api = await _api(wire, name, token_for(name))
        if api is not None:
            apis.append(api)
    # Rows that are tried once are tried where there are two paths to tell apart.
    apis.sort(key=lambda api: not api.other)
    return Device(tuple(apis), websocket or await _websocket(wire, apis, token_for))


async def _list(wire: Wire, target: str, token: str | None) -> list[str]:
    reply = await _get(wire, target, token)
    if reply is None or reply.status != 200:
        return []
    try:
        listed = json.loads(reply.body)
    except ValueError:
        return []
    if not isinstance(listed, list):
        return []
    return [each.strip("/") for each in listed if isinstance(each, str) and each.strip("/")]


async def _get(wire: Wire, target: str, token: str | None) -> Reply | None:
    headers = [] if token is None else [("Authorization", f"Bearer {token}")]
    try:
        return await wire.ask("GET", target, headers)
    except NoReply:
        return None


async def _api(wire: Wire, name: str, token: str) -> Api | None:
    versions = [
        each for each in await _list(wire, f"/x-nmos/{name}/", token) if _VERSION.fullmatch(each)
    ]
    if not versions:
        return None
    latest = max(versions, key=lambda each: tuple(map(int, each[1:].split("."))))
    base = f"/x-nmos/{name}/{latest}"
    readable = []
    for each in await _list(wire, f"{base}/", token):
        reply = await _get(wire, f"{base}/{each}", token)
        if reply is not None and reply.status == 200:
            readable.append(each)
        if len(readable) == 2:
            break
    if not readable:
        return None
    path, *others = readable
    return Api(name, base, path, others[0] if others else "")


async def _websocket(
    wire: Wire, apis: Sequence[Api], token_for: Callable[[str], str]
) -> str | None:
    """Look for an IS-07 WebSocket Sender's URI in the Connection API."""
    connection = next((each for each in apis if each.name == "connection"), None)
    if connection is None:
        return None
    token = token_for("connection")
    senders = f"{connection.base}/single/senders"
    for sender in (await _list(wire, f"{senders}/", token))[:_MOST_SENDERS]:
        reply = await _get(wire, f"{senders}/{sender}/active", token)
        if reply is None or reply.status != 200:
            continue
        target = _target_of(reply.body, wire)
        if target is not None:
            return target
    return None


def _target_of(body: bytes, wire: Wire) -> str | None:
    try:
        legs = json.loads(body)["transport_params"]
        uri = urlsplit(legs[0]["connection_uri"])
        if uri.scheme not in {"ws", "wss"} or (uri.port or 0) not in {0, wire.port}:
            return None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    path, query = str(uri.path), str(uri.query)
    return f"{path}?{query}" if query else path
