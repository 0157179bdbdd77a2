"""All resources that are known, and which rows of pages a change of one touches."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, TypeVar

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

T = TypeVar("T")

MOST_RESOURCES = 200_000


class Row(NamedTuple):
    """A row that pages show: a Receiver or a Sender."""

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
        self._rows_of_device: defaultdict[str, set[Row]] = defaultdict(set)
        self._devices_of_node: defaultdict[str, set[str]] = defaultdict(set)
        self._receivers_of_sender: defaultdict[str, set[str]] = defaultdict(set)
        self._flows_of_source: defaultdict[str, set[str]] = defaultdict(set)
        self._senders_of_flow: defaultdict[str, set[str]] = defaultdict(set)

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
        touched = self._forget(collection, former) if former is not None else set()
        kept[resource.id] = resource
        self._on_change(touched | self._remember(collection, resource))

    def drop(self, collection: resources.Collection, resource_id: str) -> None:
        """Take note that a resource is gone."""
        former = self._all[collection].pop(resource_id, None)
        if former is not None:
            self._on_change(self._forget(collection, former))

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
        return frozenset(self._rows_of_device.get(device_id, ()))

    def _remember(self, collection: resources.Collection, resource: Resource) -> set[Row]:
        if isinstance(resource, Device):
            self._devices_of_node[resource.node_id].add(resource.id)
        if isinstance(resource, Sender | Receiver):
            self._rows_of_device[resource.device_id].add(Row(collection, resource.id))
        if isinstance(resource, Receiver) and resource.sender_id:
            self._receivers_of_sender[resource.sender_id].add(resource.id)
        if isinstance(resource, Flow):
            self._flows_of_source[resource.source_id].add(resource.id)
        if isinstance(resource, Sender) and resource.flow_id:
            self._senders_of_flow[resource.flow_id].add(resource.id)
        return self._touched(collection, resource)

    def _forget(self, collection: resources.Collection, resource: Resource) -> set[Row]:
        touched = self._touched(collection, resource)
        if isinstance(resource, Device):
            _discard(self._devices_of_node, resource.node_id, resource.id)
        if isinstance(resource, Sender | Receiver):
            _discard(self._rows_of_device, resource.device_id, Row(collection, resource.id))
        if isinstance(resource, Receiver) and resource.sender_id:
            _discard(self._receivers_of_sender, resource.sender_id, resource.id)
        if isinstance(resource, Flow):
            _discard(self._flows_of_source, resource.source_id, resource.id)
        if isinstance(resource, Sender) and resource.flow_id:
            _discard(self._senders_of_flow, resource.flow_id, resource.id)
        return touched

    def _touched(self, collection: resources.Collection, resource: Resource) -> set[Row]:
        """Return the rows that show something of a resource."""
        rows: set[Row] = set()
        if isinstance(resource, Node):
            for each in self._devices_of_node.get(resource.id, ()):
                rows |= self._rows_of_device.get(each, set())
        elif isinstance(resource, Device):
            rows |= self._rows_of_device.get(resource.id, set())
        elif isinstance(resource, Sender | Receiver):
            rows.add(Row(collection, resource.id))
        else:
            # Senders show the format of their Flow, and the event type of its Source.
            flows = {resource.id} if isinstance(resource, Flow) else set[str]()
            flows |= self._flows_of_source.get(resource.id, set())
            found = (self._senders_of_flow.get(each, ()) for each in flows)
            return {Row("senders", each) for ids in found for each in ids}
        # Receivers show the Sender that they are connected to, and where it is.
        senders = [row.id for row in rows if row.kind == "senders"]
        connected = (self._receivers_of_sender.get(each, ()) for each in senders)
        return rows | {Row("receivers", each) for ids in connected for each in ids}


def _discard(index: defaultdict[str, set[T]], key: str, value: T) -> None:
    index[key].discard(value)
    if not index[key]:
        del index[key]
