"""What is read of a Registry, and what pages make of it: pure functions."""

from __future__ import annotations

import json
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from example_node.controller.permissions import Permissions
from example_node.controller.plant import COLLECTIONS, Flow, Plant, Receiver, Row, Sender, Source
from example_node.controller.plant.fitting import basics, fits
from example_node.controller.plant.groups import groups_of, pairs
from example_node.controller.plant.resources import read, text
from example_node.controller.plant.rows import matches, row_of
from nmos_auth.client import HeldToken, TokenHosts
from tests.example_node.registry.support import DEVICE_ID, NODE_ID, resource, uuid
from tests.support.tokens import compact

KINDS = dict(
    zip(("node", "device", "source", "flow", "sender", "receiver"), COLLECTIONS, strict=True)
)
CAP = "urn:x-nmos:cap:format:"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def whole_plant(**receiver: object) -> tuple[Plant, list[set[Row]]]:
    """Return a plant with a resource of each kind, and what it says has changed."""
    changed: list[set[Row]] = []

    def note(rows: Collection[Row]) -> None:
        changed.append(set(rows))

    plant = Plant(note)
    for kind, collection in KINDS.items():
        plant.put(collection, resource(kind, **(receiver if kind == "receiver" else {})))
    return plant, changed


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_no_resource_harms(kind: str, data: st.DataObject) -> None:
    """Whatever an attribute is, the resource is left out or read, and its rows can be shown."""
    plant, _ = whole_plant()
    given_one = resource(kind)
    name = data.draw(st.sampled_from(sorted(given_one)))
    given_one[name] = data.draw(ANYTHING)
    plant.put(KINDS[kind], given_one)
    for row in (Row("receivers", uuid(6)), Row("senders", uuid(5))):
        shown = row_of(plant, row, lambda _: ("", ""), lambda *_: "")
        assert shown is not None
        matches(shown, ["a"])
    sender, receiver = plant.senders[uuid(5)], plant.receivers[uuid(6)]
    flow, source = plant.flows.get(sender.flow_id or ""), plant.source_of(sender)
    basics(receiver, sender, flow, source)
    fits(receiver, flow, source)
    groups_of(plant, plant.receivers)


@given(ANYTHING)
def test_what_is_no_resource_is_left_out(value: object) -> None:
    """None of it has the shape of one."""
    assert all(read(each, value) is None for each in COLLECTIONS)


def test_texts_are_cut_and_made_printable() -> None:
    """What would move or hide other text does not come through."""
    assert text("a\u202eb\x00c\nd") == "a b c d"
    assert len(text("x" * 10_000)) == 200
    assert text(5) == ""


def test_a_change_names_the_rows_that_show_it() -> None:
    """A Node's label stands in all its rows, a Sender's in those of its Receivers; and so on."""
    connected = {"active": True, "sender_id": uuid(5)}
    plant, changed = whole_plant(subscription=connected)
    receiver, sender = Row("receivers", uuid(6)), Row("senders", uuid(5))
    for collection, data, rows in (
        ("nodes", resource("node", id=NODE_ID, label="N"), {receiver, sender}),
        ("devices", resource("device", label="D"), {receiver, sender}),
        ("sources", resource("source", label="S"), {receiver, sender}),
        ("flows", resource("flow", label="F"), {receiver, sender}),
        ("senders", resource("sender", label="S"), {receiver, sender}),
        ("receivers", resource("receiver"), {receiver}),
    ):
        changed.clear()
        plant.put(collection, data)  # type: ignore[arg-type]
        assert changed == [rows]
    # Of a Sender elsewhere the Receiver shows the Node too.
    plant.put("receivers", resource("receiver", subscription=connected))
    plant.put("nodes", resource("node", id=uuid(21), label="Elsewhere"))
    plant.put("devices", resource("device", id=uuid(22), node_id=uuid(21)))
    plant.put("senders", resource("sender", label="S", device_id=uuid(22)))
    shown = row_of(plant, receiver, lambda _: ("", ""), lambda *_: "")
    assert shown is not None
    assert shown["sender"] == "S (Elsewhere)"
    changed.clear()
    plant.put("nodes", resource("node", id=uuid(21), label="There"))
    assert changed == [{sender, receiver}]
    # It is connected no longer.
    plant.put("receivers", resource("receiver"))
    changed.clear()
    plant.put("senders", resource("sender"))
    assert changed == [{sender}]
    plant.drop("devices", DEVICE_ID)
    assert row_of(plant, receiver, lambda _: ("", ""), lambda *_: "") is not None


def test_a_registry_that_goes_on_for_ever_fills_no_memory() -> None:
    """What is beyond the bound is left out; what is known may change."""
    plant = Plant(most=3)
    for number in range(1, 9):
        plant.put("nodes", resource("node", id=uuid(number)))
    plant.put("nodes", resource("node", id=uuid(1), label="new"))
    assert len(plant) == 3
    assert plant.nodes[uuid(1)].label == "new"


def receiver_with(*sets: object, **more: object) -> Receiver:
    """Return a Receiver with these constraint sets."""
    caps = {"media_types": ["audio/L24"], "constraint_sets": list(sets)}
    found = read("receivers", resource("receiver", caps={**caps, **more}))
    assert isinstance(found, Receiver)
    return found


def audio(**flow: object) -> tuple[Sender, Flow, Source]:
    """Return a Sender of audio with its Flow and Source."""
    found = (
        read("senders", resource("sender")),
        read("flows", resource("flow", **flow)),
        read("sources", resource("source")),
    )
    sender, of, source = found
    assert isinstance(sender, Sender)
    assert isinstance(of, Flow)
    assert isinstance(source, Source)
    return sender, of, source


