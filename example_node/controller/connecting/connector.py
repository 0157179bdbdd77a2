"""Sends what is planned: one PATCH for each change, and a look at `active` where no answer came."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping

from example_node.controller.connecting import outcome, plan
from example_node.controller.connecting.bulk import Bulk
from example_node.controller.connecting.changes import Changes, ConnectionLog
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.connecting.outcome import Outcome, Result
from example_node.controller.connecting.plan import When
from example_node.controller.plant import Control, Plant, Receiver, Sender
from example_node.controller.reach import NoAnswerError, OutOfReachError

logger = logging.getLogger(__name__)

_LOOK_AFTER = (0.0, 2.0)
_MOST_KEYS = 512
AT_ONCE = When()


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
        self._asked: OrderedDict[str, asyncio.Task[Result]] = OrderedDict()
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
        sender = self._plant.senders.get(sender_id)
        if sender is None:
            return Result(Outcome.FAILED, "The Registry does not have this source any more.")

        async def body(receiver: Receiver, control: Control) -> plan.Body:
            offer, constraints = await asyncio.gather(
                self._endpoints.offer(sender), self._endpoints.constraints(control, receiver)
            )
            return plan.take(offer, constraints, when)

        aim = f"Connected to {sender.name}"
        return await self._once(key, lambda: self._change(receiver_id, sender_id, aim, body, when))

    async def disconnect(self, receiver_id: str, *, when: When = AT_ONCE, key: str = "") -> Result:
        """Let a Receiver receive nothing."""

        async def body(_: Receiver, __: Control) -> plan.Body:
            return plan.disconnect(when)

        return await self._once(
            key, lambda: self._change(receiver_id, None, "Disconnected", body, when)
        )

    async def undo(self, receiver_id: str, *, key: str = "") -> Result:
        """Restore what a Receiver was before the last change that was made here."""
        change = self._changes.get(receiver_id)
        if change is None or change.before is None:
            return Result(Outcome.FAILED, "There is nothing to undo.")
        before = change.before
        sender_id = before.get("sender_id") if before.get("master_enable") is True else None
        wanted = sender_id if isinstance(sender_id, str) else None
        sender = self._plant.senders.get(wanted or "")
        name = sender.name if sender is not None else wanted
        aim = "Undone: disconnected" if wanted is None else f"Undone: connected to {name}"

        async def body(_: Receiver, __: Control) -> plan.Body:
            return plan.restore(before, AT_ONCE)

        return await self._once(key, lambda: self._change(receiver_id, wanted, aim, body, AT_ONCE))

    async def cancel(self, receiver_id: str, *, key: str = "") -> Result:
        """Cancel what is scheduled for a Receiver."""

        async def run() -> Result:
            receiver = self._plant.receivers.get(receiver_id)
            if receiver is None:
                return Result(Outcome.FAILED, "The Registry does not have this destination.")
            control = await self._endpoints.control(receiver)
            reply, took = await self._endpoints.change(
                control, "PATCH", _staged(receiver_id), plan.cancel()
            )
            result = outcome.of_reply(reply, "Cancelled", took)
            if result.is_good:
                result = Result(Outcome.DONE, "Cancelled what was scheduled", reply.status, took)
            return self._noted(receiver, "Cancelled what was scheduled", result)

        return await self._once(key, lambda: _told(run()))

    async def many(
        self, wanted: Mapping[str, str | None], *, when: When = AT_ONCE
    ) -> dict[str, Result]:
        """Make many changes, by one bulk request for each Device; see `Bulk`."""
        return await asyncio.shield(asyncio.create_task(self._bulk.many(wanted, when)))

    async def patch_sender(self, sender: Sender, body: plan.Body) -> Result:
        """Change what a Sender sends, and where to."""
        aim = "The Sender is changed"

        async def run() -> Result:
            control = await self._endpoints.control(sender)
            reply, took = await self._endpoints.change(
                control, "PATCH", f"single/senders/{sender.id}/staged", body
            )
            result = outcome.of_reply(reply, aim, took)
            if result.outcome is Outcome.AGREED:
                result = Result(Outcome.DONE, aim, reply.status, took)
            self._log.add(self._who(), f"Sender {sender.name}", self._where(sender), result)
            return result

        return await _told(run())

    async def _once(self, key: str, run: Callable[[], Coroutine[object, object, Result]]) -> Result:
        """Run what a key names, once; it goes on although whoever asked goes away."""
        task = self._asked.get(key) if key else None
        if task is None:
            task = asyncio.create_task(run())
            if key:
                self._asked[key] = task
                while len(self._asked) > _MOST_KEYS:
                    self._asked.popitem(last=False)
        return await asyncio.shield(task)

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
            return Result(Outcome.FAILED, "The Registry does not have this destination any more.")
        if not self._changes.begin(receiver, sender_id, aim):
            return Result(Outcome.SENDING, "A change of this destination is under way.")
        before: Mapping[str, object] | None = None

        def wait(seconds: float) -> None:
            text = f"The Node asks to wait {seconds:g} s (503) …"
            self._changes.settle(receiver_id, Result(Outcome.WAITING, text, 503))

        async def run() -> Result:
            nonlocal before
            control = await self._endpoints.control(receiver)
            made, before = await asyncio.gather(
                body(receiver, control), self._endpoints.state(control, receiver_id, "active")
            )
            try:
                reply, took = await self._endpoints.change(
                    control, "PATCH", _staged(receiver_id), made, wait
                )
            except NoAnswerError:
                return await self._look(control, receiver_id, sender_id, aim, when)
            return outcome.of_reply(reply, aim, took)

        result = await _told(run())
        return self._noted(receiver, aim, result, before if result.is_good else None)

    def _noted(
        self,
        receiver: Receiver,
        aim: str,
        result: Result,
        before: Mapping[str, object] | None = None,
    ) -> Result:
        """Keep what has become of a change."""
        if self._changes.get(receiver.id) is not None:
            self._changes.settle(receiver.id, result, before)
            self._changes.registry_shows(self._plant.receivers.get(receiver.id))
        self._log.add(self._who(), f"{receiver.name}: {aim}", self._where(receiver), result)
        return result

    async def _look(
        self, control: Control, receiver_id: str, sender_id: str | None, aim: str, when: When
    ) -> Result:
        """See what a Node shows where no answer came: the change is never sent again blindly."""
        what = "staged" if when.is_scheduled else "active"
        result = outcome.after_no_answer(None, sender_id, aim, scheduled=when.is_scheduled)
        for pause in _LOOK_AFTER:
            await asyncio.sleep(pause)
            try:
                state = await self._endpoints.state(control, receiver_id, what)
            except (OutOfReachError, NoAnswerError):
                state = None
            result = outcome.after_no_answer(state, sender_id, aim, scheduled=when.is_scheduled)
            if result.is_good:
                break
        return result

    def _where(self, resource: Sender | Receiver) -> str:
        device = self._plant.device_of(resource)
        return "" if device is None else device.name


async def _told(run: Coroutine[object, object, Result]) -> Result:
    """Make what keeps a change from being made a result that a user can act on."""
    try:
        return await run
    except OutOfReachError as error:
        return Result(Outcome.FAILED, str(error))
    except NoAnswerError as error:
        return Result(Outcome.FAILED, f"No answer came: {error}")
    except Exception:  # a change that nobody hears of again would lock its row for ever
        logger.exception("a change failed")
        return Result(Outcome.FAILED, "The Controller failed; its log says more.")


def _staged(receiver_id: str) -> str:
    return f"single/receivers/{receiver_id}/staged"
