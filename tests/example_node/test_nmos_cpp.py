"""Side by side with sony/nmos-cpp: its Registry and Node with the reference Node and Registry."""

import asyncio
import contextlib
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import httpx2
import pytest
from pydantic import SecretStr

from example_node.events.reception import Reception, Server
from example_node.events.tokens import credentials_of
from example_node.registration.records import records_of
from example_node.registration.registrar import Registrar
from example_node.registration.registry_client import RegistryClient
from example_node.registry import Settings, create_app
from nmos_auth.client import TokenSource
from nmos_auth.client.grants.grants import GrantedTokens
from nmos_auth.client.tokens.source import boot_time
from nmos_auth.testing import StandInAuthorizationServer, authorization_server
from tests.example_node.nmos_cpp import CppApi, CppDevice, CppTokens, Refusal
from tests.example_node.registration.described import described_resources
from tests.example_node.registration.fake_registry import FakeRegistry
from tests.example_node.registration.test_registrar import Known
from tests.example_node.registry.support import (
    NODE_ID,
    REGISTRATION,
    TYPES,
    bearer,
    post,
    register_all,
    resource,
)
from tests.example_node.support import ManualClock, running
from tests.support.tokens import claims_of, signing_key
from tests.support.virtual_time import in_virtual_time

REGISTRY = "registry.example.com"
TALLY = "9f463872-9621-4939-aa3a-dc3c82d8578b"
DEVICE = "11111111-1111-4111-8111-111111111111"


class Issuer:
    """Tokens for a Node, each signed with the key that is the newest then."""

    def __init__(self, **claims: object) -> None:
        self.key = signing_key(0)
        self.issued = 0
        self.monotonic = boot_time
        self._claims = claims

    async def obtain(self) -> GrantedTokens:
        """Issue a token that lives 300 seconds."""
        self.issued += 1
        token = self.key.sign(claims_of("https://auth.example.com", **self._claims))
        scope = frozenset({str(self._claims["scope"])})
        return GrantedTokens(SecretStr(token), 300.0, scope, requested_at=self.monotonic())


def registration_tokens(aud: object = REGISTRY, *specifiers: str) -> Issuer:
    """Tokens with which a Node registers."""
    permitted = {"read": ["*"], "write": list(specifiers or ("*",))}
    return Issuer(aud=aud, scope="registration", **{"x-nmos-registration": permitted})


@contextlib.asynccontextmanager
async def registered_at(api: CppApi, issuer: Issuer) -> AsyncIterator[set[str]]:
    """Keep a Node registered with a C++ Registry until the block ends."""
    resources = described_resources()
    transport = httpx.ASGITransport(api)
    issuer.monotonic = asyncio.get_running_loop().time
    async with TokenSource(issuer.obtain, monotonic=issuer.monotonic) as tokens:
        client = RegistryClient(
            ssl.create_default_context(), tokens, deadline=5.0, transport=transport
        )
        async with Registrar(resources, Known([f"https://{REGISTRY}"]), client).running():
            yield {each.id for each in records_of(resources)}
        await client.aclose()


# Our Node, its Registry


@pytest.mark.parametrize(
    "specifiers", [("*",), ("resource", "resource/*", "health/nodes/*")], ids=["all", "exact"]
)
@in_virtual_time
async def test_our_node_registers_and_leaves(specifiers: tuple[str, ...]) -> None:
    """Its paths have no query string for a regular expression to stumble over."""
    registry = FakeRegistry()
    issuer = registration_tokens(f"https://{REGISTRY}", *specifiers)
    api = CppApi(registry, CppTokens(REGISTRY, [issuer.key]))
    async with registered_at(api, issuer) as ids:
        await asyncio.sleep(21)
        assert registry.held() == ids
        assert len(registry.times()) == 4
    assert registry.held() == set()
    assert api.refusals == []


@pytest.mark.parametrize("fetching", [0, 1])
@in_virtual_time
async def test_our_node_stays_through_a_withdrawn_key(fetching: float) -> None:
    """One heartbeat at most is missed, and none of its resources is ever gone.

    The Registry never calls the token of the withdrawn key anything but "later": 503, Retry-After
    5, `invalid_token`. It has the next key at once, or a second after it met it.
    """
    registry = FakeRegistry()
    issuer = registration_tokens(f"https://{REGISTRY}")
    api = CppApi(registry, CppTokens(REGISTRY, [issuer.key]))
    async with registered_at(api, issuer) as ids:
        for number in range(1, 4):
            await asyncio.sleep(21)
            refused, issued = len(api.refusals), issuer.issued
            issuer.key = signing_key(number)
            api.tokens.keys.clear()
            while len(api.refusals) == refused and fetching:  # noqa: ASYNC110 - time is virtual
                await asyncio.sleep(0.1)
            loop = asyncio.get_running_loop()
            loop.call_later(fetching, api.tokens.keys.append, issuer.key)
            await asyncio.sleep(20)
            assert registry.held() == ids
            assert 1 <= len(api.refusals) - refused <= 8
            # Three in a row, and then one in ten seconds, whatever is refused.
            assert 1 <= issuer.issued - issued <= 4
    pauses = [later - earlier for earlier, later in itertools.pairwise(registry.times())]
    # IS-04 has one every 5 seconds, and a Registry forget a Node after 12.
    assert max(pauses) < 12


