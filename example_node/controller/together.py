"""The pages Many, Groups and Salvos: connections that are made together."""

from collections.abc import Mapping

from fastapi import Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from example_node.controller.connecting import Result
from example_node.controller.connecting.outcome import Outcome
from example_node.controller.connecting.salvos import LONGEST_NAME, Salvo, SalvosError
from example_node.controller.desk import Desk
from example_node.controller.pages import Pages
from example_node.controller.plant import Device
from example_node.controller.plant.groups import Group, groups_of, pairs
from example_node.controller.plant.resources import is_id, text
from example_node.controller.reach import CONNECTION
from example_node.controller.web import (
    Routes,
    filtered,
    id_of,
    key_of,
    shown_of,
    stamp_of,
    text_of,
    when_of,
)

MOST_AT_ONCE = 500
_SHOWN = 200

Wanted = dict[str, str | None]
Connections = Mapping[str, str | None]


def install(routes: Routes) -> None:
    """Add the routes."""
    routes.add("GET", "/many", _many)
    routes.add("POST", "/many", _change_many)
    routes.add("GET", "/groups", _groups)
    routes.add("POST", "/groups", _change_group)
    routes.add("GET", "/salvos", _salvos)
    routes.add("POST", "/salvos", _change_salvo)


async def _many(request: Request, desk: Desk, pages: Pages) -> Response:
    query, sources = (request.query_params.get(each, "")[:200] for each in ("q", "s"))
    receivers = await filtered(desk, "receivers", query)
    return pages.page(
        "many",
        desk,
        "/many",
        q=query,
        s=sources,
        total=len(receivers),
        receivers=receivers[:_SHOWN],
        senders=(await filtered(desk, "senders", sources))[:_SHOWN],
    )


async def _change_many(request: Request, desk: Desk, pages: Pages) -> Response:
    form = await request.form()
    receivers = [str(each) for each in form.getlist("receiver") if is_id(each)]
    sender, disconnects = id_of(form, "sender"), text_of(form, "do") == "disconnect"
    if not receivers:
        return pages.problem("Choose at least one destination.", 400, "/many")
    if len(receivers) > MOST_AT_ONCE:
        return pages.problem(f"Choose at most {MOST_AT_ONCE} destinations.", 400, "/many")
    if not sender and not disconnects:
        return pages.problem("Choose a source.", 400, "/many")
    wanted: Wanted = dict.fromkeys(receivers, None if disconnects else sender)
    return await _made(request, desk, pages, form, wanted)


async def _groups(_: Request, desk: Desk, pages: Pages) -> Response:
    destinations, sources = _stamped(desk)
    return pages.page("groups", desk, "/groups", destinations=destinations, sources=sources)


def _stamped(desk: Desk) -> tuple[dict[str, Group], dict[str, Group]]:
    """Return the groups of Receivers and of Senders by stamps, which say what is in them too."""
    both = (desk.plant.receivers, desk.plant.senders)
    destinations, sources = (
        {
            stamp_of((group.key, sorted(group.members.items()))): group
            for group in groups_of(desk.plant, each).values()
        }
        for each in both
    )
    return destinations, sources


async def _change_group(request: Request, desk: Desk, pages: Pages) -> Response:
    form = await request.form()
    destinations, sources = _stamped(desk)
    destination = destinations.get(text_of(form, "destination"))
    source = sources.get(text_of(form, "source"))
    if destination is None or source is None:
        text = "Choose both groups again: one of them has changed since the page was shown."
        return pages.problem(text, 409, "/groups")
    wanted: Wanted = {**pairs(destination, source)}
    if not wanted:
        return pages.problem("The two groups have no role in common.", 400, "/groups")
    return await _made(request, desk, pages, form, wanted)


async def _made(
    request: Request, desk: Desk, pages: Pages, form: FormData, wanted: Wanted
) -> Response:
    """Make many connections, and return the page with a result a row."""
    back = request.url.path
    when = when_of(form)
    if isinstance(when, Result):
        return pages.problem(when.text, 400, back)
    results = await desk.connector.many(
        wanted,
        shown={each: shown_of(form, each) for each in wanted},
        when=when,
        key=key_of(request, form),
    )
    return pages.page(
        "results",
        desk,
        back,
        200 if all(each.is_good for each in results.values()) else 207,
        back=back,
        results=[
            (_name(desk.plant.receivers.get(each)) or each, each, result)
            for each, result in results.items()
        ],
    )


def _name(resource: object) -> str:
    return str(getattr(resource, "name", ""))


# Salvos


async def _salvos(_: Request, desk: Desk, pages: Pages) -> Response:
    salvos = [
        (salvo, _described(desk, salvo.connections), stamp_of(salvo.connections))
        for salvo in desk.salvos.all()
    ]
    return pages.page("salvos", desk, "/salvos", salvos=salvos)


