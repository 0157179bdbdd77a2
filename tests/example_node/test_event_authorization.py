"""BCP-003-02 "IS-07 - Event and Tally", WebSocket Authorization, over TLS with a real server."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from example_node import Settings, create_app
from tests.support.audit import lines_of
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import settings_for
from tests.support.servers import serving
from tests.support.tls import TestAuthority
from tests.support.waiting import eventually

# Seconds of a token that a test waits for; a busy machine may need one of them to connect.
SHORT_LIFE = 3
HEALTH = json.dumps({"command": "health", "timestamp": "1441974485:12300000"})


@dataclass(frozen=True)
class Served:
    """A Node whose Senders of events are all enabled, and its values change all the time.

    Attributes:
        uri: the WebSocket of its Device.
        sources: the Sources of events.
    """

    uri: str
    sources: tuple[str, ...]
    authority: FakeAuthorizationServer
    tls: TestAuthority
    audit_log: Path

    def token(self, *specifiers: str, **changes: object) -> str:
        """A token for events, with path specifiers to read."""
        claims: dict[str, object] = {"aud": ["localhost"], "scope": "events"}
        if specifiers:
            claims["x_nmos_events"] = {"read": list(specifiers)}
        return self.authority.token(**{**claims, **changes})

    @asynccontextmanager
    async def opened(self, token: str | None, query: str = "") -> AsyncIterator[ClientConnection]:
        """Open the WebSocket with a token in its header, or a query in its URL."""
        async with (
            asyncio.timeout(10),
            connect(
                self.uri + query,
                ssl=self.tls.client_context(),
                additional_headers=None if token is None else {"Authorization": f"Bearer {token}"},
                proxy=None,
            ) as socket,
        ):
            yield socket


@pytest.fixture(scope="module")
def served(
    issuer: FakeAuthorizationServer, tls: TestAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A Node that uvicorn serves over TLS, protected."""
    with serve(issuer, tls, tmp_path_factory.mktemp("events") / "audit.log") as node:
        yield node


@contextmanager
def serve(
    authority: FakeAuthorizationServer, tls: TestAuthority, audit_log: Path, **changes: object
) -> Iterator[Served]:
    """Serve a Node until the block ends, with changes to its settings of authorization."""
    app = create_app(
        Settings(host_name="localhost", interfaces=("lo",), event_interval=0.02),
        settings_for(
            tls, authority, **{"audience": "localhost", "audit_log": str(audit_log), **changes}
        ),
    )
    with serving(app, tls=tls.server_context("localhost")) as port:
        origin = f"https://localhost:{port}"
        token = authority.token(
            aud=["localhost"], x_nmos_connection={"read": ["*"], "write": ["*"]}
        )
        with httpx2.Client(
            base_url=f"{origin}/x-nmos",
            verify=tls.client_context(),
            headers={"Authorization": f"Bearer {token}"},
        ) as client:
            enable_senders(client)
        node = app.state.node
        (device_id,) = node.resources.devices
        uri = f"wss://localhost:{port}/x-nmos/events/v1.0/devices/{device_id}"
        yield Served(uri, tuple(node.events.sources), authority, tls, audit_log)


def enable_senders(client: httpx2.Client) -> None:
    """Enable all Senders, as soon as the Node has the keys that it takes."""
    senders = "/connection/v1.1/single/senders"
    eventually(lambda: client.get(senders).status_code != 503)
    params = {"master_enable": True, "activation": {"mode": "activate_immediate"}}
    entries = [{"id": each.rstrip("/"), "params": params} for each in client.get(senders).json()]
    results = client.post("/connection/v1.1/bulk/senders", json=entries).json()
    assert {each["code"] for each in results} == {200}


def subscription(*sources: str) -> str:
    """A subscription command."""
    return json.dumps({"command": "subscription", "sources": sources})


async def sources_seen(socket: ClientConnection, *asked: str) -> set[str]:
    """Subscribe, and give the Sources of all that comes while their values change many times.

    The answer to a health command, which is as it ever was, marks the end.
    """
    await socket.send(subscription(*asked))
    await asyncio.sleep(0.2)
    await socket.send(HEALTH)
    seen = set()
    while (message := json.loads(await socket.recv()))["message_type"] != "health":
        seen.add(message["identity"]["source_id"])
    return seen


# The handshake


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"exp": 1}, 401),
        ({"aud": ["elsewhere.example.com"]}, 403),
        ({"scope": "node connection"}, 403),
        ({"scope": None, "x_nmos_events": "*"}, 403),
    ],
)
async def test_handshakes_that_are_refused(
    served: Served, changes: dict[str, object], status: int
) -> None:
    """No connection is upgraded for a token that is not good, here, or for events."""
    with pytest.raises(InvalidStatus) as refusal:
        async with served.opened(served.token(**changes)):
            pass
    assert refusal.value.response.status_code == status
    assert refusal.value.response.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("token", "query", "status"),
    [(None, "", 401), ("rubbish", "", 401), (None, "?access_token=rubbish", 401)],
)
async def test_handshakes_without_a_token(
    served: Served, token: str | None, query: str, status: int
) -> None:
    """Neither nothing nor rubbish opens the WebSocket, in the header or in the query."""
    with pytest.raises(InvalidStatus) as refusal:
        async with served.opened(token, query):
            pass
    assert refusal.value.response.status_code == status


