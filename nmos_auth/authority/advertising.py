"""The DNS-SD advertisement of an Authorization Server, by multicast (IS-10 "Discovery").

It needs the extra `mdns`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence

from nmos_auth.authority.dns_records import describe
from nmos_auth.discovery import advertising
from nmos_auth.errors import MissingExtra
from nmos_auth.servers.urls import IssuerUrl

with MissingExtra.named("mdns", "zeroconf"):
    from zeroconf import ServiceInfo

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
    addresses = advertising.addresses_of(
        bound_to, IssuerUrl.parse(issuer, allow_http=True).hostname
    )
    service = service_info(issuer, priority=priority, addresses=addresses)
    async with advertising.advertised([service], logger=logger):
        yield
