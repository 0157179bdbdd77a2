"""The bodies of the Channel Mapping API, in the shapes of IS-08 v1.0's schemas.

`Part`s are what a Device says of itself, and `Body`s are what clients send too.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from example_node.activation import Activation, ActivationMode, ActivationRequest, Body
from example_node.is04 import ResourceId
from example_node.resources import Part

EndpointId = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9\-_]+$")]
"""The name of an Input or Output in paths and maps (IS-08 "Behaviour", Identifiers)."""


class Properties(Part):
    """What an Input or Output is called, for people."""

    name: str
    description: str


class Channel(Part):
    """One channel of an Input or Output."""

    label: str


class Parent(Part):
    """Where an Input's audio comes from; both null where IS-04 knows nothing of that."""

    id: ResourceId | None = None
    type: Literal["source", "receiver"] | None = None


class InputCaps(Part):
    """How an Input's channels may be routed (IS-08 "Behaviour", Input Constraints)."""

    reordering: bool = True
    block_size: int = Field(default=1, ge=1)


class OutputCaps(Part):
    """What may be routed to an Output: all where it is null, and silence where null is in it.

    IS-08 "Behaviour", Output Routing Constraints.
    """

    routable_inputs: tuple[EndpointId | None, ...] | None = None


class Input(Part):
    """Audio that comes into the map."""

    properties: Properties
    parent: Parent = Parent()
    channels: tuple[Channel, ...] = Field(min_length=1)
    caps: InputCaps = InputCaps()

    @model_validator(mode="after")
    def _has_whole_blocks(self) -> Self:
        if len(self.channels) % self.caps.block_size:
            raise ValueError("the channels must make whole blocks")
        return self


class Output(Part):
    """Audio that leaves the map; its Source is what the mapping makes."""

    properties: Properties
    source_id: ResourceId | None = None
    channels: tuple[Channel, ...] = Field(min_length=1)
    caps: OutputCaps = OutputCaps()


class InputsAndOutputs(Part):
    """All of them, by name."""

    inputs: dict[EndpointId, Input]
    outputs: dict[EndpointId, Output]


class Route(Body):
    """What an Output's channel gets: a channel of an Input, or silence."""

    input: str | None
    channel_index: int | None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.input is None) != (self.channel_index is None):
            raise ValueError("input and channel_index are both null, or neither is")
        return self

    @property
    def source(self) -> tuple[str, int] | None:
        """The Input and its channel; None for silence."""
        if self.input is None or self.channel_index is None:
            return None
        return self.input, self.channel_index


UNROUTED = Route(input=None, channel_index=None)

Map = dict[str, dict[str, Route]]
"""What each channel of each Output gets; the channels' indexes are strings, as in JSON."""

_Routes = Annotated[dict[str, Route], Field(min_length=1)]
Action = Annotated[dict[str, _Routes], Field(min_length=1)]
"""The part of the map that an activation changes, never empty."""


class MapActivationRequest(ActivationRequest):
    """When a client wants the map changed. A DELETE cancels here, so the mode is never null."""

    mode: ActivationMode


class MapActivationPost(Body):
    """The change of the map that a client asks for."""

    activation: MapActivationRequest
    action: Action


class MapActivation(Body):
    """A change of the map that was made or is scheduled."""

    activation: Activation
    action: Action


class ActiveMap(Body):
    """The map as it is, and the activation that made it so."""

    activation: Activation = Activation()
    map: Map


class OutputMap(Body):
    """One Output's part of the active map."""

    map: Map
