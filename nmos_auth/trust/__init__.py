"""Whose keys verify a token: trusted issuers, their keys fetched and kept, and the verifier.

`membership` says whose keys are valid: those of members, and of their neighbours (`neighbours`,
`turns`). `planning` and `schedule` say when they are asked, `fetching` asks, `published` reads what
they publish, `holdings` holds it, and `keeping` keeps it over a restart. `finality` says when a
token is invalid for good. None of them but `fetching`, `keeping`, `keys_file` and
`static_keys` does any I/O.

`key_store.KeyStore` puts them together. Its `status()` is a snapshot for operators: the issuers and
why each is trusted, their keys with names and ages, the next fetch, the last error, and how far a
server's clock is from this one's (`status.TrustStatus`).
"""

__all__ = ["jwks", "key_store", "keys_file", "memory", "static_keys", "status", "verifier"]