def _described(desk: Desk, connections: Connections) -> list[tuple[str, str]]:
    """Return what connections are, in names where the Registry has them."""
    found = []
    for receiver_id, sender_id in connections.items():
        receiver = desk.plant.receivers.get(receiver_id)
        sender = desk.plant.senders.get(sender_id or "")
        what = "nothing" if sender_id is None else (sender.name if sender else f"gone: {sender_id}")
        found.append((receiver.name if receiver else f"gone: {receiver_id}", what))
    return found


async def _change_salvo(request: Request, desk: Desk, pages: Pages) -> Response:
    form = await request.form()
    key = key_of(request, form)
    return await desk.salvos_once(key, lambda: _salvo_asked(request, desk, pages, form))


async def _salvo_asked(request: Request, desk: Desk, pages: Pages, form: FormData) -> Response:
    name, do = text(text_of(form, "name").strip(), LONGEST_NAME), text_of(form, "do")
    if do not in {"run", "keep", "remove"}:
        return pages.problem("Choose TAKE all, Keep or Remove.", 400, "/salvos")
    # Nothing is waited for between a look at the salvo and its change.
    now = await _connections_now(desk, text_of(form, "q")) if do == "keep" else {}
    salvo = desk.salvos.get(name)
    said, status = _objection(desk, salvo, do, text_of(form, "shown"))
    if said:
        return pages.problem(said, status, "/salvos")
    if salvo is not None and do == "run":
        return await _made(request, desk, pages, form, dict(salvo.connections))
    return _rewritten(desk, pages, form, name, salvo, now)


def _rewritten(
    desk: Desk, pages: Pages, form: FormData, name: str, salvo: Salvo | None, now: Connections
) -> Response:
    """Keep or remove a salvo; where one is lost by that, only as a page has shown it."""
    do = text_of(form, "do")
    kept = Salvo(name, now, desk.who) if do == "keep" else None
    try:
        if kept is not None:
            desk.salvos.check(kept)
        if salvo is not None and now != salvo.connections:
            seen = stamp_of((do, name, salvo.connections, now))
            if text_of(form, "seen") != seen:
                return pages.page(
                    "salvo",
                    desk,
                    "/salvos",
                    409 if "seen" in form else 200,
                    salvo=salvo,
                    do=do,
                    q=text_of(form, "q"),
                    lost=_described(desk, salvo.connections),
                    kept=_described(desk, now),
                    shown=stamp_of(salvo.connections),
                    seen=seen,
                    has_changed="seen" in form,
                )
        if kept is not None:
            desk.salvos.keep(kept)
        else:
            desk.salvos.remove(name)
    except SalvosError as error:
        return pages.problem(str(error), 400, "/salvos")
    result = Result(Outcome.DONE, "Removed" if kept is None else "Kept")
    desk.log.add(desk.who, f"Salvo {name}", "", result)
    # To load the answer again must not keep once more what destinations have by then.
    return RedirectResponse("/salvos", 303)


async def _connections_now(desk: Desk, words: str) -> Connections:
    """Return what a user's salvo of the destinations with these words has.

    What is connected to something that is not a Sender could not be made again; and others would
    make with their tokens what this user may not make.
    """
    return {
        each["id"]: each["source"] or None
        for each in await filtered(desk, "receivers", words)
        if each["source"] != "-" and not each["reason"]
    }


def _objection(desk: Desk, salvo: Salvo | None, do: str, shown: str) -> tuple[str, int]:
    """Return why nothing is done with a salvo, and the HTTP status; "" where there is no reason."""
    if salvo is None:
        return ("", 200) if do == "keep" else ("There is no such salvo.", 404)
    if do != "keep" and shown != stamp_of(salvo.connections):
        by = salvo.by or "Somebody"
        return f"{by} has changed this salvo since the page was shown. Look at it first.", 409
    reason = "" if do == "run" else _forbidden(desk, salvo)
    return (f"You may not change this salvo. {reason}", 403) if reason else ("", 200)


def _forbidden(desk: Desk, salvo: Salvo) -> str:
    """Return why a user may not replace or remove a salvo; "" where there is no reason.

    Only users who may connect all of its destinations may. Of a destination whose Device is not
    known, or has no Connection API now, the claims of the token decide: otherwise a salvo would
    belong to everybody while its Devices are away.
    """
    if desk.no_token:
        return desk.no_token
    for receiver_id in salvo.connections:
        receiver = desk.plant.receivers.get(receiver_id)
        device = None if receiver is None else desk.plant.device_of(receiver)
        if receiver is None or device is None or not _is_controlled(device):
            path = f"single/receivers/{receiver_id}/staged"
            reason = desk.permissions.lack("connection", "write", path, None)
        else:
            reason = desk.reason(receiver, device)
        if reason:
            return f"{_name(receiver) or receiver_id}: {reason}"
    return ""


def _is_controlled(device: Device) -> bool:
    return any(each.type in CONNECTION for each in device.controls)
