"""Who gets a token: the origins named, over https, in a header; and what follows a refusal."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from nmos_auth.client import (
    AuthorizationClient,
    BearerAuth,
    ClientThread,
    Origins,
    ServerUnavailable,
    TokenSource,
    httpx2_auth,
    websocket_headers,
    websocket_url,
)
from nmos_auth.errors import ConfigurationError
from tests.client.conftest import MakeClientSettings
from tests.client.scripted import Asked, Refusal, ScriptedServer
from tests.support.authority import answer_json
from tests.support.servers import serving
from tests.support.tls import TestAuthority

INVALID = ((b"www-authenticate", b'Bearer realm="n",error=invalid_token'),)
INVALID_SPACED = ((b"www-authenticate", b'bearer Error = "invalid_token" , realm = n'),)
INVALID_QUOTED = ((b"www-authenticate", b'Bearer realm="n", error="invalid_token"'),)


@dataclass
class Node:
    """A Resource Server that answers what it is told to.

    Attributes:
        script: status and headers of its answers; 200 when they have run out.
        seen: path, Authorization header and body of every request.
    """

    script: list[tuple[int, tuple[tuple[bytes, bytes], ...]]] = field(default_factory=list)
    seen: list[tuple[str, str | None, bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Its origin."""
        return f"https://localhost:{self.port}"

    @property
    def tokens(self) -> list[str | None]:
        """The Authorization headers so far."""
        return [authorization for _, authorization, _ in self.seen]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["path"], headers.get("authorization"), body))
        status, answer_headers = self.script.pop(0) if self.script else (200, ())
        await answer_json(send, {}, status, answer_headers)


@pytest.fixture
def node(tls: TestAuthority) -> Iterator[Node]:
    """Run a Resource Server over TLS."""
    node = Node()
    with serving(node, tls=tls.server_context("localhost"), lifespan="off") as node.port:
        yield node


