"""The pages beside Routing: each shows what the Node has, and changes it where a form says so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import partial
from html import unescape

import httpx
import pytest
from starlette.datastructures import FormData, UploadFile

from example_node.controller.connecting import Result
from example_node.controller.connecting.salvos import Salvo
from example_node.controller.desk import Desk, Surroundings
from example_node.controller.details import _flat, choices_of, legs_of
from example_node.controller.together import _forbidden
from example_node.registry.registry import Registry
from example_node.resources import WEBSOCKET
from nmos_auth.client import ServerUnavailable, TokenSource
from nmos_auth.client.grants.grants import GrantedTokens
from tests.example_node.controller.world import (
    Person,
    Stream,
    World,
    node_of,
    note,
    patches,
    see_all,
    until,
)
from tests.example_node.registry.support import resource, uuid


def send(person: Person, path: str, **fields: str | list[str]) -> httpx.Response:
    """Send a form as a browser without scripts does."""
    return person.http.post(path, data=fields, headers={"origin": person.origin})


def ids(plant: World, kind: str, number: int = 0, role: str = "") -> list[str]:
    """Return the ids of a Node's Senders or Receivers, by a word of their labels."""
    resources = getattr(node_of(plant, number).resources, kind)
    return [each.id for each in resources.values() if role.lower() in each.label.lower()]


def test_a_sender_is_given_a_multicast_address(plant: World, operator: Person) -> None:
    """The form sets address and port, and activates; the transport file shows them then."""
    see_all(operator)
    (sender,) = ids(plant, "senders", 1, "audio")
    page = send(
        operator,
        f"/sender/{sender}",
        legs="1",
        destination_ip_0="239.7.7.7",
        destination_port_0="5010",
        enable="on",
    )
    assert page.status_code == 200
    assert "c=IN IP4 239.7.7.7" in page.text
    active = node_of(plant, 1).senders[sender].active
    assert active.master_enable
    assert active.transport_params[0].model_dump()["destination_port"] == 5010
    before = patches(plant)
    wrong = send(operator, f"/sender/{sender}", legs="1", destination_ip_0="a.b")
    assert wrong.status_code == 400
    assert "Leg 1: the address is an IPv4 or IPv6 address" in wrong.text
    assert patches(plant) == before


def test_only_what_is_chosen_otherwise_is_sent(plant: World, operator: Person) -> None:
    """A form that was open for long does not take back what somebody else has changed since."""
    see_all(operator)
    (sender,) = ids(plant, "senders", 1, "audio")
    page = operator.http.get(f"/sender/{sender}").text
    fields = dict(re.findall(r'<input [^>]*name="([^"]+)" value="([^"]*)"', page))
    fields.pop("enable")
    assert (fields["legs"], fields["was_destination_ip_0"]) == ("1", fields["destination_ip_0"])
    assert send(operator, f"/sender/{sender}", legs="1", enable="on").status_code == 200
    late = {**fields, "was_enable": "off", "destination_port_0": "5012"}
    assert send(operator, f"/sender/{sender}", **late).status_code == 200
    active = node_of(plant, 1).senders[sender].active
    assert active.master_enable
    assert active.transport_params[0].model_dump()["destination_port"] == 5012
    before = patches(plant)
    same = send(operator, f"/sender/{sender}", **{**fields, "was_enable": "off"})
    assert same.status_code == 400
    assert "Change an address, a port, or whether it sends." in same.text
    assert patches(plant) == before


CONSTRAINTS: tuple[object, ...] = (
    {"source_ip": {}, "destination_port": {}},
    {"destination_ip": {}, "destination_port": {}},
    "not an object",
    {"destination_ip": {}},
)


