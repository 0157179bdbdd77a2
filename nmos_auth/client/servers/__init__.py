"""The Authorization Servers of a Client, and which of them is asked."""

__all__ = ["discovered", "failover", "server"]
