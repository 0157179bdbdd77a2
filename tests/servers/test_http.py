"""What a server may do to whoever fetches a document from it. Real servers over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from starlette.types import Receive, Scope, Send

from nmos_auth.errors import FetchError
from nmos_auth.servers.answers import Document, made_at, media_type_of
from nmos_auth.servers.http import DEADLINE, HttpClient, HttpRequest
from tests.support.authority import FakeAuthorizationServer, Responder
from tests.support.certificates import BAD_CERTIFICATES
from tests.support.responders import (
    Stall,
    endless,
    huge,
    json_body,
    plain,
    redirect,
    trickle,
    zipped,
)
from tests.support.scene import assert_untouched
from tests.support.servers import listen
from tests.support.tls import TestAuthority
from tests.support.tokens import signing_key

GOOD: dict[str, object] = {"good": True}

# The design asks for short time-outs; this is what they must be shorter than, in seconds.
SHORT = 8.0


@pytest.fixture
async def client(tls: TestAuthority) -> AsyncIterator[HttpClient]:
    """Yield a client that trusts the tests' root only."""
    client = HttpClient(tls.client_context())
    yield client
    await client.aclose()


async def test_a_good_document(server: FakeAuthorizationServer, client: HttpClient) -> None:
    """It is fetched as RFC 8414 Section 3 has it: GET, and nothing that tells who asks."""
    seen: list[Scope] = []

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await json_body(GOOD)(scope, receive, send)

    server.responders["/document"] = respond
    assert await client.get_json(f"{server.issuer}/document") == GOOD
    (scope,) = seen
    names = {name for name, _ in scope["headers"]}
    assert scope["method"] == "GET"
    assert not names & {b"authorization", b"cookie", b"proxy-authorization"}


