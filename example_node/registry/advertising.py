"""The Registry's DNS-SD advertisement by multicast (IS-04 "Discovery: Registered Operation").

It needs the extra `mdns`.
"""

import asyncio
import hashlib
import ipaddress
import logging

from example_node.registry import query_api, registration_api
from example_node.registry.settings import Settings
from nmos_auth.discovery.advertising import addresses_of, advertised
from nmos_auth.errors import MissingExtra

with MissingExtra.named("mdns", "zeroconf"):
    from zeroconf import ServiceInfo

__all__ = ["advertise", "services_of"]

_VERSIONS = {
    "_nmos-register._tcp.local.": registration_api.VERSION,
    "_nmos-query._tcp.local.": query_api.VERSION,
}

logger = logging.getLogger(__name__)


async def advertise(settings: Settings, *, authorization: bool) -> None:
    """Advertise both APIs until this is cancelled, then withdraw them."""
    async with advertised(services_of(settings, authorization=authorization), logger=logger):
        await asyncio.Event().wait()


def services_of(settings: Settings, *, authorization: bool) -> list[ServiceInfo]:
    """Describe both APIs to those who look for one.

    Args:
        settings: where others reach the Registry, and with which priority.
        authorization: whether it requires Access Tokens.
    """
    if settings.pri == "off":
        return []
    there = settings.advertised
    # Behind a proxy the address is the proxy's, and not the one that the Registry listens on.
    bound_to = settings.listen if settings.advertised_url is None else there.host
    # RFC 6763 Section 4.1.1: at most 63 octets, and no two servers of one name.
    label = f"nmos-registry-{hashlib.sha256(str(there).encode()).hexdigest()[:8]}"
    return [
        ServiceInfo(
            service_type,
            f"{label}.{service_type}",
            port=there.port,
            priority=settings.pri,
            properties={
                "api_proto": there.protocol,
                "api_ver": version,
                "api_auth": "true" if authorization else "false",
                "pri": str(settings.pri),
            },
            # Certificates name the host, so SRV has to.
            server=f"{label}.local." if _is_address(there.host) else f"{there.host}.",
            parsed_addresses=addresses_of(bound_to, there.host),
        )
        for service_type, version in _VERSIONS.items()
    ]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
