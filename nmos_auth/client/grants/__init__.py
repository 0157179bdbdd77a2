"""What the token endpoint is asked, how the client authenticates, and what is granted."""

__all__ = ["authentication", "grants", "keys"]
