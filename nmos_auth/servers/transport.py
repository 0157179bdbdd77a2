"""Connections of httpx that leave nothing open when a request is cancelled at any time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable

import httpcore
import httpx
from anyio.abc import SocketStream
from httpcore._backends.anyio import AnyIOStream  # httpcore offers it by no other name

from nmos_auth.servers.access import Proxy
from nmos_auth.servers.addresses import TcpConnector
from nmos_auth.servers.certificates import TlsIdentity

__all__ = ["RenewingTransport", "TidyStream", "tidy_transport"]

SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


# Bytes that are parsed before other tasks have a turn: at most 6 ms for the shortest messages.
_PIECE = 2048
# Bytes of an answer around its body: header fields, sizes of chunks, trailers, interim answers.
_MOST_AROUND = 16 * 1024
# How many of these a read counts as: each takes time, and a server can send every byte by itself.
_READ = 4


class TidyStream(httpcore.AsyncNetworkStream):
    """A connection that closes when its TLS handshake is cancelled; httpcore leaves it open.

    What it reads is parsed in pieces, and what is not of a body is limited: a server can send
    thousands of header fields, of chunks or of interim answers in the space of a small document,
    and each costs tens of microseconds.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = _MOST_AROUND
        self.aclose = stream.aclose  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
    ) -> bytes:
        """Read a piece, after a turn of other tasks."""
        if self._left < 0:  # what is of a body in the last piece has been recorded by now
            raise httpcore.RemoteProtocolError(
                f"an answer has more than {_MOST_AROUND} bytes around its body, or comes in tiny"
                " pieces"
            )
        await asyncio.sleep(0)
        piece = await self._stream.read(min(max_bytes, _PIECE), timeout)
        self._left -= len(piece) + _READ
        return piece

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 - likewise
    ) -> None:
        """Send a part of a request, to which there will be a new answer."""
        self._left = _MOST_AROUND
        await self._stream.write(buffer, timeout)

    def was_body(self, count: int) -> None:
        """Record that so many of the bytes that were read are part of a body."""
        self._left += count

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - likewise
    ) -> httpcore.AsyncNetworkStream:
        """Begin TLS on the connection."""
        try:
            return TidyStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise


class _TidyBackend(httpcore.AnyIOBackend):
    def __init__(self, connector: TcpConnector) -> None:
        self._connector = connector

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - likewise
        local_address: str | None = None,  # noqa: ARG002 - likewise
        socket_options: Iterable[SocketOption] | None = None,  # noqa: ARG002 - likewise
    ) -> httpcore.AsyncNetworkStream:
        try:
            connected = await self._connector.connect(host, port, timeout)
            return TidyStream(AnyIOStream(await SocketStream.from_socket(connected)))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


def tidy_transport(
    context: ssl.SSLContext,
    *,
    keep_alive: float,
    most_connections: int,
    connector: TcpConnector | None,
    proxy: Proxy | None,
) -> httpx.AsyncHTTPTransport:
    """Make a transport whose requests may be cancelled at any time, and leave nothing open.

    Args:
        context: verifies certificates.
        keep_alive: seconds for which an idle connection waits for the next request.
        most_connections: how many may be open at once, to all servers together.
        connector: makes the connections; None for one that connects to any address.
        proxy: the proxy that connections go through, or None.
    """
    transport = httpx.AsyncHTTPTransport(verify=context)
    most_idle, backend = None if keep_alive else 0, _TidyBackend(connector or TcpConnector())
    # httpx offers no way to choose the network backend of its pool; httpcore does.
    if proxy is None:
        transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001
            ssl_context=context,
            max_connections=most_connections,
            max_keepalive_connections=most_idle,
            keepalive_expiry=keep_alive,
            network_backend=backend,
        )
    else:
        transport._pool = httpcore.AsyncHTTPProxy(  # noqa: SLF001
            proxy.url,
            proxy_auth=proxy.credentials,
            ssl_context=context,
            proxy_ssl_context=context if proxy.url.startswith("https:") else None,
            max_connections=most_connections,
            max_keepalive_connections=most_idle,
            keepalive_expiry=keep_alive,
            network_backend=backend,
        )
    return transport


class RenewingTransport(httpx.AsyncBaseTransport):
    """A transport whose new connections use the certificates that are in the files now.

    Args:
        tls: reads the files.
        make: makes a transport with a context.
    """

    def __init__(
        self, tls: TlsIdentity, make: Callable[[ssl.SSLContext], httpx.AsyncHTTPTransport]
    ) -> None:
        self._tls = tls
        self._make = make
        self._context: ssl.SSLContext | None = None
        self._current: httpx.AsyncHTTPTransport | None = None
        self._former: list[httpx.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request with the certificates that are in the files now."""
        context = await self._tls.context()
        if self._current is None or context is not self._context:
            former, self._current = self._current, self._make(context)
            self._context = context
            if former is not None:
                await self._retire(former)
        return await self._current.handle_async_request(request)

    async def _retire(self, former: httpx.AsyncHTTPTransport) -> None:
        """Wait until the requests under way end, and close the connections."""
        pool = former._pool  # noqa: SLF001 - httpx offers no way to close what is idle
        pool._max_keepalive_connections = 0  # noqa: SLF001
        held = [each for each in self._former if each._pool.connections]  # noqa: SLF001
        self._former = [*held, former]
        for connection in pool.connections:
            if connection.is_idle():
                await connection.aclose()

    async def aclose(self) -> None:
        """Close what is open."""
        for transport in (*self._former, self._current):
            if transport is not None:
                await transport.aclose()