async def test_header_and_query_are_as_good(served: Served) -> None:
    """A token in the query, for browsers, opens the same WebSocket; both at once do not."""
    token, source = served.token("sources/*"), served.sources[0]
    query = f"?access_token={token}"
    async with served.opened(token) as socket:
        assert await sources_seen(socket, source) == {source}
    async with served.opened(None, query) as socket:
        assert await sources_seen(socket, source) == {source}
    with pytest.raises(InvalidStatus) as refusal:
        async with served.opened(token, query):
            pass
    assert refusal.value.response.status_code == 400


# Source by source


async def test_the_scope_gives_the_connection_and_health(served: Served) -> None:
    """Commands need no claims, and without claims they give no data."""
    async with served.opened(served.token()) as socket:
        assert await sources_seen(socket, *served.sources) == set()


async def test_only_the_sources_of_the_claims_yield_data(served: Served) -> None:
    """The example of the text: two Sources named one by one, of four that are asked for."""
    mine = served.sources[1:3]
    async with served.opened(served.token(*(f"sources/{each}" for each in mine))) as socket:
        assert await sources_seen(socket, *served.sources) == set(mine)


@pytest.mark.parametrize("specifier", ["*", "sources/*", "sources*", "so*s/*"])
async def test_a_wildcard_gives_all(served: Served, specifier: str) -> None:
    """Access to all Sources is a wildcard."""
    async with served.opened(served.token(specifier, scope=None)) as socket:
        assert await sources_seen(socket, *served.sources) == set(served.sources)


@pytest.mark.parametrize(
    "specifier", ["sources", "sources/", "sources/*/state", "*/type", "devices/*", "/sources/*"]
)
async def test_other_paths_give_none(served: Served, specifier: str) -> None:
    """Reading the list, or a part of a Source over REST, is not reading the Source."""
    async with served.opened(served.token(specifier)) as socket:
        assert await sources_seen(socket, *served.sources) == set()


async def test_write_is_not_read(served: Served) -> None:
    """Data of a Source takes a read claim."""
    token = served.token(x_nmos_events={"write": ["*"]})
    async with served.opened(token) as socket:
        assert await sources_seen(socket, *served.sources) == set()


async def test_no_later_command_gets_more(served: Served) -> None:
    """Each command is checked by itself, and a refused Source is not kept for later."""
    mine, other, *_ = served.sources
    async with served.opened(served.token(f"sources/{mine}")) as socket:
        assert await sources_seen(socket, other) == set()
        assert await sources_seen(socket, mine, other) == {mine}
        assert await sources_seen(socket, other) <= {mine}  # what was on its way before
        assert await sources_seen(socket, other) == set()


async def test_commands_are_in_the_audit_log(served: Served) -> None:
    """One record for each, rejected where a Source of it was."""
    mine, other, *_ = served.sources
    token = served.token(f"sources/{mine}", client_id="controller-of-this-test")
    async with served.opened(token) as socket:
        await sources_seen(socket, mine)
        await sources_seen(socket, mine, other)

    def records() -> list[str]:
        lines = lines_of(served.audit_log)
        return [e["outcome"] for e in lines if e["client_id"] == "controller-of-this-test"]

    eventually(lambda: len(records()) == 3)
    assert records() == ["authorized", "authorized", "rejected"]


# When the token ends


async def until_closed(socket: ClientConnection) -> int | None:
    """Read on until the Node closes, and give its code."""
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code


async def test_a_connection_outlives_its_token(served: Served) -> None:
    """By default what was opened goes on: data comes, health is answered, and so are commands."""
    source = served.sources[0]
    expiry = time.time() + SHORT_LIFE
    async with served.opened(served.token("sources/*", exp=expiry)) as socket:
        assert await sources_seen(socket, source) == {source}
        await asyncio.sleep(expiry - time.time())
        assert await sources_seen(socket, *served.sources) == set(served.sources)


async def test_a_connection_ends_with_its_token(
    issuer: FakeAuthorizationServer, tls: TestAuthority, tmp_path: Path
) -> None:
    """Where the setting says so: 1008, in the middle of the data."""
    with serve(issuer, tls, tmp_path / "audit.log", expired_sockets="close") as served:
        expiry = time.time() + SHORT_LIFE
        async with served.opened(served.token("sources/*", exp=expiry)) as socket:
            await socket.send(subscription(*served.sources))
            assert await until_closed(socket) == 1008
            assert time.time() >= expiry
