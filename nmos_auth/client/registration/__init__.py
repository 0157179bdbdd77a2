"""Registrations with Authorization Servers: made, read, renewed and deleted."""

__all__ = ["context", "enrolment", "registrations"]
