"""Nodes that only a Registry knows, with whatever labels and hrefs a test gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.example_node.registry.support import resource, uuid

__all__ = ["MARKUP", "Resources", "lying_node", "many_receivers"]

Resources = list[tuple[str, Mapping[str, object]]]

_KINDS = ("node", "device", "source", "flow", "sender", "receiver")
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def lying_node(number: int, href: str, manifest: str) -> Resources:
    """Return a Node with one Sender and one Receiver, whose labels are markup.

    Args:
        number: tells it from others.
        href: of its Device's Connection API.
        manifest: where its Sender says that its transport file is.
    """
    ids = {kind: uuid(number * 100 + index) for index, kind in enumerate(_KINDS)}
    label = f"liar-{number:02} {MARKUP}"
    below = {"device_id": ids["device"], "label": label}
    control = {"href": href, "type": "urn:x-nmos:control:sr-ctrl/v1.1", "authorization": True}
    return [
        ("nodes", resource("node", id=ids["node"], label=label)),
        (
            "devices",
            resource(
                "device", id=ids["device"], node_id=ids["node"], label=label, controls=[control]
            ),
        ),
        ("sources", resource("source", id=ids["source"], **below)),
        ("flows", resource("flow", id=ids["flow"], source_id=ids["source"], **below)),
        (
            "senders",
            resource(
                "sender", id=ids["sender"], flow_id=ids["flow"], manifest_href=manifest, **below
            ),
        ),
        ("receivers", resource("receiver", id=ids["receiver"], **below)),
    ]


def many_receivers(number: int) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield Nodes of a hundred Receivers each, and one Sender for each Node."""
    for node in range(number // 100):
        base = (node + 1) * 1000
        parts = lying_node(base // 100, "https://localhost:1/x-nmos/connection/v1.1", "")
        for collection, part in parts[:-1]:
            yield collection, {**part, "label": f"{collection} {node:02}"}
        device = parts[1][1]["id"]
        for index in range(100):
            yield (
                "receivers",
                resource(
                    "receiver",
                    id=uuid(base + 100 + index),
                    device_id=device,
                    label=f"Receiver {node:02}-{index:02}",
                ),
            )
