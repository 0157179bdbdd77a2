"""DNS-SD: the servers that are advertised by unicast and by multicast DNS.

`directory` merges both into one list in the order of preference, `dns_sd` reads records, and
`interfaces` finds where multicast DNS can leave.
Nodes find Registries with it too.
"""

__all__ = ["directory", "dns_sd", "interfaces"]