BAD_ANSWERS: dict[str, Responder] = {
    "huge": huge(GOOD),
    "endless": endless(GOOD),
    "zipped": zipped(GOOD),
    "zipped as x-gzip": zipped(GOOD, b"x-gzip"),
    "zipped twice": zipped(GOOD, b"gzip, gzip"),
    "zipped as something new": zipped(GOOD, b"snappy"),
    "empty": plain(b""),
    "no content": plain(b"", 204),
    "partial": plain(json.dumps(GOOD).encode(), 206),
    "created": json_body(GOOD, 201),
    "400": json_body(GOOD, 400),
    "401": json_body(GOOD, 401),
    "404": json_body(GOOD, 404),
    "500": json_body(GOOD, 500),
    "503": plain(b"try later", 503, [(b"retry-after", b"1")]),
    "not modified": plain(b"", 304),
    "HTML": plain(b"<!doctype html><title>Log in</title>", headers=[(b"content-type", b"x/html")]),
    "a list": json_body([GOOD]),
    "a string": json_body("good"),
    "null": json_body(None),
    "half": plain(b'{"good": tru'),
    "two": plain(b'{"good": true}{"good": true}'),
    "JavaScript": plain(b"{good: true}"),
    "NaN": plain(b'{"good": true, "more": NaN}'),
    "infinite": plain(b'{"good": true, "more": 1e999}'),
    "a name twice": plain(b'{"good": true, "good": false}'),
    "a name twice inside": plain(b'{"good": {"a": 1, "a": 1}}'),
    "not UTF-8": plain(b'{"good": "\xff"}'),
    "UTF-16": plain('{"good": true}'.encode("utf-16")),
    "two byte order marks": plain(b'\xef\xbb\xbf\xef\xbb\xbf{"good": true}'),
    "nested": plain(b'{"good":' * 20000 + b"{}" + b"}" * 20000),
    "lone surrogate": plain(b'{"good": "\\ud800"}'),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_a_bad_answer_is_an_error_of_ours(
    name: str, server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """Whatever a server says: FetchError, soon, in small memory, and the next fetch is good."""
    server.responders["/document"] = BAD_ANSWERS[name]
    began = time.monotonic()
    with pytest.raises(FetchError):
        await client.get_json(f"{server.issuer}/document")
    assert time.monotonic() - began < 2
    assert await client.get_json(f"{server.issuer}{server.metadata_path}") == server.metadata()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(
    status: int, server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """Neither to the server itself nor to another: the target receives nothing."""
    with listen() as other:
        elsewhere = f"https://127.0.0.1:{other.getsockname()[1]}/"
        for location in (f"{server.issuer}/document", "/document", "/good", "?again", elsewhere):
            server.responders["/good"] = json_body(GOOD)
            server.responders["/document"] = plain(b"", status, [(b"location", location.encode())])
            before = server.count()
            with pytest.raises(FetchError):
                await client.get_json(f"{server.issuer}/document")
            assert server.count() == before + 1
        assert_untouched(other)


async def test_the_status_of_an_answer_is_known(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """What answered with a status has it; what did not answer has none."""
    server.responders["/document"] = redirect("/elsewhere")
    for path, status in (("/nothing", 404), ("/document", 302)):
        with pytest.raises(FetchError) as caught:
            await client.get_json(f"{server.issuer}{path}")
        assert caught.value.status == status
    with listen() as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchError) as caught:
        await client.get_json(f"https://localhost:{port}/")
    assert caught.value.status is None


async def test_slow_servers_are_left_in_good_time(
    server: FakeAuthorizationServer, tls: TestAuthority
) -> None:
    """Mute, mute in the middle, a byte at a time, or not even TLS: bounded from start to end."""
    client = HttpClient(tls.client_context(), deadline=0.5, connect_deadline=0.3)
    mute, half = Stall(), Stall(begun=True)
    server.responders |= {"/mute": mute, "/half": half, "/trickle": trickle({"a": "x" * 1000})}
    fetches: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        (path, lambda path=path: client.get_json(server.issuer + path))  # type: ignore[misc]
        for path in ("/mute", "/half", "/trickle")
    ]

    async def seconds(fetch: Callable[[], Awaitable[object]]) -> float:
        began = time.monotonic()
        with pytest.raises(FetchError):
            await fetch()
        return time.monotonic() - began

    async with raw_server(_trickle_headers) as port:
        fetches.append(("headers", lambda: client.get_json(_url("http", port))))
        with listen() as deaf:
            fetches.append(("deaf", lambda: client.get_json(_url("https", deaf.getsockname()[1]))))
            taken = await asyncio.gather(*(seconds(fetch) for _, fetch in fetches))
    # Without the bounds that were asked for it would be the usual one.
    assert max(taken) < DEADLINE, dict(zip((name for name, _ in fetches), taken, strict=True))
    assert mute.abandoned.wait(2)
    assert half.abandoned.wait(2)
    await client.aclose()


def _url(scheme: str, port: int) -> str:
    return f"{scheme}://127.0.0.1:{port}/"


async def _trickle_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        writer.write(b"x-%d: y\r\n" % number)
        await writer.drain()
        await asyncio.sleep(0.2)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def raw_server(talk: Talk) -> AsyncIterator[int]:
    """Serve connections by hand until the block ends, and yield the port."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, EOFError):
            await talk(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(connected(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*connections)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\0" * 1000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 99999999999 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 2_000_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nnot gzip",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000,
        b"HTTP/1.1 302 Found\r\nlocation: http://[::\r\n\r\n",
    ],
)
async def test_what_is_hardly_http_is_an_error_of_ours(answer: bytes, client: HttpClient) -> None:
    """Whatever comes over the wire: FetchError, and soon; the request may have been heard."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with raw_server(respond) as port:
        began = time.monotonic()
        with pytest.raises(FetchError) as raised:
            await client.get_json(_url("http", port))
        assert time.monotonic() - began < SHORT
        assert raised.value.sent


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "https:///x",
        "https://localhost:0/",
        "https://[::1/",
        "nothing://localhost/",
        "https://host.invalid/",
        "https://xn--/",
        "https://a..b/",
        f"https://{'a' * 300}.invalid/",
    ],
)
async def test_a_url_that_is_none_is_an_error_of_ours(url: str, client: HttpClient) -> None:
    """It may come from metadata, or from a token's `iss`; nothing was sent."""
    with pytest.raises(FetchError) as raised:
        await client.get_json(url)
    assert not raised.value.sent


# Certificates


def _old(tls: TestAuthority) -> ssl.SSLContext:
    context = tls.server_context("localhost")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.parametrize("bad", [*BAD_CERTIFICATES.values(), _old])
async def test_a_server_without_a_good_certificate_is_asked_nothing(
    bad: Callable[[TestAuthority], ssl.SSLContext], tls: TestAuthority, client: HttpClient
) -> None:
    """IS-10 "Discovery": the certificate is verified before anything is asked."""
    server = FakeAuthorizationServer([signing_key()])
    with server.running(tls, context=bad(tls)), pytest.raises(FetchError) as raised:
        await client.get_json(f"{server.issuer}{server.metadata_path}")
    assert server.requests == []
    assert not raised.value.sent


async def test_http_on_the_port_of_https(tls: TestAuthority, client: HttpClient) -> None:
    """A server that forgot its TLS gets no second chance over http."""
    server = FakeAuthorizationServer([signing_key()])
    with server.running(None), pytest.raises(FetchError) as raised:
        await client.get_json(f"https://localhost:{server.port}{server.metadata_path}")
    assert server.requests == []
    assert not raised.value.sent


async def test_system_roots_are_not_mixed_with_those_of_the_setting(
    server: FakeAuthorizationServer,
) -> None:
    """Without CA_FILE the tests' root is not trusted; with it, no other root is."""
    client = HttpClient(ssl.create_default_context())
    with pytest.raises(FetchError):
        await client.get_json(f"{server.issuer}{server.metadata_path}")
    await client.aclose()
    assert server.requests == []


