"""What the events of a Source can be (IS-07 "Event types"): the type definitions, and values."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from pydantic import Field

from example_node.resources import Part


class Number(Part):
    """A number, or a fraction with `value` above `scale`, so that nothing is lost."""

    value: int
    scale: int | None = Field(default=None, ge=1)

    @property
    def exact(self) -> Fraction:
        """What the two stand for."""
        return Fraction(self.value, self.scale or 1)


class Payload(Part):
    """The value of an event."""

    value: bool | int | float | str
    scale: int | None = Field(default=None, ge=1)


class BooleanType(Part):
    """True or false."""

    type: Literal["boolean"] = "boolean"

    def allows(self, payload: Payload) -> bool:
        """Whether a payload is of this type."""
        return isinstance(payload.value, bool) and payload.scale is None


class StringType(Part):
    """Text of a certain length."""

    type: Literal["string"] = "string"
    min_length: int = Field(ge=0)
    max_length: int = Field(ge=1)

    def allows(self, payload: Payload) -> bool:
        """Whether a payload is of this type."""
        text = payload.value
        return isinstance(text, str) and self.min_length <= len(text) <= self.max_length


class NumberType(Part):
    """A number from `min` to `max`, a whole number of `step`s above `min`."""

    type: Literal["number"] = "number"
    min: Number
    max: Number
    step: Number
    unit: str

    def allows(self, payload: Payload) -> bool:
        """Whether a payload is of this type."""
        if isinstance(payload.value, bool) or not isinstance(payload.value, int):
            return False
        value = Number(value=payload.value, scale=payload.scale).exact
        in_range = self.min.exact <= value <= self.max.exact
        return in_range and (value - self.min.exact) % self.step.exact == 0


class EnumValue(Part):
    """One of the values of an enum, and what it means."""

    value: str
    label: str
    description: str


class StringEnumType(Part):
    """One of a few texts."""

    type: Literal["string"] = "string"
    values: tuple[EnumValue, ...]

    def allows(self, payload: Payload) -> bool:
        """Whether a payload is of this type."""
        return payload.value in {each.value for each in self.values}


TypeDefinition = BooleanType | StringType | NumberType | StringEnumType


def accepts(event_types: Sequence[str], event_type: str) -> bool:
    """Whether a Receiver with these `event_types` accepts events of a type.

    "A wildcard (`*`) must replace a whole word and can only be used at the end" (IS-07 "Event
    types", Event types capability management).
    """
    return any(
        event_type.startswith(each[:-1]) if each.endswith("/*") else each == event_type
        for each in event_types
    )
