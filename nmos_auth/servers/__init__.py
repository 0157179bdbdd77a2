"""The common ground for talking to an Authorization Server: URLs, HTTP, JSON, metadata, files.

The server half and the client half both stand on it; it knows neither.
"""

__all__ = [
    "access",
    "backoff",
    "certificates",
    "http",
    "key_ring",
    "members",
    "private_files",
    "redirect_uris",
    "server_metadata",
    "single_flight",
    "strict_json",
    "token_bucket",
    "transport",
    "urls",
]
