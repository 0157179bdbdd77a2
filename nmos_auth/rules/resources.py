"""The resources of IS-04, and what each belongs to. Pure functions.

They read what a client sends to a Registry, and believe nothing of it without a check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeGuard

from nmos_auth.errors import Detail, Reason, UnfitResource

__all__ = ["COLLECTIONS", "NODE", "Placement", "is_resource_id", "place"]

NODE = "node"

# IS-04 "Behaviour: Registration", Referential Integrity: "Devices: Referencing parent Node via
# `node_id` attribute" and so on. Flows of v1.0 have no `device_id`, and go with their Source.
_PARENTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    NODE: (),
    "device": (("node_id", NODE),),
    "source": (("device_id", "device"),),
    "flow": (("device_id", "device"), ("source_id", "source")),
    "sender": (("device_id", "device"),),
    "receiver": (("device_id", "device"),),
}

COLLECTIONS: Mapping[str, str] = {f"{each}s": each for each in _PARENTS}
"""The type of the resources in each collection: "sender" for "senders"."""

# The pattern of all of IS-04's schemas: lower case only, so that no id has two spellings.
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Placement:
    """What a resource is and what it belongs to.

    Attributes:
        id: its UUID.
        type: "node", "device", "source", "flow", "sender" or "receiver".
        parent: the UUID of the resource that it belongs to; None for a Node.
        parent_type: the type that the parent must have.
    """

    id: str
    type: str
    parent: str | None
    parent_type: str | None


def is_resource_id(value: object) -> TypeGuard[str]:
    """Tell whether a value is the id of an NMOS resource, in its only spelling."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def place(resource_type: object, data: object) -> Placement:
    """Return the place of the resource in a registration.

    Args:
        resource_type: `type` of the request's body, as it came.
        data: `data` of the request's body, as it came.

    Raises:
        UnfitResource: the type does not exist, or a required id is missing or is not a UUID.
    """
    if not isinstance(resource_type, str) or resource_type not in _PARENTS:
        _refuse("type is not one of {}", tuple(_PARENTS))
    if not isinstance(data, Mapping):
        _refuse("data is not an object")
    resource_id = _id_of(data, "id", resource_type)
    parents = _PARENTS[resource_type]
    for attribute, parent_type in parents:
        if attribute in data:
            parent = _id_of(data, attribute, resource_type)
            return Placement(resource_id, resource_type, parent, parent_type)
    if parents:
        _refuse("the {} has no {}", resource_type, parents[0][0])
    return Placement(resource_id, resource_type, None, None)


def _id_of(data: Mapping[object, object], attribute: str, resource_type: str) -> str:
    value = data.get(attribute)
    if not is_resource_id(value):
        _refuse("{} of the {} is not a UUID in lower case", attribute, resource_type)
    return value


def _refuse(words: str, *values: str | tuple[str, ...]) -> NoReturn:
    raise UnfitResource(Reason.UNFIT, detail=Detail.of(words, *values))
