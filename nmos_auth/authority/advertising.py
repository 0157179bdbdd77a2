"""The DNS-SD advertisement of an Authorization Server, by multicast (IS-10 "Discovery").

It needs the extra `mdns`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Sequence

from zeroconf import Error, ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from nmos_auth.authority.dns_records import describe
from nmos_auth.discovery.interfaces import usable_interfaces
from nmos_auth.servers.urls import IssuerUrl

__all__ = ["SERVICE_TYPE", "advertised", "service_info"]

SERVICE_TYPE = "_nmos-auth._tcp.local."

logger = logging.getLogger("nmos_auth.authority")


def service_info(issuer: str, *, priority: int, addresses: Sequence[str]) -> ServiceInfo:
    """Describe an Authorization Server to those who look for one.

    Args:
        issuer: its identifier.
        priority: 0 is the highest; from 100 on it is for development (IS-10 `pri`).
        addresses: what the host resolves to.
    """
    service = describe(issuer, priority=priority)
    # Certificates name the host, so SRV has to (IS-10 "Use with TLS").
    target = f"{service.host}." if service.address is None else f"{service.alias}.local."
    return ServiceInfo(
        SERVICE_TYPE,
        f"{service.name}.{SERVICE_TYPE}",
        port=service.port,
        priority=priority,
        properties=dict(service.properties),
        server=target,
        parsed_addresses=list(addresses),
    )


@contextlib.asynccontextmanager
async def advertised(issuer: str, *, bound_to: str, priority: int) -> AsyncIterator[None]:
    """Advertise an Authorization Server until the block ends, and withdraw it then.

    A network that cannot be advertised on is logged and stops nothing.

    Args:
        issuer: its identifier.
        bound_to: the address it listens on: loopback is advertised on loopback only.
        priority: see `service_info`.
    """
    addresses = _addresses(bound_to, IssuerUrl.parse(issuer, allow_http=True).hostname)
    info = service_info(issuer, priority=priority, addresses=addresses)
    try:
        zeroconf = AsyncZeroconf(interfaces=_interfaces(addresses))
    except OSError as error:
        logger.warning("the server is not advertised: %s", error)
        yield
        return
    try:
        try:
            await zeroconf.async_register_service(info)
        except (Error, OSError) as error:
            logger.warning("the server is not advertised: %r", error)
        else:
            logger.info("advertised as %s with pri=%s", info.name, priority)
        yield
    finally:
        # RFC 6762 Section 10.1: goodbye packets, so that no client tries a server that is gone.
        await zeroconf.async_unregister_all_services()
        await zeroconf.async_close()


def _interfaces(addresses: Sequence[str]) -> list[str | int]:
    """Where to advertise: on loopback only, if the server is reached there only.

    Raises:
        OSError: nothing can be sent from any interface.
    """
    usable = usable_interfaces()
    if not all(ipaddress.ip_address(each).is_loopback for each in addresses):
        return usable
    return [each for each in addresses if each in usable] or list(addresses)


def _addresses(bound_to: str, host: str) -> list[str]:
    try:
        address = ipaddress.ip_address(bound_to)
    except ValueError:
        return _resolve(bound_to)
    return _resolve(host) if address.is_unspecified else [str(address)]


def _resolve(name: str) -> list[str]:
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    return ["127.0.0.1"]
