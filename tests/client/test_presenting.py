"""Who gets a token: the origins named, over https, in a header; and what follows a refusal."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import httpx2
import pytest
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from nmos_auth.client import (
    AuthorizationClient,
    BearerAuth,
    ClientClosed,
    ClientError,
    ClientThread,
    HeldToken,
    Origins,
    ServerUnavailable,
    TokenHosts,
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
from tests.support.tokens import compact

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
    """Yield a source of tokens access-2, access-3 and so on."""
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        yield client.tokens()


Library = tuple[type[httpx.AsyncClient], type[BearerAuth]]
HTTPX: Library = (httpx.AsyncClient, BearerAuth)
# The two libraries have the same names; which is all that these tests use.
HTTPX2: Library = (httpx2.AsyncClient, httpx2_auth.BearerAuth)  # type: ignore[assignment]


@pytest.fixture(params=[HTTPX, HTTPX2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Library:
    """Return one of the two libraries."""
    chosen: Library = request.param
    return chosen


Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
def connect(library: Library, tokens: TokenSource, tls: TestAuthority, node: Node) -> Connect:
    """Return what makes an HTTP client that presents tokens, to the node unless told otherwise."""
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


async def test_a_503_that_calls_the_token_invalid(
    connect: Connect, node: Node, server: ScriptedServer
) -> None:
    """It is waited for within the bound, and then leads to one new token, and to no more.

    sony/nmos-cpp answers so for good, with Retry-After 5, whenever it cannot verify a token.
    """
    refusal = (503, (*INVALID, (b"retry-after", b"5")))
    node.script = [refusal]
    async with connect(longest_wait=2.5) as http:
        assert (await http.get(f"{node.url}/x")).status_code == 200
        assert node.tokens == ["Bearer access-2", "Bearer access-3"]
        node.script = [refusal] * 3
        assert (await http.get(f"{node.url}/x")).status_code == 503
    assert len(node.seen) == 4
    assert len(server.requests("/token")) == 3


async def test_pauses_come_before_a_new_token(connect: Connect, node: Node) -> None:
    """A server that fetches keys and says when to come back is believed first."""
    wait = (503, (*INVALID, (b"retry-after", b"0")))
    node.script = [wait] * 4
    async with connect() as http:
        assert (await http.get(f"{node.url}/x")).status_code == 200
    assert node.tokens == ["Bearer access-2"] * 4 + ["Bearer access-3"]


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
    """Where there is no token, the request fails with that error and is not sent."""
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
    """Http takes `allow_http`, and what is not an origin is refused."""
    for origin in ("http://node.example.com", "node.example.com", "https://a@b", "ftp://x"):
        with pytest.raises(ConfigurationError):
            Origins([origin])
    assert "http://node.example.com/x" in Origins("http://node.example.com", allow_http=True)


def test_origins_of_other_alphabets_and_ports() -> None:
    """A host is compared as it is sent, and no port is read as another one."""
    origins = Origins(["https://bücher.example.com:8443"])
    assert "https://xn--bcher-kva.example.com:8443/x" in origins
    assert "wss://BÜCHER.example.com:8443/x" in origins
    assert "https://bücher.example.com/x" not in origins
    assert "https://bucher.example.com:8443/x" not in origins
    for port in ("0", "", "99999", "8443x"):
        with pytest.raises(ConfigurationError):
            Origins([f"https://node.example.com:{port}"])
    for origin in ("https://a\\b", "https://ä..example.com", "https://[::1", "https://[x]"):
        with pytest.raises(ConfigurationError):
            Origins([origin])


async def test_the_setting_allows_http(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """NMOS_AUTH_ALLOW_HTTP is said once; `allow_http` says otherwise."""
    url = "http://node.example.com"
    async with AuthorizationClient(make_settings(server.issuer, allow_http=True)) as client:
        tokens = client.tokens()
        BearerAuth(tokens, [url])
        assert await websocket_headers(tokens, "ws://node.example.com/ws", [url])
        with pytest.raises(ConfigurationError):
            BearerAuth(tokens, [url], allow_http=False)
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        with pytest.raises(ConfigurationError, match="NMOS_AUTH_ALLOW_HTTP"):
            BearerAuth(client.tokens(), [url])


async def test_several_scopes_in_one_text(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """They are several scopes, as they are in the environment."""
    settings = make_settings(server.issuer, scope="registration events")
    async with AuthorizationClient(settings) as client:
        held = await client.tokens("registration events").token()
        assert held.scope == {"registration", "events"}


def test_origins() -> None:
    """Scheme, host and port are compared as RFC 6454 has them; WebSockets count like HTTP."""
    origins = Origins(["https://Node.example.com/x-nmos/", "https://b.example.com:8443"])
    inside = (
        "https://node.example.com:443/",
        "wss://node.example.com/ws",
        "wss://B.example.com:8443",
    )
    outside = (
        "http://node.example.com/",
        "ws://node.example.com/",
        "https://node.example.com:8443/",
        "https://node.example.com.evil.org/",
        "https://node.example.com@evil.org/",
        "https://evil.org/https://node.example.com",
        "https://[",
        "",
    )
    assert all(url in origins for url in inside)
    assert not any(url in origins for url in outside)


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


MANIFEST = "https://n.example.com:8443/x-nmos/connection/v1.1/single/senders/1/transportfile"


@pytest.mark.parametrize(
    ("href", "authorization", "kind", "requires"),
    [
        ("https://n.example.com:8443/x-nmos/connection/v1.1/", True, "sr-ctrl/v1.1", True),
        ("https://N.example.com:8443/x-nmos/connection/v1.0", True, "sr-ctrl/v1.0", True),
        ("https://n.example.com:8443/x-nmos/connection/v1.1/", False, "sr-ctrl/v1.1", False),
        ("https://n.example.com:8443/x-nmos/connection/v1.1/", None, "sr-ctrl/v1.1", False),
        ("https://n.example.com:8443/x-nmos/connection/v1.1/", "true", "sr-ctrl/v1.1", False),
        ("https://n.example.com/x-nmos/connection/v1.1/", True, "sr-ctrl/v1.1", False),
        ("http://n.example.com:8443/x-nmos/connection/v1.1/", True, "sr-ctrl/v1.1", False),
        ("https://other.example.com:8443/x-nmos/connection/v1.1/", True, "sr-ctrl/v1.1", False),
        ("https://n.example.com:8443/x-nmos/events/v1.0/", True, "events/v1.0", False),
        ("https://[", True, "sr-ctrl/v1.1", False),
    ],
)
async def test_manifests_follow_the_devices_controls(
    tokens: TokenSource, href: str, authorization: object, kind: str, *, requires: bool
) -> None:
    """BCP-003-02: "via the IS-04 Device controls `authorization` attribute", at the same origin."""
    auth = BearerAuth(tokens, ["https://n.example.com:8443"])
    control = {"type": f"urn:x-nmos:control:{kind}", "href": href, "authorization": authorization}
    for controls in ([control], [None, 5, {}, control]):
        assert (auth.for_manifest(MANIFEST, controls) is auth) is requires
    assert auth.for_manifest(MANIFEST, []) is None
    assert auth.for_manifest("https://n.example.com:8443/sdp/1.sdp", [control]) is None


def held(aud: object = None, token: str | None = None) -> HeldToken:
    """Return a token for these audiences, or another text."""
    claims = {"iss": "x"} if aud is None else {"aud": aud}
    unsigned = compact(b"{}", json.dumps(claims).encode(), b"sig")
    return HeldToken(SecretStr(token or unsigned), 0, 0, frozenset())


@pytest.mark.parametrize(
    ("url", "aud", "permitted"),
    [
        ("https://node1.example.com/x", "node1.example.com", True),
        ("https://node1.example.com:8443/x", ["a.example.org", "*.example.com"], True),
        ("wss://NODE1.example.com/x", ["https://node1.example.com"], True),
        ("https://node1.example.com./x", "node1.example.com", True),
        ("https://node1.example.com/x", "*", False),
        ("https://node1.example.com/x", ["*", "node1.example.com"], True),
        ("https://node1.example.com/x", "node2.example.com", False),
        ("https://node1.example.com.evil.org/x", "*.example.com", False),
        ("https://evil.org\\.example.com/x", "*.example.com", False),
        ("http://node1.example.com/x", "node1.example.com", False),
        ("ws://node1.example.com/x", "node1.example.com", False),
        ("https://user@node1.example.com/x", "node1.example.com", False),
        ("https://node1.example.com@evil.org/x", "*.example.com", False),
        ("https://node1.example.com/x", ["node1.example.com", 5], False),
        ("https://node1.example.com/x", {"a": 1}, False),
        ("https://node1.example.com/x", None, False),
        ("ftp://node1.example.com/x", "node1.example.com", False),
        ("https://192.0.2.7/x", "192.0.2.7", True),
        ("https://[2001:db8::7]/x", "*.example.com", False),
        ("https://[2001:db8::7]/x", ["2*", "**"], False),
        ("node1.example.com", "node1.example.com", False),
        ("", "node1.example.com", False),
    ],
)
def test_hosts_from_a_registry(url: str, aud: object, *, permitted: bool) -> None:
    """A host that the token's audience names, over https, no user in the URL; `*` names none."""
    assert TokenHosts().permits(url, held(aud)) is permitted