def test_a_leg_keeps_its_place() -> None:
    """Of some legs nothing may be chosen, or not all: each is an object of the request."""
    ports: list[dict[str, object]] = [{"destination_port": 5000 + leg} for leg in range(3)]
    choices = choices_of({"transport_params": ports}, CONSTRAINTS)
    assert choices == [
        {"destination_port": "5000"},
        {"destination_ip": "", "destination_port": "5001"},
        {},
        {"destination_ip": ""},
    ]
    form: list[tuple[str, str | UploadFile]] = [("legs", "4")]
    for leg, choice in enumerate(choices):
        for name, value in choice.items():
            form += [(f"{name}_{leg}", value), (f"was_{name}_{leg}", value)]
    assert legs_of(FormData(form)) == [{}, {}, {}, {}]
    changed = dict(form) | {"destination_ip_3": "239.1.1.1", "destination_port_1": ""}
    assert legs_of(FormData(changed)) == [
        {},
        {"destination_port": "auto"},
        {},
        {"destination_ip": "239.1.1.1"},
    ]
    wrong = legs_of(FormData(dict(form) | {"destination_port_1": "65536"}))
    assert isinstance(wrong, Result)
    assert wrong.text == "Leg 2: the port is a number from 1 to 65535, or auto."


def test_a_receiver_says_which_source_fits(plant: World, operator: Person) -> None:
    """A Sender of its kind fits; why another does not is said, and it may be tried."""
    see_all(operator)
    (receiver,), (audio,) = ids(plant, "receivers", 0, "video"), ids(plant, "senders", 0, "audio")
    (video,) = ids(plant, "senders", 1, "video")
    fits = operator.http.get(f"/receiver/{receiver}?sender={video}").text
    assert re.search(r"Video sender</strong>:\s*<span class=\"good\">fits", fits)
    other = unescape(operator.http.get(f"/receiver/{receiver}?sender={audio}").text)
    assert "does not fit: the format is urn:x-nmos:format:audio" in other
    assert "media_type is audio/L24, not video/raw" in other
    assert "TAKE all the same" in other
    assert "master_enable" in other


def test_events_are_live(plant: World, operator: Person) -> None:
    """Values come while the page is open; a Sender that is off is said to be off."""
    see_all(operator)
    events = [
        each.id
        for each in node_of(plant, 0).resources.senders.values()
        if each.transport == WEBSOCKET
    ]
    for each in events[:2]:
        assert send(operator, f"/sender/{each}", enable="on").status_code == 200
    with plant.person() as person:
        person.log_in()
        see_all(person)
        assert person.http.get("/events").status_code == 200
        with Stream(person, "/live?values&events") as stream:
            until(lambda: all(stream.values.get(each, {}).get("at") for each in events[:2]))
            first = stream.values[events[0]]["at"]
            until(lambda: stream.values[events[0]]["at"] != first)
            until(lambda: stream.values.get(events[2], {}).get("text") == "off")
        assert not stream.rows


def test_a_channel_map_is_changed_by_entry(plant: World, operator: Person) -> None:
    """Only what is chosen otherwise is sent; later changes are shown, and can be cancelled."""
    see_all(operator)
    (device,) = node_of(plant, 0).resources.devices
    page = operator.http.get(f"/channels?device={device}").text
    field, now = re.findall(r'name="was/([^"]+)" value="([^"]*)"', page)[0]
    choices = re.findall(rf'name="route/{field}">(.*?)</select>', page, re.DOTALL)[0]
    values = re.findall(r'value="([^"]+)"', choices)
    other = next(each for each in values if each != now)
    output, channel = field.split("/")
    form = {"device": device, f"was/{field}": now, f"route/{field}": other}
    assert send(operator, "/channels", **form).status_code == 200
    route = node_of(plant, 0).matrix.active.map[output][channel]
    assert f"{route.input}/{route.channel_index}" == other
    unchanged = send(operator, "/channels", **{**form, f"route/{field}": now})
    assert unchanged.status_code == 400
    later = send(operator, "/channels", **{**form, "seconds": "3600"}).text
    (scheduled,) = re.findall(r'name="cancel" value="([^"]+)"', later)
    gone = send(operator, "/channels", device=device, cancel=scheduled)
    assert "Nothing is scheduled." in gone.text


