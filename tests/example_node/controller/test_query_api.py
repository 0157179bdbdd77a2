"""What the WebSockets of Query APIs tell when they end."""

from __future__ import annotations

import ssl

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from example_node.controller.following.query_api import QueryApi, QueryApiError
from nmos_auth.client import Origins
from nmos_auth.servers.http import HttpClient

TOKEN = "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJl"


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
    api = QueryApi(
        client,
        None,
        lambda registry: Origins([registry]),
        tls=ssl.create_default_context(),
        permits=lambda _: True,
        allow_http=True,
    )
    async with serve(end, "127.0.0.1", 0, process_response=complete) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        place = f"127.0.0.1:{port}"
        with pytest.raises(QueryApiError, match="the WebSocket ended") as caught:
            async with api.changes(f"http://{place}", f"ws://{place}/") as changes:
                assert [each async for each in changes] == []
    await client.aclose()
    assert "[secret]" in str(caught.value)
    assert not [part for part in TOKEN.split(".") if part in str(caught.value)]