@pytest.mark.parametrize(
    ("hosts", "url", "permitted"),
    [
        (["node1.example.com"], "https://node1.example.com/x", True),
        ("*.example.com", "https://a.b.example.com/x", True),
        (["*"], "https://anything.example.org/x", True),
        (["192.0.2.7", "2001:db8::7"], "https://192.0.2.7:8443/x", True),
        (["192.0.2.7", "[2001:DB8::7]"], "https://[2001:db8::7]/x", True),
        (["192.0.2.7"], "https://192.0.2.70/x", False),
        (["node1.example.com"], "http://node1.example.com/x", False),
        (["node1.example.com"], "https://u:p@node1.example.com/x", False),
        ([], "https://node1.example.com/x", False),
    ],
)
def test_hosts_that_the_operator_names(
    hosts: list[str] | str, url: str, *, permitted: bool
) -> None:
    """They get opaque tokens, and those with other audiences, too."""
    for token in (held(token="opaque"), held("*"), held(["other.example.org"])):
        assert TokenHosts(hosts).permits(url, token) is permitted


@pytest.mark.parametrize("entry", ["", "https://a/b", "a:80", "a.*.b", "*.*.b", "a b", "*.0.0.1"])
def test_hosts_that_are_none(entry: str) -> None:
    """The list says which entry cannot be, before anything is sent."""
    with pytest.raises(ConfigurationError, match="is not a host"):
        TokenHosts([entry])


