"""What is said of Nodes, seen from outside: ours, and such as are set up wrongly."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from nmos_auth import NmosAuthMiddleware, Settings
from nmos_auth.operate.findings import Level, worst
from nmos_auth.operate.node_checks import check_node
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import protected
from tests.support.servers import serving
from tests.support.tls import TestAuthority
from tests.support.tokens import claims_of, signing_key

Answer = tuple[int, dict[str, str], object]


async def _list(request: Request) -> JSONResponse:
    names = ["node/"] if request.url.path == "/x-nmos/" else ["v1.3/"]
    return JSONResponse(names, headers={"strict-transport-security": "max-age=31536000"})


def node_app(settings: Settings) -> Starlette:
    """Make a Node of two lists, protected."""
    return Starlette(
        routes=[Route("/x-nmos/", _list), Route("/x-nmos/node/", _list)],
        middleware=[Middleware(NmosAuthMiddleware, settings=settings)],
    )


@pytest.fixture
def running(settings: Settings, tls: TestAuthority) -> Iterator[str]:
    """Serve that Node over TLS, and yield its origin."""
    with protected(settings, node_app, tls=tls) as node:
        yield str(node.base_url)


async def told(
    origin: str, tls: TestAuthority, *, token: str | None = None, audience: tuple[str, ...] = ()
) -> tuple[Level, str]:
    """Return the worst level, and all texts and cures."""
    findings = await check_node(
        origin, ca_file=tls.ca_file, audience=audience, token=token, clock=time.time
    )
    return worst(findings), "\n".join(f"{each.text}\n{each.cure}" for each in findings)


async def test_a_node_of_this_package_is_right(running: str, tls: TestAuthority) -> None:
    """Certificate, challenge, CORS, WebSocket refusal and HSTS are all told to be well."""
    level, text = await told(running, tls)
    assert level is Level.OK, text
    for words in (
        "is valid until",
        "it is public",
        "without a token it answers 401 with a challenge",
        "a browser may send its token",
        "a handshake without a token is answered 401",
    ):
        assert words in text


async def test_the_way_of_a_token(
    running: str, authority: FakeAuthorizationServer, tls: TestAuthority
) -> None:
    """A token that is good passes; one that is not is shown its challenge, and how to ask why."""
    good = authority.token(scope="node")
    level, text = "", ""
    for _ in range(20):
        level, text = await told(running, tls, token=good)
        if level is Level.OK:
            break
    assert "the token gets 200" in text
    bad = signing_key(9).sign(claims_of(authority.issuer, aud=["other.example.com"]))
    level, text = await told(running, tls, token=bad)
    assert level is Level.FAILURE
    assert "nmos-auth explain" in text
    assert bad not in text


def fixed(**by_path: Answer) -> ASGIApp:
    """Make a server that answers each path in one way; `root` and `api` stand for both lists."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            return
        if scope["type"] != "http":
            return
        name = "root" if scope["path"] == "/x-nmos/" else "api"
        status, headers, body = by_path[name]
        response = JSONResponse(body, status, headers)
        await response(scope, receive, send)

    return app


CORS = {"access-control-allow-origin": "*", "access-control-allow-headers": "authorization"}
ROOT: Answer = (200, {"strict-transport-security": "max-age=1"}, ["node/"])


@pytest.mark.parametrize(
    ("answers", "level", "words"),
    [
        ({"root": ROOT, "api": (200, CORS, [])}, Level.FAILURE, "it answers 200, and not 401"),
        (
            {"root": ROOT, "api": (401, {"www-authenticate": "Basic", **CORS}, {})},
            Level.FAILURE,
            "its challenge without a token is 'Basic'",
        ),
        (
            {"root": ROOT, "api": (401, {"www-authenticate": "Bearer"}, {})},
            Level.FAILURE,
            "no Access-Control-Allow-Origin",
        ),
        (
            {"root": ROOT, "api": (401, {"www-authenticate": "Bearer", **CORS}, {})},
            Level.FAILURE,
            "a browser's preflight",
        ),
        ({"root": (401, {}, {}), "api": ROOT}, Level.FAILURE, "IS-10 requires it to be public"),
        ({"root": (200, {}, ["node/"]), "api": ROOT}, Level.FAILURE, "Strict-Transport-Security"),
        ({"root": ROOT, "api": ROOT}, Level.FAILURE, "a handshake without a token is accepted"),
    ],
)
async def test_nodes_that_are_wrong(
    answers: dict[str, Answer], level: Level, words: str, tls: TestAuthority
) -> None:
    """Each fault is named; such a Node also accepts any WebSocket, which is a failure."""
    with serving(fixed(**answers), tls=tls.server_context("localhost"), lifespan="off") as port:
        found, text = await told(f"https://localhost:{port}", tls)
    assert found is level
    assert words in text


