"""The bodies of the Connection API, in the shapes of IS-05 v1.1's schemas.

What a client left out is told from what it set by `model_fields_set`, because a PATCH changes only
what it names.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SerializeAsAny, ValidationError, model_validator
from typing_extensions import override

from example_node.activation import Activation, ActivationRequest, Body
from example_node.errors import BadRequestError, describe
from example_node.is04 import ListOf, ResourceId


def _encodable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("this text has half of a surrogate pair") from None
    return value


class TransportFile(Body):
    """A transport file for a Receiver: its text and media type, or both null."""

    data: Annotated[str, AfterValidator(_encodable)] | None
    type: Annotated[str, AfterValidator(_encodable)] | None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.data is None) != (self.type is None):
            raise ValueError("data and type are both strings or both null")
        return self


class TransportParams(Body):
    """The transport parameters of one leg; each transport type has its own."""

    def merged(self, changes: Mapping[str, object], leg: int) -> Self:
        """Return the parameters with some of them changed.

        Raises:
            BadRequestError: a parameter is unknown, or its value is not one the schema allows.
        """
        try:
            return self.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            faults = [
                {**fault, "loc": ("transport_params", leg, *fault["loc"])}
                for fault in error.errors(include_url=False)
            ]
            raise BadRequestError(*describe(faults)) from None


class Constraint(Body):
    """The values that a transport parameter may have, as a further limit to the schema."""

    minimum: int | None = None
    maximum: int | None = None
    enum: tuple[str | int | bool, ...] | None = None

    def allows(self, value: object) -> bool:
        """Tell whether a value that the schema allows is also allowed here.

        `auto` always is (IS-05 "APIs: Server Side Implementation Notes", Use of auto), and so is
        the null of what is not configured.
        """
        if value is None or value == "auto":
            return True
        if isinstance(value, int):
            if self.minimum is not None and value < self.minimum:
                return False
            if self.maximum is not None and value > self.maximum:
                return False
        return self.enum is None or value in self.enum

    @override
    def __str__(self) -> str:
        limits = self.model_dump(exclude_none=True)
        return ", ".join(f"{name} {limit}" for name, limit in limits.items())


Constraints = Mapping[str, Constraint]
"""The constraints of one leg, by parameter; every parameter has an entry, even an empty one."""


class EndpointState(Body):
    """The attributes of `staged` and `active` for Senders and Receivers."""

    master_enable: bool
    activation: Activation = Activation()
    transport_params: tuple[SerializeAsAny[TransportParams], ...]


class SenderState(EndpointState):
    """A Sender's `staged` or `active`."""

    receiver_id: ResourceId | None = None


class ReceiverState(EndpointState):
    """A Receiver's `staged` or `active`."""

    sender_id: ResourceId | None = None
    transport_file: TransportFile = TransportFile(data=None, type=None)


class EndpointPatch(Body):
    """What a client changes in `staged`. Attributes that it omits have the defaults.

    The activation mode null cancels what is scheduled.
    """

    master_enable: bool = False
    activation: ActivationRequest = ActivationRequest(mode=None)
    transport_params: ListOf[dict[str, object]] = Field(default_factory=list)

    def names(self, attribute: str) -> bool:
        """Tell whether the client sent the attribute."""
        return attribute in self.model_fields_set


class SenderPatch(EndpointPatch):
    """What a client changes in a Sender's `staged`."""

    receiver_id: ResourceId | None = None


class ReceiverPatch(EndpointPatch):
    """What a client changes in a Receiver's `staged`."""

    sender_id: ResourceId | None = None
    transport_file: TransportFile = TransportFile(data=None, type=None)


class BulkEntry(Body):
    """One Sender or Receiver of a bulk request; its params are validated later.

    A fault in the `params` of one entry must not fail the others, so they are only an object here
    (IS-05 ConnectionAPI.raml, POST /bulk/senders, 400).
    """

    id: ResourceId
    params: dict[str, object]


class BulkResult(Body):
    """The result of one entry: the status that a PATCH would have had, and the error, if any."""

    id: ResourceId
    code: int
    error: str = ""
    debug: str | None = None