@pytest.mark.parametrize(
    "token", ["opaque", "a.b", "a.b.c", "e30.W10.x", "e30.eyJhIjoxLCJhIjoyfQ.x", "e30.TmFO.x"]
)
def test_claims_are_a_hint(token: str) -> None:
    """What a token says of itself can be shown; of an opaque or odd one nothing is known."""
    assert held(token=token).claims_hint() is None
    claims = held("a").claims_hint()
    assert claims == {"aud": "a"}


async def test_tokens_go_to_their_audience(
    server: ScriptedServer, make_settings: MakeClientSettings, node: Node, tls: TestAuthority
) -> None:
    """Requests to other hosts go out without; WebSockets likewise, and none has it in its URL."""
    text = held("localhost").value.get_secret_value()
    server.answers["/token"] = lambda _: server.token(access_token=text)
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        tokens, hosts = client.tokens(), TokenHosts()
        auth = BearerAuth(tokens, hosts)
        async with httpx.AsyncClient(auth=auth, verify=tls.client_context()) as http:
            await http.get(f"{node.url}/x")
            await http.get(f"{node.url}/x", auth=BearerAuth(tokens, TokenHosts(["a.example.com"])))
            text = held("elsewhere.example.com").value.get_secret_value()
            await tokens.replacement(await tokens.token())
            await http.get(f"{node.url}/x")
        assert [token is not None for token in node.tokens] == [True, True, False]
        assert await websocket_headers(tokens, "wss://localhost/ws", hosts) == {}
        assert await websocket_headers(tokens, "wss://elsewhere.example.com/ws", hosts)
        with pytest.raises(ConfigurationError, match="not a WebSocket that gets tokens"):
            await websocket_url(tokens, "wss://localhost/ws", hosts)
        assert "access_token=" in await websocket_url(
            tokens, "wss://elsewhere.example.com/ws", hosts
        )


