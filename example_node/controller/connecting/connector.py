"""Sends what is planned: one PATCH for each change, and a look at `active` where no answer came."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Protocol

from example_node.controller.connecting import outcome, plan
from example_node.controller.connecting.changes import Changes, ConnectionLog
from example_node.controller.connecting.outcome import Outcome, Result
from example_node.controller.connecting.plan import Offer, When
from example_node.controller.plant import Control, Device, Plant, Receiver, Sender
from example_node.controller.reach import (
    CONNECTION,
    NoAnswerError,
    OutOfReachError,
    Reply,
)
from nmos_auth.client.presenting import manifest_requires_token

logger = logging.getLogger(__name__)

_LONGEST_WAIT = 10.0
_LOOK_AFTER = (0.0, 2.0)
_MOST_KEYS = 512
_MOST_IN_BULK = 100
_FALSE_BULK = frozenset({403, 404, 405, 501})
AT_ONCE = When()


class Reaches(Protocol):
    """What sends requests to Devices; `Reach` is one."""

    async def control(self, device: Device | None, types: tuple[str, ...]) -> Control:
        """Return the best control of a Device that a request may go to."""
        ...

    async def send(
        self, control: Control, method: str, path: str, body: object | None = None
    ) -> Reply:
        """Send a request to a path below a control's href."""
        ...

    async def fetch(self, url: str, *, with_token: bool) -> Reply:
        """Read a URL."""
        ...


