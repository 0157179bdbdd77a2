"""The audit log: what a line says, who writes it, and where it is written."""

__all__ = ["counts", "log", "reasons", "records"]
