"""All resources that are known, and which rows of pages a change of one touches."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from example_node.controller.plant import resources
from example_node.controller.plant.resources import (
    COLLECTIONS,
    Device,
    Flow,
    Node,
    Receiver,
    Resource,
    Sender,
    Source,
)

MOST_RESOURCES = 200_000


class Row(NamedTuple):
    """A resource by its kind and id; pages have rows of Receivers and Senders."""

    kind: resources.Collection
    id: str


class Plant:
    """What a Query API has told so far.

    Args:
        on_change: called with the rows that look different from now on.
        most: how many resources are kept; a Registry may go on for ever.
    """

    def __init__(
        self,
        on_change: Callable[[Collection[Row]], None] = lambda _: None,
        most: int = MOST_RESOURCES,
    ) -> None:
        self._on_change = on_change
        self._most = most
        self._all: dict[resources.Collection, dict[str, Resource]] = {
            each: {} for each in COLLECTIONS
        }
        self.nodes: Mapping[str, Node] = self._all["nodes"]  # type: ignore[assignment]
        self.devices: Mapping[str, Device] = self._all["devices"]  # type: ignore[assignment]
        self.sources: Mapping[str, Source] = self._all["sources"]  # type: ignore[assignment]
        self.flows: Mapping[str, Flow] = self._all["flows"]  # type: ignore[assignment]
        self.senders: Mapping[str, Sender] = self._all["senders"]  # type: ignore[assignment]
        self.receivers: Mapping[str, Receiver] = self._all["receivers"]  # type: ignore[assignment]
        self._referring: defaultdict[Row, set[Row]] = defaultdict(set)

    def __len__(self) -> int:
        """Count the resources."""
        return sum(map(len, self._all.values()))

    def version(self, collection: resources.Collection, resource_id: str) -> str | None:
        """Return the version of a resource, or None where it is not there."""
        known = self._all[collection].get(resource_id)
        return None if known is None else known.version

    def ids(self, collection: resources.Collection) -> set[str]:
        """Return the ids of all resources of a kind."""
        return set(self._all[collection])

    def put(self, collection: resources.Collection, data: object) -> None:
        """Take note of a resource as it is now; what is not one is left out."""
        resource = resources.read(collection, data)
        if resource is None:
            return
        kept = self._all[collection]
        former = kept.get(resource.id)
        if former is None and len(self) >= self._most:
            return
        row = Row(collection, resource.id)
        self._forget(row, former)
        kept[resource.id] = resource
        for each in _references(resource):
            self._referring[each].add(row)
        self._on_change(self._touched(row))

    def drop(self, collection: resources.Collection, resource_id: str) -> None:
        """Take note that a resource is gone."""
        row, former = Row(collection, resource_id), self._all[collection].pop(resource_id, None)
        if former is not None:
            self._forget(row, former)
            self._on_change(self._touched(row))

    def device_of(self, resource: Sender | Receiver | Source) -> Device | None:
        """Return the Device that has a resource, if it is known."""
        return self.devices.get(resource.device_id)

    def node_of(self, device: Device | None) -> Node | None:
        """Return the Node that has a Device, if it is known."""
        return None if device is None else self.nodes.get(device.node_id)

    def source_of(self, sender: Sender) -> Source | None:
        """Return the Source whose Flow a Sender sends, if it is known."""
        flow = self.flows.get(sender.flow_id or "")
        return None if flow is None else self.sources.get(flow.source_id)

    def rows_of(self, device_id: str) -> Collection[Row]:
        """Return the Senders and Receivers of a Device."""
        return frozenset(self._referring.get(Row("devices", device_id), ()))

    def _forget(self, row: Row, resource: Resource | None) -> None:
        for each in () if resource is None else _references(resource):
            self._referring[each].discard(row)
            if not self._referring[each]:
                del self._referring[each]

    def _touched(self, resource: Row) -> set[Row]:
        """Return the rows that show something of a resource.

        A Sender shows something of its Flow, Source, Device and Node; a Receiver of its Device and
        Node, and of the Sender that it is connected to.
        """
        found: set[Row] = set()
        ahead = {resource}
        while ahead:
            found |= ahead
            ahead = {of for each in ahead for of in self._referring.get(each, ())} - found
        return {each for each in found if each.kind in {"senders", "receivers"}}


def _references(resource: Resource) -> list[Row]:
    """Return the resources that a resource refers to, and of which its row shows something."""
    match resource:
        case Device():
            found = [Row("nodes", resource.node_id)]
        case Flow():
            found = [Row("sources", resource.source_id)]
        case Sender():
            found = [Row("devices", resource.device_id), Row("flows", resource.flow_id or "")]
        case Receiver():
            found = [Row("devices", resource.device_id), Row("senders", resource.sender_id or "")]
        case _:
            found = []
    return [each for each in found if each.id]
