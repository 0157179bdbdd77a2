"""What a server may send around a small document, and how long that keeps others waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from nmos_auth.errors import FetchError
from nmos_auth.servers.http import LARGEST_BODY, HttpClient
from tests.support.tls import TestAuthority

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
LARGE = b'{"a":"' + b"x" * (LARGEST_BODY - 8) + b'"}'


def in_chunks(body: bytes, size: int) -> bytes:
    """Write a body in chunks of a size (RFC 9112 Section 7.1)."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@contextlib.asynccontextmanager
async def answering(
    tls: TestAuthority, answer: bytes, piece: int = LARGEST_BODY
) -> AsyncIterator[str]:
    """Serve over TLS what is written here, in pieces, to every request, and yield the URL."""
    connections: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, EOFError):
                while await reader.readuntil(b"\r\n\r\n"):
                    for start in range(0, len(answer), piece):
                        writer.write(answer[start : start + piece])
                        await writer.drain()
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(talk(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", ssl=tls.server_context("localhost"))
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}/"
        for connection in connections:
            connection.cancel()  # the client keeps it
    await asyncio.gather(*connections, return_exceptions=True)


@pytest.fixture
async def client(tls: TestAuthority) -> AsyncIterator[HttpClient]:
    """Yield a client that keeps connections for the next request."""
    client = HttpClient(tls.client_context(), keep_alive=5)
    yield client
    await client.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 100 \r\n\r\n" * 20_000, id="interim answers"),
        pytest.param(OK + b"a:\r\n" * 20_000 + b"content-length: 2\r\n\r\n{}", id="fields"),
        pytest.param(CHUNKED + in_chunks(b" " * 50_000 + b"{}", 1), id="chunks"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\n" + b"a:\r\n" * 20_000 + b"\r\n", id="trailers"),
        pytest.param(CHUNKED + b"2;" + b"a" * 20_000 + b"\r\n{}\r\n0\r\n\r\n", id="extension"),
    ],
)
async def test_what_is_around_a_body_is_limited(
    answer: bytes, tls: TestAuthority, client: HttpClient
) -> None:
    """Each field, chunk or interim answer costs time, and small ones fit in by the thousands."""
    async with answering(tls, answer) as url:
        with pytest.raises(FetchError, match="around its body"):
            await client.get_json(url)


async def test_every_byte_by_itself_is_too_small(tls: TestAuthority, client: HttpClient) -> None:
    """Each read takes time, whatever it brings."""
    answer = OK + b"content-length: 8000\r\n\r\n" + b" " * 7998 + b"{}"
    async with answering(tls, answer, 1) as url:
        with pytest.raises(FetchError, match="tiny pieces"):
            await client.get_json(url)
    async with answering(tls, answer, 128) as url:
        assert await client.get_json(url) == {}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"content-length: %d\r\n\r\n" % len(LARGE) + LARGE, id="whole"),
        pytest.param(CHUNKED + in_chunks(LARGE, 256), id="chunks"),
        pytest.param(CHUNKED + in_chunks(LARGE, 70_000), id="large chunks"),
        pytest.param(
            OK + b"set-cookie: a=%b\r\n" % (b"b" * 8192) + b"content-length: 2\r\n\r\n{}",
            id="long field",
        ),
        pytest.param(
            OK
            + b"a: %b\r\n" % (b"b" * 15_600)
            + b"content-length: %d\r\n\r\n" % len(LARGE)
            + LARGE,
            id="almost too long a field",
        ),
    ],
)
async def test_a_document_of_any_size_comes_with_what_is_usual_around_it(
    answer: bytes, tls: TestAuthority, client: HttpClient
) -> None:
    """Only what is not a body is limited, and that for each answer of a connection."""
    async with answering(tls, answer) as url:
        for _ in range(3):
            assert await client.get_json(url) is not None


async def test_others_have_their_turn_while_an_answer_is_read(
    tls: TestAuthority, client: HttpClient
) -> None:
    """However much comes at once, it is parsed in pieces, one in a turn of the event loop."""
    chunks, turns = 2_000, 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with answering(tls, CHUNKED + in_chunks(b'{"a":"' + b"x" * chunks + b'"}', 1)) as url:
        counting = asyncio.create_task(count())
        await client.get_json(url)
        counting.cancel()
    assert turns >= chunks
