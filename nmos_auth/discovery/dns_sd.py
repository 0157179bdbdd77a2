"""DNS-SD advertisements of NMOS services: what SRV and TXT records say. Pure functions."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from nmos_auth.errors import TrustError
from nmos_auth.servers.urls import IssuerUrl

__all__ = [
    "AUTHORIZATION_SERVER",
    "MOST_ADVERTISEMENTS",
    "MULTICAST_DOMAIN",
    "Advertisement",
    "AdvertisementError",
    "DiscoveryError",
    "Preference",
    "ServiceType",
    "advertisement_of",
    "parse_txt",
    "printable",
    "split_txt",
]

MULTICAST_DOMAIN = "local"
MOST_ADVERTISEMENTS = 64
FIRST_DEVELOPMENT_PRIORITY = 100

ApiProto = Literal["http", "https"]

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_PRIORITY = re.compile(r"[0-9]{1,9}")


class DiscoveryError(TrustError):
    """DNS did not answer which servers are advertised."""


class AdvertisementError(TrustError):
    """An advertisement does not say where its server is."""


@dataclass(frozen=True, slots=True)
class ServiceType:
    """A kind of service (RFC 6763 Section 7).

    Attributes:
        name: the labels of the service and its protocol.
        noun: the name of such a server in the log.
        longest_while_none: the most seconds between two questions to unicast DNS while no server is
            advertised.
    """

    name: str
    noun: str
    longest_while_none: float = 60.0


AUTHORIZATION_SERVER = ServiceType("_nmos-auth._tcp", "Authorization Server")


@dataclass(frozen=True, slots=True)
class Advertisement:
    """An advertised server (IS-10 "Discovery", IS-04 "Discovery: Registered Operation").

    Attributes:
        instance: the service instance's name for people (RFC 6763 Section 4.1.1), made printable.
        domain: where it is advertised; "local" for multicast DNS.
        host: the SRV record's target, in lower case and without a final dot.
        port: the SRV record's port.
        api_proto: `http` or `https`.
        api_ver: the versions that it says it supports; IS-10 does not use them in URLs.
        pri: 0 for the highest priority; 100 and more are for development.
        api_selector: the issuer's path without slashes around it, or "".
        api_auth: whether it requires Access Tokens, or None if it does not say (IS-04 only).
    """

    instance: str
    domain: str
    host: str
    port: int
    api_proto: ApiProto
    pri: int
    api_ver: tuple[str, ...] = ()
    api_selector: str = ""
    api_auth: bool | None = None

    @property
    def origin(self) -> str:
        """The origin of the server.

        >>> Advertisement("a", "local", "registry.example.com", 8443, "https", 0).origin
        'https://registry.example.com:8443'
        """
        default = 443 if self.api_proto == "https" else 80
        port = "" if self.port == default else f":{self.port}"
        return f"{self.api_proto}://{self.host}{port}"

    @property
    def url(self) -> str:
        """Origin and path, which identify the server."""
        return f"{self.origin}/{self.api_selector}" if self.api_selector else self.origin

    @property
    def metadata_url(self) -> str:
        """The URL of an Authorization Server's metadata (IS-10 "Discovery", Metadata Endpoint).

        >>> Advertisement("a", "local", "auth.example.com", 443, "https", 0).metadata_url
        'https://auth.example.com/.well-known/oauth-authorization-server'
        """
        path = f"/{self.api_selector}" if self.api_selector else ""
        return f"{self.origin}/.well-known/oauth-authorization-server{path}"

    @property
    def is_multicast(self) -> bool:
        """Whether it was advertised by multicast DNS (RFC 6762 Section 3)."""
        return self.domain == MULTICAST_DOMAIN

    @property
    def is_for_development(self) -> bool:
        """Whether its priority excludes it from live systems (IS-10 "Discovery", pri)."""
        return self.pri >= FIRST_DEVELOPMENT_PRIORITY


def printable(label: bytes) -> str:
    """Return a service instance's name for logs and terminals; it may contain any UTF-8."""
    text = label.decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def split_txt(data: bytes) -> tuple[bytes, ...]:
    """Split a TXT record's data into its strings (RFC 1035 Section 3.3.14).

    Raises:
        AdvertisementError: a string is longer than the rest of the data.
    """
    strings = []
    while data:
        length, data = data[0], data[1:]
        if length > len(data):
            raise AdvertisementError("its TXT record is cut off")
        strings.append(data[:length])
        data = data[length:]
    return tuple(strings)


