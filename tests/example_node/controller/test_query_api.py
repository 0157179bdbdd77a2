"""What is asked of Query APIs, and what their WebSockets tell when they end."""

from __future__ import annotations

import json
import ssl

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from example_node.controller.desk import NamedRegistry
from example_node.controller.following.query_api import QueryApi, QueryApiError
from nmos_auth.client import Origins
from nmos_auth.servers.addresses import TcpConnector
from nmos_auth.servers.http import HttpClient

TOKEN = "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJl"


def api_of(client: HttpClient) -> QueryApi:
    """Return what asks Query APIs without a user."""
    return QueryApi(
        client,
        None,
        lambda registry: Origins([registry]),
        tls=ssl.create_default_context(),
        connector=TcpConnector(),
        allow_http=True,
    )


@pytest.mark.parametrize("where", ["in the handshake", "at the end"])
async def test_what_a_registry_repeats_is_not_told(where: str) -> None:
    """The error says why, for the log and for pages, and names no token."""

    async def complete(_: ServerConnection, __: Request, response: Response) -> None:
        if where == "in the handshake":
            del response.headers["Sec-WebSocket-Accept"]
            response.headers["Sec-WebSocket-Accept"] = f"Bearer {TOKEN}"

    async def end(connection: ServerConnection) -> None:
        await connection.close(1008, f"no longer: {TOKEN}")

    client = HttpClient(ssl.create_default_context())
    api = api_of(client)
    async with serve(end, "127.0.0.1", 0, process_response=complete) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        place = f"127.0.0.1:{port}"
        with pytest.raises(QueryApiError, match="the WebSocket ended") as caught:
            async with api.changes(f"http://{place}", f"ws://{place}/") as changes:
                assert [each async for each in changes] == []
    await client.aclose()
    assert "[secret]" in str(caught.value)
    assert not [part for part in TOKEN.split(".") if part in str(caught.value)]


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_a_subscription_says_whether_it_is_secure(scheme: str) -> None:
    """It is optional in IS-04, and some registries fail without it when they are asked again."""
    asked: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content)["secure"])
        body = httpx.ByteStream(b'{"ws_href": "wss://registry.example.com/ws/1"}')
        return httpx.Response(201, headers={"content-type": "application/json"}, stream=body)

    client = HttpClient(ssl.create_default_context(), transport=httpx.MockTransport(answer))
    href = await api_of(client).subscribe(f"{scheme}://registry.example.com", "receivers")
    await client.aclose()
    assert href == "wss://registry.example.com/ws/1"
    assert asked == [scheme == "https"]


@pytest.mark.parametrize(
    ("url", "plain", "gets"),
    [
        ("https://registry.example.com:3211/x-nmos/query/v1.3/nodes", False, True),
        ("wss://registry.example.com:3213/x-nmos/query/v1.3/subscriptions/1", False, True),
        ("wss://REGISTRY.example.com/", False, True),
        ("ws://registry.example.com:3213/", False, False),
        ("ws://registry.example.com:3213/", True, True),
        ("wss://registry.example.com.evil.example/", True, False),
        ("wss://evil.example/?registry.example.com", True, False),
        ("wss://somebody@registry.example.com/", True, False),
        ("wss:registry.example.com", True, False),
    ],
)
def test_a_registry_may_have_a_port_for_websockets(url: str, plain: bool, gets: bool) -> None:  # noqa: FBT001
    """The host that the operator named gets the token at any port, and no other host does."""
    registry = NamedRegistry("https://registry.example.com:3211", allow_http=plain)
    assert (url in registry) is gets
    assert (httpx.URL(url) in registry) is gets
    assert "not a URL" not in registry
