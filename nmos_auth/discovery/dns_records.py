"""An Authorization Server as DNS-SD describes it (IS-10 "Discovery", RFC 6763). Pure functions."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmos_auth.servers.urls import IssuerUrl

__all__ = ["Service", "describe", "zone_records"]

_TYPE = "_nmos-auth._tcp"


@dataclass(frozen=True, slots=True)
class Service:
    """What is advertised of a server.

    Attributes:
        name: the instance: not that of any other server.
        host: what its issuer names, a host or an address.
        port: likewise.
        properties: the members of TXT.
        alias: a name to give to a host that has none but an address.
    """

    name: str
    host: str
    port: int
    properties: Mapping[str, str]
    alias: str

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The host where it is an address."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


def describe(issuer: str, *, priority: int) -> Service:
    """Describe an Authorization Server to those who look for one.

    Args:
        issuer: its identifier. Host and port go into SRV, scheme and path into TXT, from which
            others make the URL of its metadata again.
        priority: 0 is the highest; from 100 on it is for development (IS-10 `pri`).
    """
    url = IssuerUrl.parse(issuer, allow_http=True)
    properties = {"api_proto": url.scheme, "api_ver": "v1.0", "pri": str(priority)}
    selector = url.path.strip("/")
    if selector:
        properties["api_selector"] = selector
    # RFC 6763 Section 4.1.1: at most 63 octets, and no two servers of one name.
    digest = hashlib.sha256(issuer.encode()).hexdigest()[:8]
    return Service(
        name=f"nmos-auth {digest}",
        host=url.hostname.rstrip("."),
        port=url.port,
        properties=properties,
        alias=f"nmos-auth-{digest}",
    )


def zone_records(service: Service, *, priority: int) -> str:
    """Write the records for unicast DNS-SD in the form of zone files (RFC 1035 Section 5).

    All names but the host's are relative: the records serve in any zone, which becomes the domain
    that servers are looked for in (`NMOS_AUTH_DNS_DOMAIN`).

    Args:
        service: as `describe` gives it.
        priority: see `describe`.
    """
    instance = f"{service.name.replace(' ', '-')}.{_TYPE}"
    address = service.address
    target = f"{service.host}." if address is None else service.alias
    text = " ".join(f'"{name}={value}"' for name, value in service.properties.items())
    records: list[Sequence[str]] = [
        ("b._dns-sd._udp", "PTR", "@"),
        ("lb._dns-sd._udp", "PTR", "@"),
        (_TYPE, "PTR", instance),
        # RFC 2782 has 16 bits for it; clients read `pri`.
        (instance, "SRV", f"{min(priority, 65535)} 0 {service.port} {target}"),
        (instance, "TXT", text),
    ]
    if address is not None:
        records.append((service.alias, "A" if address.version == 4 else "AAAA", str(address)))
    width = max(len(owner) for owner, _, _ in records)
    return "".join(f"{owner:{width}} IN {kind:4} {data}\n" for owner, kind, data in records)
