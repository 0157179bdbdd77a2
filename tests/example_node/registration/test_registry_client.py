"""Requests to a real registry over TLS: what is sent, and what is made of the answers."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from example_node.registration.behaviour import (
    Heartbeat,
    Register,
    RegistryAnswer,
    Request,
    Unregister,
)
from example_node.registration.records import Kind, records_of
from example_node.registration.registry_client import KEEP_ALIVE, NoTokenError, RegistryClient
from nmos_auth.client import TokenSource
from nmos_auth.client.errors import TokenRefused
from nmos_auth.client.grants.grants import GrantedTokens
from nmos_auth.client.tokens.source import boot_time
from tests.example_node.registration.described import described_resources
from tests.example_node.registration.fake_registry import FakeRegistry
from tests.support.servers import listen
from tests.support.tls import TestAuthority

TOKEN = "a-token-that-nobody-may-see"
NODE_ID = "11111111-1111-4111-8111-111111111111"
EVERY_REQUEST = (
    Heartbeat(NODE_ID),
    Unregister(Kind.SENDER, NODE_ID),
    Unregister(Kind.NODE, NODE_ID, "v1.2"),
)


@pytest.fixture
def registry(tls: TestAuthority) -> Iterator[FakeRegistry]:
    """Run a registry over TLS."""
    with FakeRegistry().running(tls) as running:
        yield running


@pytest.fixture
async def tokens() -> AsyncIterator[TokenSource]:
    """Yield a source of one token."""

    async def obtain() -> GrantedTokens:
        scope = frozenset({"registration"})
        return GrantedTokens(SecretStr(TOKEN), 60.0, scope, requested_at=boot_time())

    source = TokenSource(obtain)
    async with source:
        yield source


@pytest.fixture
async def client(
    tls: TestAuthority, tokens: TokenSource, registry: FakeRegistry
) -> AsyncIterator[RegistryClient]:
    """Yield one with a short deadline, whose connections end before the registry does."""
    made = RegistryClient(tls.client_context(), tokens, deadline=0.5)
    yield made
    await made.aclose()


async def test_heartbeats_are_empty(client: RegistryClient, registry: FakeRegistry) -> None:
    """IS-04 "APIs: Client Side Implementation Notes", Empty Request Bodies; and with the token."""
    answer = await client.send(registry.url, Heartbeat(NODE_ID))
    assert answer.status == 404
    (asked,) = registry.asked
    assert (asked.what, asked.id, asked.body) == ("heartbeat", NODE_ID, b"")
    assert asked.headers["content-length"] == "0"
    assert "content-type" not in asked.headers
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"


async def test_resources_are_posted_and_deleted(
    client: RegistryClient, registry: FakeRegistry
) -> None:
    """Each as its `type` and `data`, and by its path."""
    for record in records_of(described_resources()):
        assert (await client.send(registry.url, Register(record))).status == 201
        asked = registry.asked[-1]
        assert asked.headers["content-type"] == "application/json"
        assert json.loads(asked.body) == {"type": record.kind.value, "data": record.data}
        deletion = Unregister(record.kind, record.id)
        if record.kind not in {Kind.NODE, Kind.DEVICE}:
            assert (await client.send(registry.url, deletion)).status == 204
            assert registry.asked[-1].id == record.id


async def test_connections_are_kept_for_the_next_resource_and_not_for_a_heartbeat(
    client: RegistryClient, registry: FakeRegistry
) -> None:
    """A server that closes idle connections after five seconds would lose the heartbeat."""
    for _ in range(3):
        await client.send(registry.url, Heartbeat(NODE_ID))
    await asyncio.sleep(KEEP_ALIVE + 0.1)
    await client.send(registry.url, Heartbeat(NODE_ID))
    first, *others, last = (each.connection for each in registry.asked)
    assert set(others) == {first}
    assert last != first


async def test_another_version_of_the_api(client: RegistryClient, registry: FakeRegistry) -> None:
    """What is to be cleared lies there."""
    await client.send(registry.url, Unregister(Kind.NODE, NODE_ID, "v1.2"))
    assert registry.asked[0].api_version == "v1.2"


@pytest.mark.parametrize("request_", EVERY_REQUEST)
async def test_silence(client: RegistryClient, registry: FakeRegistry, request_: Request) -> None:
    """It ends with the deadline, and is not an answer."""
    registry.silent = True
    answer = await client.send(registry.url, request_)
    assert answer.status is None
    assert answer.detail.endswith("took longer than 0.5 s")


async def test_a_handshake_that_is_cancelled(client: RegistryClient) -> None:
    """Where a server accepts and says nothing, at the Node's end say: nothing stays open."""
    with listen() as listener:
        url = f"https://localhost:{listener.getsockname()[1]}"
        request = asyncio.create_task(client.send(url, Heartbeat(NODE_ID)))
        accepted, _ = await asyncio.to_thread(listener.accept)
        await asyncio.to_thread(accepted.recv, 1)
        request.cancel()
        await asyncio.wait([request])
        with contextlib.closing(accepted):
            while await asyncio.to_thread(accepted.recv, 4096):
                pass
    assert request.cancelled()


