"""How servers are reached: by proxies, under a name, with certificates that change."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from nmos_auth.errors import FetchError
from nmos_auth.servers.access import Proxy, ServerAccess
from nmos_auth.servers.certificates import TlsFiles, TlsIdentity
from nmos_auth.servers.http import HttpClient


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.example.com:3128", Proxy("http://proxy.example.com:3128")),
        ("https://[2001:db8::1]:443/", Proxy("https://[2001:db8::1]:443")),
        ("http://a:b%40c@192.0.2.1:80", Proxy("http://192.0.2.1:80", ("a", "b@c"))),
    ],
)
def test_the_url_of_a_proxy(text: str, proxy: Proxy) -> None:
    """Name and password apart, so that no message shows them."""
    assert Proxy.parse(text) == proxy
    assert "b@c" not in repr(proxy)


@pytest.mark.parametrize(
    "text",
    ["proxy:3128", "socks5://a:1", "http://a", "http://a:1/path", "http://a:1?b", "http://:1", ""],
)
def test_what_is_not_the_url_of_a_proxy(text: str) -> None:
    """Other schemes, paths, or no port."""
    with pytest.raises(ValueError, match="not the URL of a proxy"):
        Proxy.parse(text)


class Server(ThreadingHTTPServer):
    """A server that answers every request alike, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.context = context
        self.heads: list[str] = []
        self.certificates: list[object] = []

    @property
    def place(self) -> str:
        """Its address and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """What is asked for."""
        return f"https://{self.place}/"

    def finish_request(self, request: object, client_address: object) -> None:
        """Speak TLS first, where that is asked for."""
        assert isinstance(request, socket.socket)
        request.settimeout(10)
        with contextlib.suppress(OSError):
            if self.context is not None:
                # The socket is the wrapped one's from here on.
                request = self.context.wrap_socket(request, server_side=True)
                self.certificates.append(request.getpeercert())
            with request:
                self.RequestHandlerClass(request, client_address, self)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """Answers with an empty object."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        self.server.heads.append(str(self.headers))
        self.answer(200, b"{}")

    def answer(self, status: int, body: bytes = b"") -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Tunnels(Handler):
    """A proxy that connects to whatever it is asked for."""

    def do_CONNECT(self) -> None:
        """Connect both sides until one ends."""
        self.server.heads.append(f"{self.requestline}\r\n{self.headers}")
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), 10) as there:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: there, there: self.connection}
            while True:
                ready, _, _ = select.select(list(ends), [], [], 10)
                for end in ready:
                    if not (chunk := end.recv(65536)):
                        self.close_connection = True
                        return
                    ends[end].sendall(chunk)


class Refuses(Handler):
    """A proxy that wants a password."""

    def do_CONNECT(self) -> None:
        """Refuse."""
        self.answer(407)


@contextlib.contextmanager
def running(context: ssl.SSLContext | None, handler: type[Handler] = Handler) -> Iterator[Server]:
    """Run a server in a thread."""
    with Server(context, handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def server_context(authority: trustme.CA, *others: trustme.CA) -> ssl.SSLContext:
    """Make a context for 127.0.0.1 that takes client certificates of any of the authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    for each in (authority, *others):
        each.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def authorities() -> list[trustme.CA]:
    """Return certificate authorities."""
    return [trustme.CA(key_type=trustme.KeyType.ECDSA) for _ in range(2)]


def files(directory: Path, authority: trustme.CA) -> TlsFiles:
    """Write the root, a client certificate and its key."""
    issued = authority.issue_cert("node1.example.com")
    found = TlsFiles(directory / "roots.pem", directory / "chain.pem", directory / "key.pem")
    for path, content in zip(
        found.paths,
        (
            authority.cert_pem.bytes(),
            b"".join(each.bytes() for each in issued.cert_chain_pems),
            issued.private_key_pem.bytes(),
        ),
        strict=True,
    ):
        path.touch(mode=0o600)
        path.write_bytes(content)
    return found


@pytest.mark.parametrize("keep_alive", [0.0, 60.0])
async def test_certificates_that_change_are_used_by_the_next_connection(
    tmp_path: Path, authorities: list[trustme.CA], keep_alive: float
) -> None:
    """Roots as well as the client's own; connections from before are not used again."""
    client = HttpClient(
        ServerAccess(TlsIdentity(files(tmp_path, authorities[0]))), keep_alive=keep_alive
    )
    first, second = authorities
    with running(server_context(first)) as before, running(server_context(second)) as after:
        assert await client.get_json(before.url) == {}
        with pytest.raises(FetchError):
            await client.get_json(after.url)
        files(tmp_path, second)
        assert await client.get_json(after.url) == {}
        with pytest.raises(FetchError):
            await client.get_json(before.url)
        await client.aclose()
    assert before.certificates[0]
    assert after.certificates[-1]
    assert before.certificates[0] != after.certificates[-1]


async def test_a_half_written_file_changes_nothing(
    tmp_path: Path, authorities: list[trustme.CA], caplog: pytest.LogCaptureFixture
) -> None:
    """The server is still reached, by the certificates from before."""
    found = files(tmp_path, authorities[0])
    client = HttpClient(ServerAccess(TlsIdentity(found)))
    assert found.ca_file is not None
    with running(server_context(authorities[0])) as server:
        pem = found.ca_file.read_bytes()
        found.ca_file.write_bytes(pem[: len(pem) // 2])
        assert await client.get_json(server.url) == {}
        await client.aclose()
    assert str(found.ca_file) in caplog.text


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Make a client's context that trusts an authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_the_user_agent_is_what_is_set(authorities: list[trustme.CA]) -> None:
    """Some gateways refuse those of libraries."""
    context = trusting(authorities[0])
    with running(server_context(authorities[0])) as server:
        for access in (ServerAccess(context, user_agent="Acme Node/7"), context):
            client = HttpClient(access)
            await client.get_json(server.url)
            await client.aclose()
    assert "user-agent: Acme Node/7\n" in server.heads[0]
    assert "user-agent: asgi-nmos-auth\n" in server.heads[1]


async def test_servers_are_reached_through_the_proxy(authorities: list[trustme.CA]) -> None:
    """TLS goes through it end to end, and the proxy's password to nobody else."""
    with running(None, Tunnels) as proxy, running(server_context(authorities[0])) as server:
        through = Proxy(f"http://{proxy.place}", ("me", "pass"))
        client = HttpClient(ServerAccess(trusting(authorities[0]), through))
        assert await client.get_json(server.url) == {}
        await client.aclose()
    (asked,) = proxy.heads
    assert asked.startswith(f"CONNECT {server.place} ")
    assert base64.b64encode(b"me:pass").decode() in asked
    assert "roxy" not in server.heads[0]


async def test_a_proxy_that_refuses_is_said_to(authorities: list[trustme.CA]) -> None:
    """With its status, and nobody is asked without it."""
    with running(None, Refuses) as proxy, running(server_context(authorities[0])) as server:
        through = Proxy(f"http://{proxy.place}")
        client = HttpClient(ServerAccess(trusting(authorities[0]), through))
        with pytest.raises(FetchError, match="407"):
            await client.get_json(server.url)
        await client.aclose()
    assert server.heads == []
