"""What a server may do with a connection, and how long: everything has a bound."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from nmos_auth.client import ServerUnavailable
from nmos_auth.client.http import HttpRequest, HttpTransport
from tests.support.tls import TestAuthority

DEADLINE = 0.5
Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def say_nothing(_: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    await asyncio.sleep(60)


async def drip(writer: asyncio.StreamWriter) -> None:
    """Answer a byte at a time, each soon enough."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def grow(writer: asyncio.StreamWriter) -> None:
    """Answer without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(b" " * 65536)
        await writer.drain()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Promise more than is said."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()


async def babble(writer: asyncio.StreamWriter) -> None:
    """Answer what is not HTTP."""
    writer.write(b"220 mail.example.com ESMTP\r\n")
    await writer.drain()


async def compress(writer: asyncio.StreamWriter) -> None:
    """Answer in an encoding that nobody asked for."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")
    await writer.drain()


@contextlib.asynccontextmanager
async def behaving(
    tls: TestAuthority, behave: Behave, context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Run a server over TLS, and yield a URL of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            await behave(writer)
        writer.close()

    context = context or tls.server_context("localhost")
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}/token"
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


@pytest.mark.parametrize("behave", [say_nothing, drip, grow, hang_up, babble, compress])
async def test_every_misbehaviour_ends_in_time(tls: TestAuthority, behave: Behave) -> None:
    """It is one typed error, within the deadline, that says nothing of what was sent."""
    transport = HttpTransport(tls.client_context(), deadline=DEADLINE)
    async with behaving(tls, behave) as url:
        request = HttpRequest("POST", f"{url}?x=secret-query", content=b"secret-body")
        began = time.monotonic()
        with pytest.raises(ServerUnavailable) as caught:
            await transport.send(request)
        assert time.monotonic() - began < 10 * DEADLINE
        assert caught.value.temporary
        assert "secret" not in str(caught.value)
    await transport.aclose()


async def test_a_certificate_for_another_host(tls: TestAuthority) -> None:
    """Nothing is sent to a server that is not the one it says."""
    asked = asyncio.Event()

    async def note(_: asyncio.StreamWriter) -> None:
        asked.set()

    transport = HttpTransport(tls.client_context(), deadline=DEADLINE)
    async with behaving(tls, note) as url:
        with pytest.raises(ServerUnavailable, match="certificate"):
            await transport.send(HttpRequest("GET", url.replace("localhost", "127.0.0.1")))
        assert not asked.is_set()
    await transport.aclose()


async def say_ok(writer: asyncio.StreamWriter) -> None:
    """Answer."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    await writer.drain()


async def failed(context: ssl.SSLContext, url: str) -> str:
    """Return what the error says with which a request ends."""
    transport = HttpTransport(context, deadline=DEADLINE)
    with pytest.raises(ServerUnavailable) as caught:
        await transport.send(HttpRequest("GET", url))
    await transport.aclose()
    return str(caught.value)


async def test_a_root_that_is_not_trusted(tls: TestAuthority) -> None:
    """The error names the setting for root certificates."""
    async with behaving(tls, say_ok) as url:
        assert "NMOS_AUTH_CA_FILE" in await failed(ssl.create_default_context(), url)


async def test_a_certificate_that_has_expired(tls: TestAuthority) -> None:
    """The error says what time it is here, since it may be this clock that is wrong."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    issued = tls.root.issue_cert("localhost", not_before=past, not_after=past + timedelta(1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    async with behaving(tls, say_ok, context) as url:
        told = await failed(tls.client_context(), url)
    assert "this machine's clock, which says 2" in told
    assert "NMOS_AUTH_CA_FILE" not in told


@contextlib.asynccontextmanager
async def plain(words: bytes) -> AsyncIterator[str]:
    """Run a server that speaks no TLS, says `words`, and waits until its client is gone."""
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}/token"
        await ended.wait()


async def test_a_port_without_tls(tls: TestAuthority) -> None:
    """An http port in an https URL is called that."""
    async with plain(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        assert "is it an http port?" in await failed(tls.client_context(), url)


async def test_a_port_that_says_nothing(tls: TestAuthority) -> None:
    """One that waits for http says nothing to a TLS handshake: the error says to look."""
    async with plain(b"") as url:
        transport = HttpTransport(tls.client_context(), deadline=10)
        with pytest.raises(ServerUnavailable, match="uses TLS"):
            await transport.send(HttpRequest("GET", url))
        await transport.aclose()
