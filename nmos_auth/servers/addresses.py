"""Looks hosts up, and connects to those of their addresses that may be connected to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from aiohappyeyeballs import AddrInfoType, start_connection

__all__ = ["Address", "TcpConnector"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MOST_LOOKUPS = 128
_MOST_OF_A_FAMILY = 4
# RFC 8305 Section 5: a "recommended value for a default delay is 250 milliseconds".
_ATTEMPT_DELAY = 0.25


class TcpConnector:
    """Connects to hosts by those of their addresses that are permitted.

    The addresses of a host are tried as RFC 8305 (Happy Eyeballs) says: both families in turn, the
    next one after a quarter of a second or as soon as the last one fails. At most four of a family
    are tried, so that nobody's DNS makes a port scanner of this machine.

    A name whose DNS servers do not answer keeps a thread for half a minute, and by multicast DNS
    any host on the link can advertise dozens. So look-ups do not use the threads of the event loop,
    which are the app's, but at most 128 of their own, one for each name, and only while they last.
    Neither the end of an event loop nor that of the process waits for them.

    Args:
        permits: tells which addresses may be connected to; None for all.

        >>> connector = TcpConnector(lambda address: not address.is_loopback)
        >>> await connector.connect("auth.example.com", 443, timeout=2.0)  # doctest: +SKIP
    """

    def __init__(self, permits: Callable[[Address], bool] | None = None) -> None:
        self._permits = permits
        self._lookups: dict[tuple[str, int], Future[Sequence[AddrInfoType]]] = {}

    async def connect(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - part of the errors
    ) -> socket.socket:
        """Return a socket that is connected to a permitted address of a host.

        The address is among those that were checked: a second look-up might differ.

        Args:
            host: a name or an address, without brackets.
            port: the TCP port.
            timeout: seconds for the look-up and the connection together; None for any time.

        Raises:
            TimeoutError: no permitted address answered in time.
            OSError: the look-up failed or took too long, there is no permitted address, or none can
                be connected to.
        """
        permitted: list[AddrInfoType] = []
        try:
            async with asyncio.timeout(timeout):
                permitted = await self._permitted(host, port)
                return await start_connection(permitted, happy_eyeballs_delay=_ATTEMPT_DELAY)
        except TimeoutError:
            if permitted:
                raise
            raise OSError(
                f"the look-up of {host} took longer than {timeout:g} s; check this machine's DNS"
                " servers"
            ) from None

    async def _permitted(self, host: str, port: int) -> list[AddrInfoType]:
        """Return what may be connected to: at least one address, at most four of a family."""
        try:
            found = await asyncio.wrap_future(self._look_up(host, port))
        except (OSError, ValueError) as error:  # UnicodeError: Python's IDNA refuses the name
            raise OSError(f"{host}: {getattr(error, 'strerror', None) or error}") from error
        families: dict[int, list[AddrInfoType]] = {}
        for each in found:
            if self._permits is None or self._permits(_address_of(each)):
                families.setdefault(each[0], []).append(each)
        if not families:
            raise OSError(f"{host} has no address that may be connected to")
        return [each for family in families.values() for each in family[:_MOST_OF_A_FAMILY]]

    def _look_up(self, host: str, port: int) -> Future[Sequence[AddrInfoType]]:
        """Return the look-up of a host that is under way, or begin one."""
        name = host, port
        if name in self._lookups:
            return self._lookups[name]
        if len(self._lookups) >= _MOST_LOOKUPS:
            raise OSError(f"{_MOST_LOOKUPS} other names are being looked up")
        lookup = Future[Sequence[AddrInfoType]]()
        lookup.set_running_or_notify_cancel()  # no caller cancels it for the others

        def run() -> None:
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except Exception as error:  # noqa: BLE001 - callers get it
                del self._lookups[name]
                lookup.set_exception(error)
            else:
                del self._lookups[name]
                lookup.set_result(found)

        self._lookups[name] = lookup
        try:
            threading.Thread(target=run, name="nmos_auth look-up", daemon=True).start()
        except RuntimeError as error:  # no thread can be started
            del self._lookups[name]
            raise OSError(str(error)) from None
        return lookup


def _address_of(found: AddrInfoType) -> Address:
    address = ipaddress.ip_address(str(found[4][0]).partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
