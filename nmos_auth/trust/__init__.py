"""Whose keys verify a token: trusted issuers, their keys fetched and kept, and the verifier."""

__all__ = ["jwks", "key_store", "keys_file", "memory", "verifier"]
