"""Requests to the token endpoint, the authentication of the client, and what is granted."""

__all__ = ["authentication", "grants", "keys"]