@in_virtual_time
async def test_our_node_survives_a_registry_that_reads_one_audience() -> None:
    """A list in which another name sorts first is 403 there; the Node goes on, and asks rarely."""
    registry = FakeRegistry()
    issuer = registration_tokens(["https://a.example.com", f"https://{REGISTRY}"])
    api = CppApi(registry, CppTokens(REGISTRY, [issuer.key]))
    async with registered_at(api, issuer):
        await asyncio.sleep(60)
        assert registry.held() == set()
        assert 1 <= len(api.refusals) <= 60
        assert {each.status for each in api.refusals} == {403}


# Our Receivers, its Senders of events


@contextlib.asynccontextmanager
async def receiving(
    device: CppDevice, clock: ManualClock, issuer: Issuer, *, authorization: bool
) -> AsyncIterator[None]:
    """Let a reference Receiver receive the tally of a C++ device."""

    class OneClient:
        """The Node as a Client."""

        def tokens(self, *_: str) -> TokenSource:
            """Return where its tokens come from."""
            return tokens

    async with TokenSource(issuer.obtain) as tokens:
        reception = Reception(
            clock,
            credentials=credentials_of(OneClient(), allow_http=True),  # type: ignore[arg-type]
            tls=ssl.create_default_context(),
            deliver=lambda *_: None,
        )
        reception.connect("lamp", Server(device.uri, authorization), TALLY)
        yield
        await reception.stop()


async def reached(holds: Callable[[], bool], clock: ManualClock) -> None:
    """Let seconds pass on the Node's clock until something holds."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)
            await clock.advance("1:0")


def event_tokens(*specifiers: str) -> Issuer:
    """Tokens with which a Node receives events."""
    permitted = {"read": list(specifiers)}
    return Issuer(aud="127.0.0.1", scope="events", **{"x-nmos-events": permitted})


async def test_our_receiver_gets_another_token_where_a_key_was_withdrawn(
    clock: ManualClock,
) -> None:
    """401 without an error, its body cut short, is not for ever: the third brings a new token."""
    issuer = event_tokens("*")
    device = CppDevice(CppTokens("127.0.0.1", [signing_key(1)]), DEVICE)
    async with device.running(), receiving(device, clock, issuer, authorization=True):
        await reached(lambda: bool(device.asked), clock)
        issuer.key = signing_key(1)
        await reached(lambda: not device.commands.empty(), clock)
        first, *_, last = device.asked
        assert first != last
        assert len(device.asked) == 4
        assert issuer.issued == 2


async def test_our_receiver_needs_the_device_itself(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A token for `sources/*` is 401 there; with `devices/*` beside it the Receiver connects."""
    for specifiers, connects in ((("sources/*",), False), (("sources/*", "devices/*"), True)):
        device = CppDevice(CppTokens("127.0.0.1", [signing_key(0)]), DEVICE)
        issuer = event_tokens(*specifiers)
        async with device.running(), receiving(device, clock, issuer, authorization=True):
            await reached(lambda device=device: len(device.asked) >= 1, clock)  # type: ignore[misc]
            if connects:
                await reached(lambda device=device: not device.commands.empty(), clock)  # type: ignore[misc]
            else:
                await reached(lambda: "401" in caplog.text, clock)
        assert issuer.issued == 1


