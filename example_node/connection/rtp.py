"""The RTP transport type (IS-05 "Behaviour: RTP Transport Type"), core and multicast parameters.

A parameter that is `auto` in `staged` is chosen by the Sender or Receiver when it is activated.
What it chooses here never changes, so that an activation moves nothing that the client did not ask
to move.
"""

import ipaddress
import uuid
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, PlainValidator

from example_node.connection.models import Constraint, Constraints, TransportParams
from example_node.connection.sdp import Stream
from example_node.interfaces import NetworkInterface

DEFAULT_PORT = 5004  # what the schemas suggest for `auto`

# Lower ports are system ports (RFC 6335 section 6).
_LOWEST_PORT = Constraint(minimum=1024)
_ANYTHING = Constraint()


def _ip_address(value: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        address = None
    if address is None or "%" in value:
        raise ValueError("must be an IPv4 or IPv6 address")
    return value


def _ip_address_or_auto(value: str) -> str:
    return value if value == "auto" else _ip_address(value)


def _multicast_group(value: str) -> str:
    if not ipaddress.ip_address(_ip_address(value)).is_multicast:
        raise ValueError("must be a multicast address")
    return value


def _port_or_auto(value: object) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 65535:
        return value
    raise ValueError("must be a port number or auto")


def _not_zero(value: int | Literal["auto"]) -> int | Literal["auto"]:
    if value == 0:
        raise ValueError("must be a port number from 1 to 65535 or auto")
    return value


Address = Annotated[str, AfterValidator(_ip_address)]
AddressOrAuto = Annotated[str, AfterValidator(_ip_address_or_auto)]
MulticastGroup = Annotated[str, AfterValidator(_multicast_group)]
SourcePort = Annotated[int | Literal["auto"], PlainValidator(_port_or_auto)]
DestinationPort = Annotated[SourcePort, AfterValidator(_not_zero)]


class RtpSenderParams(TransportParams):
    """One leg of an RTP Sender."""

    source_ip: AddressOrAuto = "auto"
    destination_ip: AddressOrAuto = "auto"
    source_port: SourcePort = "auto"
    destination_port: DestinationPort = "auto"
    rtp_enabled: bool = True

    def resolved(self, interface: NetworkInterface, group: str) -> "RtpSenderParams":
        """Choose what is `auto`: the interface's address, the group, and the default port."""
        chosen: dict[str, str | int] = {
            "source_ip": interface.address,
            "destination_ip": group,
            "source_port": DEFAULT_PORT,
            "destination_port": DEFAULT_PORT,
        }
        return self.model_copy(update=_instead_of_auto(self, chosen))

    def stream(self) -> Stream:
        """Return the stream of a resolved leg."""
        destination, source = map(ipaddress.ip_address, (self.destination_ip, self.source_ip))
        return Stream(str(destination), int(self.destination_port), str(source))


class RtpReceiverParams(TransportParams):
    """One leg of an RTP Receiver that can receive multicast."""

    source_ip: Address | None = None
    multicast_ip: MulticastGroup | None = None
    interface_ip: AddressOrAuto = "auto"
    destination_port: DestinationPort = "auto"
    rtp_enabled: bool = True

    def resolved(self, interface: NetworkInterface) -> "RtpReceiverParams":
        """Choose what is `auto`: the interface's address and the default port."""
        chosen: dict[str, str | int] = {
            "interface_ip": interface.address,
            "destination_port": DEFAULT_PORT,
        }
        return self.model_copy(update=_instead_of_auto(self, chosen))


def _instead_of_auto(params: TransportParams, chosen: dict[str, str | int]) -> dict[str, str | int]:
    return {name: value for name, value in chosen.items() if getattr(params, name) == "auto"}


def sender_constraints(interface: NetworkInterface) -> Constraints:
    """Return the constraints of a Sender's leg on an interface."""
    return {
        "source_ip": Constraint(enum=(interface.address,)),
        "destination_ip": _ANYTHING,
        "source_port": _LOWEST_PORT,
        "destination_port": _LOWEST_PORT,
        "rtp_enabled": _ANYTHING,
    }


def receiver_constraints(interface: NetworkInterface) -> Constraints:
    """Return the constraints of a Receiver's leg on an interface."""
    return {
        "source_ip": _ANYTHING,
        "multicast_ip": _ANYTHING,
        "interface_ip": Constraint(enum=(interface.address,)),
        "destination_port": _LOWEST_PORT,
        "rtp_enabled": _ANYTHING,
    }


def multicast_group(sender_id: str, leg: int) -> str:
    """Return a multicast group for a Sender's leg, in the IPv4 Local Scope (RFC 2365 section 6.1).

    It is derived from the Sender's id. In a facility, a system that knows all Senders would assign
    it.
    """
    host = (uuid.UUID(sender_id).int + leg) % 0xFFFF + 1
    return str(ipaddress.IPv4Address("239.255.0.0") + host)


def changes_from_streams(streams: Sequence[Stream], legs: int) -> list[dict[str, object]]:
    """Return what the streams of an SDP change in a Receiver's legs.

    A leg without a stream, or whose path is switched off, is disabled, and a stream without a leg
    is left out (IS-05 "Behaviour: RTP Transport Type", Operation with SMPTE 2022-7). A Receiver
    with one leg uses the first path that is not off.
    """
    if legs == 1:
        streams = [stream for stream in streams if not stream.is_off]
    changes = [_changes_from_stream(stream) for stream in streams[:legs]]
    unused = legs - len(changes)
    return changes + [{"rtp_enabled": False}] * unused


def _changes_from_stream(stream: Stream) -> dict[str, object]:
    if stream.is_off:
        return {"rtp_enabled": False}
    return {
        "source_ip": stream.source,
        "multicast_ip": stream.destination if stream.is_multicast else None,
        "interface_ip": "auto" if stream.is_multicast else stream.destination,
        "destination_port": stream.port,
        "rtp_enabled": True,
    }
