"""The common ground for talking to an Authorization Server: URLs, HTTP, JSON and metadata.

The server half and the client half both stand on it; it knows neither.
"""

__all__ = [
    "backoff",
    "http",
    "members",
    "server_metadata",
    "single_flight",
    "strict_json",
    "token_bucket",
    "urls",
]
