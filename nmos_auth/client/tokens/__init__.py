"""Tokens that are kept fresh, and the authorizations that users have given."""

__all__ = ["authorizations", "source", "vaults"]
