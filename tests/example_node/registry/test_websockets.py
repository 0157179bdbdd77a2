"""The Registry as its clients meet it: over TLS, with tokens, and by WebSocket (BCP-003-02)."""

import contextlib
import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import nmos_auth
from example_node.registry import Settings, create_app
from example_node.registry.feed import LARGEST_RESOURCE
from nmos_auth.testing import StandInAuthorizationServer
from tests.example_node.registry.support import (
    QUERY,
    REGISTRATION,
    bearer,
    post,
    register_all,
    resource,
    uuid,
)
from tests.support.servers import free_port, serving
from tests.support.tls import TestAuthority

SUBSCRIPTIONS = f"{QUERY}/subscriptions"
NAME = "localhost"


def served(
    app_port: int, auth_settings: nmos_auth.Settings, tls: TestAuthority
) -> contextlib.AbstractContextManager[int]:
    """Serve a Registry until the block ends."""
    app = create_app(Settings(host_name=NAME, port=app_port), auth_settings)
    return serving(app, tls=tls.server_context(NAME), port=app_port)


@pytest.fixture
def port(server: StandInAuthorizationServer, tls: TestAuthority) -> Iterator[int]:
    """Serve a Registry, and yield its port."""
    port = free_port()
    with served(port, server.settings(), tls):
        yield port


