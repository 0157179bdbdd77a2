"""The page Channels: IS-08 maps, read and changed entry by entry, scheduled too."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from example_node.controller.connecting import Outcome, Result
from example_node.controller.desk import Desk
from example_node.controller.pages import Pages
from example_node.controller.plant import Device
from example_node.controller.plant.resources import text
from example_node.controller.reach import CHANNEL_MAPPING, OutOfReachError, ReachError
from example_node.controller.web import Routes, key_of, text_of, when_of

# IS-08 "Behaviour", Identifiers; the index of a channel.
_ID = re.compile(r"[a-zA-Z0-9\-_]{1,100}")
_INDEX = re.compile(r"[0-9]{1,4}")
_FIELD = re.compile(rf"route/({_ID.pattern})/({_INDEX.pattern})")
_ROUTE = re.compile(rf"({_ID.pattern})/({_INDEX.pattern})")
_MOST_OUTPUTS, _MOST_CHANNELS, _MOST_INPUT_CHANNELS = 32, 64, 256
UNROUTED = "-"

Choice = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a channel of an Output gets.

    Attributes:
        field: the name of its field in the form.
        label: what the channel is called.
        now: what it gets now, as one of the values of `choices`.
        choices: what it may get: values, and texts for people.
    """

    field: str
    label: str
    now: str
    choices: list[Choice]


@dataclass(frozen=True, slots=True)
class ShownOutput:
    """An Output and its channels."""

    name: str
    entries: list[Entry]


def install(routes: Routes) -> None:
    """Add the routes."""
    routes.add("GET", "/channels", _show)
    routes.add("POST", "/channels", _change)


async def _show(request: Request, desk: Desk, pages: Pages) -> Response:
    return await _page(request.query_params.get("device", ""), desk, pages, None)


async def _change(request: Request, desk: Desk, pages: Pages) -> Response:
    form = await request.form()
    device = desk.plant.devices.get(text_of(form, "device"))
    result = await (_cancelled if "cancel" in form else _changed)(
        desk, device, form, key_of(request, form)
    )
    if result.is_good and device is not None:
        return RedirectResponse(f"/channels?device={device.id}", 303)
    return await _page(text_of(form, "device"), desk, pages, result)


async def _page(device_id: str, desk: Desk, pages: Pages, result: Result | None) -> Response:
    devices = sorted(
        (
            each
            for each in desk.plant.devices.values()
            if any(control.type in CHANNEL_MAPPING for control in each.controls)
        ),
        key=lambda each: each.name,
    )
    # Another Device than the one that was asked for would be changed by mistake.
    device = desk.plant.devices.get(device_id) if device_id else next(iter(devices), None)
    outputs: list[ShownOutput] = []
    scheduled: list[Choice] | None = []
    problem = "The Registry does not have this Device any more." if device_id else ""
    if device is not None:
        problem = ""
        try:
            outputs, scheduled = await _map_of(desk, device)
        except ReachError as error:
            problem = str(error)
    lack = (
        ""
        if device is None
        else desk.lack("channelmapping", "write", "map/activations", device, CHANNEL_MAPPING)
    )
    return pages.page(
        "channels",
        desk,
        "/channels",
        400 if result is not None else 200,
        devices=devices,
        device=device,
        outputs=outputs,
        scheduled=scheduled,
        problem=problem,
        reason=lack,
        result="" if result is None else result.text,
    )


async def _map_of(desk: Desk, device: Device) -> tuple[list[ShownOutput], list[Choice] | None]:
    """Read a Device's map, and what is scheduled for it; None where it does not show that.

    Raises:
        OutOfReachError: nothing was sent, or the Device does not show it.
        NoAnswerError: no answer came.
    """
    control = await desk.reach.control(device, CHANNEL_MAPPING)
    paths = ("io", "map/active", "map/activations")
    read = await asyncio.gather(*(desk.reach.send(control, "GET", each) for each in paths))
    for reply in read[:2]:
        if reply.status == 403:
            raise OutOfReachError("Your token does not permit you to read this map (403).")
        if not reply.is_success:
            raise OutOfReachError(f"The Device does not show its map ({reply.status}).")
    io, active, activations = (_object(reply.body) for reply in read)
    routes = _object(active.get("map"))
    inputs, outputs = _object(io.get("inputs")), _object(io.get("outputs"))
    shown = [
        _shown_output(output_id, _object(output), _object(routes.get(output_id)), inputs)
        for output_id, output in list(outputs.items())[:_MOST_OUTPUTS]
        if _ID.fullmatch(output_id)
    ]
    scheduled = [
        (activation_id, text(_object(_object(each).get("activation")).get("activation_time"), 40))
        for activation_id, each in list(activations.items())[:_MOST_CHANNELS]
        if _ID.fullmatch(activation_id)
    ]
    return shown, scheduled if read[2].is_success else None


