"""The bodies of PATCH requests to a Receiver's `staged` (IS-05 v1.1). Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from example_node.activation import IMMEDIATE, ActivationMode
from example_node.clock import NANOSECONDS
from example_node.connection.sdp import SdpError, parse

Body = dict[str, object]
Leg = Mapping[str, object]
Active = Mapping[str, object] | None
"""The `active` or `staged` of a Receiver; None where it is not known."""

SDP = "application/sdp"

# Parameters of an MQTT Receiver, and their names at a Sender (IS-05 "Behaviour: MQTT Transport
# Type").
_OTHER_NAMES = {"source_host": "destination_host", "source_port": "destination_port"}


@dataclass(frozen=True, slots=True)
class When:
    """When a change is to be made.

    Attributes:
        mode: as IS-05 calls it.
        time: `<seconds>:<nanoseconds>` from the request on; None for at once.
    """

    mode: ActivationMode = "activate_immediate"
    time: str | None = None

    @classmethod
    def after(cls, seconds: float) -> "When":
        """Return a time so many seconds after the request."""
        whole, rest = divmod(round(seconds * NANOSECONDS), NANOSECONDS)
        return cls("activate_scheduled_relative", f"{whole}:{rest}")

    @property
    def is_scheduled(self) -> bool:
        """Whether it is not at once."""
        return self.mode != IMMEDIATE

    def activation(self) -> Body:
        """Return the `activation` of a request."""
        body: Body = {"mode": self.mode}
        return body if self.time is None else {**body, "requested_time": self.time}


AT_ONCE = When()


@dataclass(frozen=True, slots=True)
class Offer:
    """What a Sender gives to those that want to receive from it.

    Attributes:
        sender_id: its id.
        transport_file: its transport file; None where its transport has none.
        legs: the transport parameters of its `active`; empty where they are not known.
    """

    sender_id: str
    transport_file: str | None
    legs: Sequence[Leg] = ()


def take(offer: Offer, constraints: Sequence[Leg], when: When) -> Body:
    """Return what connects a Receiver to a Sender.

    Args:
        offer: what the Sender gives.
        constraints: those of the Receiver: one object for each leg that it has.
        when: when to do it.
    """
    body: Body = {"sender_id": offer.sender_id, "master_enable": True}
    if offer.transport_file is not None:
        body["transport_file"] = {"data": offer.transport_file, "type": SDP}
        legs = _legs_of_file(offer.transport_file, constraints)
    else:
        legs = [
            _same(constraint, offer.legs[index] if index < len(offer.legs) else {})
            for index, constraint in enumerate(constraints)
        ]
    if legs:
        # One object for each leg, also where nothing of it changes (IS-05 "Behaviour: RTP Transport
        # Type", Operation with SMPTE 2022-7).
        body["transport_params"] = legs
    body["activation"] = when.activation()
    return body


def disconnect(when: When) -> Body:
    """Return what makes a Receiver receive nothing."""
    return {"sender_id": None, "master_enable": False, "activation": when.activation()}


def restore(active: Mapping[str, object], when: When) -> Body:
    """Return what makes a Receiver what it was, by the `active` of then."""
    if active.get("master_enable") is not True:
        return disconnect(when)
    kept = ("sender_id", "master_enable", "transport_file", "transport_params")
    body = {name: active[name] for name in kept if name in active}
    return {**body, "activation": when.activation()}


def cancel() -> Body:
    """Return what cancels a scheduled activation."""
    return {"activation": {"mode": None}}


def send_to(addresses: Sequence[Leg], *, enable: bool | None) -> Body:
    """Return what makes a Sender send to addresses.

    Args:
        addresses: what changes of each leg that it has; empty where no leg changes.
        enable: whether it sends; None where that stays as it is.
    """
    body: Body = {"activation": AT_ONCE.activation()}
    if enable is not None:
        body["master_enable"] = enable
    if addresses:
        # "Otherwise, when modifying `transport_params` […] the Controller MUST set the […]
        # `receiver_id` parameter to `null`" (IS-05 "Controllers", Connection Management).
        body |= {"receiver_id": None, "transport_params": [dict(each) for each in addresses]}
    return body


def _legs_of_file(transport_file: str, constraints: Sequence[Leg]) -> list[Body]:
    """Enable as many legs as the file has paths, where legs can be switched.

    What the file says of addresses the Receiver reads for itself.
    """
    try:
        streams = parse(transport_file).streams
    except SdpError:
        # Whether it can be used is for the Receiver to say.
        return [{} for _ in constraints]
    on = [not stream.is_off for stream in streams]
    if len(constraints) == 1:
        on = [any(on)]
    return [
        {"rtp_enabled": index < len(on) and on[index]} if "rtp_enabled" in constraint else {}
        for index, constraint in enumerate(constraints)
    ]


def _same(constraint: Leg, offered: Leg) -> Body:
    """Take those parameters of a Sender's leg that the Receiver's leg has too."""
    found: Body = {}
    for name in constraint:
        value = offered.get(name, offered.get(_OTHER_NAMES.get(name, "")))
        if value is not None:
            found[name] = value
    return found
