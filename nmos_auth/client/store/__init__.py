"""What a Client keeps between runs, in memory or encrypted in a file."""

__all__ = ["steps", "stores"]