def test_many_are_connected_by_one_request_for_each_device(plant: World, operator: Person) -> None:
    """A bulk request a Device, and a result a row."""
    see_all(operator)
    (sender,) = ids(plant, "senders", 0, "video")
    receivers = [*ids(plant, "receivers", 0, "video"), *ids(plant, "receivers", 1, "video")]
    page = send(operator, "/many", receiver=receivers, sender=sender, do="take")
    assert page.status_code == 200
    assert page.text.count('class="good"') == 2
    assert re.search(r'name="key" value="[^"]{16}"', operator.http.get("/many").text)
    for number, receiver in enumerate(receivers):
        assert node_of(plant, number).receivers[receiver].active.sender_id == sender
    until(lambda: all(note(operator, each).startswith("Connected to") for each in receivers))
    audio = ids(plant, "receivers", 0, "audio")
    page = send(operator, "/many", receiver=[*audio, *receivers], sender=sender, do="take")
    assert page.status_code == 207
    assert page.text.count('class="bad"') == 1
    page = send(operator, "/many", receiver=receivers, do="disconnect")
    assert not node_of(plant, 1).receivers[receivers[1]].active.master_enable


def test_groups_are_connected_role_by_role(plant: World, operator: Person) -> None:
    """Each role of a group gets the same role of the other."""
    see_all(operator)
    page = operator.http.get("/groups").text
    keys = dict(re.findall(r'value="([^"]+)">([^<]+)<', page))
    names = {name: key for key, name in keys.items()}
    destination = next(key for name, key in names.items() if name.startswith("Input (Studio A"))
    source = next(key for name, key in names.items() if name.startswith("Output (Studio B"))
    done = send(operator, "/groups", destination=destination, source=source)
    assert done.status_code == 200, done.text
    assert done.text.count('class="good"') == 2
    (audio,), (sender,) = ids(plant, "receivers", 0, "audio"), ids(plant, "senders", 1, "audio")
    assert node_of(plant, 0).receivers[audio].active.sender_id == sender


def test_a_salvo_is_kept_and_made(plant: World, operator: Person, video: dict[str, str]) -> None:
    """What destinations were connected to when it was kept is made again."""
    operator.post("/take", key="before salvo", **video)
    until(lambda: note(operator, video["receiver"]).startswith("Connected to Video sender ("))
    kept = send(operator, "/salvos", do="keep", name="News <1>", q=video["receiver"])
    assert "News &lt;1&gt;" in kept.text
    operator.post("/disconnect", key="before salvo", **video)
    (shown,) = re.findall(r'name="shown" value="([^"]+)"', kept.text)
    salvo = {"name": "News <1>", "shown": shown}
    assert send(operator, "/salvos", do="run", **salvo).status_code == 200
    assert node_of(plant).receivers[video["receiver"]].active.sender_id == video["sender"]
    asked = send(operator, "/salvos", do="remove", **salvo)
    assert "Remove the salvo News &lt;1&gt;?" in asked.text
    assert "No salvo is kept." in press(operator, asked).text
    assert send(operator, "/salvos", do="run", **salvo).status_code == 404


@pytest.fixture
def news(plant: World, operator: Person, video: dict[str, str]) -> Iterator[dict[str, str]]:
    """Keep a salvo of one destination, and return the fields that name it; remove it then."""
    name = {"name": "News"}
    send(operator, "/salvos", do="keep", **name, q=video["receiver"])
    yield name | shown(operator)
    for name_and_stamp in [name | each for each in [shown(operator)] if each]:
        press(operator, send(operator, "/salvos", do="remove", **name_and_stamp))
    assert "No salvo is kept." in operator.http.get("/salvos").text


def shown(person: Person) -> dict[str, str]:
    """Return what the page Salvos has beside its only salvo, if there is one."""
    found = re.findall(r'name="shown" value="([^"]+)"', person.http.get("/salvos").text)
    return {"shown": found[0]} if found else {}


