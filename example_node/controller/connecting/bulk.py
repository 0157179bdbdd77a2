"""Many changes at once, by one bulk request for each Device.

"Where making requests to a large number of Senders and/or Receivers on the same Device, Controllers
SHOULD make use of the `/bulk` endpoint" (IS-05 "Controllers", Connection Management).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from example_node.controller.connecting import outcome, plan
from example_node.controller.connecting.changes import Changes
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.connecting.outcome import Outcome, Result
from example_node.controller.connecting.plan import Offer, When
from example_node.controller.plant import Plant, Receiver
from example_node.controller.reach import NoAnswerError, OutOfReachError

_MOST_IN_BULK = 100
# What Devices answer that have no bulk requests, or none for this token.
_NO_BULK = frozenset({403, 404, 405, 501})

Active = Mapping[str, object] | None
Noted = Callable[[Receiver, str, Result, Active], Result]
"""Keeps what has become of a change: of which Receiver, what, its result, and its former state."""


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

    async def _offers(self, sender_ids: set[str]) -> dict[str, Offer | Result]:
        async def offer(sender_id: str) -> Offer | Result:
            sender = self._plant.senders.get(sender_id)
            if sender is None:
                return Result(Outcome.FAILED, "The Registry does not have this source.")
            try:
                return await self._endpoints.offer(sender)
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
        control = await self._endpoints.control(wanted[0][0])
        before = await asyncio.gather(
            *(self._endpoints.state(control, receiver.id, "active") for receiver, _ in wanted)
        )
        bodies: dict[str, plan.Body] = {}
        for receiver, sender_id in wanted:
            if sender_id is None:
                bodies[receiver.id] = plan.disconnect(when)
            else:
                constraints = await self._endpoints.constraints(control, receiver)
                bodies[receiver.id] = plan.take(offers[sender_id], constraints, when)
        entries = [{"id": key, "params": body} for key, body in bodies.items()]
        reply, took = await self._endpoints.change(control, "POST", "bulk/receivers", entries)
        found: dict[str, Result] = {}
        if reply.status in _NO_BULK:
            for key, body in bodies.items():
                single, took = await self._endpoints.change(
                    control, "PATCH", f"single/receivers/{key}/staged", body
                )
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


def _status(code: object) -> int:
    return code if isinstance(code, int) and 100 <= code < 600 else 500
