"""DNS-SD: the servers that are advertised by unicast and by multicast DNS.

`directory` merges both into one list in the order of preference, `dns_sd` reads records,
`interfaces` finds where multicast DNS can leave, and `advertising` has a server found by it.
Nodes find Registries with it too.
"""

__all__ = ["advertising", "directory", "dns_sd", "interfaces"]
