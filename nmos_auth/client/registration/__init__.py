"""Registrations with Authorization Servers: made, read, renewed and deleted."""

__all__ = ["advice", "context", "enrolment", "registrations"]
