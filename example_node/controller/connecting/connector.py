"""Sends what is planned: one PATCH for each change of a Receiver, and one at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from example_node.controller.connecting import outcome, plan
from example_node.controller.connecting.bulk import Bulk
from example_node.controller.connecting.changes import Changes, ConnectionLog
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.connecting.once import Once
from example_node.controller.connecting.outcome import (
    NO_RECEIVER,
    NO_SENDER,
    OTHER_SOURCE,
    UNDER_WAY,
    Outcome,
    Result,
)
from example_node.controller.connecting.plan import AT_ONCE, Active, When
from example_node.controller.connecting.trying import patch, result_of
from example_node.controller.plant import Control, Device, Plant, Receiver
from example_node.controller.reach import OutOfReachError


class Connector:
    """Makes the changes that one user asks for.

    Args:
        plant: what there is.
        endpoints: the Connection APIs.
        changes: what is under way.
        log: keeps what was asked for.
        who: tells the user's name.
    """

    def __init__(
        self,
        plant: Plant,
        endpoints: Endpoints,
        changes: Changes,
        log: ConnectionLog,
        who: Callable[[], str],
    ) -> None:
        self._plant = plant
        self._endpoints = endpoints
        self._changes = changes
        self._log = log
        self._who = who
        self._once: Once[Result] = Once()
        self._many_once: Once[dict[str, Result]] = Once()
        self._bulk = Bulk(plant, endpoints, changes, self._noted)

    async def take(
        self, receiver_id: str, sender_id: str, *, when: When = AT_ONCE, key: str = ""
    ) -> Result:
        """Connect a Receiver to a Sender.

        Args:
            receiver_id: the Receiver.
            sender_id: the Sender.
            when: when to do it.
            key: names what was asked for: whoever asks for it again gets the same result.
        """
        return await self._once(key, lambda: self._take(receiver_id, sender_id, when))

    async def disconnect(
        self, receiver_id: str, *, shown: str | None = None, when: When = AT_ONCE, key: str = ""
    ) -> Result:
        """Let a Receiver receive nothing.

        Args:
            receiver_id: the Receiver.
            shown: the `source` that it is shown with; None to disconnect it from any.
            when: when to do it.
            key: as for `take`.
        """
        return await self._once(key, lambda: self._disconnect(receiver_id, shown, when))

    async def undo(self, receiver_id: str, *, key: str = "") -> Result:
        """Restore what a Receiver was before the last change that was made here."""
        return await self._once(key, lambda: self._undo(receiver_id))

    async def cancel(self, receiver_id: str, *, shown: str | None = None, key: str = "") -> Result:
        """Cancel what is scheduled for a Receiver.

        Args:
            receiver_id: the Receiver.
            shown: the time for which it is shown as scheduled; None to cancel whatever is.
            key: as for `take`.
        """
        return await self._once(key, lambda: self._cancel(receiver_id, shown))

    async def many(
        self,
        wanted: Mapping[str, str | None],
        *,
        shown: Mapping[str, str | None] = MappingProxyType({}),
        when: When = AT_ONCE,
        key: str = "",
    ) -> dict[str, Result]:
        """Make many changes, by one bulk request for each Device; see `Bulk`.

        Args:
            wanted: for each Receiver the Sender, or None for none.
            shown: as for `disconnect`, for each Receiver.
            when: when to do it.
            key: as for `take`.
        """

        async def run() -> dict[str, Result]:
            left = {
                each: OTHER_SOURCE
                for each, sender_id in wanted.items()
                if sender_id is None and self._has_other(each, shown.get(each))
            }
            rest = {each: sender_id for each, sender_id in wanted.items() if each not in left}
            made = await self._bulk.many(rest, when)
            return {each: left.get(each) or made[each] for each in wanted}

        return await self._many_once(key, run)

    async def change_device(
        self,
        device: Device | None,
        types: tuple[str, ...],
        request: tuple[str, str, object],
        aim: str,
        *,
        key: str = "",
    ) -> Result:
        """Change something of a Device that no Registry confirms.

        Args:
            device: the Device; None where the Registry does not have it.
            types: the types of control that it is changed by.
            request: the method, the path below the control's href, and what to change.
            aim: what is asked for, as the beginning of a sentence.
            key: as for `take`.
        """

        async def sent() -> Result:
            control = await self._endpoints.control(device, types)
            reply, took = await self._endpoints.change(control, *request)
            return outcome.completed(outcome.of_reply(reply, aim, took), aim)

        async def run() -> Result:
            result = await result_of(sent())
            self._log.add(self._who(), aim, "" if device is None else device.name, result)
            return result

        return await self._once(key, run)

    async def _take(self, receiver_id: str, sender_id: str, when: When) -> Result:
        sender = self._plant.senders.get(sender_id)
        if sender is None:
            return NO_SENDER

        async def body(receiver: Receiver, control: Control) -> plan.Body:
            offer, constraints = await asyncio.gather(
                self._endpoints.offer(sender), self._endpoints.constraints(control, receiver)
            )
            return plan.take(offer, constraints, when)

        return await self._change(receiver_id, sender_id, f"Connected to {sender.name}", body, when)

    def _has_other(self, receiver_id: str, shown: str | None) -> bool:
        """Tell whether a Receiver has another source by now than the one that it is shown with."""
        receiver = self._plant.receivers.get(receiver_id)
        return shown is not None and receiver is not None and receiver.source not in {"", shown}

    async def _disconnect(self, receiver_id: str, shown: str | None, when: When) -> Result:
        if self._has_other(receiver_id, shown):
            return OTHER_SOURCE

        async def body(_: Receiver, __: Control) -> plan.Body:
            return plan.disconnect(when)

        return await self._change(receiver_id, None, "Disconnected", body, when)

    async def _undo(self, receiver_id: str) -> Result:
        change, receiver = self._changes.get(receiver_id), self._plant.receivers.get(receiver_id)
        if change is None or change.before is None:
            return Result(Outcome.FAILED, "There is nothing to undo.")
        if (
            receiver is not None
            and change.result.outcome is Outcome.DONE
            and receiver.connected_to != change.sender_id
        ):
            text = "This destination was changed elsewhere since, so nothing was undone."
            return Result(Outcome.FAILED, text)
        before = change.before
        sender_id = before.get("sender_id") if before.get("master_enable") is True else None
        wanted = sender_id if isinstance(sender_id, str) else None
        sender = self._plant.senders.get(wanted or "")
        name = sender.name if sender is not None else wanted
        aim = "Undone: disconnected" if wanted is None else f"Undone: connected to {name}"

        async def body(_: Receiver, __: Control) -> plan.Body:
            return plan.restore(before, AT_ONCE)

        return await self._change(receiver_id, wanted, aim, body, AT_ONCE)

    async def _cancel(self, receiver_id: str, shown: str | None) -> Result:
        receiver = self._plant.receivers.get(receiver_id)
        if receiver is None:
            return NO_RECEIVER
        # The Registry still completes what was scheduled, if that is not cancelled. Where it was
        # not scheduled here it completes nothing: no Sender has the id "".
        known, aim = self._changes.get(receiver_id), "Cancelled what was scheduled"
        sender_id, scheduled = ("", aim) if known is None else (known.sender_id, known.aim)
        if not self._changes.begin(receiver, sender_id, scheduled):
            return UNDER_WAY

        async def run() -> Result:
            control = await self._endpoints.control(receiver)
            if shown is not None:
                staged = await self._endpoints.state(control, receiver_id, "staged")
                if outcome.scheduled_time(staged) != shown:
                    raise OutOfReachError(
                        "What was shown as scheduled is not scheduled any more, so nothing was"
                        " cancelled."
                    )
            sign = outcome.sign_of_cancelling
            result = await patch(self._endpoints, control, receiver_id, plan.cancel(), aim, sign)
            return outcome.completed(result, aim)

        return self._noted(receiver, aim, await result_of(run()))

    async def _change(
        self,
        receiver_id: str,
        sender_id: str | None,
        aim: str,
        body: Callable[[Receiver, Control], Awaitable[plan.Body]],
        when: When,
    ) -> Result:
        receiver = self._plant.receivers.get(receiver_id)
        if receiver is None:
            return NO_RECEIVER
        if not self._changes.begin(receiver, sender_id, aim):
            return UNDER_WAY
        before: Active = None

        def wait(seconds: float) -> None:
            text = f"The Node asks to wait {seconds:g} s (503) …"
            self._changes.settle(receiver_id, Result(Outcome.WAITING, text, 503))

        async def run() -> Result:
            nonlocal before
            control = await self._endpoints.control(receiver)
            made, before = await asyncio.gather(
                body(receiver, control), self._endpoints.state(control, receiver_id, "active")
            )
            sign = outcome.sign_of_change(sender_id, when)
            return await patch(self._endpoints, control, receiver_id, made, aim, sign, wait)

        result = await result_of(run())
        return self._noted(receiver, aim, result, before if result.may_be_made else None)

    def _noted(self, receiver: Receiver, aim: str, result: Result, before: Active = None) -> Result:
        """Keep what has become of a change."""
        self._changes.settle(receiver.id, result, before)
        self._changes.registry_shows(self._plant.receivers.get(receiver.id))
        device = self._plant.device_of(receiver)
        where = "" if device is None else device.name
        self._log.add(self._who(), f"{receiver.name}: {aim}", where, result)
        return result