def _shown_output(
    output_id: str,
    output: Mapping[str, object],
    routes: Mapping[str, object],
    inputs: Mapping[str, object],
) -> ShownOutput:
    name = text(_object(output.get("properties")).get("name")) or output_id
    allowed = _object(output.get("caps")).get("routable_inputs")
    choices: list[Choice] = []
    if not isinstance(allowed, list) or None in allowed:
        choices.append((UNROUTED, "silence"))
    for input_id, given in inputs.items():
        if _ID.fullmatch(input_id) and (not isinstance(allowed, list) or input_id in allowed):
            choices += _channels_of(input_id, _object(given))
    return ShownOutput(
        name,
        [
            _entry(output_id, index, label, _object(routes.get(str(index))), choices)
            for index, label in enumerate(_labels(output.get("channels"))[:_MOST_CHANNELS])
        ],
    )


def _channels_of(input_id: str, given: Mapping[str, object]) -> list[Choice]:
    name = text(_object(given.get("properties")).get("name")) or input_id
    labels = _labels(given.get("channels"))[:_MOST_INPUT_CHANNELS]
    return [(f"{input_id}/{index}", f"{name}: {label}") for index, label in enumerate(labels)]


def _entry(
    output_id: str, index: int, label: str, route: Mapping[str, object], choices: list[Choice]
) -> Entry:
    now = UNROUTED
    if isinstance(route.get("input"), str):
        now = text(f"{route['input']}/{route.get('channel_index')}", 120)
    known = [value for value, _ in choices]
    extra = [] if now in known else [(now, "silence" if now == UNROUTED else text(now))]
    return Entry(f"route/{output_id}/{index}", label, now, [*extra, *choices])


def _labels(channels: object) -> list[str]:
    given = channels if isinstance(channels, list) else []
    return [
        text(_object(each).get("label")) or f"channel {number + 1}"
        for number, each in enumerate(given)
    ]


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


# Changes


def action_of(form: Mapping[str, object]) -> dict[str, dict[str, dict[str, object]]]:
    """Return those entries of a form that are another choice than what was shown.

    Each field `route/OUTPUT/CHANNEL` has beside it `was/OUTPUT/CHANNEL`.
    """
    action: dict[str, dict[str, dict[str, object]]] = {}
    for name, value in form.items():
        field = _FIELD.fullmatch(name)
        if field is None or not isinstance(value, str):
            continue
        output_id, channel = field[1], field[2]
        if value == form.get(f"was/{output_id}/{channel}"):
            continue
        route = _ROUTE.fullmatch(value)
        if route is not None:
            entry: dict[str, object] = {"input": route[1], "channel_index": int(route[2])}
        elif value == UNROUTED:
            entry = {"input": None, "channel_index": None}
        else:
            continue
        action.setdefault(output_id, {})[channel] = entry
    return action


async def _changed(desk: Desk, device: Device | None, form: FormData, key: str) -> Result:
    """Change those entries that have another choice now, by one activation."""
    action, when = action_of(form), when_of(form)
    if isinstance(when, Result):
        return when
    if not action:
        return Result(Outcome.FAILED, "Choose another input for at least one channel.")
    body = {"activation": {**when.activation(), "requested_time": when.time}, "action": action}
    count = sum(map(len, action.values()))
    return await desk.connector.change_device(
        device,
        CHANNEL_MAPPING,
        ("POST", "map/activations", body),
        f"Channel map changed in {count} places",
        key=key,
    )


async def _cancelled(desk: Desk, device: Device | None, form: FormData, key: str) -> Result:
    """Cancel an activation that is scheduled."""
    activation_id = text_of(form, "cancel")
    if not _ID.fullmatch(activation_id):
        return Result(Outcome.FAILED, "There is no such activation.")
    request = ("DELETE", f"map/activations/{activation_id}", None)
    return await desk.connector.change_device(
        device, CHANNEL_MAPPING, request, "Scheduled change of the channel map cancelled", key=key
    )
