"""Redirect URIs: which may be registered, and which one a request names.

IS-10 "Client Endpoints": complete, without patterns, and identical to a registered one. Of a URI on
a loopback address, which only a native client has, the port may differ (RFC 8252 Section 7.3).
"""

from __future__ import annotations

from collections.abc import Iterable

from nmos_auth.servers.redirect_uris import RedirectUri

__all__ = ["answer_uri", "check_redirect_uri", "find_redirect_uri"]


def check_redirect_uri(uri: str) -> str:
    """Return a redirect URI that may be registered.

    Raises:
        ValueError: it is not https (http is for loopback: RFC 8252 Section 7.3), or has a fragment
            (RFC 6749 Section 3.1.2), credentials, a pattern, or characters that programs read
            differently.
    """
    parsed = RedirectUri.parse(uri)
    if parsed.scheme != "https" and not parsed.is_loopback:
        raise ValueError("must be https (http is for loopback)")
    return uri


def find_redirect_uri(requested: str | None, registered: Iterable[str]) -> str | None:
    """Return the URI to which the answer to a request goes, or None.

    "The authorization server MUST allow any port to be specified at the time of the request for
    loopback IP redirect URIs" (RFC 8252 Section 7.3). This includes confidential native clients,
    such as an instance that has registered by itself (Section 8.4).

    Args:
        requested: the parameter of the request, or None; it may be omitted if only one URI is
            registered (RFC 6749 Section 3.1.2.3).
        registered: the client's URIs, compared character by character except for that port.
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
    """Add to the query of a redirect URI, which "MUST be retained" (RFC 6749 Section 3.1.2)."""
    if "?" not in redirect_uri:
        return f"{redirect_uri}?{query}"
    return redirect_uri + query if redirect_uri[-1] in "?&" else f"{redirect_uri}&{query}"


def _without_loopback_port(uri: str) -> str | None:
    try:
        return RedirectUri.parse(uri).without_loopback_port
    except ValueError:
        return None
