"""The DNS-SD records of an Authorization Server (IS-10 "Discovery", RFC 6763). Pure functions."""

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
        name: the name of the instance, which no other server has.
        host: the host of its issuer, a name or an address.
        port: the port of its issuer.
        properties: the members of TXT.
        alias: a name for a host that only has an address.
    """

    name: str
    host: str
    port: int
    properties: Mapping[str, str]
    alias: str

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The host if it is an address, else None."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


def describe(issuer: str, *, priority: int) -> Service:
    """Return the DNS-SD service of an Authorization Server.

    Args:
        issuer: its identifier. Host and port go into SRV, scheme and path into TXT; from these,
            clients derive the URL of its metadata.
        priority: 0 is the highest; 100 and above are for development (IS-10 `pri`).
    """
    url = IssuerUrl.parse(issuer, allow_http=True)
    properties = {"api_proto": url.scheme, "api_ver": "v1.0", "pri": str(priority)}
    selector = url.path.strip("/")
    if selector:
        properties["api_selector"] = selector
    # RFC 6763 Section 4.1.1: at most 63 octets, and different for each server.
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

    All names except the host's are relative, so the records can be used in any zone. The zone
    becomes the domain in which servers are looked for (`NMOS_AUTH_DNS_DOMAIN`).

    Args:
        service: what `describe` returns.
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
        # RFC 2782 has 16 bits for the priority; clients read `pri`.
        (instance, "SRV", f"{min(priority, 65535)} 0 {service.port} {target}"),
        (instance, "TXT", text),
    ]
    if address is not None:
        records.append((service.alias, "A" if address.version == 4 else "AAAA", str(address)))
    width = max(len(owner) for owner, _, _ in records)
    return "".join(f"{owner:{width}} IN {kind:4} {data}\n" for owner, kind, data in records)