@pytest.mark.parametrize(
    ("constraint", "fault"),
    [
        ({f"{CAP}sample_rate": {"enum": [{"numerator": 48000}]}}, None),
        ({f"{CAP}sample_rate": {"minimum": {"numerator": 96000}}}, "sample_rate is 48000"),
        ({f"{CAP}sample_depth": {"maximum": 16}}, "sample_depth is 24, not at most 16"),
        ({f"{CAP}media_type": {"enum": ["AUDIO/l24"]}}, None),
        ({f"{CAP}channel_count": {"enum": [2, 4]}}, "channel_count is 1, not 2 or 4"),
        ({f"{CAP}frame_width": {"enum": [1920]}}, None),
        ({"urn:x-vendor:cap:colour": {"enum": ["blue"]}}, None),
        ({f"{CAP}sample_depth": {}}, None),
    ],
    ids=["enum", "minimum", "maximum", "case", "source", "other format", "unknown", "anything"],
)
def test_constraint_sets(constraint: dict[str, object], fault: str | None) -> None:
    """Each parameter that the Registry tells of is compared; of the others nothing is held."""
    _, flow, source = audio()
    (fit,) = fits(receiver_with(constraint), flow, source)
    assert fit.is_met is (fault is None)
    assert fault is None or fit.faults[0].startswith(fault)


def test_sets_come_by_preference_and_one_may_be_off() -> None:
    """BCP-004-01: the higher preference first; a set that is not enabled is not met."""
    meta = "urn:x-nmos:cap:meta:"
    sets = [
        {f"{meta}label": "low", f"{meta}preference": -5},
        {f"{meta}label": "off", f"{meta}enabled": False},
        {f"{meta}label": "high", f"{meta}preference": 7},
    ]
    _, flow, source = audio()
    found = fits(receiver_with(*sets), flow, source)
    assert [(each.label, each.is_met) for each in found] == [
        ("high", True),
        ("off", False),
        ("low", True),
    ]


def test_what_a_receiver_does_not_accept_at_all() -> None:
    """Transport, format and media type; multicast RTP is RTP."""
    sender, flow, source = audio()
    assert basics(receiver_with(), sender, flow, source) == []
    _, other, _ = audio(media_type="audio/L16")
    assert basics(receiver_with(), sender, other, source) == [
        "the media type is audio/L16, not audio/L24"
    ]
    events = read("receivers", resource("receiver", transport="urn:x-nmos:transport:websocket"))
    assert isinstance(events, Receiver)
    assert basics(events, sender, flow, source)[0].startswith("the transport is")


def test_groups_pair_roles() -> None:
    """A role that only one of them has is left alone; malformed hints are none."""
    plant = Plant()
    plant.put("devices", resource("device", label="D"))

    def hint(*values: str) -> dict[str, object]:
        return {"tags": {"urn:x-nmos:tag:grouphint/v1.0": list(values)}}

    plant.put("receivers", resource("receiver", **hint("In 1:video", "In 1:", "x")))
    plant.put("receivers", resource("receiver", id=uuid(16), **hint("In 1:audio:device")))
    plant.put("senders", resource("sender", **hint("Out:video")))
    plant.put("senders", resource("sender", id=uuid(15), **hint("Out:data")))
    (destination,) = groups_of(plant, plant.receivers).values()
    (source,) = groups_of(plant, plant.senders).values()
    assert (destination.name, dict(destination.members)) == (
        "In 1 (D)",
        {"video": uuid(6), "audio": uuid(16)},
    )
    assert pairs(destination, source) == {uuid(6): uuid(5)}


STAGED = "single/receivers/1/staged"
HREF = "https://node.example.com/x-nmos/connection/v1.1"


@pytest.mark.parametrize(
    ("claims", "lack"),
    [
        (None, ""),
        ({"aud": ["*.example.com"], "x-nmos-connection": {"write": ["single/*"]}}, ""),
        (
            {"aud": "*", "x-nmos-connection": {"write": ["*"]}},
            "Your token is not for node.example.com: it names *, and",
        ),
        ({"aud": ["*.example.com"]}, "Your token does not permit you to write this"),
        ({"x-nmos-connection": {"write": "*"}}, "Your token does not permit you to write this"),
        (
            {"aud": ["other.example.com"], "x-nmos-connection": {"write": ["*"]}},
            "Your token is not for node.example.com: it names other.example.com, and EXAMPLE_CON",
        ),
        ({"x-nmos-connection": {"write": ["*"]}}, "Your token is not for node.example.com"),
    ],
    ids=["opaque", "may", "anywhere", "no claim", "wrong type", "another host", "no audience"],
)
def test_what_a_token_surely_does_not_permit(claims: dict[str, object] | None, lack: str) -> None:
    """Only what is sure is said; an opaque token says nothing of what it permits."""
    token = HeldToken(SecretStr(compact(b"{}", json.dumps(claims).encode())), 0.0, 0.0, frozenset())

    def goes_to(href: str) -> bool:
        return claims is None or TokenHosts().permits(href, token)

    found = Permissions(claims, goes_to).lack("connection", "write", STAGED, HREF)
    assert found.startswith(lack)
    assert bool(found) is bool(lack)


def test_a_host_that_the_operator_names_gets_the_token() -> None:
    """Then only the Node can say whether the token is for it; an opaque token goes nowhere else."""
    claims = {"aud": ["other.example.com"], "x-nmos-connection": {"write": ["*"]}}
    for known in (claims, None):
        listed = Permissions(known, lambda href: href == HREF)
        assert listed.lack("connection", "write", STAGED, HREF) == ""
        said = listed.lack("connection", "write", STAGED, "https://192.0.2.1/")
        assert said.startswith("Your token is not for 192.0.2.1")
