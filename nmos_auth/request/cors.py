"""Cross-origin headers for the answers that this package makes itself. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["CrossOrigin"]

HeaderList = list[tuple[bytes, bytes]]

_ANY_ORIGIN = (b"access-control-allow-origin", b"*")
_EXPOSED = (b"access-control-expose-headers", b"WWW-Authenticate, Retry-After")
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_ALWAYS_ALLOWED = {b"authorization": b"Authorization", b"content-type": b"Content-Type"}
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_MOST_FIELDS = 32


class CrossOrigin:
    """Decides which web origins may read these answers (Fetch standard, CORS protocol).

    Args:
        origins: origins by name, or `*` for any. Pages of named origins may also send cookies and
            other credentials, as an app that names origins to CORSMiddleware may want; with `*`
            browsers forbid it.
    """

    __slots__ = ("_any", "_origins")

    def __init__(self, origins: Sequence[str]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, request_headers: Iterable[tuple[bytes, bytes]]) -> HeaderList:
        """Return the headers of an answer to a request with these headers."""
        if self._any:
            return [_ANY_ORIGIN, _EXPOSED]
        origin = next((value for name, value in request_headers if name == b"origin"), None)
        return [*self._allowed_origin(origin), _EXPOSED]

    def preflight_headers(self, request_headers: Iterable[tuple[bytes, bytes]]) -> HeaderList:
        """Return the headers of an answer to a preflight.

        IS-10 "APIs", OPTIONS Requests: "explicitly permitting the use of the `Authorization`
        header inside the `Access-Control-Allow-Headers` field". A page of a public network may also
        request a Node in a private network (Private Network Access), if its origin is allowed.
        """
        origin = None
        private = False
        asked = []
        for name, value in request_headers:
            if name == b"access-control-request-headers":
                asked.append(value)
            elif name == b"access-control-request-private-network":
                private = value == b"true"
            elif name == b"origin" and origin is None:
                origin = value
        fields = dict(_ALWAYS_ALLOWED)
        for field in map(bytes.strip, b",".join(asked).split(b",", _MOST_FIELDS)[:_MOST_FIELDS]):
            if _FIELD_NAME.fullmatch(field):
                fields.setdefault(field.lower(), field)
        headers = [
            *self._allowed_origin(origin),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", b", ".join(fields.values())),
            (b"access-control-max-age", b"600"),
        ]
        if private and (self._any or origin in self._origins):
            headers.append((b"access-control-allow-private-network", b"true"))
        return headers

    def _allowed_origin(self, origin: bytes | None) -> HeaderList:
        if self._any:
            return [_ANY_ORIGIN]
        vary = (b"vary", b"Origin")
        if origin is None or origin not in self._origins:
            return [vary]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            vary,
        ]
