"""The computer's network interfaces, as far as a Node shows them."""

import socket
import struct
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """A network interface: its name, its MAC address as IS-04 writes it, and its IPv4 address."""

    name: str
    mac: str
    address: str


def find_interfaces(names: Sequence[str]) -> tuple[NetworkInterface, ...]:
    """Look up interfaces by name; without names, the first with an IPv4 address, loopback last.

    Raises:
        OSError: an interface does not exist or has no IPv4 address.
    """
    if sys.platform != "linux":
        return tuple(_by_route(name) for name in names or ("default",))
    if names:
        return tuple(_by_name(name) for name in names)
    available = []
    for _, name in socket.if_nameindex():
        try:
            available.append(_by_name(name))
        except OSError:
            continue
    if not available:
        raise OSError("no network interface has an IPv4 address")
    return (min(available, key=lambda interface: interface.address.startswith("127.")),)


def _by_name(name: str) -> NetworkInterface:
    import fcntl  # noqa: PLC0415 - this module does not exist on every system

    get_address, get_hardware_address = 0x8915, 0x8927  # SIOCGIFADDR and SIOCGIFHWADDR of Linux
    request = struct.pack("256s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            address = fcntl.ioctl(probe, get_address, request)[20:24]
            hardware = fcntl.ioctl(probe, get_hardware_address, request)[18:24]
        except OSError as error:
            raise OSError(error.errno, f"network interface {name!r}: {error.strerror}") from error
    return NetworkInterface(name=name, mac=hardware.hex("-"), address=socket.inet_ntoa(address))


def _by_route(name: str) -> NetworkInterface:
    """Return the interface by the address from which packets would leave, without its name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # chooses a route and sends nothing
            address = str(probe.getsockname()[0])
        except OSError:
            address = "127.0.0.1"
    return NetworkInterface(
        name=name, mac=uuid.getnode().to_bytes(6, "big").hex("-"), address=address
    )