async def test_a_rejected_token_is_not_sent_again_where_the_next_is_for_others(
    server: ScriptedServer, make_settings: MakeClientSettings, node: Node, tls: TestAuthority
) -> None:
    """The refusal stands, and nothing more is sent."""
    audiences = iter(["localhost", "elsewhere.example.com"])
    server.answers["/token"] = lambda _: server.token(
        access_token=held(next(audiences)).value.get_secret_value()
    )
    node.script = [(401, INVALID)] * 2
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        auth = BearerAuth(client.tokens(), TokenHosts())
        async with httpx.AsyncClient(auth=auth, verify=tls.client_context()) as http:
            assert (await http.get(f"{node.url}/x")).status_code == 401
    assert len(node.seen) == 1


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
        # A 503 that calls the token invalid, and has a pause beyond the bound, leads to one more.
        node.script = [(503, (*INVALID, (b"retry-after", b"5")))] * 2
        short = BearerAuth(source, [node.url], longest_wait=1)
        with httpx.Client(auth=short, verify=tls.client_context()) as http:
            assert http.get(f"{node.url}/x").status_code == 503
    assert node.tokens == [
        "Bearer access-2",
        *itertools.repeat("Bearer access-3", 4),
        "Bearer access-4",
    ]


def test_a_process_that_was_forked(
    server: ScriptedServer, make_settings: MakeClientSettings, node: Node
) -> None:
    """Its copy of the parent's Client says at once that it is of no use, and closes nothing."""
    settings = make_settings(server.issuer)
    with ClientThread(lambda: AuthorizationClient(settings)) as client:
        auth = BearerAuth(client.tokens(), [node.url])
        next(auth.sync_auth_flow(httpx.Request("GET", f"{node.url}/x")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:  # pragma: no cover - the child's coverage is lost
            try:
                next(auth.sync_auth_flow(httpx.Request("GET", f"{node.url}/x")))
            except ClientError as error:
                client.__exit__(None, None, None)
                os._exit(0 if "parent process" in str(error) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        next(auth.sync_auth_flow(httpx.Request("GET", f"{node.url}/x")))


def test_a_thread_whose_client_does_not_close(
    make_settings: MakeClientSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised, and the thread has ended."""

    async def fail(_: AuthorizationClient) -> None:
        raise ClientError("it does not close")

    monkeypatch.setattr(AuthorizationClient, "aclose", fail)
    thread = ClientThread(lambda: AuthorizationClient(make_settings("https://a.example.com")))
    with pytest.raises(ClientError, match="does not close"), thread:
        pass
    assert not thread._thread.is_alive()


def test_a_source_that_was_closed(
    server: ScriptedServer, make_settings: MakeClientSettings, node: Node
) -> None:
    """A synchronous request says that the Client is closed, and not that there should be one."""
    settings = make_settings(server.issuer)
    with ClientThread(lambda: AuthorizationClient(settings)) as client:
        auth = BearerAuth(client.tokens(), [node.url])
    with pytest.raises(ClientClosed):
        next(auth.sync_auth_flow(httpx.Request("GET", f"{node.url}/x")))


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

    server.lifetime = 2
    server.answers["/token"] = issue
    presented: list[tuple[str | None, float]] = []
    settings = make_settings(server.issuer, store=tmp_path / "client.json")
    async with AuthorizationClient(settings) as client:
        auth = BearerAuth(client.tokens(), [node.url])
        async with httpx.AsyncClient(auth=auth, verify=tls.client_context()) as http:
            ends = time.monotonic() + 3.5
            while time.monotonic() < ends:
                await http.get(f"{node.url}/x")
                presented.append((node.tokens[-1], time.monotonic()))
                await asyncio.sleep(0.1)
    assert len({token for token, _ in presented}) >= 3
    assert all(when - issued[str(token)] < server.lifetime for token, when in presented)
    assert len(server.requests("/register")) == 1
