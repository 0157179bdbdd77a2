"""The Node's resources as a Registration API requires them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from example_node.resources import Flow, Receiver, Resource, Resources, Sender, Source


class Kind(StrEnum):
    """The kinds of resources, as `type` names them and, with an s, the paths."""

    NODE = "node"
    DEVICE = "device"
    SOURCE = "source"
    FLOW = "flow"
    SENDER = "sender"
    RECEIVER = "receiver"


@dataclass(frozen=True, slots=True)
class Record:
    """One resource, in one of its versions.

    Attributes:
        kind: its kind.
        resource: the resource itself.
        parent: the id of the resource that must be registered before it; the Node has none.
    """

    kind: Kind
    resource: Resource
    parent: str | None = None

    @property
    def id(self) -> str:
        """The resource's id."""
        return self.resource.id

    @property
    def version(self) -> str:
        """The resource's version."""
        return self.resource.version

    @property
    def data(self) -> dict[str, object]:
        """The resource as JSON, exactly as the Node API shows it."""
        return self.resource.model_dump(mode="json")


def records_of(resources: Resources) -> tuple[Record, ...]:
    """Return all resources, parents first (IS-04 "Behaviour: Registration")."""
    return (
        Record(Kind.NODE, resources.node),
        *(Record(Kind.DEVICE, each, each.node_id) for each in resources.devices.values()),
        *_of_devices(Kind.SOURCE, resources.sources.values()),
        *_of_devices(Kind.FLOW, resources.flows.values()),
        *_of_devices(Kind.SENDER, resources.senders.values()),
        *_of_devices(Kind.RECEIVER, resources.receivers.values()),
    )


def _of_devices(
    kind: Kind, resources: Iterable[Source | Flow | Sender | Receiver]
) -> Iterable[Record]:
    return (Record(kind, each, each.device_id) for each in resources)
