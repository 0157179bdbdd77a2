"""Redirect URIs: where users are sent back to (RFC 6749 Section 3.1.2). Pure functions."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["RedirectUri", "is_loopback"]

_LONGEST = 2000
_LOOPBACK_ADDRESSES = frozenset({"127.0.0.1", "::1"})
# Browsers read a backslash as a slash; the other characters must be escaped in a URI (RFC 3986).
_REFUSED = frozenset(' \\#<>"{}|^`*')


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class RedirectUri:
    """A complete redirect URI, which all programs read in the same way.

    Attributes:
        text: the URI as it was written.
        scheme: the scheme in lower case.
        host: the host in lower case, without brackets; "" for a scheme for private use.
        port: the port that was written, or None.

        >>> RedirectUri.parse("http://127.0.0.1:8400/callback").without_loopback_port
        'http://127.0.0.1/callback'
    """

    text: str
    scheme: str = field(compare=False)
    host: str = field(compare=False)
    port: int | None = field(compare=False)
    _authority: str = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: object) -> RedirectUri:
        """Parse a redirect URI.

        Args:
            text: an https or http URL, or a URI of a scheme for private use, which is a reversed
                domain name (RFC 8252 Section 7.1); anything else is refused.

        Raises:
            ValueError: it is not complete, has a fragment (RFC 6749 Section 3.1.2), credentials or
                a pattern (IS-10 "Client Endpoints"), or characters that programs read differently.
        """
        complaint = "it is not a complete URI, or it has a fragment, credentials or a pattern"
        if not isinstance(text, str) or len(text) > _LONGEST:
            raise ValueError(complaint)
        if not text.isascii() or not text.isprintable() or _REFUSED.intersection(text):
            raise ValueError(complaint)
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError(complaint) from None
        if parts.scheme in {"https", "http"}:
            is_whole = host and "@" not in parts.netloc and not parts.netloc.endswith(":")
            if not is_whole or port == 0:
                raise ValueError(complaint)
        elif "." not in parts.scheme:
            raise ValueError("its scheme is neither https nor http nor a reversed domain name")
        else:
            host, port = "", None
        return cls(text, parts.scheme, host, port, parts.netloc)

    @property
    def is_loopback(self) -> bool:
        """Whether it is http on a loopback address or `localhost` (RFC 8252 Sections 7.3, 8.3)."""
        return self.scheme == "http" and is_loopback(self.host)

    @property
    def without_loopback_port(self) -> str | None:
        """The URI without its port where that may differ, else None.

        "The authorization server MUST allow any port to be specified at the time of the request for
        loopback IP redirect URIs" (RFC 8252 Section 7.3).
        """
        if self.scheme != "http" or self.host not in _LOOPBACK_ADDRESSES:
            return None
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self._authority not in {host, f"{host}:{self.port}"}:
            return None
        return self.text.replace(self._authority, host, 1)
