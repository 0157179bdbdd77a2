"""The Authorization Servers of a client, and which of them is asked."""

__all__ = ["discovered", "failover", "server"]
