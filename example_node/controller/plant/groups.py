"""Natural groups: Senders and Receivers that belong together (BCP-002-01)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from example_node.controller.plant.plant import Plant
from example_node.controller.plant.resources import Receiver, Sender

_TAG = "urn:x-nmos:tag:grouphint/v1.0"
# "<group-name>:<role-in-group>[:group-scope]"; the scope is the Device unless it says `node`.
_HINT = re.compile(r"(?P<group>[^:]+):(?P<role>[^:]+)(?::(?P<scope>device|node))?")


@dataclass(frozen=True, slots=True)
class Hint:
    """That a Sender or Receiver has a role in a group of its Device or Node."""

    group: str
    role: str
    scope: str

    @override
    def __str__(self) -> str:
        return f"{self.group}: {self.role}"


@dataclass(frozen=True, slots=True)
class Group:
    """A group, and what has which role in it, by id."""

    key: str
    name: str
    members: Mapping[str, str]


def hints_of(resource: Sender | Receiver) -> tuple[Hint, ...]:
    """Return the groups that a Sender or Receiver says it belongs to."""
    found = (_HINT.fullmatch(each) for each in resource.tags.get(_TAG, ()))
    return tuple(
        Hint(each["group"].strip(), each["role"].strip(), each["scope"] or "device")
        for each in found
        if each is not None
    )


def groups_of(
    plant: Plant, resources: Mapping[str, Sender] | Mapping[str, Receiver]
) -> dict[str, Group]:
    """Return all groups of Senders, or of Receivers, by a key that stays the same."""
    members: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    for resource in resources.values():
        device = plant.device_of(resource)
        for hint in hints_of(resource):
            owner = device.node_id if device is not None and hint.scope == "node" else ""
            place = owner or resource.device_id
            key = f"{place}/{hint.group}"
            node = plant.nodes.get(owner)
            where = node.name if node else (device.name if device else place)
            names[key] = f"{hint.group} ({where})"
            members.setdefault(key, {}).setdefault(hint.role, resource.id)
    return {
        key: Group(key, names[key], members[key]) for key in sorted(names, key=names.__getitem__)
    }


def pairs(destination: Group, source: Group) -> dict[str, str]:
    """Return which Sender each Receiver of a group gets: by role, Receiver's id to Sender's."""
    return {
        receiver: source.members[role]
        for role, receiver in destination.members.items()
        if role in source.members
    }
