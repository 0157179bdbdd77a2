"""Cross-origin headers for the answers that this package gives itself. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["CrossOrigin"]

HeaderList = list[tuple[bytes, bytes]]

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_ALWAYS_ALLOWED = {b"authorization": b"Authorization", b"content-type": b"Content-Type"}
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_MOST_FIELDS = 32


class CrossOrigin:
    """Decides which web origins may read our answers (Fetch standard, CORS protocol)."""

    __slots__ = ("_any", "_origins")

    def __init__(self, origins: Sequence[str]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, request_headers: Iterable[tuple[bytes, bytes]]) -> HeaderList:
        """Give the headers of an answer to a request with these headers."""
        exposed = (b"access-control-expose-headers", b"WWW-Authenticate, Retry-After")
        return [*self._allowed_origin(request_headers), exposed]

    def preflight_headers(self, request_headers: Iterable[tuple[bytes, bytes]]) -> HeaderList:
        """Give the headers of an answer to a preflight.

        IS-10 "APIs", OPTIONS Requests: "explicitly permitting the use of the `Authorization`
        header inside the `Access-Control-Allow-Headers` field".
        """
        request_headers = list(request_headers)
        asked = b",".join(
            value for name, value in request_headers if name == b"access-control-request-headers"
        )
        fields = dict(_ALWAYS_ALLOWED)
        for field in map(bytes.strip, asked.split(b",")[:_MOST_FIELDS]):
            if _FIELD_NAME.fullmatch(field):
                fields.setdefault(field.lower(), field)
        return [
            *self._allowed_origin(request_headers),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", b", ".join(fields.values())),
            (b"access-control-max-age", b"600"),
        ]

    def _allowed_origin(self, request_headers: Iterable[tuple[bytes, bytes]]) -> HeaderList:
        if self._any:
            return [(b"access-control-allow-origin", b"*")]
        vary = (b"vary", b"Origin")
        for name, value in request_headers:
            if name == b"origin" and value in self._origins:
                return [(b"access-control-allow-origin", value), vary]
        return [vary]
