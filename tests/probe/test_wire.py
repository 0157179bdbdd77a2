"""Requests on the wire: what devices do with sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from nmos_auth.probe.cases import UPGRADE
from nmos_auth.probe.wire import NoReply, Reply, Socket, Wire, parsed


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Wire]:
    """Run a server that answers whatever comes with these bytes, and keeps the connection."""
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        asked.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Wire("127.0.0.1", server.sockets[0].getsockname()[1], None, deadline=2)


async def test_a_refused_handshake_is_not_waited_for() -> None:
    """Some devices announce a body and never send it."""
    async with answering(b"HTTP/1.1 401 No\r\nContent-Length: 50\r\n\r\n") as wire:
        assert (await wire.ask("GET", "/ws", UPGRADE)).status == 401


async def test_a_body_that_never_comes_is_no_answer() -> None:
    """To a request, it is; and the message says how long it took."""
    async with answering(b"HTTP/1.1 401 No\r\nContent-Length: 50\r\n\r\n") as wire:
        with pytest.raises(NoReply, match="no answer within 2 s"):
            await wire.ask("GET", "/")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 99999 x\r\n\r\n"])
async def test_what_is_not_http_is_no_answer(answer: bytes) -> None:
    """Whatever listens there."""
    async with answering(answer) as wire:
        with pytest.raises(NoReply):
            await wire.ask("GET", "/")


@pytest.mark.parametrize(
    ("url", "socket"),
    [
        ("ws://node.example.com/ws?a=1", Socket("/ws?a=1", 80, secure=False)),
        ("wss://10.0.0.1:8011/x-nmos/events", Socket("/x-nmos/events", 8011, secure=True)),
        ("http://node.example.com/ws", None),
        ("wss://node.example.com:99999/ws", None),
        ("wss://node.example.com", None),
        ("auto", None),
        ("ws://node.example.com/a b", None),
        ("ws://node.example.com/\u00e9", None),
    ],
)
def test_where_a_websocket_is(url: str, socket: Socket | None) -> None:
    """Port and scheme are the URL's; the host is the device's own, whatever the URL names."""
    assert Socket.of(url) == socket
    if socket is not None:
        way = Wire("192.0.2.1", 443, None).to(socket)
        assert (way.host, way.port) == ("192.0.2.1", socket.port)
        assert (way.context is not None) is socket.secure


@pytest.mark.parametrize(
    ("target", "location", "moved"),
    [
        ("/x-nmos/node", "/x-nmos/node/", "/x-nmos/node/"),
        ("/x-nmos/node/", "https://elsewhere.example/x-nmos/node", "/x-nmos/node"),
        ("/x-nmos/node?a=1", "/x-nmos/node/", "/x-nmos/node/?a=1"),
        ("/x-nmos/node", "/login", None),
        ("/x-nmos/node", "", None),
        ("/x-nmos/node", "http://[x", None),
    ],
)
def test_only_a_slash_is_followed(target: str, location: str, moved: str | None) -> None:
    """A redirect to anything else is the answer, and never leaves the device."""
    assert Reply(301, [("location", location)], b"").moved_to(target) == moved


@pytest.mark.parametrize(
    ("host", "authority"), [("node.example.com", "node.example.com:443"), ("::1", "[::1]:443")]
)
def test_an_ipv6_address_is_in_brackets(host: str, authority: str) -> None:
    """In the Host field as in a URL (RFC 9110 Section 7.2)."""
    assert Wire(host, 443, None).authority == authority


@pytest.mark.parametrize("text", [b"\xff", b"{", b"[" * 100_000, "9" * 5000, ""])
def test_what_is_no_document_is_none(text: str | bytes) -> None:
    """Nothing that a device writes ends the run."""
    assert parsed(text) is None