def parse_txt(strings: Iterable[bytes]) -> Mapping[str, bytes]:
    """Read the attributes of a TXT record, by key in lower case; "" for a key without a value.

    RFC 6763 Section 6.4: "Case is ignored when interpreting a key"; strings that begin with "="
    are ignored; and if a key is repeated, only "the first occurrence of that attribute" is read.
    """
    attributes: dict[str, bytes] = {}
    for string in strings:
        key, _, value = string.partition(b"=")
        if key and key.isascii() and key.decode().isprintable():
            attributes.setdefault(key.decode().lower(), value)
    return attributes


def advertisement_of(
    instance: bytes, domain: str, target: str, port: int, strings: Iterable[bytes]
) -> Advertisement:
    """Return the advertisement in the records of a service instance.

    SRV priority and weight are ignored: "The TXT record should be used in favour of the SRV
    priority and weight where these values differ" (IS-10 "Discovery", pri; also IS-04).

    Args:
        instance: the first label of the service instance's name.
        domain: the domain it is advertised in.
        target: the SRV record's target.
        port: the SRV record's port.
        strings: the TXT record's strings.

    Raises:
        AdvertisementError: it does not say where its server is, or what its priority is.
    """
    attributes = parse_txt(strings)
    return Advertisement(
        instance=printable(instance),
        domain=domain.removesuffix(".").lower(),
        host=_host(target),
        port=_port(port),
        api_proto=_api_proto(attributes),
        pri=_pri(attributes),
        api_ver=tuple(each for each in _text(attributes, "api_ver").split(",") if each),
        api_selector=_api_selector(attributes),
        api_auth={b"true": True, b"false": False}.get(attributes.get("api_auth", b"")),
    )


def _host(target: str) -> str:
    host = target.removesuffix(".")
    if not host:
        # RFC 2782: "A Target of "." means that the service is decidedly not available"
        raise AdvertisementError("its SRV record says that it is not available")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise AdvertisementError(f"its SRV record's target is not a host name: {host!r:.260}")
    return host.lower()


def _port(port: int) -> int:
    if not 0 < port < 65536:
        raise AdvertisementError(f"its SRV record's port is {port}")
    return port


def _text(attributes: Mapping[str, bytes], key: str) -> str:
    value = attributes.get(key, b"")
    if not value.isascii() or not value.decode().isprintable():
        raise AdvertisementError(f"its {key} is {value!r:.100}")
    return value.decode()


def _api_proto(attributes: Mapping[str, bytes]) -> ApiProto:
    api_proto = _text(attributes, "api_proto")
    if api_proto not in {"http", "https"}:
        raise AdvertisementError(f"its api_proto is {api_proto!r:.100}")
    return cast("ApiProto", api_proto)


def _pri(attributes: Mapping[str, bytes]) -> int:
    pri = _text(attributes, "pri")
    if not _PRIORITY.fullmatch(pri):
        raise AdvertisementError(f"its pri is {pri!r:.100}")
    return int(pri)


def _api_selector(attributes: Mapping[str, bytes]) -> str:
    # "with the initial '/' and any trailing '/' omitted"; some servers do not omit them.
    selector = _text(attributes, "api_selector").removeprefix("/").removesuffix("/")
    try:
        IssuerUrl.parse(f"https://host.invalid/{selector}")
    except ValueError as error:
        raise AdvertisementError(f"its api_selector is {selector!r:.260}: {error}") from None
    return selector


@dataclass(slots=True)
class Preference:
    """The order in which servers are preferred: by pri, and at random if that is equal.

    The random order of two servers stays the same as long as both are there, so that it does not
    look like a change.

    Attributes:
        draw: returns a random number.
    """

    draw: Callable[[], float] = random.SystemRandom().random
    _ranks: dict[str, float] = field(default_factory=dict)

    def order(self, advertisements: Iterable[Advertisement]) -> tuple[Advertisement, ...]:
        """Order the advertisements of live servers, and keep the most preferred one of each URL."""
        best: dict[str, Advertisement] = {}
        for each in sorted(advertisements, key=_identity):
            if not each.is_for_development:
                best.setdefault(each.url, each)
        self._ranks = {url: self._ranks.get(url) or self.draw() for url in best}
        return tuple(sorted(best.values(), key=lambda each: (each.pri, self._ranks[each.url])))


def _identity(advertisement: Advertisement) -> tuple[int, bool, str, str]:
    return (
        advertisement.pri,
        # Unicast DNS can take an advertisement back, so it comes before the same by multicast.
        advertisement.is_multicast,
        advertisement.domain,
        advertisement.instance,
    )
