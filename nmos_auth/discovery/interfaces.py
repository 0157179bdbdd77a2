"""The network interfaces that multicast DNS can use.

zeroconf's own choice of all interfaces includes addresses from which nothing can be sent to the
group, such as `::1` on a host without IPv6, and logs a traceback for each packet.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from nmos_auth.errors import MissingExtra

with MissingExtra.named("mdns", "ifaddr"):
    import ifaddr

__all__ = ["usable_interfaces"]

_PORT = 5353
_GROUP, _GROUP6 = "224.0.0.251", "ff02::fb"  # RFC 6762 Section 3


def usable_interfaces(adapters: Iterable[ifaddr.Adapter] | None = None) -> list[str | int]:
    """Return the `interfaces` for zeroconf: IPv4 addresses, and indexes for IPv6.

    This does not send a packet.

    Args:
        adapters: the network adapters; None for those of the host.

    Raises:
        OSError: there is no such interface.
    """
    usable: dict[str | int, None] = {}
    for adapter in ifaddr.get_adapters() if adapters is None else adapters:
        for address in adapter.ips:
            if isinstance(address.ip, str):
                if _can_send(address.ip):
                    usable[address.ip] = None
            elif adapter.index is not None and _can_send6(address.ip[0], adapter.index):
                usable[adapter.index] = None
    if not usable:
        raise OSError("no network interface can send to the group of multicast DNS")
    return list(usable)


def _can_send(address: str) -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            interface = socket.inet_aton(address)
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
            probe.bind((address, 0))
            probe.connect((_GROUP, _PORT))
    except OSError:
        return False
    return True


def _can_send6(address: str, index: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            probe.bind((address, 0, 0, index))
            probe.connect((_GROUP6, _PORT, 0, index))
    except OSError:
        return False
    return True
