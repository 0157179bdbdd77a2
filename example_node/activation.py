"""Activations, which the Connection API (IS-05) and the Channel Mapping API (IS-08) have in common.

What clients send is read strictly: an unknown attribute or a value of the wrong JSON type is
refused.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from example_node.clock import TaiTime

IMMEDIATE = "activate_immediate"
ABSOLUTE = "activate_scheduled_absolute"
RELATIVE = "activate_scheduled_relative"
ActivationMode = Literal[
    "activate_immediate", "activate_scheduled_absolute", "activate_scheduled_relative"
]


def _timestamp(value: str) -> str:
    TaiTime.parse(value)
    return value


Timestamp = Annotated[str, AfterValidator(_timestamp)]


class Body(BaseModel):
    """A body, or a part of one."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Activation(Body):
    """An activation that is scheduled or was made; all null if there is none."""

    mode: ActivationMode | None = None
    requested_time: Timestamp | None = None
    activation_time: Timestamp | None = None


class ActivationRequest(Body):
    """The activation that a client asks for."""

    mode: ActivationMode | None
    requested_time: Timestamp | None = None

    @model_validator(mode="after")
    def _has_time(self) -> Self:
        if self.mode in {ABSOLUTE, RELATIVE} and self.requested_time is None:
            raise ValueError("a scheduled activation requires requested_time")
        return self

    def due(self, received: TaiTime) -> TaiTime:
        """Return when the activation is due, if its request arrived at `received`.

        An absolute time that has passed is due at once, because the schemas explain the mode as
        "when internal clock >= requested_time".
        """
        if self.requested_time is None or self.mode == IMMEDIATE:
            return received
        requested = TaiTime.parse(self.requested_time)
        return received + requested if self.mode == RELATIVE else max(requested, received)

    def at(self, time: TaiTime) -> Activation:
        """Return the activation as clients see it, if it is made at `time`.

        `requested_time`: "For an immediate activation this field will always be null" (IS-05 and
        IS-08, activation-response-schema.json).
        """
        return Activation(
            mode=self.mode,
            requested_time=None if self.mode == IMMEDIATE else self.requested_time,
            activation_time=str(time),
        )
