"""DNS-SD: the servers that are advertised by unicast and by multicast DNS.

`directory` merges both into one list in the order of preference, `dns_sd` reads records,
`interfaces` finds the interfaces for multicast DNS, `bounded_dns` and `bounded_log` limit what
others can send and make the log say, `advertising` advertises a server by multicast DNS, and
`dns_records` writes the records for a zone. Nodes also find Registries with this room, by the names
that it offers.
"""

from nmos_auth.discovery.directory import ServerDirectory, Source, discover, sources_for
from nmos_auth.discovery.dns_sd import (
    AUTHORIZATION_SERVER,
    Advertisement,
    DiscoveryError,
    ServiceType,
)

__all__ = [
    "AUTHORIZATION_SERVER",
    "Advertisement",
    "DiscoveryError",
    "ServerDirectory",
    "ServiceType",
    "Source",
    "advertising",
    "directory",
    "discover",
    "dns_records",
    "dns_sd",
    "interfaces",
    "sources_for",
]