@pytest.fixture
async def client(port: int, tls: TestAuthority) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of that Registry."""
    async with httpx2.AsyncClient(
        base_url=f"https://{NAME}:{port}", verify=tls.client_context()
    ) as client:
        yield client


class Tokens:
    """Makes tokens of one Authorization Server."""

    def __init__(self, server: StandInAuthorizationServer) -> None:
        self._server = server

    def query(
        self, *read: str, write: tuple[str, ...] = (), lifetime: float = 300, **claims: object
    ) -> str:
        """Return a token for the Query API."""
        return self._server.token(
            read={"query": read}, write={"query": write}, lifetime=lifetime, claims=claims
        )

    def registration(self, client_id: str = "node-1") -> str:
        """Return a token for the Registration API."""
        everything = {"registration": ["*"]}
        return self._server.token(read=everything, write=everything, client_id=client_id)


@pytest.fixture
def tokens(server: StandInAuthorizationServer) -> Tokens:
    """Makes tokens."""
    return Tokens(server)


@pytest.fixture
def node(tokens: Tokens) -> str:
    """The token of a Node."""
    return tokens.registration()


async def subscribe(
    client: httpx2.AsyncClient, tokens: Tokens, path: str = "/receivers", **changes: object
) -> dict[str, Any]:
    """Make a subscription, by a client that may do that and nothing else."""
    body = {"resource_path": path, "params": {}, "persist": False, "max_update_rate_ms": 0}
    headers = bearer(tokens.query(write=("subscriptions",)))
    response = await client.post(SUBSCRIPTIONS, json={**body, **changes}, headers=headers)
    assert response.status_code in {200, 201}, response.text
    subscription: dict[str, Any] = response.json()
    return subscription


@contextlib.asynccontextmanager
async def connected(
    url: str, tls: TestAuthority, token: str, *, in_query: bool = False
) -> AsyncIterator[ClientConnection]:
    """Connect to a WebSocket."""
    separator = "&" if "?" in url else "?"
    target = f"{url}{separator}access_token={token}" if in_query else url
    async with connect(
        target,
        ssl=tls.client_context(),
        additional_headers={} if in_query else bearer(token),
        open_timeout=10,
        proxy=None,
    ) as socket:
        yield socket


async def status_of_handshake(url: str, tls: TestAuthority, token: str) -> int:
    """Tell how a handshake is answered: 101 if it succeeds."""
    try:
        async with connected(url, tls, token):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


async def changes(socket: ClientConnection, topic: str) -> list[dict[str, Any]]:
    """Return the changes of the next grain."""
    grain = json.loads(await socket.recv())
    assert grain["grain_type"] == "event"
    assert grain["grain"]["topic"] == topic
    assert grain["origin_timestamp"] == grain["sync_timestamp"] == grain["creation_timestamp"]
    data: list[dict[str, Any]] = grain["grain"]["data"]
    return data


@pytest.mark.parametrize("in_query", [False, True])
async def test_a_client_follows_a_collection(
    client: httpx2.AsyncClient, tokens: Tokens, node: str, tls: TestAuthority, *, in_query: bool
) -> None:
    """The state first, then what is modified, removed and added; the token in either place."""
    await register_all(client, node)
    before, after = resource("receiver"), resource("receiver", version="11:0", label="new")
    subscription = await subscribe(client, tokens)
    token = tokens.query("receivers/*")
    async with connected(subscription["ws_href"], tls, token, in_query=in_query) as socket:
        key = {"path": before["id"]}
        assert await changes(socket, "/receivers/") == [{**key, "pre": before, "post": before}]
        await post(client, "receiver", node, version="11:0", label="new")
        assert await changes(socket, "/receivers/") == [{**key, "pre": before, "post": after}]
        await client.delete(
            f"{REGISTRATION}/resource/receivers/{before['id']}", headers=bearer(node)
        )
        assert await changes(socket, "/receivers/") == [{**key, "pre": after}]
        await post(client, "sender", node, version="12:0")
        await post(client, "receiver", node)
        assert await changes(socket, "/receivers/") == [{**key, "post": before}]


async def test_a_filter_makes_resources_come_and_go(
    client: httpx2.AsyncClient, tokens: Tokens, node: str, tls: TestAuthority
) -> None:
    """What begins to match is added, and what ceases to is removed."""
    await post(client, "node", node, id=uuid(1), label="a")
    subscription = await subscribe(client, tokens, "/nodes", params={"label": "b"})
    async with connected(subscription["ws_href"], tls, tokens.query("nodes/*")) as socket:
        await post(client, "node", node, id=uuid(1), label="b")
        (added,) = await changes(socket, "/nodes/")
        assert (added["post"]["label"], "pre" in added) == ("b", False)
        await post(client, "node", node, id=uuid(1), label="a")
        (removed,) = await changes(socket, "/nodes/")
        assert (removed["pre"]["label"], "post" in removed) == ("b", False)


async def test_a_client_that_is_told_seldom_is_told_everything(
    client: httpx2.AsyncClient, tokens: Tokens, node: str, tls: TestAuthority
) -> None:
    """Changes that come too soon after one another become one, and what came and went none."""
    subscription = await subscribe(client, tokens, "/nodes", max_update_rate_ms=300)
    async with connected(subscription["ws_href"], tls, tokens.query("*")) as socket:
        await post(client, "node", node, id=uuid(1))
        assert [each["path"] for each in await changes(socket, "/nodes/")] == [uuid(1)]
        await post(client, "node", node, id=uuid(2))
        await client.delete(f"{REGISTRATION}/resource/nodes/{uuid(2)}", headers=bearer(node))
        for version in ("11:0", "12:0"):
            await post(client, "node", node, id=uuid(1), version=version)
        (change,) = await changes(socket, "/nodes/")
        assert (change["pre"]["version"], change["post"]["version"]) == ("10:0", "12:0")


@pytest.mark.parametrize("params", [{}, {"query.rql": "matches(label,string:^sender%20.*)"}])
async def test_many_resources_come_in_several_grains(
    server: StandInAuthorizationServer, tokens: Tokens, tls: TestAuthority, params: dict[str, str]
) -> None:
    """5,000 of them; no message is larger than half a megabyte, and none small without need."""
    port = free_port()
    app = create_app(Settings(host_name=NAME, port=port), server.settings())
    for number in range(5000):
        data = resource("sender", id=uuid(number), label=f"sender {number} é")
        app.state.registry.register("senders", data)
    with serving(app, tls=tls.server_context(NAME), port=port):
        async with httpx2.AsyncClient(
            base_url=f"https://{NAME}:{port}", verify=tls.client_context()
        ) as client:
            subscription = await subscribe(client, tokens, "/senders", params=params)
        sizes: list[int] = []
        seen: set[str] = set()
        async with connected(subscription["ws_href"], tls, tokens.query("*")) as socket:
            while len(seen) < 5000:
                message = await socket.recv(decode=False)
                sizes.append(len(message))
                seen |= {each["path"] for each in json.loads(message)["grain"]["data"]}
    assert seen == {uuid(number) for number in range(5000)}
    assert max(sizes) <= 512 * 1024
    assert len(sizes) == math.ceil(sum(sizes) / (512 * 1024))


async def test_the_largest_resource_and_its_change_are_one_message(
    client: httpx2.AsyncClient, tokens: Tokens, node: str, tls: TestAuthority
) -> None:
    """What would not fit, before and after a change, is not registered."""
    label = "é" * (LARGEST_RESOURCE // 2 - 500)
    assert (await post(client, "node", node, label=label * 2)).status_code == 400
    assert (await post(client, "node", node, label=label)).status_code == 201
    subscription = await subscribe(client, tokens, "/nodes")
    async with connected(subscription["ws_href"], tls, tokens.query("*")) as socket:
        for _ in range(2):
            message = await socket.recv(decode=False)
            assert 490 * 1024 < len(message) <= 512 * 1024
            await post(client, "node", node, label=label)


async def test_creating_needs_write_on_subscriptions(
    client: httpx2.AsyncClient, tokens: Tokens
) -> None:
    """Whatever may be read, a `write` claim has to match the path of subscriptions."""
    body = {"resource_path": "/nodes", "params": {}, "persist": False, "max_update_rate_ms": 0}
    for token, status in (
        (tokens.query("*"), 403),
        (tokens.query("*", write=("nodes",)), 403),
        (tokens.query("*", scope="query", write=(f"subscriptions/{uuid(1)}",)), 403),
        (tokens.query(write=("subscriptions",)), 201),
        (tokens.query(write=("*",)), 200),
        ("", 401),
    ):
        response = await client.post(SUBSCRIPTIONS, json=body, headers=bearer(token))
        assert response.status_code == status


async def test_connecting_needs_read_of_everything(
    client: httpx2.AsyncClient,
    tokens: Tokens,
    tls: TestAuthority,
) -> None:
    """Exactly what `resource_path` can return decides, and the path of `ws_href` never does."""
    subscription = await subscribe(client, tokens, persist=True)
    url = subscription["ws_href"]
    path = f"ws/{subscription['id']}"
    for token, status in (
        (tokens.query("receivers/*"), 101),
        (tokens.query("*"), 101),
        (tokens.query("receivers"), 403),
        (tokens.query(f"receivers/{uuid(6)}"), 403),
        (tokens.query("receivers/0*", "receivers/1*"), 403),
        (tokens.query("senders/*"), 403),
        (tokens.query("ws/*", path, f"/{path}", write=("*",)), 403),
        (tokens.query(scope="query"), 403),
        (tokens.registration(), 403),
        (tokens.query("*", aud=["node1.example.com"]), 403),
        (tokens.query("*", lifetime=-1), 401),
        ("", 401),
    ):
        assert await status_of_handshake(url, tls, token) == status


async def test_nothing_is_told_of_subscriptions_that_are_not_there(
    port: int, tokens: Tokens, tls: TestAuthority
) -> None:
    """Without a token 401, and with any 403."""
    url = f"wss://{NAME}:{port}/ws/{uuid(1)}"
    assert await status_of_handshake(url, tls, "") == 401
    assert await status_of_handshake(url, tls, tokens.query("*")) == 403


async def test_an_upgrade_makes_a_subscription(
    client: httpx2.AsyncClient, port: int, tokens: Tokens, node: str, tls: TestAuthority
) -> None:
    """A handshake with a list resource needs both permissions, and filters by its parameters."""
    await register_all(client, node)
    await post(client, "node", node, id=uuid(11), label="b")
    url = f"wss://{NAME}:{port}{QUERY}/nodes"
    token = tokens.query("nodes/*", "subscriptions", write=("subscriptions",))
    for wanting in (
        tokens.query("*"),
        tokens.query("nodes", write=("subscriptions",)),
        tokens.query(write=("*",)),
    ):
        assert await status_of_handshake(url, tls, wanting) == 403
    assert (
        await status_of_handshake(f"wss://{NAME}:{port}{QUERY}/ws", tls, tokens.query("*")) == 403
    )
    async with connected(f"{url}?label=b", tls, token, in_query=True) as socket:
        (state,) = await changes(socket, "/nodes/")
        assert state["path"] == uuid(11)
        (made,) = (await client.get(SUBSCRIPTIONS, headers=bearer(token))).json()
        assert (made["resource_path"], made["params"]) == ("/nodes", {"label": "b"})
        assert made["persist"] is False


async def test_a_subscription_ends_with_its_last_client(
    client: httpx2.AsyncClient, tokens: Tokens, node: str, tls: TestAuthority
) -> None:
    """Where it is not persistent; otherwise with DELETE, which closes what is open."""
    reader = bearer(tokens.query("*", write=("*",)))
    await register_all(client, node)
    for persist in (False, True):
        subscription = await subscribe(client, tokens, persist=persist)
        location = f"{SUBSCRIPTIONS}/{subscription['id']}"
        async with connected(subscription["ws_href"], tls, tokens.query("*")) as socket:
            await changes(socket, "/receivers/")
            assert (await client.get(location, headers=reader)).status_code == 200
            if persist:
                assert (await client.delete(location, headers=reader)).status_code == 204
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
        assert (await client.get(location, headers=reader)).status_code == 404


async def test_an_expired_socket_is_closed_where_that_is_asked_for(
    server: StandInAuthorizationServer, tokens: Tokens, tls: TestAuthority
) -> None:
    """`NMOS_AUTH_EXPIRED_SOCKETS=close` holds outside /x-nmos too, and nothing is left behind."""
    port = free_port()
    with served(port, server.settings(expired_sockets="close"), tls):
        async with httpx2.AsyncClient(
            base_url=f"https://{NAME}:{port}", verify=tls.client_context()
        ) as client:
            subscription = await subscribe(client, tokens)
            token = tokens.query("*", lifetime=1)
            async with connected(subscription["ws_href"], tls, token) as socket:
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            location = f"{SUBSCRIPTIONS}/{subscription['id']}"
            response = await client.get(location, headers=bearer(tokens.query("*")))
            assert response.status_code == 404


async def test_rql_filters_a_subscription(
    client: httpx2.AsyncClient, port: int, tokens: Tokens, node: str, tls: TestAuthority
) -> None:
    """Made by a POST or by the handshake, with escapes as in a URL."""
    await post(client, "node", node, id=uuid(1), label="one, two")
    await post(client, "node", node, id=uuid(2), label="two")
    rql = "and(matches(label,string:one%2C),ne(id,x))"
    token = tokens.query("*", write=("*",))
    subscription = await subscribe(client, tokens, "/nodes", params={"query.rql": rql})
    assert subscription["params"] == {"query.rql": rql}
    url = f"wss://{NAME}:{port}{QUERY}/nodes?query.rql={rql}"
    for href in (subscription["ws_href"], url):
        async with connected(href, tls, token) as socket:
            (state,) = await changes(socket, "/nodes/")
            assert state["path"] == uuid(1)
            await post(client, "node", node, id=uuid(2), label="one, three")
            (added,) = await changes(socket, "/nodes/")
            assert (added["path"], "pre" in added) == (uuid(2), False)
            await post(client, "node", node, id=uuid(2), label="two")
            (removed,) = await changes(socket, "/nodes/")
            assert (removed["path"], "post" in removed) == (uuid(2), False)
