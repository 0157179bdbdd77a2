"""What rows require on the device before they are tried: it is made, and removed afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nmos_auth.probe.cases import UPGRADE
from nmos_auth.probe.device import reached
from nmos_auth.probe.resources import (
    OTHER,
    OWNER,
    device,
    everything,
    node,
    subscribing,
    subscription,
)
from nmos_auth.probe.rows import Suite
from nmos_auth.probe.wire import NoReply, Reply, Socket, parsed

if TYPE_CHECKING:
    from nmos_auth.probe.device import Api
    from nmos_auth.probe.running import Probe

__all__ = ["STAGES", "Stage", "StageError"]

Set: TypeAlias = tuple[Mapping[str, str], Socket | None]

# IS-04 "Behaviour: Registration", Heartbeating.
_HEARTBEAT = 5.0


class StageError(Exception):
    """What the rows require cannot be made; the message says why."""


@contextlib.asynccontextmanager
async def _registered(probe: Probe, api: Api) -> AsyncIterator[Set]:
    """Register a Node with a Device as one client, and another Node as another client."""
    places = {
        **api.places,
        "node": probe.plan.node_id or str(uuid.uuid4()),
        **{each: str(uuid.uuid4()) for each in ("device", "new_device", "other_node")},
        "version": api.base.rpartition("/")[2],
    }
    if probe.plan.node_id:
        await _refuse_known(probe, places)
    beating: asyncio.Task[None] | None = None
    try:
        for client, body in (
            (OWNER, node(places, "node")),
            (OWNER, device(places, "device", "node")),
            (OTHER, node(places, "other_node")),
        ):
            await _post(probe, places, "resource", client, body)
        beating = asyncio.create_task(_beat(probe, places))
        yield places, None
    finally:
        if beating is not None:
            beating.cancel()
        await _clear(probe, places)


async def _refuse_known(probe: Probe, places: Mapping[str, str]) -> None:
    """Refuse a Node that exists: what others registered must not be changed or deleted."""
    target = f"{places['base']}/resource/nodes/{places['node']}"
    token = everything(probe.mint(places), client_id=OWNER)
    try:
        reply = await _patiently(probe, "GET", target, token)
    except NoReply as error:
        raise StageError(f"GET {target}: {error}") from None
    if reply.status != 404:
        raise StageError(
            f"GET {target} is answered {reply.status} instead of 404: the Node may exist"
        )


async def _post(
    probe: Probe, places: Mapping[str, str], path: str, client: str, body: object
) -> None:
    token = everything(probe.mint(places), client_id=client)
    target = f"{places['base']}/{path}"
    try:
        reply = await _patiently(probe, "POST", target, token, json.dumps(body).encode())
    except NoReply as error:
        raise StageError(f"POST {target}: {error}") from None
    if reply.status not in {200, 201}:
        raise StageError(f"POST {target} is answered {reply.status}")


async def _patiently(
    probe: Probe, method: str, target: str, token: str, body: bytes | None = None
) -> Reply:
    reply = await probe.ask(method, target, token, body)
    if reply.status == 503:
        await probe.sleep(min(reply.retry_after or 1.0, _HEARTBEAT))
        reply = await probe.ask(method, target, token, body)
    return reply


async def _beat(probe: Probe, places: Mapping[str, str]) -> None:
    """Send heartbeats of both Nodes while the rows are tried."""
    while True:
        await asyncio.sleep(_HEARTBEAT)
        for client, name in ((OWNER, "node"), (OTHER, "other_node")):
            token = everything(probe.mint(places), client_id=client)
            with contextlib.suppress(NoReply):
                await probe.ask("POST", f"{places['base']}/health/nodes/{places[name]}", token)


async def _clear(probe: Probe, places: Mapping[str, str]) -> None:
    """Delete all that was registered, whichever of the two clients owns it now."""
    for path in ("devices/{device}", "devices/{new_device}", "nodes/{node}", "nodes/{other_node}"):
        target = f"{places['base']}/resource/{path.format_map(places)}"
        for client in (OWNER, OTHER):
            with contextlib.suppress(NoReply):
                token = everything(probe.mint(places), client_id=client)
                if (await _patiently(probe, "DELETE", target, token)).status in {204, 404}:
                    break


@contextlib.asynccontextmanager
async def _subscribed(probe: Probe, api: Api) -> AsyncIterator[Set]:
    """Make a subscription, which ends by itself: it is not persistent."""
    if not probe.plan.writes:
        yield api.places, None
        return
    target, token = f"{api.base}/subscriptions", subscribing(probe.mint(api.places))
    body = json.dumps(subscription(api.places)).encode()
    try:
        reply = await _patiently(probe, "POST", target, token, body)
    except NoReply as error:
        raise StageError(f"POST {target}: {error}") from None
    made = parsed(reply.body)
    href = made.get("ws_href") if isinstance(made, dict) else None
    socket = Socket.of(href) if isinstance(href, str) else None
    if socket is not None:
        socket = await reached(probe.wire, socket)
    if socket is None:
        yield api.places, None
        return
    try:
        yield {**api.places, "href": socket.target.partition("?")[0].strip("/")}, socket
    finally:
        # A subscription ends with its last connection, and the row may not have made any.
        headers = [*UPGRADE, ("Authorization", f"Bearer {token}")]
        with contextlib.suppress(NoReply):
            await probe.wire.to(socket).ask("GET", socket.target, headers)


@dataclass(frozen=True, slots=True)
class Stage:
    """What the rows of a suite require on the device.

    Attributes:
        api: the API that they are about.
        made: makes it, and removes it at the end; yields places, and a WebSocket or None.
        each: whether it is made again for each row: a subscription ends with its last connection.
    """

    api: str
    made: Callable[[Probe, Api], AbstractAsyncContextManager[Set]]
    each: bool = False


STAGES: Mapping[Suite, Stage] = {
    Suite.REGISTRY: Stage("registration", _registered),
    Suite.SUBSCRIPTIONS: Stage("query", _subscribed, each=True),
}
"""The stage of each suite that requires one."""
