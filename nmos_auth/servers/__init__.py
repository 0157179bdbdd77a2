"""What both halves use to talk to an Authorization Server: URLs, HTTP, JSON, metadata, files.

It includes sockets and TLS for programs that serve, since BCP-003-01 is for Nodes, Registries and
Authorization Servers alike. It knows neither the server half nor the client half.
"""

__all__ = [
    "access",
    "addresses",
    "answers",
    "backoff",
    "certificates",
    "file_places",
    "grammar",
    "http",
    "key_ring",
    "listening",
    "members",
    "private_files",
    "redirect_uris",
    "server_metadata",
    "single_flight",
    "strict_json",
    "tls",
    "token_bucket",
    "urls",
]
