"""The APIs of Devices, as this Controller asks and changes them (IS-05; IS-08 for changes)."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from example_node.controller.connecting import plan
from example_node.controller.connecting.plan import Offer
from example_node.controller.plant import Control, Device, Plant, Receiver, Sender
from example_node.controller.reach import (
    CONNECTION,
    JSON,
    NoAnswerError,
    OutOfReachError,
    ReachError,
    Reply,
)
from nmos_auth.client.presenting import manifest_requires_token

_LONGEST_WAIT = 10.0
# A proxy says that it lost the answer of the Node (RFC 9110 Sections 15.6.3 and 15.6.5).
_LOST = frozenset({502, 504})


class Reaches(Protocol):
    """What sends requests to Devices; `Reach` is one."""

    async def control(self, device: Device | None, types: tuple[str, ...]) -> Control:
        """Return the best control of a Device that a request may go to."""
        ...

    async def send(
        self,
        control: Control,
        method: str,
        path: str,
        body: object | None = None,
        *,
        accept: str = JSON,
    ) -> Reply:
        """Send a request to a path below a control's href."""
        ...

    async def fetch(self, url: str, *, with_token: bool, accept: str = JSON) -> Reply:
        """Read a URL."""
        ...


class Endpoints:
    """Reads and changes Senders and Receivers by the Connection APIs of their Devices.

    Args:
        plant: what there is.
        reach: sends requests.
    """

    def __init__(self, plant: Plant, reach: Reaches) -> None:
        self._plant = plant
        self._reach = reach

    async def control(
        self, of: Device | Sender | Receiver | None, types: tuple[str, ...] = CONNECTION
    ) -> Control:
        """Return where a Device, or what belongs to it, is controlled.

        Raises:
            OutOfReachError: there is no place that a request may go to.
        """
        device = self._plant.device_of(of) if isinstance(of, Sender | Receiver) else of
        return await self._reach.control(device, types)

    async def read(self, resource: Sender | Receiver, path: str, *, accept: str = JSON) -> Reply:
        """Read something of a Sender or Receiver from its Connection API.

        Raises:
            OutOfReachError: nothing was sent.
            NoAnswerError: no answer came.
        """
        control = await self.control(resource)
        kind = "receivers" if isinstance(resource, Receiver) else "senders"
        where = f"single/{kind}/{resource.id}/{path}"
        return await self._reach.send(control, "GET", where, accept=accept)

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
                reply = await self._reach.fetch(
                    sender.manifest_href, with_token=needs, accept=plan.SDP
                )
            except ReachError as error:
                why = f"The source's transport file: {error}"
            else:
                if reply.is_success:
                    return reply.text
                why = f"The source's transport file cannot be read ({reply.status})."
        reply = await self.read(sender, "transportfile", accept=plan.SDP)
        if reply.is_success:
            return reply.text
        if reply.status == 403:
            why = "Your token does not permit you to read the source's transport file (403)."
        elif reply.status == 404:
            why = "The source has no transport file now (404): it may not be active."
        raise OutOfReachError(why)

    async def change(
        self,
        control: Control,
        method: str,
        path: str,
        body: object,
        on_wait: Callable[[float], None] = lambda _: None,
    ) -> tuple[Reply | None, int]:
        """Send a change; a 503 that asks to wait is waited for, and then it is sent again.

        A server that answers 503 has done nothing: it is fetching the key of the token (IS-10
        "Behaviour: Resource Servers", Public keys). Of a change whose answer is lost nobody knows
        whether it was made, so it is not sent again.

        Args:
            control: where.
            method: PATCH, POST or DELETE.
            path: below the control's href.
            body: what to change.
            on_wait: called with the seconds to wait.

        Returns:
            The answer, or None where it is lost, and the milliseconds that the Node took.

        Raises:
            OutOfReachError: nothing was sent.
        """
        waited = 0.0
        while True:
            began = time.perf_counter()
            try:
                reply = await self._reach.send(control, method, path, body)
            except NoAnswerError:
                reply = None
            took = round((time.perf_counter() - began) * 1000)
            if reply is None or reply.status in _LOST:
                return None, took
            pause = max(reply.retry_after or 0, 0.2)
            is_asked = reply.status == 503 and reply.retry_after is not None
            if not is_asked or waited + pause > _LONGEST_WAIT:
                return reply, took
            on_wait(pause)
            waited += pause
            await asyncio.sleep(pause)

    async def state(
        self, control: Control, receiver_id: str, what: str
    ) -> Mapping[str, object] | None:
        """Return a Receiver's `active` or `staged`; None where the Node does not show it.

        Raises:
            OutOfReachError: nothing was sent.
            NoAnswerError: no answer came.
        """
        reply = await self._reach.send(control, "GET", f"single/receivers/{receiver_id}/{what}")
        return reply.body if reply.is_success and isinstance(reply.body, Mapping) else None

    async def constraints(self, control: Control, receiver: Receiver) -> Sequence[plan.Leg]:
        """Return a Receiver's constraints, one object for each leg.

        Raises:
            OutOfReachError: the Node does not show them.
            NoAnswerError: no answer came.
        """
        path = f"single/receivers/{receiver.id}/constraints"
        reply = await self._reach.send(control, "GET", path)
        if not reply.is_success or not isinstance(reply.body, list):
            raise OutOfReachError(f"The destination's constraints cannot be read ({reply.status}).")
        return [each for each in reply.body if isinstance(each, Mapping)]

    async def offer(self, sender: Sender) -> Offer:
        """Return what a Sender gives to those that want to receive from it.

        Raises:
            OutOfReachError: its Node does not show that.
            NoAnswerError: no answer came.
        """
        if sender.transport.startswith("urn:x-nmos:transport:rtp"):
            return Offer(sender.id, await self.transport_file(sender))
        reply = await self.read(sender, "active")
        legs = reply.body.get("transport_params") if isinstance(reply.body, Mapping) else None
        if not reply.is_success or not isinstance(legs, list):
            raise OutOfReachError(f"The source's parameters cannot be read ({reply.status}).")
        return Offer(sender.id, None, [each for each in legs if isinstance(each, Mapping)])
