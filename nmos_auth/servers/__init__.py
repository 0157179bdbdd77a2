"""The common ground for talking to an Authorization Server: URLs, HTTP, JSON, metadata, files.

And TLS for what serves: BCP-003-01 is for Nodes, Registries and Authorization Servers alike.
The server half and the client half both stand on it; it knows neither.
"""

__all__ = [
    "access",
    "answers",
    "backoff",
    "certificates",
    "file_places",
    "http",
    "key_ring",
    "members",
    "private_files",
    "redirect_uris",
    "server_metadata",
    "single_flight",
    "strict_json",
    "tls",
    "token_bucket",
    "transport",
    "urls",
]
