"""The pages Devices, Events, Me, Status and Log."""

from collections.abc import Mapping

from fastapi import Request
from starlette.responses import Response

from example_node.controller.desk import Desk
from example_node.controller.event_values import ShownEvent
from example_node.controller.pages import Pages
from example_node.controller.pauses import with_pauses
from example_node.controller.plant import COLLECTIONS, Device
from example_node.controller.plant.resources import short
from example_node.controller.plant.rows import asset_of
from example_node.controller.web import Handler, Routes
from nmos_auth import NmosAuthError

_MOST_DEVICES = 500


def install(routes: Routes) -> None:
    """Add the routes."""
    for path, page in _PAGES.items():
        routes.add("GET", path, page)


async def _events(_: Request, desk: Desk, pages: Pages) -> Response:
    desk.events.want()
    shown = [desk.events.shown(each.id) for each in desk.events.senders()]
    return pages.page("events", desk, "/events", shown=sorted(filter(None, shown), key=_order))


async def _me(_: Request, desk: Desk, pages: Pages) -> Response:
    problem, remaining = "", None
    if desk.tokens is not None:
        try:
            await desk.tokens.token()
            remaining = desk.tokens.remaining
        except NmosAuthError as error:
            problem = str(error)
    seconds = None if remaining is None else int(remaining)
    issuer = desk.permissions.issuer
    return pages.page("me", desk, "/me", remaining=seconds, problem=problem, issuer=issuer)


async def _status(_: Request, desk: Desk, pages: Pages) -> Response:
    return pages.page(
        "status",
        desk,
        "/status",
        following=desk.follower.state,
        registries=desk.follower.known(),
        counts=[(each, len(desk.plant.ids(each))) for each in COLLECTIONS],
        under_way=desk.changes.under_way(),
    )


async def _log(_: Request, desk: Desk, pages: Pages) -> Response:
    return pages.page("log", desk, "/log", entries=desk.log.entries()[:200])


async def _devices(request: Request, desk: Desk, pages: Pages) -> Response:
    words = request.query_params.get("q", "")[:200]
    shown = []
    async for device in with_pauses(desk.plant.devices.values()):
        node = desk.plant.node_of(device)
        asset = asset_of(device.tags)
        name = "" if node is None else node.name
        text = " ".join([device.name, name, device.id, *map(str, asset.values())]).lower()
        if all(word in text for word in words.lower().split()):
            shown.append((name.lower(), device.name.lower(), device, name, asset))
    shown.sort(key=lambda each: each[:2])
    bar, devices = await desk.reach.bars(), []
    async for _, __, device, name, asset in with_pauses(shown[:_MOST_DEVICES]):
        devices.append(
            {
                "device": device,
                "node": name,
                "asset": asset,
                "senders": _count(desk, device, "senders"),
                "receivers": _count(desk, device, "receivers"),
                "controls": [
                    {"name": short(each.type), "why": bar(each.href)} for each in device.controls
                ],
            }
        )
    return pages.page(
        "devices",
        desk,
        "/devices",
        q=words,
        total=len(desk.plant.devices),
        devices=devices,
    )


def _order(shown: ShownEvent) -> tuple[str, str, str]:
    """Sort events by Device and Sender, like `orderOf` of the script."""
    return (shown["device"].lower(), shown["name"].lower(), shown["id"])


def _count(desk: Desk, device: Device, kind: str) -> int:
    return sum(row.kind == kind for row in desk.plant.rows_of(device.id))


_PAGES: Mapping[str, Handler] = {
    "/devices": _devices,
    "/events": _events,
    "/me": _me,
    "/status": _status,
    "/log": _log,
}
