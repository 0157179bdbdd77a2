"""What a device has: its APIs, a few paths below each, and a WebSocket."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nmos_auth.probe.wire import NoReply, Socket, Wire, parsed

__all__ = ["Api", "Device", "learn", "reached"]

_VERSION = re.compile(r"v[0-9]{1,4}\.[0-9]{1,4}")
# What a target may be made of; whatever else a device lists is not sent back to it.
_NAME = re.compile(r"(?!\.\.?$)[A-Za-z0-9._~-]+")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_APIS = 12
_MOST_PATHS = 50
_MOST_SENDERS = 20
# The APIs to try if the device does not list its own.
_GUESSED = ("node", "connection", "events", "channelmapping", "query", "registration")


@dataclass(frozen=True, slots=True)
class Api:
    """One API of a device.

    Attributes:
        name: as in the URL.
        base: `/x-nmos/NAME/VERSION`.
        path: a path below it that can be read, without slashes around it; "" if there is none.
        other: another such path, not below the first; "" if there is none.
        ids: further places: `domain` of the device's name, `sender` of the Connection API, `source`
            of the Events API.
    """

    name: str
    base: str
    path: str = ""
    other: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, str]:
        """The places by which the targets of rows are filled in."""
        return {
            "base": self.base,
            "api": self.name,
            "path": self.path,
            "other": self.other,
            **self.ids,
        }


@dataclass(frozen=True, slots=True)
class Device:
    """What was found.

    Attributes:
        apis: those whose base path can be read; those with two paths come first.
        websocket: the WebSocket of its Senders, or None.
        sources: the ids of the Sources that its active Senders send there.
    """

    apis: tuple[Api, ...]
    websocket: Socket | None
    sources: tuple[str, ...] = ()

    def api(self, name: str) -> Api | None:
        """Return an API by its name, or None."""
        return next((each for each in self.apis if each.name == name), None)


async def learn(
    wire: Wire, token_for: Callable[[str], str], domain: str = "", websocket: Socket | None = None
) -> Device:
    """Read the lists of a device: its APIs, their paths and its Senders.

    Args:
        wire: connects to it.
        token_for: makes a token that may read all of an API.
        domain: the domain of the device's name, or "".
        websocket: the WebSocket of its Senders, if the user named it.
    """
    names = await _list(wire, "/x-nmos/", None)
    apis = []
    for name in (names or list(_GUESSED))[:_MOST_APIS]:
        api = await _api(wire, name, token_for(name))
        if api is not None:
            apis.append(replace(api, ids={**api.ids, "domain": domain}))
    # A row that is tried on one API requires one with two paths, if there is one.
    apis.sort(key=lambda api: (not api.path, not api.other))
    socket, sources = await _senders(wire, apis, token_for)
    return Device(tuple(apis), websocket or socket, sources)


async def _get(wire: Wire, target: str, token: str | None) -> object:
    """Return the JSON at a target, or None."""
    headers = [] if token is None else [("Authorization", f"Bearer {token}")]
    try:
        reply = await wire.ask("GET", target, headers)
        moved = reply.moved_to(target)
        if moved is not None:
            reply = await wire.ask("GET", moved, headers)
    except NoReply:
        return None
    return parsed(reply.body) if reply.status == 200 else None


async def _list(wire: Wire, target: str, token: str | None) -> list[str]:
    listed = await _get(wire, target, token)
    if not isinstance(listed, list):
        return []
    names = [each.strip("/") for each in listed if isinstance(each, str)]
    return [each for each in names if _NAME.fullmatch(each)]


async def _api(wire: Wire, name: str, token: str) -> Api | None:
    versions = [
        each for each in await _list(wire, f"/x-nmos/{name}/", token) if _VERSION.fullmatch(each)
    ]
    if not versions:
        return None
    latest = max(versions, key=lambda each: tuple(map(int, each[1:].split("."))))
    base = f"/x-nmos/{name}/{latest}"
    readable: list[str] = []
    for each in (await _list(wire, f"{base}/", token))[:_MOST_PATHS]:
        if len(readable) < 2 and await _get(wire, f"{base}/{each}", token) is not None:
            readable.append(each)
    path, other, *_ = (*readable, "", "")
    return Api(name, base, path, other, await _ids(wire, name, base, token))


_IDS = {"connection": ("single/senders", "sender"), "events": ("sources", "source")}


async def _ids(wire: Wire, name: str, base: str, token: str) -> dict[str, str]:
    """Return the ids that the rows of an API require beside its paths."""
    if name not in _IDS:
        return {}
    path, place = _IDS[name]
    ids = [each for each in await _list(wire, f"{base}/{path}/", token) if _ID.fullmatch(each)]
    return {place: ids[0]} if ids else {}


async def _senders(
    wire: Wire, apis: Sequence[Api], token_for: Callable[[str], str]
) -> tuple[Socket | None, tuple[str, ...]]:
    """Look in the Connection API for WebSocket Senders: where they send, and which Sources."""
    connection = next((each for each in apis if each.name == "connection"), None)
    if connection is None:
        return None, ()
    token = token_for("connection")
    senders = f"{connection.base}/single/senders"
    named: Socket | None = None
    sources = []
    for sender in (await _list(wire, f"{senders}/", token))[:_MOST_SENDERS]:
        active = await _get(wire, f"{senders}/{sender}/active", token)
        try:
            leg = active["transport_params"][0]  # type: ignore[index]
            socket, source = Socket.of(str(leg["connection_uri"])), leg["ext_is_07_source_id"]
            enabled = active["master_enable"] is True  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            continue
        # All Senders of a device should have the same URI (IS-07 "WebSocket Transport").
        if socket is not None and named in {None, socket}:
            named = socket
            if enabled and isinstance(source, str) and _ID.fullmatch(source):
                sources.append(source)
    return (None if named is None else await reached(wire, named)), tuple(sources)


async def reached(wire: Wire, named: Socket) -> Socket | None:
    """Return where a WebSocket can be reached, or None if the device does not answer.

    Its URL may name a port that the probe cannot reach; then the device's own port is tried.
    """
    for socket in (named, Socket(named.target)):
        with contextlib.suppress(NoReply):
            await wire.to(socket).ask("GET", "/")
            return socket
    return None
