"""The pages of one Sender and of one Receiver, and changes of a Sender."""

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence

from fastapi import Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from example_node.controller.connecting import Result, outcome, plan
from example_node.controller.connecting.outcome import Outcome
from example_node.controller.desk import Desk
from example_node.controller.pages import Pages
from example_node.controller.plant import Receiver, Row, Sender
from example_node.controller.plant.fitting import basics, described, fits
from example_node.controller.plant.resources import text
from example_node.controller.plant.rows import order
from example_node.controller.reach import CONNECTION, ReachError, Reply
from example_node.controller.web import Routes, key_of, text_of

_MOST_CANDIDATES = 200
_LARGEST_SHOWN = 20_000
_MOST_LEGS = 32
_PORT = "destination_port"
_CHOSEN = ("destination_ip", _PORT)
_PARAMETERS, _ITEMS, _DEEPEST, _LONGEST = 40, 4, 6, 2000

Cells = list[tuple[str, str]]


def install(routes: Routes) -> None:
    """Add the routes."""
    routes.add("GET", "/receiver/{resource_id}", _receiver)
    routes.add("GET", "/sender/{resource_id}", _sender)
    routes.add("POST", "/sender/{resource_id}", _change)


# A Receiver


async def _receiver(request: Request, desk: Desk, pages: Pages) -> Response:
    receiver = desk.plant.receivers.get(request.path_params["resource_id"])
    if receiver is None:
        return pages.problem("The Registry does not have this Receiver.", 404)
    active, staged = await asyncio.gather(
        _read(desk, receiver, "active"), _read(desk, receiver, "staged")
    )
    # It may have left while its Node was asked.
    shown = desk.row(Row("receivers", receiver.id))
    if shown is None:
        return pages.problem("The Registry does not have this Receiver.", 404)
    wanted = request.query_params.get("sender", receiver.sender_id or "")
    sender = desk.plant.senders.get(wanted)
    return pages.page(
        "receiver",
        desk,
        "/receiver",
        receiver=receiver,
        shown=shown,
        compared=_compared(active, staged),
        problem=active if isinstance(active, str) else "",
        sets=described(receiver),
        sender=sender,
        fit=None if sender is None else _fit(desk, receiver, sender),
        candidates=_candidates(desk, receiver),
        scheduled="" if isinstance(staged, str) else outcome.scheduled_time(staged),
    )


def _fit(desk: Desk, receiver: Receiver, sender: Sender) -> dict[str, object]:
    flow = desk.plant.flows.get(sender.flow_id or "")
    source = desk.plant.source_of(sender)
    return {
        "basics": basics(receiver, sender, flow, source),
        "sets": fits(receiver, flow, source),
    }


def _candidates(desk: Desk, receiver: Receiver) -> list[tuple[str, str]]:
    """Return the Senders that a Receiver may accept, by their format and transport."""
    found = []
    for sender in desk.plant.senders.values():
        flow = desk.plant.flows.get(sender.flow_id or "")
        if not basics(receiver, sender, flow, desk.plant.source_of(sender)):
            shown = desk.row(Row("senders", sender.id))
            if shown is not None:
                found.append(shown)
    ordered = sorted(found, key=order)[:_MOST_CANDIDATES]
    return [(each["id"], f"{each['label']} ({each['node']})") for each in ordered]


def _compared(
    active: Mapping[str, object] | str, staged: Mapping[str, object] | str
) -> list[tuple[str, str, str]]:
    """Return active and staged side by side."""
    sides = [{} if isinstance(each, str) else dict(_flat("", each)) for each in (active, staged)]
    names = list(dict.fromkeys([*sides[0], *sides[1]]))[: 4 * _PARAMETERS]
    return [(name, sides[0].get(name, ""), sides[1].get(name, "")) for name in names]


def _flat(prefix: str, value: object, depth: int = 0) -> Cells:
    """Return what a Node shows as names and texts, however deep and long it is."""
    inner: list[tuple[str, object]]
    if isinstance(value, Mapping) and depth < _DEEPEST:
        named = list(value.items())[:_PARAMETERS]
        inner = [(f"{prefix}.{name}" if prefix else str(name), each) for name, each in named]
    elif isinstance(value, list) and depth < _DEEPEST:
        inner = [(f"{prefix}[{number}]", each) for number, each in enumerate(value[:_ITEMS])]
    else:
        shown = "" if value is None else "…" if isinstance(value, Mapping | list) else str(value)
        return [(text(prefix), text(shown, _LONGEST))]
    return [cell for name, each in inner for cell in _flat(name, each, depth + 1)]


# A Sender


async def _sender(request: Request, desk: Desk, pages: Pages) -> Response:
    sender = desk.plant.senders.get(request.path_params["resource_id"])
    if sender is None:
        return pages.problem("The Registry does not have this Sender.", 404)
    return await _shown_sender(desk, pages, sender, None)


async def _change(request: Request, desk: Desk, pages: Pages) -> Response:
    sender = desk.plant.senders.get(request.path_params["resource_id"])
    if sender is None:
        return pages.problem("The Registry does not have this Sender.", 404)
    form = await request.form()
    result = await _changed(desk, sender, form, key_of(request, form))
    if result.is_good:
        return RedirectResponse(f"/sender/{sender.id}", 303)
    return await _shown_sender(desk, pages, sender, result)