async def test_proxies_of_the_environment_are_not_used(
    server: FakeAuthorizationServer, tls: TestAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the settings decides whom a Node talks to."""
    with listen() as proxy:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
        client = HttpClient(tls.client_context())
        document = await client.get_json(f"{server.issuer}{server.metadata_path}")
        assert document == server.metadata()
        await client.aclose()
        assert_untouched(proxy)


async def test_an_error_does_not_quote_the_answer(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """What a server answers by mistake does not end up in a log."""
    server.responders["/document"] = plain(b'{"client_secret": "hunter2", }')
    with pytest.raises(FetchError) as caught:
        await client.get_json(f"{server.issuer}/document")
    assert "hunter2" not in str(caught.value)


async def test_a_byte_order_mark_is_ignored(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """RFC 8259 Section 8.1 allows it: servers must not send one, and some do."""
    server.responders["/document"] = plain(b'\xef\xbb\xbf{"good": true}')
    assert await client.get_json(f"{server.issuer}/document") == GOOD


async def test_a_document_of_brackets_is_not_looked_at(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """87,000 empty arrays in 256 KB would hold the event loop for 20 ms; key sets have hundreds.

    Nor is it known how deep a parser written in C gets before it has used up its stack.
    """
    server.responders["/flat"] = plain(b'{"keys":[' + b"[]," * 8190 + b"[]]}")
    server.responders["/deep"] = plain(b'{"keys":' + b"[" * 200_000)
    server.responders["/most"] = plain(b'{"keys":[' + b"[]," * 8189 + b"[]]}")
    for path in ("/flat", "/deep"):
        with pytest.raises(FetchError, match="too many objects and arrays"):
            await client.get_json(f"{server.issuer}{path}")
    assert await client.get_json(f"{server.issuer}/most")


SECRET = "eyJhbGciOiJSUzUxMiJ9.secret"


@pytest.mark.parametrize(
    "answer",
    [
        SECRET,
        f"HTTP/1.1 {SECRET} OK",
        f"HTTP/1.1 200 OK\r\n{SECRET}",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {SECRET}",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}",
        f"HTTP/1.1 200 OK\r\nContent-Length: {SECRET}",
        f"HTTP/1.1 200 OK\r\nContent-Encoding: {SECRET}",
    ],
    ids=["nothing", "status", "header", "encoding", "chunk", "length", "compression"],
)
async def test_no_error_has_what_a_server_repeats(client: HttpClient, answer: str) -> None:
    """A server that knows a secret may return it in lines that are not HTTP."""

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode() + b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(repeat, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(FetchError) as caught:
            await client.get_json(url)
    assert "secret" not in str(caught.value).lower()
    assert str(caught.value).startswith(url)


async def test_no_error_has_what_cannot_be_sent(client: HttpClient) -> None:
    """A token that a server issued may have characters that no header may have."""
    headers = {"Authorization": f"Bearer {SECRET}\nX: y"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(FetchError) as caught:
            await client.send(HttpRequest("GET", url, headers=headers))
    assert "secret" not in str(caught.value).lower()


AT = b"Mon, 02 Mar 2026 10:00:00 GMT"
# RFC 9110 Section 10.2.3: a date is by the clock that wrote `Date`.
WAITS = {
    "date": b"Mon, 02 Mar 2026 10:01:00 GMT",
    "past": b"Mon, 02 Mar 2026 09:00:00 GMT",
    "far": b"Fri, 31 Dec 9999 23:59:59 GMT",
    "long": b"9" * 400,
    "nonsense": b"-5",
}


async def test_an_answer_that_cannot_be_used_has_its_status(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """A server that answered is told from one that could not be reached."""
    server.responders |= {
        "/html": plain(b"<!doctype html>", headers=[(b"content-type", b"text/html")]),
        "/huge": huge(GOOD),
        "/zipped": zipped(GOOD),
        "/later": plain(b"", 503, [(b"retry-after", b"7")]),
        **{
            f"/{path}": plain(b"", 503, [(b"retry-after", each), (b"date", AT)])
            for path, each in WAITS.items()
        },
        "/elsewhere": redirect("/login"),
    }
    found: dict[str, tuple[int | None, float | None, str | None]] = {}
    paths = [f"/{path}" for path in WAITS]
    for path in ("/html", "/huge", "/zipped", "/later", "/elsewhere", *paths):
        with pytest.raises(FetchError) as caught:
            await client.get_document(f"{server.issuer}{path}")
        error = caught.value
        found[path] = (error.status, error.retry_after, error.location)
    assert found == {
        "/html": (200, None, None),
        "/huge": (200, None, None),
        "/zipped": (200, None, None),
        "/later": (503, 7.0, None),
        "/date": (503, 60.0, None),
        "/past": (503, 0.0, None),
        "/far": (503, 86400.0, None),
        "/long": (503, 86400.0, None),
        "/nonsense": (503, None, None),
        "/elsewhere": (302, None, "/login"),
    }


async def test_cookies_are_neither_kept_nor_sent(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """A server that sets a new cookie with each answer never makes a request longer."""
    headers: list[list[tuple[bytes, bytes]]] = []

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        headers.append(list(scope["headers"]))
        name = b"session-%d" % len(headers)
        cookie = name + b"=" + b"x" * 200 + b"; Path=/"
        await plain(b"{}", headers=[(b"set-cookie", cookie)])(scope, receive, send)

    server.responders["/document"] = respond
    for _ in range(3):
        await client.get_json(f"{server.issuer}/document")
    assert headers[0] == headers[1] == headers[2]
    assert all(name != b"cookie" for name, _ in headers[0])


async def test_a_request_carries_what_it_is_given(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """Method, body and headers; the answer comes back whatever its status."""
    seen: list[tuple[str, bytes, dict[bytes, bytes]]] = []

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        seen.append((scope["method"], body, dict(scope["headers"])))
        await json_body({"error": "invalid_client"}, 401)(scope, receive, send)

    server.responders["/token"] = respond
    request = HttpRequest(
        "POST", f"{server.issuer}/token", {"Authorization": "Basic c2VjcmV0"}, b"a=b"
    )
    answer = await client.send(request)
    assert (answer.status, answer.document) == (401, {"error": "invalid_client"})
    ((method, body, headers),) = seen
    assert (method, body, headers[b"authorization"]) == ("POST", b"a=b", b"Basic c2VjcmV0")
    assert "c2VjcmV0" not in repr(request)
    assert "c2VjcmV0" not in repr(answer)


async def test_a_query_is_in_no_error(client: HttpClient) -> None:
    """It may hold a secret, and errors are logged."""
    with listen() as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchError) as caught:
        await client.send(HttpRequest("GET", f"https://localhost:{port}/token?code=secret"))
    assert "secret" not in str(caught.value)
    assert f"localhost:{port}/token" in str(caught.value)


async def test_requests_that_time_out_leave_no_connection(tls: TestAuthority) -> None:
    """A server that accepts connections and says nothing costs no descriptor for long."""
    client = HttpClient(tls.client_context(), deadline=0.2)
    with listen() as mute:
        url = _url("https", mute.getsockname()[1])
        outcomes = await asyncio.gather(
            *(client.get_json(url) for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(each, FetchError) for each in outcomes)
        for _ in outcomes:
            accepted, _ = await asyncio.to_thread(mute.accept)
            with contextlib.closing(accepted):
                accepted.settimeout(5)
                while await asyncio.to_thread(accepted.recv, 4096):
                    pass
    await client.aclose()


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("dates", "ages", "made"),
    [
        ([DATE], [], 784111777),
        (["Sunday, 06-Nov-94 08:49:37 GMT"], [], 784111777),
        (["Sun Nov  6 08:49:37 1994"], [], 784111777),
        ([DATE], ["0"], 784111777),
        ([DATE], [" 77 "], 784111700),
        ([DATE, "Sun, 06 Nov 1994 08:49:30 GMT"], ["3", "10"], 784111760),
        ([DATE], ["-77"], None),
        ([DATE], ["soon"], None),
        ([DATE], ["9" * 5000], None),
        ([DATE, "yesterday"], [], None),
        ([""], [], None),
        ([], [], None),
        ([], ["7"], None),
    ],
)
def test_the_servers_own_time(dates: list[str], ages: list[str], made: float | None) -> None:
    """RFC 9110 Section 5.6.7 has three forms of dates; RFC 9111 Section 5.1 has Age in seconds."""
    assert made_at(dates, ages) == made


@pytest.mark.parametrize(
    ("content_type", "media_type"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; charset=UTF-8", "application/json"),
        ("application/jwk-set+json ;x=y", "application/jwk-set+json"),
        ("text/html", "text/html"),
        ("", ""),
    ],
)
def test_media_types(content_type: str, media_type: str) -> None:
    """RFC 9110 Section 8.3.1: case and parameters aside."""
    assert media_type_of(content_type) == media_type


async def test_a_document_comes_with_its_type_and_the_servers_time(
    server: FakeAuthorizationServer, client: HttpClient
) -> None:
    """What its answer says of itself."""
    headers = [
        (b"content-type", b"application/jwk-set+json"),
        (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (b"age", b"7"),
    ]
    server.responders["/document"] = plain(b'{"good": true}', headers=headers)
    document = await client.get_document(f"{server.issuer}/document")
    assert document == Document(GOOD, "application/jwk-set+json", 784111770, is_fresh=False)
