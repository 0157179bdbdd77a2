"""Many changes at once, by one bulk request for each Device.

"Where making requests to a large number of Senders and/or Receivers on the same Device, Controllers
SHOULD make use of the `/bulk` endpoint" (IS-05 "Controllers", Connection Management).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from example_node.controller.connecting import outcome, plan
from example_node.controller.connecting.changes import Changes
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.connecting.outcome import (
    NO_RECEIVER,
    NO_SENDER,
    UNDER_WAY,
    Outcome,
    Result,
)
from example_node.controller.connecting.plan import Active, Offer, When
from example_node.controller.connecting.trying import look, patch, result_of
from example_node.controller.plant import Control, Plant, Receiver

_MOST_IN_BULK = 100
# What Devices answer that have no bulk requests, or none for this token.
_NO_BULK = frozenset({403, 404, 405, 501})

Noted = Callable[[Receiver, str, Result, Active], Result]
"""Keeps what has become of a change: of which Receiver, what, its result, and its former state."""


@dataclass(frozen=True)
class _Wanted:
    """One of the changes.

    Attributes:
        receiver: the Receiver.
        offer: what its Sender gives; None for no Sender.
        aim: what is asked for, as the beginning of a sentence.
    """

    receiver: Receiver
    offer: Offer | None
    aim: str

    @property
    def sender_id(self) -> str | None:
        return None if self.offer is None else self.offer.sender_id


@dataclass
class _Made:
    """What has become of changes so far, and what their Receivers were before."""

    results: dict[str, Result] = field(default_factory=dict)
    before: dict[str, Active] = field(default_factory=dict)


class Bulk:
    """Makes many changes.

    Args:
        plant: what there is.
        endpoints: the Connection APIs.
        changes: what is under way.
        noted: keeps what has become of a change.
    """

    def __init__(self, plant: Plant, endpoints: Endpoints, changes: Changes, noted: Noted) -> None:
        self._plant = plant
        self._endpoints = endpoints
        self._changes = changes
        self._noted = noted

    async def many(self, wanted: Mapping[str, str | None], when: When) -> dict[str, Result]:
        """Make many changes, by one bulk request for each Device.

        Args:
            wanted: for each Receiver the Sender, or None for none.
            when: when to do it.

        Returns:
            What has become of each, in the order in which they are wanted.
        """
        results: dict[str, Result] = {}
        offers = await self._offers({each for each in wanted.values() if each is not None})
        by_device: dict[str, list[_Wanted]] = {}
        for receiver_id, sender_id in wanted.items():
            receiver = self._plant.receivers.get(receiver_id)
            offer, name = (None, "") if sender_id is None else offers[sender_id]
            if receiver is None:
                results[receiver_id] = NO_RECEIVER
            elif isinstance(offer, Result):
                results[receiver_id] = offer
            else:
                aim = "Disconnected" if offer is None else f"Connected to {name}"
                by_device.setdefault(receiver.device_id, []).append(_Wanted(receiver, offer, aim))
        for part in await asyncio.gather(
            *(self._device(each, when) for each in by_device.values())
        ):
            results |= part
        return {each: results[each] for each in wanted}

    async def _offers(self, sender_ids: set[str]) -> dict[str, tuple[Offer | Result, str]]:
        """Return what each Sender gives, or why that is not known, and its name."""

        async def offer(sender_id: str) -> tuple[Offer | Result, str]:
            sender = self._plant.senders.get(sender_id)
            if sender is None:
                return NO_SENDER, ""
            return await result_of(self._endpoints.offer(sender)), sender.name

        ordered = sorted(sender_ids)
        return dict(zip(ordered, await asyncio.gather(*map(offer, ordered)), strict=True))

    async def _device(self, wanted: Sequence[_Wanted], when: When) -> dict[str, Result]:
        """Change Receivers of one Device, so many with each request."""
        results: dict[str, Result] = {}
        for start in range(0, len(wanted), _MOST_IN_BULK):
            begun = []
            for each in wanted[start : start + _MOST_IN_BULK]:
                if self._changes.begin(each.receiver, each.sender_id, each.aim):
                    begun.append(each)
                else:
                    results[each.receiver.id] = UNDER_WAY
            if not begun:
                continue
            made = _Made()
            rest = await result_of(self._make(begun, when, made))
            for each in begun:
                key = each.receiver.id
                result = made.results.get(key, rest)
                before = made.before.get(key) if result.may_be_made else None
                results[key] = self._noted(each.receiver, each.aim, result, before)
        return results

    async def _make(self, begun: Sequence[_Wanted], when: When, made: _Made) -> Result:
        """Make changes of one Device; what is returned holds for those that `made` lacks."""
        control = await self._endpoints.control(begun[0].receiver)
        # `Reach` bounds how many requests are under way.
        planned = await asyncio.gather(
            *(result_of(self._planned(control, each, when, made)) for each in begun)
        )
        bodies: dict[str, plan.Body] = {}
        for each, body in zip(begun, planned, strict=True):
            if isinstance(body, Result):
                made.results[each.receiver.id] = body
            else:
                bodies[each.receiver.id] = body
        entries = [{"id": key, "params": body} for key, body in bodies.items()]
        unsaid = f"The Node does not say what became of it. {outcome.LOOK}"
        if not entries:
            return Result(Outcome.UNKNOWN, unsaid)
        reply, took = await self._endpoints.change(control, "POST", "bulk/receivers", entries)
        sent = [each for each in begun if each.receiver.id in bodies]
        if reply is None:
            looks = [
                look(self._endpoints, control, each.receiver.id, each.aim, _sign(each, when))
                for each in sent
            ]
            for each, result in zip(sent, await asyncio.gather(*looks), strict=True):
                made.results[each.receiver.id] = result
        elif reply.status in _NO_BULK:
            for each in sent:
                key = each.receiver.id
                made.results[key] = await result_of(
                    patch(self._endpoints, control, key, bodies[key], each.aim, _sign(each, when))
                )
        elif not reply.is_success:
            return outcome.of_reply(reply, "", took)
        else:
            made.results |= _answered(reply.body, {each.receiver.id: each.aim for each in sent})
        return Result(Outcome.UNKNOWN, unsaid)

    async def _planned(
        self, control: Control, wanted: _Wanted, when: When, made: _Made
    ) -> plan.Body:
        """Return what is sent for a Receiver, and note what it is until then."""
        receiver, offer = wanted.receiver, wanted.offer
        made.before[receiver.id] = await self._endpoints.state(control, receiver.id, "active")
        if offer is None:
            return plan.disconnect(when)
        return plan.take(offer, await self._endpoints.constraints(control, receiver), when)


def _sign(wanted: _Wanted, when: When) -> outcome.Sign:
    return outcome.sign_of_change(wanted.sender_id, when)


def _answered(body: object, aims: Mapping[str, str]) -> dict[str, Result]:
    """Return what a bulk answer says of each Receiver that it says something of."""
    found: dict[str, Result] = {}
    for each in body if isinstance(body, list) else ():
        if isinstance(each, Mapping):
            key, code = each.get("id"), each.get("code")
            if isinstance(key, str) and key in aims and isinstance(code, int) and 100 <= code < 600:
                error = str(each.get("error") or "")[:200]
                found[key] = outcome.of_status(code, error, aims[key])
    return found
