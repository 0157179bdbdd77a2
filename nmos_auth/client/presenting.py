"""Who gets a token, in which header or URL (RFC 6750; IS-10 "Accessing Protected Resources")."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

import httpx

from nmos_auth.client.tokens.source import HeldToken, TokenSource
from nmos_auth.errors import ConfigurationError
from nmos_auth.servers.urls import Origin

__all__ = [
    "Origins",
    "carries",
    "is_connection_api_href",
    "says_invalid_token",
    "wait_for",
    "websocket_headers",
    "websocket_url",
]

# RFC 6750 Section 3.1 and AMWA's own tools: quoted or not.
_INVALID_TOKEN = re.compile(r'(?:^|[\s,])error\s*=\s*"?invalid_token"?(?:$|[\s,])', re.IGNORECASE)


class Origins:
    """The origins that get tokens, and no others.

    Args:
        origins: like `https://node.example.com:8443`; a path behind it does not matter.
        allow_http: http origins count too, for development.

    Raises:
        ConfigurationError: one is no origin, or http where that is not allowed.
    """

    def __init__(self, origins: Iterable[str], *, allow_http: bool = False) -> None:
        given = (origins,) if isinstance(origins, str) else tuple(origins)
        self._origins = frozenset(map(_checked_origin, given))
        for origin in self._origins:
            if origin.scheme != "https" and not allow_http:
                raise ConfigurationError(
                    f"a token would be sent unencrypted to {origin}; use https, or"
                    " allow_http=True for development"
                )

    def __contains__(self, url: object) -> bool:
        try:
            return _origin(str(url)) in self._origins
        except ValueError:
            return False


def is_connection_api_href(href: str) -> bool:
    """Tell whether a `manifest_href` is an IS-05 path, which takes a token.

    BCP-003-02 "Node Manifest Href Authorization": an IS-05 path is "identified via the presence of
    the base path `/x-nmos/connection`"; otherwise "the control system SHOULD assume that
    authorization is not required".
    """
    try:
        path = urlsplit(href).path
    except ValueError:
        return False
    segments = unquote(path).split("/")
    base = segments[:3] == ["", "x-nmos", "connection"]
    return base and not {".", ".."} & set(segments) and "\\" not in path


async def websocket_headers(tokens: TokenSource, url: str, origins: Origins) -> dict[str, str]:
    """Give the headers for a WebSocket handshake: with a token for one of `origins`, else none.

    Args:
        tokens: whose token.
        url: where the handshake goes, wss or ws.
        origins: who gets tokens; https stands for wss.

    Raises:
        NmosAuthError: no token is to be had now.
    """
    if url not in origins:
        return {}
    return {"Authorization": (await tokens.token()).authorization}


async def websocket_url(tokens: TokenSource, url: str, origins: Origins) -> str:
    """Give a WebSocket URL with the token in its query, for clients that can set no headers.

    IS-10 "Operation with WebSocket" has this for browsers; the URL is a secret from then on, so
    keep it out of logs, and use `websocket_headers` wherever that is possible.

    Args:
        tokens: whose token.
        url: where the handshake goes, wss or ws.
        origins: who gets tokens.

    Raises:
        ConfigurationError: `url` is of no such origin, or no WebSocket URL.
        NmosAuthError: no token is to be had now.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"ws", "wss"} or url not in origins:
        raise ConfigurationError(
            f"{parts.scheme}://{parts.netloc} is no WebSocket that gets tokens"
        )
    if any(name == "access_token" for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ConfigurationError("the WebSocket URL has an access_token already")
    token = quote((await tokens.token()).value.get_secret_value(), safe="")
    query = f"{parts.query}&access_token={token}" if parts.query else f"access_token={token}"
    return urlunsplit(parts._replace(query=query))


def says_invalid_token(status: int, challenges: Iterable[str]) -> bool:
    """Tell whether an answer calls the token invalid (RFC 6750 Section 3.1)."""
    return status == 401 and any(_INVALID_TOKEN.search(each) for each in challenges)


def wait_for(status: int, retry_after: str | None, longest: float) -> float | None:
    """Give how long to wait for a Resource Server that fetches keys, or None for not at all.

    IS-10 "Behaviour: Resource Servers", Public keys: it answers 503 with `Retry-After`.
    """
    if status != 503 or retry_after is None or not re.fullmatch("[0-9]{1,6}", retry_after.strip()):
        return None
    # A server that says "at once" means "soon".
    seconds = max(float(retry_after), 0.2)
    return seconds if seconds <= longest else None


def carries(authorization: str | None, token: HeldToken) -> bool:
    """Tell whether a request was sent with this token: a redirect may have lost it."""
    return authorization == token.authorization


def _origin(url: str) -> Origin:
    """Return the origin of a URL as httpx asks for it, which writes host names in ASCII."""
    try:
        return Origin.of(url if url.isascii() else str(httpx.URL(url)))
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None


def _checked_origin(url: str) -> Origin:
    try:
        return _origin(url)
    except ValueError:
        raise ConfigurationError(
            f"{url!r:.200} is not an origin; give https://HOST[:PORT]"
        ) from None
