"""Which interfaces multicast DNS can leave by."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys

import ifaddr
import pytest

from nmos_auth.discovery.interfaces import usable_interfaces


def adapter(index: int, *addresses: str) -> ifaddr.Adapter:
    """An interface with these addresses."""
    ips = [
        ifaddr.IP((each, 0, index) if ":" in each else each, 64 if ":" in each else 24, "x")
        for each in addresses
    ]
    return ifaddr.Adapter("x", "x", ips, index)


def test_an_address_from_which_nothing_can_be_sent_is_left_out() -> None:
    """Neither one that this host does not have, nor the IPv6 loopback, is used."""
    loopback = socket.if_nametoindex("lo")
    adapters = [adapter(loopback, "127.0.0.1", "::1"), adapter(loopback, "192.0.2.77")]
    assert usable_interfaces(adapters) == ["127.0.0.1"]


def test_a_host_without_a_usable_interface_is_an_error() -> None:
    """Whoever asks says so once, and goes on."""
    with pytest.raises(OSError, match="no network interface"):
        usable_interfaces([adapter(4242, "192.0.2.77", "2001:db8::77")])


def test_each_interface_has_one_place() -> None:
    """An interface of several IPv6 addresses is given by its index, once."""
    found = usable_interfaces()
    assert len(found) == len(set(found))
    assert "::1" not in found


LOOK = """
import asyncio, logging
from nmos_auth.discovery.multicast import MulticastSource
logging.basicConfig(level=logging.INFO)
asyncio.run(MulticastSource(listen=0.5).look())
"""


def test_a_host_without_ipv6_starts_quietly() -> None:
    """No line in the log, and no traceback, where `::1` is the only IPv6 address there is."""
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if unshare is None or ip is None:
        pytest.skip("needs unshare and ip")
    # A network that has IPv4, and of IPv6 the loopback address only.
    network = [unshare, "--net", "--map-root-user", "sh", "-c", f'{ip} link set lo up && "$@"', "_"]
    if subprocess.run([*network, "true"], check=False, capture_output=True).returncode:
        pytest.skip("network namespaces cannot be made here")
    finished = subprocess.run(
        [*network, sys.executable, "-c", LOOK], check=False, capture_output=True, text=True
    )
    assert (finished.returncode, finished.stderr) == (0, "")
