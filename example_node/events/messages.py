"""Messages of Senders and commands of Receivers (IS-07 "Message types", "WebSocket Transport")."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from example_node.events.event_types import Payload
from example_node.is04 import ListOf, ResourceId

Timestamp = Annotated[str, StringConstraints(pattern=r"^[0-9]+:[0-9]+$", max_length=64)]


class Shape(BaseModel):
    """A message from another device; attributes that this Node does not know are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Identity(Shape):
    """The Source and Flow of an event. REST omits the Flow, because the state is the Source's."""

    source_id: ResourceId
    flow_id: ResourceId | None = None


class Timing(Shape):
    """When the event was made, what caused it, and when it takes effect; in TAI."""

    creation_timestamp: Timestamp
    origin_timestamp: Timestamp | None = None
    action_timestamp: Timestamp | None = None


class State(Shape):
    """The state of a Source, sent whenever it changes."""

    identity: Identity
    event_type: str
    timing: Timing
    payload: Payload
    message_type: Literal["state"] = "state"


class Health(Shape):
    """The answer to a `health` command, which it names by its timestamp."""

    timing: Timing
    message_type: Literal["health"] = "health"


class LastWords(Shape):
    """A Source is about to go away."""

    identity: Identity
    timing: Timing
    message_type: Literal["reboot", "shutdown"]


class HealthCommand(Shape):
    """A Receiver's sign of life."""

    command: Literal["health"] = "health"
    timestamp: Timestamp


class SubscriptionCommand(Shape):
    """All Sources whose events a Receiver wants; they replace those that it wanted before."""

    command: Literal["subscription"] = "subscription"
    sources: ListOf[ResourceId]


COMMAND: TypeAdapter[HealthCommand | SubscriptionCommand] = TypeAdapter(
    Annotated[HealthCommand | SubscriptionCommand, Field(discriminator="command")]
)
MESSAGE: TypeAdapter[State | Health | LastWords] = TypeAdapter(
    Annotated[State | Health | LastWords, Field(discriminator="message_type")]
)
