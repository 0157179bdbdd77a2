"""Which URLs get a token, and how (RFC 6750; IS-10 "Accessing Protected Resources")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Protocol, runtime_checkable
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit, urlunsplit

import httpx

from nmos_auth.client.tokens.source import HeldToken, TokenSource
from nmos_auth.errors import ConfigurationError
from nmos_auth.rules.audience import host_pattern, names_everything, names_server
from nmos_auth.servers.urls import Origin

__all__ = [
    "Origins",
    "Recipients",
    "TokenHosts",
    "carries",
    "is_connection_api_href",
    "manifest_requires_token",
    "recipients_of",
    "says_invalid_token",
    "wait_for",
    "websocket_headers",
    "websocket_url",
]

# RFC 6750 Section 3.1 quotes the value; AMWA's own tools do not.
_INVALID_TOKEN = re.compile(r'(?:^|[\s,])error\s*=\s*"?invalid_token"?(?:$|[\s,])', re.IGNORECASE)
# The IS-05 Connection API among the controls of an IS-04 Device, with its version.
_CONNECTION_CONTROL = re.compile(r"urn:x-nmos:control:sr-ctrl/v[0-9]+\.[0-9]+")


@runtime_checkable
class Recipients(Protocol):
    """Decides which URLs get a token."""

    def __contains__(self, url: object) -> bool:
        """Tell whether a URL may get any token; this is asked before there is a token."""
        ...

    def permits(self, url: str, token: HeldToken) -> bool:
        """Tell whether a URL gets this token."""
        ...


class Origins:
    """Gives tokens only to the origins that are listed.

    Args:
        origins: origins like `https://node.example.com:8443`; a path after it does not matter.
        allow_http: http origins are valid too, for development.

    Raises:
        ConfigurationError: one is not an origin, or is http where that is not allowed.
    """

    def __init__(self, origins: Iterable[str], *, allow_http: bool = False) -> None:
        given = (origins,) if isinstance(origins, str) else tuple(origins)
        self._origins = frozenset(map(_checked_origin, given))
        for origin in self._origins:
            if origin.scheme != "https" and not allow_http:
                raise ConfigurationError(
                    f"a token would be sent unencrypted to {origin}; use https, or for"
                    " development only NMOS_AUTH_ALLOW_HTTP=true"
                )

    def __contains__(self, url: object) -> bool:
        try:
            return _origin(str(url)) in self._origins
        except ValueError:
            return False

    def permits(self, url: str, token: HeldToken) -> bool:  # noqa: ARG002 - whatever token it is
        """Tell whether a URL gets this token."""
        return url in self


class TokenHosts:
    """Decides which hosts get a token where URLs come from a Registry.

    Any client that registers with a Registry chooses the hrefs in it, and a host that gets a token
    can use it. So a URL gets the token only if it is https, has no user in it, and its host is
    named by the token's own `aud`, in which the Authorization Server says who the token is for
    (BCP-003-02; IS-10 "Behaviour: Access Tokens", aud), or by the operator. A `*` that names every
    server does not name a host. The `aud` of an opaque token is not known: only the operator's list
    decides.

    Args:
        hosts: the operator's list: names, patterns like `*.studio.example.com`, or addresses; `*`
            for any host.
        allow_http: http is allowed too, for development.

    Raises:
        ConfigurationError: an entry is neither a host name, a pattern nor an address.

        >>> auth = BearerAuth(session.tokens, TokenHosts(["*.example.com"]))  # doctest: +SKIP
    """

    def __init__(self, hosts: Iterable[str] = (), *, allow_http: bool = False) -> None:
        given = (hosts,) if isinstance(hosts, str) else tuple(hosts)
        self._addresses = frozenset(filter(None, map(_address, given)))
        self._patterns = tuple(each for each in given if _address(each) is None)
        for entry in self._patterns:
            if host_pattern(entry) is None:
                raise ConfigurationError(
                    f"{entry!r:.200} is not a host name, a pattern like *.example.com or an"
                    " address; write it without port and path"
                )
        self._allow_http = allow_http

    def __contains__(self, url: object) -> bool:
        return self._host(str(url)) is not None

    def permits(self, url: str, token: HeldToken) -> bool:
        """Tell whether a URL gets this token."""
        host = self._host(url)
        if host is None:
            return False
        if host in self._addresses or names_server(self._patterns, (host,)):
            return True
        return names_server(_audience_hint(token), (host,))

    def _host(self, url: str) -> str | None:
        """Return the host of a URL that may get a token, in the form in which it is compared."""
        try:
            origin = _origin(url)
        except ValueError:
            return None
        if origin.scheme != "https" and not self._allow_http:
            return None
        return _address(origin.host) or origin.host.removesuffix(".")


def recipients_of(
    given: Recipients | Iterable[str], *, allow_http: bool | None, tokens: TokenSource
) -> Recipients:
    """Return the object that decides which URLs get tokens.

    Args:
        given: such an object, or a list of origins.
        allow_http: whether http origins are allowed; None for what the settings say.
        tokens: the source of the tokens.

    Raises:
        ConfigurationError: one is not an origin, or is http where that is not allowed.
    """
    if isinstance(given, Recipients):
        return given
    allowed = tokens.allow_http if allow_http is None else allow_http
    return Origins(given, allow_http=allowed)


def is_connection_api_href(href: str) -> bool:
    """Tell whether a `manifest_href` is an IS-05 path, which requires a token.

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