def form_of(page: httpx.Response) -> dict[str, str]:
    """Return the fields of the page that asks whether a salvo may be lost."""
    form = page.text[page.text.index('action="/salvos"') :]
    fields = re.findall(r'name="([^"]+)" value="([^"]*)"', form[: form.index("</form>")])
    return {name: unescape(value) for name, value in fields}


def press(person: Person, page: httpx.Response) -> httpx.Response:
    """Say yes to the page that asks whether a salvo may be lost."""
    return send(person, "/salvos", **form_of(page))


def test_a_salvo_is_not_lost_by_one_click(
    operator: Person, video: dict[str, str], news: dict[str, str]
) -> None:
    """Remove, and Keep under its name, ask first; the answer is for what the question showed."""
    kept = "1 destinations, kept by operator"
    assert send(operator, "/salvos", do="remove", **news).status_code == 200
    replace = send(operator, "/salvos", do="keep", name="News", q="")
    assert "Replace the salvo News?" in replace.text
    assert "Video receiver</dt><dd>← nothing" in replace.text
    assert kept in operator.http.get("/salvos").text
    # To keep what is kept already loses nothing.
    same = send(operator, "/salvos", do="keep", name="News", q=video["receiver"])
    assert same.url.path == "/salvos"
    assert "<h1>Salvos</h1>" in same.text
    # By now it would be replaced by something else.
    operator.post("/take", key="while a salvo is replaced", **video)
    until(lambda: note(operator, video["receiver"]).startswith("Connected to Video sender ("))
    late = press(operator, replace)
    assert late.status_code == 409
    assert "has changed since the page was shown" in late.text
    assert "Video receiver</dt><dd>← Video sender" in late.text
    assert kept in operator.http.get("/salvos").text
    fields = form_of(late)
    for _ in range(2):  # a double click
        done = send(operator, "/salvos", **fields)
        assert "<h1>Salvos</h1>" in done.text
    assert kept not in operator.http.get("/salvos").text


def test_a_salvo_whose_destinations_are_gone_is_nobodys_to_lose(
    plant: World, operator: Person, viewer: Person
) -> None:
    """Whoever might not connect them may not replace or remove it while they are away either."""
    see_all(viewer)
    (device,) = node_of(plant).resources.devices
    gone = resource("receiver", id=uuid(9016), device_id=device, label="Away", version="1:0")
    plant.tell(partial(Registry.register, collection="receivers", data=gone))
    until(lambda: str(gone["id"]) in operator.http.get("/routing?q=Away").text)
    send(operator, "/salvos", do="keep", name="News", q=str(gone["id"]))
    plant.tell(lambda registry: registry.remove("receivers", str(gone["id"])))
    until(lambda: f"gone: {gone['id']}" in operator.http.get("/salvos").text)
    until(lambda: f"gone: {gone['id']}" in viewer.http.get("/salvos").text)
    salvo = {"name": "News", **shown(viewer)}
    for do in ("remove", "keep"):
        refused = send(viewer, "/salvos", do=do, **salvo, q="")
        assert refused.status_code == 403
        assert f"{gone['id']}: Your token does not permit you" in refused.text
    removed = press(operator, send(operator, "/salvos", do="remove", **salvo))
    assert "No salvo is kept." in removed.text


async def test_without_a_token_no_salvo_is_lost(surroundings: Surroundings) -> None:
    """A session whose token cannot be had says nothing of what its user may do."""

    async def obtain() -> GrantedTokens:
        raise ServerUnavailable("the Authorization Server is down")

    desk = Desk(TokenSource(obtain), surroundings, asyncio.Event())
    await desk.refresh()
    said = _forbidden(desk, Salvo("News", {uuid(6): None}))
    await desk.aclose()
    assert said == "There is no token now: the Authorization Server is down"