@pytest.fixture
async def tokens(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> AsyncIterator[TokenSource]:
    """Give a source of tokens access-2, access-3 and so on."""
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        yield client.tokens()


Library = tuple[type[httpx.AsyncClient], type[BearerAuth]]
HTTPX: Library = (httpx.AsyncClient, BearerAuth)
# The two libraries have the same names; which is all that these tests use.
HTTPX2: Library = (httpx2.AsyncClient, httpx2_auth.BearerAuth)  # type: ignore[assignment]


@pytest.fixture(params=[HTTPX, HTTPX2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Library:
    """Give one of the two libraries."""
    chosen: Library = request.param
    return chosen


Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
def connect(library: Library, tokens: TokenSource, tls: TestAuthority, node: Node) -> Connect:
    """Give what makes an HTTP client that presents tokens, to the node unless told otherwise."""
    make_client, make_auth = library

    def make(*origins: str, **options: bool | float) -> httpx.AsyncClient:
        auth = make_auth(tokens, origins or (node.url,), **options)  # type: ignore[arg-type]
        return make_client(auth=auth, verify=tls.client_context(), follow_redirects=True)

    return make


async def test_the_header(connect: Connect, node: Node) -> None:
    """Requests to the origin named carry the token in the Authorization header."""
    async with connect() as http:
        await http.get(f"{node.url}/x-nmos/node/v1.3/self")
        await http.get(f"{node.url}/x-nmos/node/v1.3/self")
    assert node.tokens == ["Bearer access-2", "Bearer access-2"]


async def test_other_origins_get_nothing(connect: Connect, node: Node) -> None:
    """Another port, another name for the host: no token."""
    async with connect("https://localhost:1", "https://node.example.com") as http:
        await http.get(f"{node.url}/x-nmos/node/v1.3/self")
    assert node.tokens == [None]


async def test_redirects_to_other_origins_lose_it(
    connect: Connect, node: Node, tls: TestAuthority
) -> None:
    """A redirect within the origin keeps the token, one to another origin drops it."""
    other = Node()
    with serving(other, tls=tls.server_context("localhost"), lifespan="off") as other.port:
        node.script = [
            (302, ((b"location", b"/elsewhere"),)),
            (302, ((b"location", f"{other.url}/x".encode()),)),
        ]
        other.script = [(401, INVALID)]
        async with connect() as http:
            answer = await http.get(f"{node.url}/x")
    assert answer.status_code == 401
    assert node.tokens == ["Bearer access-2", "Bearer access-2"]
    assert other.tokens == [None]


@pytest.mark.parametrize("challenge", [INVALID, INVALID_QUOTED, INVALID_SPACED])
async def test_one_more_attempt_with_a_fresh_token(
    connect: Connect, node: Node, challenge: tuple[tuple[bytes, bytes], ...]
) -> None:
    """After 401 `invalid_token` the request is sent once more, body included, with a new token."""
    node.script = [(401, challenge)]
    async with connect() as http:
        answer = await http.post(f"{node.url}/x", json={"a": 1})
    assert answer.status_code == 200
    assert node.tokens == ["Bearer access-2", "Bearer access-3"]
    assert len({body for _, _, body in node.seen}) == 1


async def test_no_more_than_one(connect: Connect, node: Node, server: ScriptedServer) -> None:
    """A server that refuses everything gets two requests, and few new tokens are asked for."""
    node.script = [(401, INVALID)] * 100
    async with connect() as http:
        for _ in range(10):
            assert (await http.get(f"{node.url}/x")).status_code == 401
    assert len(node.seen) == 13
    assert len(server.requests("/token")) == 4


@pytest.mark.parametrize(
    "answer",
    [
        (401, ((b"www-authenticate", b'Bearer realm="n"'),)),
        (401, ((b"www-authenticate", b'Bearer error_description="no error=invalid_tokens"'),)),
        (403, ((b"www-authenticate", b"Bearer error=insufficient_scope"),)),
        (503, ()),
        (503, ((b"retry-after", b"3600"),)),
        (500, ((b"retry-after", b"1"),)),
    ],
)
async def test_answers_that_stand(
    connect: Connect, node: Node, answer: tuple[int, tuple[tuple[bytes, bytes], ...]]
) -> None:
    """Other refusals, and waits beyond the bound, go back to the caller at once."""
    node.script = [answer]
    async with connect() as http:
        assert (await http.get(f"{node.url}/x")).status_code == answer[0]
    assert len(node.seen) == 1


async def test_waits_for_keys(connect: Connect, node: Node) -> None:
    """After 503 with a short Retry-After the request is sent again."""
    node.script = [(503, ((b"retry-after", b"0"),))] * 2
    async with connect() as http:
        assert (await http.get(f"{node.url}/x")).status_code == 200
        node.script = [(503, ((b"retry-after", b"0"),))] * 100
        assert (await http.get(f"{node.url}/x")).status_code == 503
    assert len(node.seen) == 3 + 4
    node.script = [(503, ((b"retry-after", b"0"),))]
    async with connect(longest_wait=0) as http:
        assert (await http.get(f"{node.url}/x")).status_code == 503


async def test_waits_for_the_keys_of_either_token(connect: Connect, node: Node) -> None:
    """Where a key was withdrawn, the next token's may have to be fetched as well."""
    wait = (503, ((b"retry-after", b"0"),))
    node.script = [wait, wait, wait, (401, INVALID), wait, wait]
    async with connect() as http:
        assert (await http.get(f"{node.url}/x")).status_code == 200
    assert node.tokens == ["Bearer access-2"] * 4 + ["Bearer access-3"] * 3


async def test_streams_are_sent_once(connect: Connect, node: Node) -> None:
    """A body that cannot be read twice is not sent twice."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"once"

    node.script = [(401, INVALID)]
    async with connect() as http:
        answer = await http.post(f"{node.url}/x", content=chunks())
    assert answer.status_code == 401
    assert len(node.seen) == 1


async def test_no_token_no_request(connect: Connect, node: Node, server: ScriptedServer) -> None:
    """Where no token is to be had, the request fails with that error and is not sent."""
    server.answers["/token"] = Refusal(503)
    async with connect() as http:
        with pytest.raises(ServerUnavailable):
            await http.get(f"{node.url}/x")
    assert not node.seen


async def test_many_at_once(connect: Connect, node: Node, server: ScriptedServer) -> None:
    """A hundred requests at once cause one token request; refused together, one more."""
    async with connect() as http:
        await asyncio.gather(*(http.get(f"{node.url}/x") for _ in range(100)))
        assert len(server.requests("/token")) == 1
        node.script = [(401, INVALID)] * 10
        answers = await asyncio.gather(*(http.get(f"{node.url}/x") for _ in range(10)))
        assert {answer.status_code for answer in answers} <= {200, 401}
    assert len(server.requests("/token")) <= 4


def test_http_origins_are_refused() -> None:
    """Http takes `allow_http`, and what is no origin is refused."""
    for origin in (
        "http://node.example.com",
        "node.example.com",
        "https://a@b",
        "ftp://x",
        "https://node.example.com:0",
        "https://node.example.com:99999",
        "https://node.example.com:",
        "https://[::1",
        "https://[x]",
        "https://node.example.com\\@evil.org",
        "https://ä..example.com",
    ):
        with pytest.raises(ConfigurationError):
            Origins([origin])
    assert "http://node.example.com/x" in Origins("http://node.example.com", allow_http=True)


def test_origins() -> None:
    """Scheme, host and port are compared as RFC 6454 has them; WebSockets count like HTTP."""
    origins = Origins(["https://Node.example.com/x-nmos/", "https://b.example.com:8443"])
    inside = (
        "https://node.example.com:443/",
        "wss://node.example.com/ws",
        "wss://B.example.com:8443",
        "WSS://b.example.com:8443/" + "x" * 10_000,
    )
    outside = (
        "http://node.example.com/",
        "ws://node.example.com/",
        "https://node.example.com:8443/",
        "https://node.example.com.evil.org/",
        "https://node.example.com@evil.org/",
        "https://evil.org/https://node.example.com",
        "https://[",
        "https://node.example.com:0/",
        "https://node.example.com\\@evil.org/",
        "",
    )
    assert all(url in origins for url in inside)
    assert not any(url in origins for url in outside)


def test_origins_of_other_scripts() -> None:
    """Host names are compared in the ASCII form that is asked for, however they are written."""
    written = Origins("https://münchen.example:8443")
    assert "https://xn--mnchen-3ya.example:8443/x-nmos/" in written
    assert "wss://MÜNCHEN.example:8443/ws" in written
    assert "https://münchen.example/" not in written
    assert "https://munchen.example:8443/" not in written


@pytest.mark.parametrize(
    ("href", "takes"),
    [
        ("https://n.example.com/x-nmos/connection/v1.1/single/senders/1/transportfile", True),
        ("https://n.example.com/x-nmos/connection/", True),
        ("https://n.example.com/sdp/1.sdp", False),
        ("https://n.example.com/x-nmos/connections/v1.1", False),
        ("https://n.example.com/x-nmos/connection/../../sdp", False),
        ("https://n.example.com/x-nmos/connection/%2e%2e/%2e%2e/sdp", False),
        ("https://n.example.com/sdp?/x-nmos/connection/", False),
        ("https://n.example.com/a/x-nmos/connection/", False),
        ("https://[", False),
    ],
)
async def test_manifest_href(tokens: TokenSource, href: str, takes: bool) -> None:  # noqa: FBT001
    """Only a `manifest_href` with an IS-05 path gets a token (BCP-003-02)."""
    auth = BearerAuth(tokens, ["https://n.example.com"])
    assert (auth.for_manifest(href) is auth) is takes


async def test_websockets(tokens: TokenSource) -> None:
    """Handshakes get a header; a URL only has the token where that is asked for."""
    origins = Origins("https://node.example.com")
    headers = await websocket_headers(tokens, "wss://node.example.com/ws", origins)
    assert headers == {"Authorization": "Bearer access-2"}
    assert await websocket_headers(tokens, "ws://node.example.com/ws", origins) == {}
    assert await websocket_headers(tokens, "wss://other.example.com/ws", origins) == {}
    for url, expected in (
        ("wss://node.example.com/ws", "wss://node.example.com/ws?access_token=access-2"),
        (
            "wss://node.example.com/ws?uid=5",
            "wss://node.example.com/ws?uid=5&access_token=access-2",
        ),
    ):
        assert await websocket_url(tokens, url, origins) == expected
    for url in (
        "ws://node.example.com/ws",
        "wss://other.example.com/ws",
        "https://node.example.com/ws",
        "wss://node.example.com/ws?access_token=x",
    ):
        with pytest.raises(ConfigurationError):
            await websocket_url(tokens, url, origins)


def test_synchronous_clients(
    server: ScriptedServer, make_settings: MakeClientSettings, node: Node, tls: TestAuthority
) -> None:
    """`httpx.Client` and `httpx2.Client` take tokens from a Client in a thread of its own."""
    settings = make_settings(server.issuer)
    with ClientThread(lambda: AuthorizationClient(settings)) as client:
        source = client.tokens()
        node.script = [(401, INVALID), (503, ((b"retry-after", b"0"),))]
        with httpx.Client(auth=BearerAuth(source, [node.url]), verify=tls.client_context()) as http:
            assert http.get(f"{node.url}/x").status_code == 200
        auth = httpx2_auth.BearerAuth(source, [node.url])
        with httpx2.Client(auth=auth, verify=tls.client_context()) as http2:
            assert http2.get(f"{node.url}/x").status_code == 200
    assert node.tokens == ["Bearer access-2", *itertools.repeat("Bearer access-3", 3)]


async def test_a_synchronous_client_on_the_loop_itself(
    tokens: TokenSource, node: Node, tls: TestAuthority
) -> None:
    """That would wait for itself, and says so at once."""
    with (
        httpx.Client(auth=BearerAuth(tokens, [node.url]), verify=tls.client_context()) as http,
        pytest.raises(RuntimeError, match="ClientThread"),
    ):
        http.get(f"{node.url}/x")  # noqa: ASYNC212 - which is what this is about


async def test_through_failures(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    node: Node,
    tls: TestAuthority,
    tmp_path: Path,
) -> None:
    """A server that is down now and then goes unnoticed."""
    issued: dict[str, float] = {}

    def issue(asked: Asked) -> object:
        if len(server.requests("/token")) % 3 == 2:
            return Refusal(503)
        answer = server.token()
        issued[f"Bearer {answer['access_token']}"] = time.monotonic()
        return answer

    server.lifetime = 4
    server.answers["/token"] = issue
    presented: list[tuple[str | None, float]] = []
    settings = make_settings(server.issuer, store=tmp_path / "client.json")
    async with AuthorizationClient(settings) as client:
        auth = BearerAuth(client.tokens(), [node.url])
        async with httpx.AsyncClient(auth=auth, verify=tls.client_context()) as http:
            ends = time.monotonic() + 6
            while time.monotonic() < ends:
                await http.get(f"{node.url}/x")
                presented.append((node.tokens[-1], time.monotonic()))
                await asyncio.sleep(0.1)
    assert len({token for token, _ in presented}) >= 4
    assert all(when - issued[str(token)] < server.lifetime for token, when in presented)
    assert len(server.requests("/register")) == 1