def manifest_requires_token(href: str, controls: Iterable[object] | None = None) -> bool:
    """Tell whether fetching a Sender's `manifest_href` requires a token.

    BCP-003-02 "Node Manifest Href Authorization": for an IS-05 path, a control system "MUST
    determine whether an authorization token is required to access this file via the IS-04 Device
    controls `authorization` attribute". Only the control at the same origin decides, since the
    author of the `manifest_href` could have named any other.

    Args:
        href: the `manifest_href`.
        controls: the `controls` of the Sender's Device; None where they are not known: then only
            the path decides.
    """
    if not is_connection_api_href(href):
        return False
    if controls is None:
        return True
    return any(
        control.get("authorization") is True
        and _CONNECTION_CONTROL.fullmatch(str(control.get("type"))) is not None
        and _same_origin(str(control.get("href")), href)
        for control in controls
        if isinstance(control, Mapping)
    )


async def websocket_headers(
    tokens: TokenSource, url: str, recipients: Recipients | Iterable[str]
) -> dict[str, str]:
    """Return the headers for a WebSocket handshake, with a token if the URL gets one.

    Args:
        tokens: the source of the token.
        url: the URL of the handshake, wss or ws.
        recipients: origins that get tokens, with https for wss, or an object that decides.

    Raises:
        NmosAuthError: there is no token now, or an origin is not valid.
    """
    known = recipients_of(recipients, allow_http=None, tokens=tokens)
    if url not in known:
        return {}
    token = await tokens.token()
    return {"Authorization": token.authorization} if known.permits(url, token) else {}


async def websocket_url(
    tokens: TokenSource, url: str, recipients: Recipients | Iterable[str]
) -> str:
    """Return a WebSocket URL with the token in its query, for clients that cannot set headers.

    IS-10 "Operation with WebSocket" has this for browsers. The URL is then a secret: keep it out of
    logs, and use `websocket_headers` where that is possible.

    Args:
        tokens: the source of the token.
        url: the URL of the handshake, wss or ws.
        recipients: origins that get tokens, with https for wss, or an object that decides.

    Raises:
        ConfigurationError: `url` is not a WebSocket of a recipient.
        NmosAuthError: there is no token now.
    """
    known = recipients_of(recipients, allow_http=None, tokens=tokens)
    parts = urlsplit(url)
    if parts.scheme not in {"ws", "wss"} or url not in known:
        raise _no_recipient(parts)
    if any(name == "access_token" for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ConfigurationError("the WebSocket URL already has an access_token")
    held = await tokens.token()
    if not known.permits(url, held):
        raise _no_recipient(parts)
    token = quote(held.value.get_secret_value(), safe="")
    query = f"{parts.query}&access_token={token}" if parts.query else f"access_token={token}"
    return urlunsplit(parts._replace(query=query))


def says_invalid_token(status: int, challenges: Iterable[str]) -> bool:
    """Tell whether an answer calls the token invalid (RFC 6750 Section 3.1).

    A 503 that does so means "invalid, or perhaps not yet valid": sony/nmos-cpp always answers so
    when it cannot verify a token.
    """
    return status in {401, 503} and any(_INVALID_TOKEN.search(each) for each in challenges)


def wait_for(status: int, retry_after: str | None, longest: float) -> float | None:
    """Return how long to wait for a Resource Server that fetches keys, or None not to wait.

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
    """Return the origin of a URL, with the host as httpx sends it: in ASCII, by IDNA 2008.

    Raises:
        ValueError: the URL has no origin, or has a user in it.
    """
    try:
        return Origin.of(url if url.isascii() else str(httpx.URL(url)))
    except httpx.InvalidURL:
        raise ValueError("not a host name") from None


def _checked_origin(url: str) -> Origin:
    try:
        return _origin(url)
    except ValueError:
        raise ConfigurationError(
            f"{url!r:.200} is not an origin; write https://HOST[:PORT]"
        ) from None


def _same_origin(one: str, other: str) -> bool:
    try:
        return _origin(one) == _origin(other)
    except ValueError:
        return False


def _address(host: str) -> str | None:
    """Return an IP address in the form in which it is compared, or None."""
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return None


def _audience_hint(token: HeldToken) -> tuple[str, ...]:
    """Return the entries of a token's `aud` that name hosts."""
    claims = token.claims_hint()
    audience = None if claims is None else claims.get("aud")
    entries: list[object] = audience if isinstance(audience, list) else [audience]
    names = tuple(each for each in entries if isinstance(each, str))
    if len(names) < len(entries):
        return ()
    return tuple(name for name in names if not names_everything((name,)))


def _no_recipient(parts: SplitResult) -> ConfigurationError:
    return ConfigurationError(
        f"{parts.scheme}://{parts.hostname} is not a WebSocket that gets tokens"
    )