async def test_a_node_that_repeats_the_token(tls: TestAuthority) -> None:
    """What it says is shown, and the token is not."""
    token = signing_key(9).sign(claims_of("https://auth.example.com"))
    said = f'Bearer error=invalid_token,error_description="{token} {token.split(".")[2]}"'
    app = fixed(root=ROOT, api=(401, {"www-authenticate": said, **CORS}, {}))
    with serving(app, tls=tls.server_context("localhost"), lifespan="off") as port:
        _, text = await told(f"https://localhost:{port}", tls, token=token)
    assert 'the token gets 401 Bearer error=invalid_token,error_description="[token]' in text
    assert not any(part in text for part in token.split("."))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "nmos-auth explain"),
        (403, "nmos-auth explain"),
        (404, "the token is not refused, but the Node answers 404"),
        (500, "the token is not refused, but the Node answers 500"),
        (503, "nmos-auth explain"),
    ],
)
async def test_what_becomes_of_a_token(status: int, words: str, tls: TestAuthority) -> None:
    """A refusal leads to `explain`, and what else goes wrong to the app."""
    app = fixed(root=ROOT, api=(status, CORS, {}))
    with serving(app, tls=tls.server_context("localhost"), lifespan="off") as port:
        _, text = await told(f"https://localhost:{port}", tls, token="a.b.c")
    assert words in text


async def test_a_certificate_for_another_name(running: str, tls: TestAuthority) -> None:
    """The names of NMOS_AUTH_AUDIENCE belong in the certificate."""
    level, text = await told(running, tls, audience=("localhost", "node7.example.com"))
    assert level is Level.FAILURE
    assert "not for node7.example.com" in text


async def test_a_node_over_http(settings: Settings, tls: TestAuthority) -> None:
    """BCP-003-01 requires TLS; the rest is looked at all the same."""
    with serving(node_app(settings)) as port:
        level, text = await told(f"http://127.0.0.1:{port}", tls)
    assert level is Level.WARNING
    assert "served over http" in text
    assert "answers 401" in text


@pytest.mark.parametrize(
    "url", ["node1.example.com", "ftp://node1", "https://", "https://u@h", "https://h/x-nmos"]
)
async def test_what_is_not_a_node(url: str, tls: TestAuthority) -> None:
    """A word on what to write, and no traffic."""
    level, text = await told(url, tls)
    assert level is Level.FAILURE
    assert "https://HOST[:PORT]" in text


async def answering(
    answer: Callable[[bytes], bytes], host: str = "127.0.0.1"
) -> tuple[asyncio.Server, int, list[bytes]]:
    """Listen, and answer each request with what the function makes of its head."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer(heads[-1]))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    return server, server.sockets[0].getsockname()[1], heads


async def test_a_node_at_an_ipv6_address(tls: TestAuthority) -> None:
    """It is reached, and named in brackets."""
    try:
        server, port, heads = await answering(
            lambda _: b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "::1"
        )
    except OSError:
        pytest.skip("no IPv6 loopback on this machine")
    async with server:
        _, text = await told(f"http://[::1]:{port}", tls)
    assert "a handshake without a token is answered 401" in text
    assert all(f"Host: [::1]:{port}\r\n".lower().encode() in each.lower() for each in heads)


async def test_a_node_that_means_ill(tls: TestAuthority) -> None:
    """JSON without end, and a line without end, are findings like others."""
    deep = b"[" * 100_000
    server, port, _ = await answering(
        lambda head: (
            b"HTTP/1.1 " + b"9" * 200_000
            if b"Upgrade" in head
            else b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(deep)
            + deep
        )
    )
    async with server:
        _, text = await told(f"http://127.0.0.1:{port}", tls)
    assert "it is public" in text
    assert "a handshake without a token is answered nothing readable" in text
