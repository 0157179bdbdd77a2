"""Where a resource stands: IS-04 "Behaviour: Registration", Referential Integrity."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.errors import Reason, UnfitResource
from nmos_auth.rules.resources import COLLECTIONS, Placement, is_resource_id, place

ID = "3b8be755-08ff-452b-b217-c9151eb21193"
PARENT = "58f6b536-ca4c-43fd-880a-9df2af5d5d94"
OTHER = "f7ed2d3c-5d2c-4e1a-9d38-7c4d0a0b3a1f"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("resource_type", "data", "expected"),
    [
        # A Node is the "root entity"
        ("node", {}, Placement(ID, "node", None, None)),
        # and Devices are "referencing parent Node via `node_id` attribute"
        ("device", {"node_id": PARENT}, Placement(ID, "device", PARENT, "node")),
        # All others are "referencing parent Device via `device_id` attribute"
        *(
            (each, {"device_id": PARENT}, Placement(ID, each, PARENT, "device"))
            for each in ("source", "flow", "sender", "receiver")
        ),
        (
            "flow",
            {"device_id": PARENT, "source_id": OTHER},
            Placement(ID, "flow", PARENT, "device"),
        ),
        # "Version v1.0 Flows … SHOULD be garbage collected based on their parent `source_id`."
        ("flow", {"source_id": PARENT}, Placement(ID, "flow", PARENT, "source")),
        # What belongs to another type is not a parent
        ("node", {"node_id": PARENT, "device_id": OTHER}, Placement(ID, "node", None, None)),
    ],
)
def test_parents(resource_type: str, data: dict[str, object], expected: Placement) -> None:
    """Each type of resource belongs to what the specification says."""
    assert place(resource_type, {"id": ID, **data}) == expected


@pytest.mark.parametrize(
    ("resource_type", "data"),
    [
        ("nodes", {"id": ID}),
        ("Node", {"id": ID}),
        ("subscription", {"id": ID}),
        (None, {"id": ID}),
        (["node"], {"id": ID}),
        ("node", None),
        ("node", [ID]),
        ("node", {}),
        ("node", {"id": None}),
        ("node", {"id": [ID]}),
        ("node", {"id": ID.upper()}),
        ("device", {"id": ID}),
        ("device", {"id": ID, "node_id": None}),
        ("device", {"id": ID, "device_id": PARENT}),
        ("sender", {"id": ID, "node_id": PARENT}),
        ("sender", {"id": ID, "device_id": {}}),
        ("flow", {"id": ID, "device_id": "", "source_id": PARENT}),
    ],
)
def test_what_has_no_place(resource_type: object, data: object) -> None:
    """Types that there are not, and ids that are missing or malformed, are refused."""
    with pytest.raises(UnfitResource) as refusal:
        place(resource_type, data)
    assert refusal.value.reason is Reason.UNFIT


@given(resource_type=JSON | st.sampled_from(["node", "device", "flow"]), data=JSON)
def test_whatever_comes_is_placed_or_refused(resource_type: object, data: object) -> None:
    """No body of a request fails in any other way."""
    try:
        placement = place(resource_type, data)
    except UnfitResource:
        return
    assert is_resource_id(placement.id)


@given(st.uuids(version=4) | st.uuids(version=1) | st.uuids(version=5))
def test_uuids_are_ids_in_one_spelling(value: uuid.UUID) -> None:
    """Lower case with hyphens, and nothing before or after it."""
    text = str(value)
    assert is_resource_id(text)
    for other in (f"{text}\n", f" {text}", f"{{{text}}}", f"urn:uuid:{text}", value.hex, value):
        assert not is_resource_id(other)
    assert is_resource_id(text.upper()) is (text.upper() == text)


@given(st.text() | st.text("0123456789abcdef-", min_size=36, max_size=36))
def test_other_texts_are_no_ids(text: str) -> None:
    """What `uuid` does not read as the very same UUID is none."""
    if is_resource_id(text):
        assert str(uuid.UUID(text)) == text


def test_collections_are_those_of_the_apis() -> None:
    """IS-04 RAML, `resourceType`."""
    assert dict(COLLECTIONS) == {
        "nodes": "node",
        "devices": "device",
        "sources": "source",
        "flows": "flow",
        "senders": "sender",
        "receivers": "receiver",
    }