async def test_our_receiver_names_a_sender_that_denies_wanting_a_token(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """`connection_authorization` false, as it says, is 401, and the log says what to stage."""
    issuer = event_tokens("*")
    device = CppDevice(CppTokens("127.0.0.1", [signing_key(0)]), DEVICE)
    async with device.running(), receiving(device, clock, issuer, authorization=False):
        await reached(lambda: "stage connection_authorization true" in caplog.text, clock)
    assert set(device.asked) == {""}


# Our Registry, its Node


@pytest.fixture(scope="module")
def server() -> Iterator[StandInAuthorizationServer]:
    """What signs the tokens of C++ Nodes."""
    with authorization_server(REGISTRY) as server:
        yield server


@pytest.fixture
async def registry(
    server: StandInAuthorizationServer, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of our Registry, which is protected."""
    app = create_app(Settings(host_name=REGISTRY), server.settings(), clock)
    async with running(app) as client:
        yield client


def token_of(server: StandInAuthorizationServer, client_id: str, lifetime: float = 300) -> str:
    """A token with which a C++ Node registers."""
    everything = {"registration": ["*"]}
    return server.token(read=everything, write=everything, client_id=client_id, lifetime=lifetime)


async def heartbeat(registry: httpx2.AsyncClient, token: str) -> int:
    """Send a heartbeat as it does: a POST without a body or a Content-Type."""
    path = f"{REGISTRATION}/health/nodes/{NODE_ID}"
    return (await registry.post(path, headers=bearer(token))).status_code


async def test_its_node_that_is_killed_leaves_with_its_heartbeats(
    registry: httpx2.AsyncClient, server: StandInAuthorizationServer, clock: ManualClock
) -> None:
    """SIGTERM deregisters nothing there; 12 seconds later all of it is gone, and its owner too."""
    await register_all(registry, token_of(server, "cpp-1"))
    again = token_of(server, "cpp-2")
    assert (await post(registry, "node", again)).status_code == 403
    await clock.advance("13:0")
    assert (await post(registry, "node", again)).status_code == 201


async def test_its_node_comes_back_as_the_same_client(
    registry: httpx2.AsyncClient, server: StandInAuthorizationServer, clock: ManualClock
) -> None:
    """Before its resources expire: 200 says they are there, it deletes them and posts again."""
    token = token_of(server, "cpp-1")
    await register_all(registry, token)
    await clock.advance("5:0")
    assert (await post(registry, "node", token)).status_code == 200
    path = f"{REGISTRATION}/resource/nodes/{NODE_ID}"
    assert (await registry.delete(path, headers=bearer(token))).status_code == 204
    for kind in TYPES:
        assert (await post(registry, kind, token)).status_code == 201


async def test_its_node_keeps_a_token_that_was_refused(
    registry: httpx2.AsyncClient, server: StandInAuthorizationServer, clock: ManualClock
) -> None:
    """401 moves it to nothing; when its own clock has it renew, it is the same Node as before."""
    expired = token_of(server, "cpp-1", lifetime=-5)
    good = token_of(server, "cpp-1")
    await register_all(registry, good)
    for _ in range(2):
        await clock.advance("4:0")
        assert await heartbeat(registry, expired) == 401
    assert await heartbeat(registry, good) == 200
    assert (await post(registry, "sender", good)).status_code == 200


async def test_its_node_sends_bodies_without_a_content_type(
    registry: httpx2.AsyncClient, server: StandInAuthorizationServer
) -> None:
    """Some of its versions do, and JSON is what they have."""
    body = {"type": "node", "data": resource("node")}
    request = registry.build_request(
        "POST",
        f"{REGISTRATION}/resource",
        json=body,
        headers=bearer(token_of(server, "cpp-1")),
    )
    del request.headers["content-type"]
    assert (await registry.send(request)).status_code == 201


@pytest.mark.parametrize(
    ("audience", "is_for_it"),
    [
        ("node.a.example.com", True),
        ("https://node.a.example.com", True),
        (["*.a.example.com"], True),
        (["https://*.a.example.com"], True),
        (["*"], True),
        ("node.a.example.com.", True),
        (["*.example.com"], False),
        (["node-*.a.example.com"], False),
        (["cam.b.example.com", "node.a.example.com"], False),
        (["cam.b.other.example.com", "node.a.example.com"], True),
        (["*.other.example.com", "node.a.example.com"], True),
        (["node.a.example.com", "z.example.com"], True),
        ("NODE.A.EXAMPLE.COM", False),
    ],
    ids=str,
)
def test_the_peers_read_aud_as_it_does(audience: object, is_for_it: bool) -> None:  # noqa: FBT001
    """As nmos-cpp-node was seen to: which names end its search, and what a `*` covers."""
    assert (refused_by_peer(aud=audience) is None) is is_for_it


def refused_by_peer(path: str = "self", *, key: int = 0, **changes: object) -> Refusal | None:
    """Return how nmos-cpp-node, as the tests have it, refuses a token of a Controller."""
    node = CppTokens("node.a.example.com", [signing_key(0)])
    claims = claims_of("https://auth.example.com", **{"aud": node.name, **changes})
    token = signing_key(key).sign(claims)
    return node.refusal(f"Bearer {token}", "node", "read", path)


def test_the_peers_refuse_as_it_does() -> None:
    """As nmos-cpp-node was seen to: query string, scope, client, times, and missing keys."""
    exact: dict[str, Any] = {"x-nmos-node": {"read": ["self"]}}
    challenge = "Bearer realm=node.a.example.com,error={},error_description={}".format
    assert refused_by_peer(**exact) is None
    assert refused_by_peer(scope=None, **exact) is None
    for path in ("self?a=1", "self/"):
        refused = refused_by_peer(path, **exact)
        assert refused == (403, challenge("insufficient_scope", f"{path} not accessible"))
    assert refused_by_peer(scope="connection") == (
        403,
        challenge("insufficient_scope", "node not found in scope"),
    )
    assert refused_by_peer(client_id=None) == (
        403,
        challenge("insufficient_scope", "missing client_id or azp"),
    )
    assert refused_by_peer(exp=int(time.time()) - 5) == (
        401,
        challenge("invalid_token", "token expired"),
    )
    assert refused_by_peer(key=1) == (
        503,
        challenge("invalid_token", "failed to verify signature"),
    )
    node = CppTokens("node.a.example.com", [])
    assert node.refusal("", "node", "read", "self") == (401, "Bearer realm=node.a.example.com")
    assert node.handshake_refusal("Bearer x", "events", "devices/1") == (
        401,
        "Bearer realm=node.a.example.com",
    )
