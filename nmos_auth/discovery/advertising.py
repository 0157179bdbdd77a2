"""Advertises services by multicast DNS (RFC 6762, RFC 6763), with zeroconf: the extra `mdns`."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Sequence

from nmos_auth.discovery.dns_records import describe
from nmos_auth.discovery.interfaces import usable_interfaces
from nmos_auth.errors import MissingExtra
from nmos_auth.servers.urls import IssuerUrl

with MissingExtra.named("mdns", "zeroconf"):
    from zeroconf import Error, ServiceInfo
    from zeroconf.asyncio import AsyncZeroconf

__all__ = ["SERVICE_TYPE", "addresses_of", "advertised", "issuer_advertised", "service_info"]

SERVICE_TYPE = "_nmos-auth._tcp.local."


@contextlib.asynccontextmanager
async def advertised(
    services: Sequence[ServiceInfo], *, logger: logging.Logger
) -> AsyncIterator[None]:
    """Advertise services of one host until the block ends.

    If all their addresses are on loopback, they are advertised only there. If a network cannot be
    used, or another service has the name, that is only logged.

    Args:
        services: the services, with their addresses.
        logger: the logger for this.
    """
    addresses = [each for service in services for each in service.parsed_addresses()]
    try:
        zeroconf = AsyncZeroconf(interfaces=_interfaces(addresses))
    except OSError as error:
        logger.warning("the server is not advertised: %s", error)
        yield
        return
    try:
        for service in services:
            try:
                await zeroconf.async_register_service(service)
            except (Error, OSError) as error:
                logger.warning("the server is not advertised: %r", error)
            else:
                properties = service.decoded_properties
                logger.info("advertised as %s with pri=%s", service.name, properties.get("pri"))
        yield
    finally:
        # RFC 6762 Section 10.1: goodbye packets, so that clients do not try a server that is gone.
        await zeroconf.async_unregister_all_services()
        await zeroconf.async_close()


def service_info(issuer: str, *, priority: int, addresses: Sequence[str]) -> ServiceInfo:
    """Return the DNS-SD service of an Authorization Server.

    Args:
        issuer: its identifier.
        priority: 0 is the highest; 100 and above are for development (IS-10 `pri`).
        addresses: the addresses of the host.
    """
    service = describe(issuer, priority=priority)
    # Certificates name the host, so SRV must name it too (IS-10 "Use with TLS").
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
async def issuer_advertised(
    issuer: str, *, bound_to: str, priority: int, logger: logging.Logger
) -> AsyncIterator[None]:
    """Advertise an Authorization Server until the block ends.

    If that is not possible on a network, it is only logged.

    Args:
        issuer: its identifier.
        bound_to: the address it listens on: loopback is advertised only on loopback.
        priority: see `service_info`.
        logger: the logger for this.
    """
    addresses = addresses_of(bound_to, IssuerUrl.parse(issuer, allow_http=True).hostname)
    service = service_info(issuer, priority=priority, addresses=addresses)
    async with advertised([service], logger=logger):
        yield


def addresses_of(bound_to: str, host: str) -> list[str]:
    """Return the addresses at which others reach a server.

    Args:
        bound_to: the address or name that it listens on.
        host: its name for others, if it listens on all addresses. On many hosts this name resolves
            to a loopback address; then the addresses of the network interfaces are returned.
    """
    try:
        address = ipaddress.ip_address(bound_to)
    except ValueError:
        return _resolve(bound_to)
    if not address.is_unspecified:
        return [str(address)]
    addresses = _resolve(host)
    if all(_is_loopback(each) for each in addresses):
        with contextlib.suppress(OSError):
            usable = [each for each in usable_interfaces() if isinstance(each, str)]
            return [each for each in usable if not _is_loopback(each)] or addresses
    return addresses


def _interfaces(addresses: Sequence[str]) -> list[str | int]:
    """Return the interfaces to advertise on: loopback only, if all addresses are on it.

    Raises:
        OSError: nothing can be sent from any interface.
    """
    usable = usable_interfaces()
    if not all(_is_loopback(each) for each in addresses):
        return usable
    return [each for each in addresses if each in usable] or list(addresses)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _resolve(name: str) -> list[str]:
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    return ["127.0.0.1"]
