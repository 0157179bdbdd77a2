"""DNS-SD: the servers that are advertised by unicast and by multicast DNS.

`directory` merges both into one list in the order of preference, `dns_sd` reads records,
`interfaces` finds where multicast DNS can leave, `advertising` has a server found by it, and
`dns_records` writes what a zone has of one.
Nodes find Registries with it too, by the names that stand here.
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
