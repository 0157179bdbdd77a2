"""What pages show of Receivers and Senders."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict

from example_node.controller.plant import groups
from example_node.controller.plant.plant import Plant, Row
from example_node.controller.plant.resources import Device, Receiver, Sender, short

# BCP-002-02 "Asset Distinguishing Information".
_ASSET = "urn:x-nmos:tag:asset:"


class Shown(TypedDict):
    """A row as a template or a script gets it; all of it but the ids is text for people."""

    kind: str
    id: str
    label: str
    device: str
    node: str
    maker: str
    group: str
    format: str
    transport: str
    address: str
    active: bool
    sender: str
    sender_id: str
    source: str
    note: str
    state: str
    reason: str


class Asset(TypedDict):
    """Who made a Device or Node, and which one it is."""

    manufacturer: str
    product: str
    instance: str
    functions: str


Notes = Callable[[str], tuple[str, str]]
"""Tells what last became of a Receiver here: its state in a word, and a text; both may be empty."""
Reasons = Callable[[Receiver, Device | None], str]
"""Tells why a Receiver surely may not be connected by this user; "" where that is not sure."""


def asset_of(tags: Mapping[str, tuple[str, ...]]) -> Asset:
    """Return what BCP-002-02 has a resource say of itself; "" for what it does not say."""

    def tag(name: str) -> str:
        return ", ".join(tags.get(f"{_ASSET}{name}/v1.0", ()))

    return {
        "manufacturer": tag("manufacturer"),
        "product": tag("product"),
        "instance": tag("instance-id"),
        "functions": tag("function"),
    }


def row_of(plant: Plant, row: Row, notes: Notes, reasons: Reasons) -> Shown | None:
    """Return what is shown of a row; None where it is gone."""
    if row.kind == "receivers":
        receiver = plant.receivers.get(row.id)
        return None if receiver is None else _receiver(plant, receiver, notes, reasons)
    sender = plant.senders.get(row.id)
    return None if sender is None else _sender(plant, sender)


def matches(shown: Shown, words: Iterable[str]) -> bool:
    """Tell whether a row has all of the words, in lower case, somewhere."""
    texts = (
        *("label", "group", "device", "node", "maker"),
        *("id", "address", "format", "transport", "sender"),
    )
    text = " ".join(str(shown.get(each)) for each in texts).lower()
    return all(word in text for word in words)


def order(shown: Shown) -> tuple[str, str, str, str]:
    """Sort rows by Node, Device and label."""
    return (shown["node"].lower(), shown["device"].lower(), shown["label"].lower(), shown["id"])


def _receiver(plant: Plant, receiver: Receiver, notes: Notes, reasons: Reasons) -> Shown:
    device = plant.device_of(receiver)
    sender = plant.senders.get(receiver.sender_id or "")
    state, note = notes(receiver.id)
    return {
        **_common(plant, "receiver", receiver, device),
        "format": short(receiver.format),
        "sender_id": receiver.sender_id or "",
        "source": receiver.source,
        "sender": _source_text(plant, receiver, sender),
        "state": state,
        "note": note,
        "reason": reasons(receiver, device),
    }


def _source_text(plant: Plant, receiver: Receiver, sender: Sender | None) -> str:
    if not receiver.active:
        return ""
    if sender is not None:
        here, there = (plant.node_of(plant.device_of(each)) for each in (receiver, sender))
        return sender.name if there is None or here is there else f"{sender.name} ({there.name})"
    return receiver.sender_id or "a source that is not a Sender of this plant"


def _sender(plant: Plant, sender: Sender) -> Shown:
    flow = plant.flows.get(sender.flow_id or "")
    return {
        **_common(plant, "sender", sender, plant.device_of(sender)),
        "format": "" if flow is None else short(flow.format),
    }


def _common(plant: Plant, kind: str, resource: Sender | Receiver, device: Device | None) -> Shown:
    node = plant.node_of(device)
    asset = asset_of({} if device is None else device.tags)
    if node is not None and not asset["manufacturer"]:
        asset = asset_of(node.tags)
    return {
        "kind": kind,
        "id": resource.id,
        "label": resource.name,
        "device": "" if device is None else device.name,
        "node": "" if node is None else node.name,
        "maker": " ".join(filter(None, (asset["manufacturer"], asset["product"]))),
        "group": ", ".join(map(str, groups.hints_of(resource))),
        "format": "",
        "transport": short(resource.transport),
        "address": "" if node is None else ", ".join(node.hosts),
        "active": resource.active,
        "sender": "",
        "sender_id": "",
        "source": "",
        "note": "",
        "state": "",
        "reason": "",
    }