class Connector:
    """Makes the changes that one user asks for.

    Args:
        plant: what there is.
        reach: sends requests.
        changes: what is under way.
        log: keeps what was asked for.
        who: tells the user's name.
    """

    def __init__(
        self,
        plant: Plant,
        reach: Reaches,
        changes: Changes,
        log: ConnectionLog,
        who: Callable[[], str],
    ) -> None:
        self._plant = plant
        self._reach = reach
        self._changes = changes
        self._log = log
        self._who = who
        self._asked: OrderedDict[str, asyncio.Task[Result]] = OrderedDict()

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
                self._offer(sender), self._constraints(control, receiver)
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
            control = await self._reach.control(self._plant.device_of(receiver), CONNECTION)
            reply, took = await self._patch(control, _staged(receiver_id), plan.cancel())
            result = outcome.of_reply(reply, "Cancelled", took)
            if result.is_good:
                result = Result(Outcome.DONE, "Cancelled what was scheduled", reply.status, took)
            return self._noted(receiver, "Cancelled what was scheduled", result)

        return await self._once(key, lambda: _told(run()))

    async def many(
        self, wanted: Mapping[str, str | None], *, when: When = AT_ONCE
    ) -> dict[str, Result]:
        """Make many changes, by one bulk request for each Device.

        Args:
            wanted: for each Receiver the Sender, or None for none.
            when: when to do it.
        """
        results: dict[str, Result] = {}
        offers = await self._offers({each for each in wanted.values() if each is not None})
        by_device: dict[str, list[tuple[Receiver, str | None]]] = {}
        for receiver_id, sender_id in wanted.items():
            receiver = self._plant.receivers.get(receiver_id)
            offer = offers.get(sender_id or "")
            if receiver is None:
                results[receiver_id] = Result(Outcome.FAILED, "The Registry does not have it.")
            elif isinstance(offer, Result):
                results[receiver_id] = offer
            else:
                by_device.setdefault(receiver.device_id, []).append((receiver, sender_id))
        found = {key: each for key, each in offers.items() if isinstance(each, Offer)}
        for part in await asyncio.gather(
            *(self._bulk(each, found, when) for each in by_device.values())
        ):
            results |= part
        return results

    async def patch_sender(self, sender: Sender, body: plan.Body) -> Result:
        """Change what a Sender sends, and where to."""
        aim = "The Sender is changed"

        async def run() -> Result:
            control = await self._reach.control(self._plant.device_of(sender), CONNECTION)
            reply, took = await self._patch(control, f"single/senders/{sender.id}/staged", body)
            result = outcome.of_reply(reply, aim, took)
            if result.outcome is Outcome.AGREED:
                result = Result(Outcome.DONE, aim, reply.status, took)
            self._log.add(self._who(), f"Sender {sender.name}", self._where(sender), result)
            return result

        return await _told(run())

    async def read(self, resource: Sender | Receiver, path: str) -> Reply:
        """Read something of a Sender or Receiver from its Connection API.

        Raises:
            OutOfReachError: nothing was sent.
            NoAnswerError: no answer came.
        """
        control = await self._reach.control(self._plant.device_of(resource), CONNECTION)
        kind = "receivers" if isinstance(resource, Receiver) else "senders"
        return await self._reach.send(control, "GET", f"single/{kind}/{resource.id}/{path}")

    async def transport_file(self, sender: Sender) -> str:
        """Read a Sender's transport file, from its `manifest_href` or its Connection API.

        Raises:
            OutOfReachError: there is none; the message says why.
            NoAnswerError: no answer came.
        """
        device = self._plant.device_of(sender)
        why = "The source has no transport file."
        if sender.manifest_href is not None and device is not None:
            controls = [
                {"type": each.type, "href": each.href, "authorization": each.authorization}
                for each in device.controls
            ]
            needs = manifest_requires_token(sender.manifest_href, controls)
            try:
                reply = await self._reach.fetch(sender.manifest_href, with_token=needs)
            except (OutOfReachError, NoAnswerError) as error:
                why = f"The source's transport file: {error}"
            else:
                if reply.is_success:
                    return reply.text
                why = f"The source's transport file cannot be read ({reply.status})."
        reply = await self.read(sender, "transportfile")
        if reply.is_success:
            return reply.text
        if reply.status == 403:
            why = "Your token does not permit to read the source's transport file (403)."
        elif reply.status == 404:
            why = "The source has no transport file now (404): it may not be active."
        raise OutOfReachError(why)

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

        async def run() -> Result:
            nonlocal before
            control = await self._reach.control(self._plant.device_of(receiver), CONNECTION)
            made, before = await asyncio.gather(
                body(receiver, control), self._state(control, receiver_id, "active")
            )
            try:
                reply, took = await self._patch(
                    control, _staged(receiver_id), made, receiver_id=receiver_id
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
        if self._changes.get(receiver.id) is not None:
            self._changes.settle(receiver.id, result, before)
            self._changes.registry_shows(self._plant.receivers.get(receiver.id))
        self._log.add(self._who(), f"{receiver.name}: {aim}", self._where(receiver), result)
        return result

    async def _patch(
        self, control: Control, path: str, body: object, *, receiver_id: str | None = None
    ) -> tuple[Reply, int]:
        """Send a change; a 503 that asks to wait is waited for, and then it is sent again.

        A server that answers 503 has done nothing: it is fetching the key of the token (IS-10
        "Behaviour: Resource Servers", Public keys).
        """
        waited = 0.0
        while True:
            began = time.perf_counter()
            reply = await self._reach.send(control, "PATCH", path, body)
            took = round((time.perf_counter() - began) * 1000)
            pause = max(reply.retry_after or 0, 0.2)
            is_asked = reply.status == 503 and reply.retry_after is not None
            if not is_asked or waited + pause > _LONGEST_WAIT:
                return reply, took
            if receiver_id is not None:
                text = f"The Node asks to wait {pause:g} s (503) …"
                self._changes.settle(receiver_id, Result(Outcome.WAITING, text, 503, took))
            waited += pause
            await asyncio.sleep(pause)

    async def _look(
        self, control: Control, receiver_id: str, sender_id: str | None, aim: str, when: When
    ) -> Result:
        """See what a Node shows where no answer came: the change is never sent again blindly."""
        what = "staged" if when.is_scheduled else "active"
        result = outcome.after_no_answer(None, sender_id, aim, scheduled=when.is_scheduled)
        for pause in _LOOK_AFTER:
            await asyncio.sleep(pause)
            try:
                state = await self._state(control, receiver_id, what)
            except (OutOfReachError, NoAnswerError):
                state = None
            result = outcome.after_no_answer(state, sender_id, aim, scheduled=when.is_scheduled)
            if result.is_good:
                break
        return result

    async def _state(
        self, control: Control, receiver_id: str, what: str
    ) -> Mapping[str, object] | None:
        reply = await self._reach.send(control, "GET", f"single/receivers/{receiver_id}/{what}")
        return reply.body if reply.is_success and isinstance(reply.body, Mapping) else None

    async def _constraints(self, control: Control, receiver: Receiver) -> Sequence[plan.Leg]:
        path = f"single/receivers/{receiver.id}/constraints"
        reply = await self._reach.send(control, "GET", path)
        if not reply.is_success or not isinstance(reply.body, list):
            raise OutOfReachError(f"The destination's constraints cannot be read ({reply.status}).")
        return [each for each in reply.body if isinstance(each, Mapping)]

    async def _offer(self, sender: Sender) -> Offer:
        if sender.transport.startswith("urn:x-nmos:transport:rtp"):
            return Offer(sender.id, await self.transport_file(sender))
        reply = await self.read(sender, "active")
        legs = reply.body.get("transport_params") if isinstance(reply.body, Mapping) else None
        if not reply.is_success or not isinstance(legs, list):
            raise OutOfReachError(f"The source's parameters cannot be read ({reply.status}).")
        return Offer(sender.id, None, [each for each in legs if isinstance(each, Mapping)])

    async def _offers(self, sender_ids: set[str]) -> dict[str, Offer | Result]:
        async def offer(sender_id: str) -> Offer | Result:
            sender = self._plant.senders.get(sender_id)
            if sender is None:
                return Result(Outcome.FAILED, "The Registry does not have this source.")
            try:
                return await self._offer(sender)
            except (OutOfReachError, NoAnswerError) as error:
                return Result(Outcome.FAILED, str(error))

        ordered = sorted(sender_ids)
        return dict(zip(ordered, await asyncio.gather(*map(offer, ordered)), strict=True))

    async def _bulk(
        self,
        wanted: Sequence[tuple[Receiver, str | None]],
        offers: Mapping[str, Offer],
        when: When,
    ) -> dict[str, Result]:
        """Change Receivers of one Device; where it has no bulk requests, one after the other."""
        results: dict[str, Result] = {}
        for start in range(0, len(wanted), _MOST_IN_BULK):
            part = wanted[start : start + _MOST_IN_BULK]
            aims = {receiver.id: self._aim(sender_id) for receiver, sender_id in part}
            begun = [
                each for each in part if self._changes.begin(each[0], each[1], aims[each[0].id])
            ]
            results |= {
                each.id: Result(Outcome.SENDING, "A change of it is under way.") for each, _ in part
            }
            try:
                made = await self._send_bulk(begun, offers, when, aims)
            except (OutOfReachError, NoAnswerError) as error:
                unknown = isinstance(error, NoAnswerError)
                failed = Result(Outcome.UNKNOWN if unknown else Outcome.FAILED, str(error))
                made = {receiver.id: (failed, None) for receiver, _ in begun}
            for receiver, _ in begun:
                result, before = made[receiver.id]
                results[receiver.id] = self._noted(
                    receiver, aims[receiver.id], result, before if result.is_good else None
                )
        return results

    async def _send_bulk(
        self,
        wanted: Sequence[tuple[Receiver, str | None]],
        offers: Mapping[str, Offer],
        when: When,
        aims: Mapping[str, str],
    ) -> dict[str, tuple[Result, Mapping[str, object] | None]]:
        if not wanted:
            return {}
        control = await self._reach.control(self._plant.device_of(wanted[0][0]), CONNECTION)
        before = await asyncio.gather(
            *(self._state(control, receiver.id, "active") for receiver, _ in wanted)
        )
        bodies: dict[str, plan.Body] = {}
        for receiver, sender_id in wanted:
            if sender_id is None:
                bodies[receiver.id] = plan.disconnect(when)
            else:
                constraints = await self._constraints(control, receiver)
                bodies[receiver.id] = plan.take(offers[sender_id], constraints, when)
        entries = [{"id": key, "params": body} for key, body in bodies.items()]
        began = time.perf_counter()
        reply = await self._reach.send(control, "POST", "bulk/receivers", entries)
        took = round((time.perf_counter() - began) * 1000)
        found: dict[str, Result] = {}
        if reply.status in _FALSE_BULK:
            for key, body in bodies.items():
                single, took = await self._patch(control, _staged(key), body, receiver_id=key)
                found[key] = outcome.of_reply(single, aims[key], took)
        elif reply.is_success and isinstance(reply.body, list):
            found = {
                str(each.get("id")): outcome.of_status(
                    _status(each.get("code")),
                    str(each.get("error") or "")[:200],
                    aims.get(str(each.get("id")), ""),
                )
                for each in reply.body
                if isinstance(each, Mapping)
            }
        missing = outcome.of_reply(reply, "", took)
        if reply.is_success:
            missing = Result(Outcome.UNKNOWN, "The Node's answer does not mention it.")
        return {
            receiver.id: (found.get(receiver.id, missing), state)
            for (receiver, _), state in zip(wanted, before, strict=True)
        }

    def _aim(self, sender_id: str | None) -> str:
        sender = self._plant.senders.get(sender_id or "")
        return "Disconnected" if sender is None else f"Connected to {sender.name}"

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


def _status(code: object) -> int:
    return code if isinstance(code, int) and 100 <= code < 600 else 500