def test_nobody_makes_a_salvo_or_group_that_was_not_shown(
    plant: World, operator: Person, viewer: Person, news: dict[str, str]
) -> None:
    """Others keep salvos too, and groups change: what is made is what the page showed, or nothing.

    Whoever may not connect its destinations keeps, changes and removes no salvo.
    """
    see_all(viewer)
    keep = {"do": "keep", "name": "News"}
    refused = send(viewer, "/salvos", **keep, q="")
    assert refused.status_code == 403
    assert "does not permit you to write this" in refused.text
    assert send(viewer, "/salvos", do="remove", **news).status_code == 403
    other = send(viewer, "/salvos", do="keep", name="Sport", q="")
    assert "A salvo needs at least one destination." in other.text
    assert press(operator, send(operator, "/salvos", **keep, q="")).status_code == 200
    before = patches(plant)
    for do in ("run", "remove"):
        late = send(operator, "/salvos", do=do, **news)
        assert late.status_code == 409
        assert "operator has changed this salvo since the page was shown" in late.text
    group = send(operator, "/groups", destination=news["shown"], source=news["shown"])
    assert group.status_code == 409
    assert patches(plant) == before


def test_a_cell_of_the_matrix(plant: World, operator: Person, video: dict[str, str]) -> None:
    """It connects, and disconnects where it is connected."""
    receiver, cell = node_of(plant).receivers[video["receiver"]], " ".join(video.values())
    assert send(operator, "/matrix", cell=cell, key="m1").status_code == 200
    assert receiver.active.sender_id == video["sender"]
    pressed = f'value="{cell} off" aria-pressed="true"'
    until(lambda: pressed in operator.http.get("/matrix").text)
    assert send(operator, "/matrix", cell=f"{cell} off", key="m2").status_code == 200
    assert not receiver.active.master_enable


@pytest.mark.parametrize(
    "path",
    [
        "/matrix",
        "/many",
        "/groups",
        "/salvos",
        "/events",
        "/channels",
        "/devices",
        "/status",
        "/me",
    ],
)
def test_a_viewer_sees_each_page(plant: World, viewer: Person, path: str) -> None:
    """What he may not change he may look at, and what he sends is refused with a reason."""
    see_all(viewer)
    assert viewer.http.get(path).status_code == 200


def test_a_viewer_changes_nothing(plant: World, viewer: Person) -> None:
    """Every way to change something ends in the Node's 403, told in words."""
    see_all(viewer)
    before = patches(plant)
    (sender,), (receiver,) = ids(plant, "senders", 0, "audio"), ids(plant, "receivers", 1, "tally")
    (device,) = node_of(plant, 0).resources.devices
    answers = [
        send(viewer, f"/sender/{sender}", enable="on"),
        send(viewer, "/many", receiver=[receiver], do="disconnect"),
        send(viewer, "/matrix", cell=f"{receiver} {sender}"),
        send(viewer, "/channels", device=device, **{"route/a/0": "-", "was/a/0": "b/0"}),
    ]
    assert all(answer.status_code in {207, 400} for answer in answers)
    assert all("your token does not permit this (403)" in answer.text for answer in answers)
    assert patches(plant) == before


def test_what_a_node_shows_is_cut_and_made_printable() -> None:
    """However deep, long or badly encoded it is, it becomes names and texts of a page."""
    deep: object = "end"
    for _ in range(500):
        deep = [deep]
    shown = {
        "\ud800": "\udfff",
        "deep": deep,
        "long": "x" * 5000,
        "many": list(range(99)),
        "n": None,
    }
    cells = _flat("", shown)
    assert len(cells) == 8
    assert dict(cells)["n"] == ""
    assert all(len(each) <= 2000 for cell in cells for each in cell)
    "".join(each for cell in cells for each in cell).encode()


def test_a_body_without_end_is_refused(operator: Person) -> None:
    """413 where it is read, and nothing is changed."""
    parts = (b"x" * 10_000 for _ in range(100))
    answer = operator.http.post(
        "/take",
        content=parts,
        headers={"origin": operator.origin, "content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 413
