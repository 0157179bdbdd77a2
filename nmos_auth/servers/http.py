"""JSON documents from Authorization Servers: the one place that speaks HTTP for the server side."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpcore
import httpx

from nmos_auth.errors import FetchError
from nmos_auth.servers.strict_json import JsonObject, parse_object
from nmos_auth.servers.urls import split_url

__all__ = [
    "CONNECT_DEADLINE",
    "LARGEST_BODY",
    "Address",
    "Document",
    "GetDocument",
    "GetJson",
    "JsonClient",
    "made_at",
    "media_type_of",
    "require_unchanged",
    "tidy_transport",
    "tls_context",
]

GetJson = Callable[[str], Awaitable[JsonObject]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object, and what the server's answer says of it.

    Attributes:
        content: the object.
        media_type: its media type, in lower case and without parameters; "" where none is given.
        date: when the server made the answer, by the server's own clock: its `Date` less its
            `Age` (RFC 9110 Section 6.6.1, RFC 9111 Section 5.1), in seconds since 1970 UTC; None
            where it does not say.
    """

    content: JsonObject
    media_type: str = "application/json"
    date: float | None = None


GetDocument = Callable[[str], Awaitable[Document]]

SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)

LARGEST_BODY = 256 * 1024
DEADLINE = 5.0
CONNECT_DEADLINE = 2.0
_LONGEST_AGE = 10


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Make a context that verifies certificates, by `ca_file` alone or else by the system's roots.

    IS-10 "Discovery", Use with TLS: host names and the whole chain are checked.
    """
    return ssl.create_default_context(cafile=ca_file)


class _TidyStream(httpcore.AsyncNetworkStream):
    """A connection that closes when its TLS handshake is cancelled; httpcore leaves it open."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self.read = stream.read  # type: ignore[method-assign]
        self.write = stream.write  # type: ignore[method-assign]
        self.aclose = stream.aclose  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise


class _TidyBackend(httpcore.AnyIOBackend):
    def __init__(self, permits: Callable[[Address], bool] | None) -> None:
        self._permits = permits

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - likewise
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if self._permits is not None:
            # The address that was looked at is the one connected to: a second look-up may differ.
            host = await _permitted_address(host, port, self._permits)
        return _TidyStream(
            await super().connect_tcp(host, port, timeout, local_address, socket_options)
        )


async def _permitted_address(host: str, port: int, permits: Callable[[Address], bool]) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(f"{host}: {error.strerror}") from error
    for *_, address in found:
        text = str(address[0]).partition("%")[0]
        parsed = ipaddress.ip_address(text)
        mapped = getattr(parsed, "ipv4_mapped", None)
        if permits(mapped or parsed):
            return text
    raise httpcore.ConnectError(f"{host} has no address that may be connected to")


def tidy_transport(
    context: ssl.SSLContext,
    *,
    keep_alive: float = 0,
    permits: Callable[[Address], bool] | None = None,
) -> httpx.AsyncHTTPTransport:
    """Make a transport whose requests may be cancelled at any time, and leave nothing open.

    Args:
        context: verifies certificates.
        keep_alive: seconds for which an idle connection waits for the next request.
        permits: tells which addresses may be connected to; None for all.
    """
    transport = httpx.AsyncHTTPTransport(verify=context)
    # httpx lets nobody choose the network backend of its pool, which httpcore offers.
    transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001
        ssl_context=context,
        max_keepalive_connections=None if keep_alive else 0,
        keepalive_expiry=keep_alive,
        network_backend=_TidyBackend(permits),
    )
    return transport


def require_unchanged(url: str) -> None:
    """Refuse a URL for which something else would be asked than what is written.

    httpx removes dot segments and adds escapes, so that one text would be checked and another one
    fetched. The host's case and the scheme's default port may differ.

    Args:
        url: an http or https URL.

    Raises:
        FetchError: httpx would change it.
    """
    try:
        written, asked = split_url(url), httpx.URL(url)
        host, target = asked.raw_host.decode("ascii"), asked.raw_path.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchError(f"{url!r:.200} cannot be fetched: {error}") from None
    host = f"[{host}]" if ":" in host else host
    port = asked.port or written.default_port
    if (host, port, target) != (written.host, written.port, written.target or "/"):
        raise FetchError(f"{url!r:.200} cannot be fetched as it is written")


def media_type_of(content_type: str) -> str:
    """Return the media type that a Content-Type names, in lower case, without its parameters.

    RFC 9110 Section 8.3.1: "The type and subtype tokens are case-insensitive".
    """
    return content_type.partition(";")[0].strip(" \t").lower()


def made_at(dates: Iterable[str], ages: Iterable[str]) -> float | None:
    """Return when a server made its answer, by its own clock: `Date` less `Age`.

    A cache on the way may keep the server's `Date` or write its own; less the `Age`, neither is
    later than the content. Of several, the earliest `Date` and the greatest `Age` are used.

    Args:
        dates: the values of the answer's `Date` fields.
        ages: the values of its `Age` fields.

    Returns:
        Seconds since 1970 UTC, or None where there is no `Date` or any value is malformed.
    """
    try:
        made = min(map(_timestamp, dates), default=None)
        return None if made is None else made - max(map(_age, ages), default=0)
    except (ValueError, OverflowError):
        return None


def _timestamp(date: str) -> float:
    parsed = parsedate_to_datetime(date)
    # RFC 9110 Section 5.6.7: each of its forms is in UTC, and the obsolete one does not say so.
    return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()


def _age(seconds: str) -> int:
    bare = seconds.strip(" \t")
    if not (bare.isascii() and bare.isdecimal() and len(bare) <= _LONGEST_AGE):
        raise ValueError("not a number of seconds")
    return int(bare)


class JsonClient:
    """GETs JSON objects, with bounds on everything a server may do.

    No redirects, no proxies or credentials from the environment, no compressed answers, at most
    256 KiB and five seconds from start to end.

    Args:
        context: verifies certificates.
        permits: tells which addresses may be connected to; None for all.
    """

    def __init__(
        self, context: ssl.SSLContext, *, permits: Callable[[Address], bool] | None = None
    ) -> None:
        self._client = httpx.AsyncClient(
            transport=tidy_transport(context, permits=permits),
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(DEADLINE, connect=CONNECT_DEADLINE),
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def get_json(self, url: str) -> JsonObject:
        """Fetch one document, whatever its media type.

        Raises:
            FetchError: as of `get_document`.
        """
        return (await self.get_document(url)).content

    async def get_document(self, url: str) -> Document:
        """Fetch one document.

        Raises:
            FetchError: it could not be had, or is not a strict JSON object; or `url` is one that
                would not be asked for as it is written.
        """
        require_unchanged(url)
        try:
            async with asyncio.timeout(DEADLINE), self._client.stream("GET", url) as response:
                if response.status_code != 200:
                    raise FetchError(
                        f"{url} answered {response.status_code}", status=response.status_code
                    )
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise FetchError(f"{url} answered in an encoding that was not asked for")
                return Document(
                    parse_object(await self._body(url, response)),
                    media_type_of(response.headers.get("content-type", "")),
                    made_at(response.headers.get_list("date"), response.headers.get_list("age")),
                )
        except TimeoutError:
            raise FetchError(f"{url} took longer than {DEADLINE:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise FetchError(f"{url}: {error.__class__.__name__}: {error}") from None
        except ValueError as error:
            raise FetchError(f"{url} answered no JSON object: {error}") from None

    @staticmethod
    async def _body(url: str, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise FetchError(f"{url} answered more than {LARGEST_BODY} bytes")
        return bytes(body)

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()
