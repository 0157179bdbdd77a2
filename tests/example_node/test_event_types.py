"""What the events of a Source can be: IS-07 "Event types"."""

import pytest
from pydantic import ValidationError

from example_node.events.event_types import (
    BooleanType,
    EnumValue,
    Number,
    NumberType,
    Payload,
    StringEnumType,
    StringType,
    TypeDefinition,
    accepts,
)
from example_node.events.signals import SIGNALS, Signal


def tenths(value: int) -> Number:
    """A number of tenths."""
    return Number(value=value, scale=10)


TEMPERATURE = NumberType(min=tenths(-200), max=tenths(1000), step=tenths(5), unit="C")
TEXT = StringType(min_length=1, max_length=3)
STATUS = StringEnumType(
    values=tuple(EnumValue(value=each, label=each, description=each) for each in ("ok", "fail"))
)


@pytest.mark.parametrize(
    ("definition", "payload", "expected"),
    [
        (BooleanType(), Payload(value=True), True),
        (BooleanType(), Payload(value=0), False),
        (BooleanType(), Payload(value="true"), False),
        (TEXT, Payload(value="é"), True),
        (TEXT, Payload(value="abc"), True),
        (TEXT, Payload(value=""), False),
        (TEXT, Payload(value="abcd"), False),
        (TEXT, Payload(value=12), False),
        # "minimum (inclusive)", "maximum (inclusive)", "`payload - min` should be an integer
        # multiple of `step`"
        (TEMPERATURE, Payload(value=-200, scale=10), True),
        (TEMPERATURE, Payload(value=1000, scale=10), True),
        (TEMPERATURE, Payload(value=205, scale=10), True),
        (TEMPERATURE, Payload(value=20), True),
        (TEMPERATURE, Payload(value=41, scale=2), True),
        (TEMPERATURE, Payload(value=201, scale=10), False),
        (TEMPERATURE, Payload(value=-205, scale=10), False),
        (TEMPERATURE, Payload(value=1005, scale=10), False),
        (TEMPERATURE, Payload(value=True), False),
        (TEMPERATURE, Payload(value="20"), False),
        (STATUS, Payload(value="ok"), True),
        (STATUS, Payload(value="OK"), False),
        (STATUS, Payload(value=False), False),
    ],
)
def test_values(definition: TypeDefinition, payload: Payload, *, expected: bool) -> None:
    """A type definition allows the values that it describes, of its own JSON type."""
    assert definition.allows(payload) is expected


def test_no_scale_is_zero() -> None:
    """number.json: `scale` is at least 1."""
    with pytest.raises(ValidationError):
        Payload(value=1, scale=0)


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.role)
def test_this_nodes_signals_are_of_their_types(signal: Signal) -> None:
    """Every value is allowed, and the event type begins with the base type."""
    assert all(map(signal.definition.allows, signal.payloads))
    assert signal.event_type.split("/")[0] == signal.definition.type
    assert len(set(map(str, signal.payloads))) > 1


def test_ranges_are_whole_numbers_of_steps() -> None:
    """From `min` to `max` it is a whole number of `step`s (IS-07 "Event types", number)."""
    for signal in SIGNALS:
        definition = signal.definition
        if isinstance(definition, NumberType):
            span = definition.max.exact - definition.min.exact
            assert span > 0
            assert span % definition.step.exact == 0


@pytest.mark.parametrize(
    ("event_types", "event_type", "expected"),
    [
        # The three examples of "Event types capability management"
        (["number/*"], "number/temperature/C", True),
        (["number/temperature/*"], "number/temperature/F", True),
        (["number/temperature/C"], "number/temperature/C", True),
        (["number/temperature/C"], "number/temperature/F", False),
        (["number/temperature/*"], "number/pressure/Pa", False),
        (["number/*"], "number", False),
        (["boolean"], "boolean/enum/OnOff", False),
        (["boolean", "string"], "string", True),
        # "Comparisons between `event_type` values must be case sensitive."
        (["boolean"], "Boolean", False),
        # "A wildcard must replace a whole word": in others `*` is a character like any.
        (["number/tempera*"], "number/temperature", False),
        ([], "boolean", False),
    ],
)
def test_capabilities(event_types: list[str], event_type: str, *, expected: bool) -> None:
    """A Receiver takes what its `event_types` name."""
    assert accepts(event_types, event_type) is expected