async def test_nobody_there(client: RegistryClient) -> None:
    """A refused connection, a server that speaks no TLS, and a name that nobody has."""
    with listen() as listener:
        port = listener.getsockname()[1]
        url = f"https://localhost:{port}"
        assert (await client.send(url, Heartbeat(NODE_ID))).status is None
    assert (await client.send(url, Heartbeat(NODE_ID))).status is None
    assert (await client.send("https://nobody.invalid", Heartbeat(NODE_ID))).status is None


async def test_a_certificate_of_somebody_else(
    client: RegistryClient, registry: FakeRegistry
) -> None:
    """The token does not go there."""
    url = f"https://127.0.0.1:{registry.port}"
    answer = await client.send(url, Heartbeat(NODE_ID))
    assert answer.status is None
    assert "CERTIFICATE_VERIFY_FAILED" in answer.detail
    assert registry.asked == []


async def test_error_bodies_are_quoted_without_secrets(
    client: RegistryClient, registry: FakeRegistry
) -> None:
    """What a registry says goes to the log, and it may say anything."""
    registry.status = 400
    registry.says = lambda authorization: f"you sent {authorization}\r\n\x1b[2J" + "x" * 1000
    answer = await client.send(registry.url, Heartbeat(NODE_ID))
    assert answer.detail.startswith("no; you sent ")
    assert TOKEN not in answer.detail
    assert answer.detail.isprintable()
    assert len(answer.detail) < 400


async def test_endless_answers(client: RegistryClient, registry: FakeRegistry) -> None:
    """Of what is too long, the status counts."""
    registry.status = 500
    registry.says = lambda _: "x" * 1_000_000
    answer = await client.send(registry.url, Heartbeat(NODE_ID))
    assert answer == RegistryAnswer(500)


async def test_redirects_are_not_followed(client: RegistryClient, registry: FakeRegistry) -> None:
    """The API has none, and a token is for its registry alone."""
    registry.status, registry.conflict = 307, "v1.3"
    assert (await client.send(registry.url, Heartbeat(NODE_ID))).status == 307
    assert len(registry.asked) == 1


async def test_no_token(tls: TestAuthority, registry: FakeRegistry) -> None:
    """Refused, or not there in time: nothing is sent, and the registry is not to blame."""

    async def refused() -> GrantedTokens:
        raise TokenRefused("https://auth.example.com", code="unauthorized_client", status=400)

    async def never() -> GrantedTokens:
        await asyncio.Event().wait()
        raise AssertionError

    for obtain, says in ((refused, "unauthorized_client"), (never, "within 0.2 s")):
        async with TokenSource(obtain) as source:
            client = RegistryClient(tls.client_context(), source, deadline=0.2)
            with pytest.raises(NoTokenError, match=says):
                await client.send(registry.url, Heartbeat(NODE_ID))
            await client.aclose()
    assert registry.asked == []


async def test_without_authorization_there_is_no_header(
    tls: TestAuthority, registry: FakeRegistry
) -> None:
    """A registry that wants no tokens gets none."""
    client = RegistryClient(tls.client_context(), None, deadline=0.5)
    await client.send(registry.url, Heartbeat(NODE_ID))
    assert "authorization" not in registry.asked[0].headers
    await client.aclose()
