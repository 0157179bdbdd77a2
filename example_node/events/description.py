"""How IS-04 describes this Node's events: with a Source, a Flow and a Sender for each Signal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from example_node.events.signals import SIGNALS, Signal
from example_node.resources import WEBSOCKET, DataSource, EventTypes, JsonDataFlow, Receiver, Sender


@dataclass(frozen=True, slots=True)
class EventResources:
    """The resources of events, and by Source the Signal that each shows."""

    signals: Mapping[str, Signal]
    sources: tuple[DataSource, ...]
    flows: tuple[JsonDataFlow, ...]
    senders: tuple[Sender, ...]
    receivers: tuple[Receiver, ...]


def event_resources(
    id_of: Callable[[str], str], *, device_id: str, version: str, interface: str
) -> EventResources:
    """Make the resources of this Node's Signals.

    Args:
        id_of: gives the UUID of the resource with a role.
        device_id: the Device that has them.
        version: their version.
        interface: the network interface for events.
    """

    def label(signal: Signal, kind: str) -> str:
        return f"{signal.role.capitalize()} {kind}"

    def source(signal: Signal) -> DataSource:
        return DataSource(
            id=id_of(f"source/{signal.role}"),
            version=version,
            label=label(signal, "source"),
            device_id=device_id,
            clock_name=None,
            event_type=signal.event_type,
        )

    def flow(signal: Signal) -> JsonDataFlow:
        return JsonDataFlow(
            id=id_of(f"flow/{signal.role}"),
            version=version,
            label=label(signal, "flow"),
            source_id=id_of(f"source/{signal.role}"),
            device_id=device_id,
            event_type=signal.event_type,
        )

    def sender(signal: Signal) -> Sender:
        return Sender(
            id=id_of(f"sender/{signal.role}"),
            version=version,
            label=label(signal, "sender"),
            tags={"urn:x-nmos:tag:grouphint/v1.0": (f"Events:{signal.role}",)},
            flow_id=id_of(f"flow/{signal.role}"),
            transport=WEBSOCKET,
            device_id=device_id,
            manifest_href=None,
            interface_bindings=(interface,),
        )

    def receiver(signal: Signal) -> Receiver:
        return Receiver(
            id=id_of(f"receiver/{signal.role}"),
            version=version,
            label=label(signal, "receiver"),
            tags={"urn:x-nmos:tag:grouphint/v1.0": (f"Event inputs:{signal.role}",)},
            format="urn:x-nmos:format:data",
            caps=EventTypes(media_types=("application/json",), event_types=signal.received_as),
            device_id=device_id,
            transport=WEBSOCKET,
            interface_bindings=(interface,),
        )

    return EventResources(
        signals={id_of(f"source/{signal.role}"): signal for signal in SIGNALS},
        sources=tuple(map(source, SIGNALS)),
        flows=tuple(map(flow, SIGNALS)),
        senders=tuple(map(sender, SIGNALS)),
        receivers=tuple(receiver(signal) for signal in SIGNALS if signal.received_as),
    )
