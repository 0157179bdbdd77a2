"""The events of this Node and their causes: a panel and a sensor of its own.

To send events of your own equipment, this is the file to replace.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from example_node.clock import Clock, TaiTime
from example_node.events.event_types import (
    BooleanType,
    EnumValue,
    Number,
    NumberType,
    Payload,
    StringEnumType,
    StringType,
    TypeDefinition,
)
from example_node.events.sources import EventSource

_TENTHS = 10


@dataclass(frozen=True, slots=True)
class Signal:
    """What an event Source of this Node emits.

    Attributes:
        role: what distinguishes it from the Node's other Sources.
        event_type: the type of its events.
        definition: the values that they can have.
        payloads: its values, which it repeats in this order.
        received_as: the event types that the Node has a Receiver of the same role for, if any.
    """

    role: str
    event_type: str
    definition: TypeDefinition
    payloads: tuple[Payload, ...]
    received_as: tuple[str, ...] = ()


def _tenths(value: int) -> Number:
    return Number(value=value, scale=_TENTHS)


_DEVICE_STATUS = (
    EnumValue(value="ok", label="OK", description="All is well"),
    EnumValue(value="warn", label="Warning", description="A fan is slow"),
    EnumValue(value="fail", label="Failure", description="A fan stands still"),
)

SIGNALS = (
    Signal(
        role="tally",
        event_type="boolean",
        definition=BooleanType(),
        payloads=(Payload(value=False), Payload(value=True)),
        received_as=("boolean",),
    ),
    Signal(
        role="caption",
        event_type="string",
        definition=StringType(min_length=1, max_length=30),
        payloads=tuple(Payload(value=text) for text in ("Camera 1", "Camera 2", "Replay")),
    ),
    Signal(
        role="temperature",
        event_type="number/temperature/C",
        definition=NumberType(min=_tenths(-200), max=_tenths(1000), step=_tenths(1), unit="C"),
        payloads=tuple(
            Payload(value=each, scale=_TENTHS) for each in (*range(200, 250), *range(250, 200, -1))
        ),
        received_as=("number/temperature/*",),
    ),
    Signal(
        role="status",
        event_type="string/enum/DeviceStatus",
        definition=StringEnumType(values=_DEVICE_STATUS),
        payloads=tuple(Payload(value=each.value) for each in _DEVICE_STATUS),
    ),
)


class Generator:
    """Changes the values of Sources at regular times of the Node's clock.

    Args:
        clock: the Node's clock.
        interval: the time from one change to the next.
        sources: each Source and its Signal.
    """

    def __init__(
        self, clock: Clock, interval: TaiTime, sources: Sequence[tuple[EventSource, Signal]]
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._changes: list[tuple[EventSource, Iterator[Payload]]] = [
            (source, itertools.islice(itertools.cycle(signal.payloads), 1, None))
            for source, signal in sources
        ]

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await self._clock.sleep(self._interval)
            for source, payloads in self._changes:
                source.change(next(payloads))