async def _shown_sender(
    desk: Desk, pages: Pages, sender: Sender, result: Result | None
) -> Response:
    active, constraints, file = await asyncio.gather(
        _read(desk, sender, "active"), _constraints(desk, sender), _file(desk, sender)
    )
    shown = desk.row(Row("senders", sender.id))
    if shown is None:
        return pages.problem("The Registry does not have this Sender.", 404)
    device = desk.plant.device_of(sender)
    path = f"single/senders/{sender.id}/staged"
    flow = desk.plant.flows.get(sender.flow_id or "")
    return pages.page(
        "sender",
        desk,
        "/sender",
        400 if result is not None else 200,
        sender=sender,
        shown=shown,
        flow=flow,
        facts=[] if flow is None else _flat("", _simple(flow.data)),
        active=[] if isinstance(active, str) else _flat("", active),
        problem=active if isinstance(active, str) else "",
        legs=choices_of(active, constraints),
        enabled=isinstance(active, Mapping) and active.get("master_enable") is True,
        file=file,
        reason=desk.lack("connection", "write", path, device, CONNECTION),
        result="" if result is None else result.text,
        receivers=_receivers_of(desk, sender),
    )


def _simple(data: Mapping[str, object]) -> dict[str, object]:
    return {name: each for name, each in data.items() if name not in {"id", "tags", "version"}}


def _receivers_of(desk: Desk, sender: Sender) -> list[tuple[str, str]]:
    found = [
        (each.id, each.name)
        for each in desk.plant.receivers.values()
        if each.connected_to == sender.id
    ]
    return found[:_MOST_CANDIDATES]


def choices_of(
    active: Mapping[str, object] | str, constraints: Sequence[object]
) -> list[dict[str, str]]:
    """Return what may be chosen of each leg of a Sender, as it is now; of some that is nothing."""
    params = active.get("transport_params") if isinstance(active, Mapping) else None
    legs = params if isinstance(params, list) else []
    found = []
    for index, constraint in enumerate(constraints[:_MOST_LEGS]):
        known = constraint if isinstance(constraint, Mapping) else {}
        leg = legs[index] if index < len(legs) and isinstance(legs[index], Mapping) else {}
        found.append(
            {name: text(str(leg.get(name) or ""), 60) for name in _CHOSEN if name in known}
        )
    return found


async def _constraints(desk: Desk, sender: Sender) -> list[object]:
    try:
        reply = await desk.endpoints.read(sender, "constraints")
    except ReachError:
        return []
    return reply.body if isinstance(reply.body, list) else []


async def _file(desk: Desk, sender: Sender) -> tuple[str, str]:
    """Return the transport file, or why there is none."""
    try:
        file = await desk.endpoints.transport_file(sender)
    except ReachError as error:
        return "", str(error)
    shown = "".join(
        each if each.isprintable() or each in "\r\n\t" else " " for each in file[:_LARGEST_SHOWN]
    )
    return shown, ""


async def _changed(desk: Desk, sender: Sender, form: FormData, key: str) -> Result:
    """Change where a Sender sends, and whether it does, as far as that is not what was shown."""
    legs = legs_of(form)
    if isinstance(legs, Result):
        return legs
    enable = text_of(form, "enable") == "on"
    is_same = "was_enable" in form and enable == (form["was_enable"] == "on")
    if is_same and not any(legs):
        return Result(Outcome.FAILED, "Change an address, a port, or whether it sends.")
    body = plan.send_to(legs if any(legs) else [], enable=None if is_same else enable)
    request = ("PATCH", f"single/senders/{sender.id}/staged", body)
    return await desk.connector.change_device(
        desk.plant.device_of(sender), CONNECTION, request, f"Sender {sender.name} changed", key=key
    )


def legs_of(form: FormData) -> list[plan.Leg] | Result:
    """Return what a form changes of each leg, or what is wrong with it.

    "If no changes are needed to a specific leg it MUST be included as an empty object" (IS-05
    "Behaviour: RTP Transport Type").
    """
    count = text_of(form, "legs")
    found: list[plan.Leg] = []
    for leg in range(min(int(count), _MOST_LEGS) if count.isdecimal() and len(count) < 4 else 0):
        changed: dict[str, object] = {}
        for name in _CHOSEN:
            value = text_of(form, f"{name}_{leg}").strip()
            if f"{name}_{leg}" not in form or value == form.get(f"was_{name}_{leg}"):
                continue
            fault = _FAULTS[name](value)
            if fault:
                return Result(Outcome.FAILED, f"Leg {leg + 1}: {fault}")
            changed[name] = int(value) if name == _PORT and value.isdecimal() else value or "auto"
        found.append(changed)
    return found


def _fault_of_address(address: str) -> str:
    if address not in {"", "auto"}:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            return "the address is an IPv4 or IPv6 address, or auto."
    return ""


def _fault_of_port(port: str) -> str:
    if port not in {"", "auto"} and not (
        port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536
    ):
        return "the port is a number from 1 to 65535, or auto."
    return ""


_FAULTS = {"destination_ip": _fault_of_address, _PORT: _fault_of_port}


async def _read(desk: Desk, resource: Sender | Receiver, path: str) -> Mapping[str, object] | str:
    """Return what a Node shows, or why that cannot be seen."""
    try:
        reply: Reply = await desk.endpoints.read(resource, path)
    except ReachError as error:
        return str(error)
    if reply.status == 403:
        return f"Your token does not permit you to read {path} (403)."
    if not reply.is_success or not isinstance(reply.body, Mapping):
        return f"The Node does not show {path} ({reply.status})."
    return reply.body
