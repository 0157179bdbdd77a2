"""URLs: which are valid, and where a request for each goes. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Literal

__all__ = [
    "LONGEST_URL",
    "EndpointUrl",
    "IssuerUrl",
    "Neighbourhood",
    "Origin",
    "Scheme",
    "split_url",
    "without_query",
]

Scheme = Literal["https", "http"]

LONGEST_URL: Final = 2048

_DEFAULT_PORTS: Final[dict[Scheme, int]] = {"https": 443, "http": 80}

# RFC 3986 Section 3.2. A label is one that DNS can hold, so that its look-up does not fail oddly.
_LABEL = r"[A-Za-z0-9_-]{1,63}"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_HOST_AND_PORT = rf"({_NAME}|\[([0-9A-Fa-f:.]+)\])(?::([1-9][0-9]{{0,4}}))?(?=[/?#]|\Z)"
_AUTHORITY = re.compile(rf"(https?)://{_HOST_AND_PORT}")
# RFC 3986 Section 3.1: case does not matter. A WebSocket opens with an HTTP request (RFC 6455).
_ORIGIN = re.compile(rf"(?i:(http|ws)(s?))://{_HOST_AND_PORT}")

# The path of an issuer: segments of RFC 3986's pchar, without escapes, and without ";" because some
# servers cut off what follows it. No segment is "." or "..", which clients and servers remove.
_SEGMENT = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+"
_ISSUER_PATH = re.compile(rf"(?:/{_SEGMENT})*/?")

# RFC 3986 Sections 3.3 and 3.4. RFC 6749 Sections 3.1 and 3.2: an endpoint may have a query, but
# not a fragment.
_ENDPOINT_TARGET = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")

Neighbourhood = tuple[str, str]
"""Host, and path without a slash at its end: what an issuer shares with its neighbours."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where requests go (RFC 6454 Section 4).

    Attributes:
        scheme: `https` or `http`.
        host: the host in lower case.
        port: the port; the scheme's default if none was written.

        >>> Origin.of("wss://Node.example.com/x-nmos/events") == Origin.of("https://node.example.com")
        True
    """

    scheme: Scheme
    host: str
    port: int

    @classmethod
    def of(cls, url: object) -> Origin:
        """Return the origin of a URL; wss stands for https, and ws for http.

        Args:
            url: an absolute URL without user information, whatever its path and query.

        Raises:
            ValueError: `url` is not such a URL.
        """
        match = _ORIGIN.match(url) if isinstance(url, str) else None
        if match is None:
            raise ValueError("it is not a URL of a host over HTTP or WebSocket")
        scheme: Scheme = "https" if match[2] else "http"
        return cls(scheme, match[3].lower(), _port(match[4], match[5], scheme))

    @classmethod
    def parse(cls, text: object) -> Origin:
        """Parse an http or https origin: a URL of host and port, with or without a slash after it.

        Raises:
            ValueError: `text` is not an origin.
        """
        parts = split_url(text)
        if parts.target not in {"", "/"}:
            raise ValueError("it is not https://HOST[:PORT]")
        return parts.origin

    def __str__(self) -> str:
        """Return it as a URL, without the default port."""
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def _port(address: str | None, port: str | None, scheme: Scheme) -> int:
    if address is not None:
        try:
            IPv6Address(address)
        except AddressValueError:
            raise ValueError("its host is not an IPv6 address") from None
    number = int(port) if port else _DEFAULT_PORTS[scheme]
    if number > 65535:
        raise ValueError("its port is above 65535")
    return number


@dataclass(frozen=True, slots=True)
class _Parts:
    text: str
    scheme: Scheme
    host: str
    port: int
    target: str

    @property
    def default_port(self) -> int:
        """The port of the scheme."""
        return _DEFAULT_PORTS[self.scheme]

    @property
    def origin(self) -> Origin:
        """Where a request for it goes."""
        return Origin(self.scheme, self.host, self.port)

    @property
    def place(self) -> tuple[Origin, str]:
        """The origin and the target, which are equal for all spellings of host and port."""
        return self.origin, self.target


def split_url(text: object) -> _Parts:
    """Split an http or https URL into its authority and the target of a request for it.

    Args:
        text: the URL, with or without a path; anything else is refused.

    Returns:
        The parts: `host` in lower case, `port` with the scheme's default, `target` as written.

    Raises:
        ValueError: `text` is not such a URL; no user information is allowed.
    """
    match = None
    if isinstance(text, str) and len(text) <= LONGEST_URL:
        match = _AUTHORITY.match(text)
    if match is None:
        raise ValueError("it is not an http or https URL of a host")
    scheme: Scheme = "https" if match[1] == "https" else "http"
    port = _port(match[3], match[4], scheme)
    return _Parts(match.string, scheme, match[2].lower(), port, match.string[match.end() :])


@dataclass(frozen=True, slots=True)
class IssuerUrl:
    """An issuer identifier (RFC 8414 Section 2) whose metadata can have only one place.

    Issuers are compared by their text, character by character (RFC 8414 Section 3.3).

    Attributes:
        text: the URL as it was written.
        scheme: `https`, or `http` for development.
        host: the host in lower case.
        port: the port; the scheme's default if none was written.
        path: the path as it was written; "" or "/" if there is none.

        >>> IssuerUrl.parse("https://auth.example.com/nmos").metadata_url
        'https://auth.example.com/.well-known/oauth-authorization-server/nmos'
    """

    text: str
    scheme: Scheme = field(compare=False)
    host: str = field(compare=False)
    port: int = field(compare=False)
    path: str = field(compare=False)
    _origin: str = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: object, *, allow_http: bool = False) -> IssuerUrl:
        """Parse an issuer identifier.

        Args:
            text: `https://HOST[:PORT][/SEGMENT…][/]`; anything else is refused.
            allow_http: whether `http` is allowed, as it is in development.

        Raises:
            ValueError: `text` is not an issuer identifier, or programs could find its metadata in
                different places: it has `.` or `..`, an escape, `//`, `;`, a query, a fragment or
                a user.
        """
        parts = split_url(text)
        if parts.scheme == "http" and not allow_http:
            raise ValueError("it is not an https URL")
        if not _ISSUER_PATH.fullmatch(parts.target):
            raise ValueError("its path is not made of plain segments")
        origin = parts.text.removesuffix(parts.target)
        return cls(parts.text, parts.scheme, parts.host, parts.port, parts.target, origin)

    @property
    def metadata_url(self) -> str:
        """The place of its metadata.

        RFC 8414 Section 3.1: the well-known part goes between host and path, "any terminating /"
        removed first.
        """
        return f"{self._origin}/.well-known/oauth-authorization-server{self._bare_path}"

    @property
    def openid_metadata_url(self) -> str:
        """The place of an OpenID provider's metadata, which appends (RFC 8414 Section 5)."""
        return f"{self._origin}{self._bare_path}/.well-known/openid-configuration"

    @property
    def hostname(self) -> str:
        """The host without the brackets of an IPv6 address."""
        return self.host.strip("[]")

    @property
    def neighbourhood(self) -> Neighbourhood:
        """What it shares with its neighbours: everything except the port.

        Another path is another tenant of the same server, which no setting trusts.
        """
        return self.host, self._bare_path

    def has_metadata_at(self, url: str) -> bool:
        """Tell whether `url` is the place of its metadata, in any spelling of host and port."""
        try:
            parts, place = split_url(url), split_url(self.metadata_url)
        except ValueError:
            return False
        return parts.place == place.place

    @property
    def origin(self) -> Origin:
        """Where requests to it go."""
        return Origin(self.scheme, self.host, self.port)

    @property
    def _bare_path(self) -> str:
        return self.path.removesuffix("/")

    def __str__(self) -> str:
        """Return it as it was written."""
        return self.text


