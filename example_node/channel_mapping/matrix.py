"""The map between Inputs and Outputs: its present state and its scheduled changes.

map ── POST, activate_immediate ──▶ changed      200: changed before the answer is sent
    ── POST, activate_scheduled_… ──▶ scheduled  202: 423 for other changes of its Outputs
scheduled ── the time comes ──▶ changed
          ── DELETE ──▶ forgotten                204
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from example_node.activation import IMMEDIATE
from example_node.channel_mapping.constraints import check
from example_node.channel_mapping.models import (
    UNROUTED,
    Action,
    ActiveMap,
    InputsAndOutputs,
    Map,
    MapActivation,
    MapActivationPost,
)
from example_node.clock import Clock, TaiTime
from example_node.errors import BadRequestError, LockedError, NmosError, NotFoundError

logger = logging.getLogger(__name__)

Apply = Callable[[Action], Awaitable[None]]
"""Applies the routes of an action: programs equipment, and updates the Node API.

If it raises, the map stays as it was.
"""


@dataclass(frozen=True, slots=True)
class _Scheduled:
    shown: MapActivation
    timer: asyncio.Task[None]


class Matrix:
    """The channel mapping of this Node. At first all Outputs are silent.

    Args:
        inputs_and_outputs: the Inputs and Outputs that can be routed.
        clock: the clock for activations.
        apply: applies the routes of an action.
    """

    def __init__(self, inputs_and_outputs: InputsAndOutputs, *, clock: Clock, apply: Apply) -> None:
        self.inputs_and_outputs = inputs_and_outputs
        self.inputs = inputs_and_outputs.inputs
        self.outputs = inputs_and_outputs.outputs
        self.active = ActiveMap(
            map={
                output_id: {str(index): UNROUTED for index in range(len(output.channels))}
                for output_id, output in self.outputs.items()
            }
        )
        self._clock = clock
        self._apply = apply
        # This is held during each change, for as long as `apply` takes.
        self._changing = asyncio.Lock()
        self._scheduled: dict[str, _Scheduled] = {}

    @property
    def activations(self) -> dict[str, MapActivation]:
        """The scheduled activations, by id."""
        return {each: scheduled.shown for each, scheduled in self._scheduled.items()}

    async def activate(
        self, request: MapActivationPost, received: TaiTime
    ) -> dict[str, MapActivation]:
        """Change the map, now or later. The activation is returned under its id.

        Args:
            request: what is to change, and when.
            received: when the request arrived, at which relative times start.

        Raises:
            BadRequestError: the action does not fit the Inputs and Outputs or their constraints.
            LockedError: a scheduled activation changes one of the Outputs.
            NmosError: an immediate activation failed, and the map is as before.
        """
        async with self._changing:
            self._check(request.action)
            # The id "MUST be unique within an API instance and for all time" (IS-08 "Behaviour",
            # Activation Responses).
            activation_id = str(uuid.uuid4())
            if request.activation.mode == IMMEDIATE:
                await self._activate(request)
                shown = MapActivation(activation=self.active.activation, action=request.action)
            else:
                due = request.activation.due(received)
                shown = MapActivation(activation=request.activation.at(due), action=request.action)
                timer = asyncio.create_task(self._activate_at(due, activation_id, request))
                self._scheduled[activation_id] = _Scheduled(shown, timer)
            return {activation_id: shown}

    async def cancel(self, activation_id: str) -> MapActivation:
        """Forget a scheduled activation, and return what it was.

        Raises:
            NotFoundError: there is none with this id, or it was already made.
        """
        async with self._changing:
            scheduled = self._scheduled.pop(activation_id, None)
            if scheduled is None:
                raise NotFoundError("There is no such scheduled activation.")
            scheduled.timer.cancel()
            return scheduled.shown

    def stop(self) -> None:
        """Forget all scheduled activations."""
        for scheduled in self._scheduled.values():
            scheduled.timer.cancel()
        self._scheduled.clear()

    def _check(self, action: Action) -> None:
        for output_id, routes in action.items():
            channels = self.active.map.get(output_id)
            if channels is None:
                raise BadRequestError(f"action: there is no Output {output_id[:40]!r}")
            unknown = next((channel for channel in routes if channel not in channels), None)
            if unknown is not None:
                raise BadRequestError(f"action.{output_id}: there is no channel {unknown[:40]!r}")
        for scheduled in self._scheduled.values():
            for output_id in scheduled.shown.action.keys() & action.keys():
                raise LockedError(
                    f"A scheduled activation changes Output {output_id}. Wait for it, or delete it."
                )
        # What is permitted now is also permitted when it is due, because nothing else changes these
        # Outputs until then.
        merged = self._merged(action)
        for output_id in action:
            wanted = tuple(merged[output_id].values())
            check(output_id, self.outputs[output_id], self.inputs, wanted)

    def _merged(self, action: Action) -> Map:
        return {
            output_id: {**routes, **action.get(output_id, {})}
            for output_id, routes in self.active.map.items()
        }

    async def _activate_at(
        self, due: TaiTime, activation_id: str, request: MapActivationPost
    ) -> None:
        await self._clock.sleep_until(due)
        async with self._changing:
            # From here a DELETE waits for the lock, so nothing cancels this task in the middle.
            del self._scheduled[activation_id]
            try:
                await self._activate(request)
            except NmosError:
                logger.warning("the scheduled activation %s failed", activation_id)

    async def _activate(self, request: MapActivationPost) -> None:
        now = self._clock.now()
        try:
            await self._apply(request.action)
        except Exception as error:
            logger.exception("the channel mapping could not be changed")
            raise NmosError("The new channel mapping could not be applied.") from error
        self.active = ActiveMap(
            activation=request.activation.at(now), map=self._merged(request.action)
        )
