"""The Authorization Servers of a client."""
