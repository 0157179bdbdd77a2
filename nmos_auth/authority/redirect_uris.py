"""Redirect URIs: which may be registered, and which of them a request means.

IS-10 "Client Endpoints": complete, without patterns, and identical to a registered one. Of a URI on
a loopback address, which only a native client has, the port may differ (RFC 8252 Section 7.3).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

__all__ = ["answer_uri", "check_redirect_uri", "find_redirect_uri", "is_loopback"]

_LONGEST = 2000
_LOOPBACK_ADDRESSES = frozenset({"127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_redirect_uri(uri: str) -> str:
    """Return a redirect URI that may be registered.

    Raises:
        ValueError: it is not https (http is for loopback: RFC 8252 Section 7.3), or has a fragment
            (RFC 6749 Section 3.1.2), credentials, a pattern, or characters that others read in
            other ways.
    """
    parts = _split(uri)
    if parts is None or "*" in uri:
        raise ValueError("must be a complete URI without fragment, credentials or pattern")
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("must be https (http is for loopback)")
    return uri


def find_redirect_uri(requested: str | None, registered: Iterable[str]) -> str | None:
    """Return the URI that a request is answered at, or None.

    "The authorization server MUST allow any port to be specified at the time of the request for
    loopback IP redirect URIs" (RFC 8252 Section 7.3), of confidential native clients too: an
    instance that registered by itself is one (Section 8.4).

    Args:
        requested: the parameter of the request; None where it has none, which is enough
            where only one is registered (RFC 6749 Section 3.1.2.3).
        registered: the client's, compared character by character but for that port.
    """
    known = list(registered)
    if requested is None:
        return known[0] if len(known) == 1 else None
    if requested in known:
        return requested
    portless = _without_loopback_port(requested)
    if portless is not None and portless in map(_without_loopback_port, known):
        return requested
    return None


def answer_uri(redirect_uri: str, query: str) -> str:
    """Add a query to a redirect URI, keeping what it has: "MUST be retained" (RFC 6749, 3.1.2)."""
    if "?" not in redirect_uri:
        return f"{redirect_uri}?{query}"
    return redirect_uri + query if redirect_uri[-1] in "?&" else f"{redirect_uri}&{query}"


def _split(uri: str) -> SplitResult | None:
    """Split a URI that has one meaning to everybody."""
    if not uri.isascii() or not uri.isprintable() or len(uri) > _LONGEST:
        return None
    # Browsers read a backslash as a slash, and the rest has to be escaped in a URI (RFC 3986).
    if any(character in uri for character in ' \\#<>"{}|^`'):
        return None
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc or parts.netloc.endswith(":") or port == 0:
        return None
    return parts


def _without_loopback_port(uri: str) -> str | None:
    parts = _split(uri)
    if parts is None or parts.scheme != "http" or parts.hostname not in _LOOPBACK_ADDRESSES:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.netloc not in {host, f"{host}:{parts.port}"}:
        return None
    return uri.replace(parts.netloc, host, 1)