@dataclass(frozen=True, slots=True)
class EndpointUrl:
    """The URL of an endpoint that a server's metadata names (RFC 8414 Section 2).

    Attributes:
        text: the URL as it was written.
        scheme: `https`, or `http` for development.
        host: the host in lower case.
        port: the port; the scheme's default if none was written.

        >>> EndpointUrl.parse("https://auth.example.com/token?tenant=a").host
        'auth.example.com'
    """

    text: str
    scheme: Scheme = field(compare=False)
    host: str = field(compare=False)
    port: int = field(compare=False)

    @classmethod
    def parse(cls, text: object, *, allow_http: bool = False) -> EndpointUrl:
        """Parse an absolute URL without user and fragment.

        Args:
            text: the URL; it may have a query. Anything else is refused.
            allow_http: whether `http` is allowed, as it is in development.

        Raises:
            ValueError: `text` is not such a URL.
        """
        parts = split_url(text)
        if parts.scheme == "http" and not allow_http:
            raise ValueError("it is not an https URL")
        if not _ENDPOINT_TARGET.fullmatch(parts.target):
            raise ValueError("its path or query has characters that a URL may not have")
        return cls(parts.text, parts.scheme, parts.host, parts.port)

    @property
    def hostname(self) -> str:
        """The host without the brackets of an IPv6 address."""
        return self.host.strip("[]")

    def __str__(self) -> str:
        """Return it as it was written."""
        return self.text


def without_query(url: str) -> str:
    """Return a URL for a message: a query may contain a secret."""
    return url.partition("?")[0]
