"""One Sender or Receiver: what is staged, what is active, and the activation in between.

    staged ── PATCH ──▶ staged                          200: nothing else happens
           ── PATCH, activate_immediate ──▶ active      200: active before the answer is sent
           ── PATCH, activate_scheduled_… ──▶ locked    202: 423 for all but a cancellation
    locked ── the time comes ──▶ active
           ── PATCH, mode null ──▶ staged               200: cancelled

The transport types and the two directions differ in what `merge` and `resolve` do; see `senders`
and `receivers`.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from example_node.activation import IMMEDIATE, Activation, ActivationRequest
from example_node.clock import Clock, TaiTime
from example_node.connection.models import (
    Constraints,
    EndpointPatch,
    EndpointState,
    TransportParams,
)
from example_node.errors import BadRequestError, LockedError, NmosError

logger = logging.getLogger(__name__)

StateT = TypeVar("StateT", bound=EndpointState)
PatchT = TypeVar("PatchT", bound=EndpointPatch)

Apply = Callable[[StateT], Awaitable[None]]
"""Applies a state without `auto`: programs equipment, and updates the Node API.

If it raises, the endpoint stays as it was: "the active transport parameters must not change, and
the underlying sender must continue as before" (IS-05 ConnectionAPI.raml, /active).
"""


@dataclass(frozen=True, slots=True)
class Staged(Generic[StateT]):
    """The answer to a PATCH: its status, and `staged` as the client sees it."""

    status: int
    state: StateT


class Endpoint(ABC, Generic[StateT, PatchT]):
    """The state of one Sender or Receiver.

    Args:
        endpoint_id: the id that the Sender or Receiver has in the Node API too.
        initial: what is staged at first. It is active too, its `auto`s resolved, without having
            been activated.
        constraints: the constraints of each leg.
        clock: tells when activations are due.
        apply: makes a state true.
    """

    transport_type: str

    def __init__(
        self,
        endpoint_id: str,
        *,
        initial: StateT,
        constraints: Sequence[Constraints],
        clock: Clock,
        apply: Apply[StateT],
    ) -> None:
        self.id = endpoint_id
        self.constraints = tuple(constraints)
        self.staged = initial
        self.active = self.resolve(initial)
        self._clock = clock
        self._apply = apply
        # "it SHOULD block the request until the previous activation is complete" (IS-05
        # "Behaviour", In-Progress Activations): this is held during each change.
        self._changing = asyncio.Lock()
        self._scheduled: asyncio.Task[None] | None = None

    @abstractmethod
    def merge(self, patch: PatchT) -> StateT:
        """Return the `staged` that results from a patch, without an activation.

        Raises:
            BadRequestError: the patch does not meet the schema or the constraints.
        """

    @abstractmethod
    def resolve(self, state: StateT) -> StateT:
        """Choose a value for everything that is `auto`."""

    async def patch(self, patch: PatchT, received: TaiTime) -> Staged[StateT]:
        """Change `staged`, and activate it if the patch requests that.

        Args:
            patch: the client's changes.
            received: when the request arrived, at which relative times start.

        Raises:
            BadRequestError: the patch does not meet the schema or the constraints. Nothing has
                changed then.
            LockedError: an activation is scheduled and the patch does not cancel it.
            NmosError: the activation failed. The patch stays staged, and `active` is as before.
        """
        async with self._changing:
            activation = patch.activation if patch.names("activation") else None
            cancels = activation is not None and activation.mode is None
            if self._scheduled is not None and not cancels:
                raise LockedError(
                    "An activation is scheduled. Cancel it by setting the activation mode to null."
                )
            self.staged = self.merge(patch)
            self.cancel()
            if activation is None or activation.mode is None:
                return Staged(200, self.staged)
            if activation.mode == IMMEDIATE:
                await self._activate(activation)
                return Staged(200, _with(self.staged, self.active.activation))
            return Staged(202, self._schedule(activation, received))

    def cancel(self) -> None:
        """Forget a scheduled activation, if there is one."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
            self.staged = _with(self.staged, Activation())

    def _schedule(self, request: ActivationRequest, received: TaiTime) -> StateT:
        due = request.due(received)
        self.staged = _with(self.staged, request.at(due))
        self._scheduled = asyncio.create_task(self._activate_at(due, request))
        return self.staged

    async def _activate_at(self, due: TaiTime, request: ActivationRequest) -> None:
        await self._clock.sleep_until(due)
        async with self._changing:
            # From here a PATCH waits for the lock, so nothing cancels this task in the middle.
            self._scheduled = None
            self.staged = _with(self.staged, Activation())
            try:
                await self._activate(request)
            except NmosError:
                logger.warning("the scheduled activation of %s failed", self.id)

    async def _activate(self, request: ActivationRequest) -> None:
        state = _with(self.resolve(self.staged), request.at(self._clock.now()))
        try:
            await self._apply(state)
        except Exception as error:
            logger.exception("%s could not be activated", self.id)
            raise NmosError("The new parameters could not be applied.") from error
        self.active = state

    def merge_legs(
        self, legs: Sequence[TransportParams], changes: Sequence[dict[str, object]]
    ) -> tuple[TransportParams, ...]:
        """Change some parameters of each leg.

        Raises:
            BadRequestError: there are not as many changes as legs, or a result meets not the schema
                or the constraints.
        """
        if len(changes) != len(legs):
            raise BadRequestError(f"transport_params: there must be {len(legs)}, one for each leg")
        merged = tuple(
            leg.merged(change, index)
            for index, (leg, change) in enumerate(zip(legs, changes, strict=True))
        )
        for index, (leg, constraints) in enumerate(zip(merged, self.constraints, strict=True)):
            for name, constraint in constraints.items():
                if not constraint.allows(getattr(leg, name)):
                    raise BadRequestError(
                        f"transport_params[{index}].{name}: is constrained to {constraint}"
                    )
        return merged


def _with(state: StateT, activation: Activation) -> StateT:
    return state.model_copy(update={"activation": activation})
