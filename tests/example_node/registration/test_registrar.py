"""A Node that stays registered, in virtual time: the loop, its clock and several registries."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import SecretStr

from example_node.is04 import SenderSubscription
from example_node.registration.records import records_of
from example_node.registration.registrar import Registrar
from example_node.registration.registry_client import RegistryClient
from example_node.resources import Resources
from nmos_auth.client import TokenSource
from nmos_auth.client.errors import ServerUnavailable
from nmos_auth.client.grants.grants import GrantedTokens
from tests.example_node.registration.described import described_resources
from tests.example_node.registration.fake_registry import FakeRegistry
from tests.support.virtual_time import in_virtual_time

ORDER = ["node", "device", "source", "flow", "sender", "receiver"]


class Wire(httpx.AsyncBaseTransport):
    """Carries requests to the registry of that host; to others there is no connection."""

    def __init__(self, registries: dict[str, FakeRegistry]) -> None:
        self._apps = {url: httpx.ASGITransport(each) for url, each in registries.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request."""
        app = self._apps.get(f"https://{request.url.host}")
        if app is None:
            raise httpx.ConnectError("nobody listens")
        return await app.handle_async_request(request)


@dataclass
class Known:
    """Registries that a test adds and removes.

    Attributes:
        urls: those known now.
        doubted: those that were said not to answer.
    """

    urls: list[str]
    doubted: list[str] = field(default_factory=list)
    _on_change: Callable[[], None] = lambda: None

    def known(self) -> Sequence[str]:
        """Return them."""
        return list(self.urls)

    def doubt(self, url: str) -> None:
        """Note this."""
        self.doubted.append(url)

    def start(self, on_change: Callable[[], None]) -> None:
        """Begin."""
        self._on_change = on_change

    async def stop(self) -> None:
        """End."""

    def now(self, *urls: str) -> None:
        """Know these from now on."""
        self.urls = list(urls)
        self._on_change()


@dataclass
class Scene:
    """A Node, and registries a, b and c, all known from the start unless said otherwise."""

    resources: Resources
    known: Known
    registries: dict[str, FakeRegistry]
    tokens: TokenSource | None = None

    @classmethod
    def of(cls, *urls: str) -> "Scene":
        """Make one."""
        registries = {f"https://{name}": FakeRegistry() for name in "abc"}
        return cls(described_resources(), Known(list(urls or ["https://a"])), registries)

    @property
    def a(self) -> FakeRegistry:
        """The first registry."""
        return self.registries["https://a"]

    @property
    def b(self) -> FakeRegistry:
        """The second one."""
        return self.registries["https://b"]

    @property
    def ids(self) -> set[str]:
        """The ids of all the Node's resources."""
        return {each.id for each in records_of(self.resources)}

    @contextlib.asynccontextmanager
    async def played(self) -> AsyncIterator[None]:
        """Register until the block ends."""
        client = RegistryClient(
            ssl.create_default_context(), self.tokens, deadline=5.0, transport=Wire(self.registries)
        )
        async with Registrar(self.resources, self.known, client).running():
            yield
        await client.aclose()


@in_virtual_time
async def test_everything_is_registered_and_kept_by_heartbeats() -> None:
    """In order, once, and then a heartbeat every five seconds, the first one included."""
    scene = Scene.of()
    async with scene.played():
        await asyncio.sleep(62)
        assert scene.a.held() == scene.ids
        posted = [each.what.removeprefix("POST ") for each in scene.a.asked if "POST" in each.what]
        assert posted == sorted(posted, key=ORDER.index)
        assert len(posted) == len(scene.ids)
        first, times = scene.a.asked[0].at, scene.a.times()
        assert times == pytest.approx([first + 5 * number for number in range(1, 13)], abs=0.01)


@in_virtual_time
async def test_changes_are_sent_at_once() -> None:
    """An activation gives a Sender a new version, and that goes to the registry."""
    scene = Scene.of()
    async with scene.played():
        await asyncio.sleep(7)
        sender_id = next(iter(scene.resources.senders))
        before = len(scene.a.asked)
        changed = scene.resources.senders.update(
            sender_id, subscription=SenderSubscription(active=True, receiver_id=None)
        )
        await asyncio.sleep(0.1)
        assert scene.a.whats()[before:] == ["POST sender 200"]
        assert scene.a.resources["sender"][sender_id] == changed.model_dump(mode="json")
        device = next(iter(scene.resources.devices.values()))
        receivers = list(scene.resources.receivers)
        for receiver_id in receivers:
            scene.resources.receivers.remove(receiver_id)
        scene.resources.devices.update(device.id, receivers=())
        await asyncio.sleep(0.1)
        assert scene.a.whats()[before + 1 :] == [
            *["DELETE receiver 204"] * len(receivers),
            "POST device 200",
        ]
        assert scene.a.held() == scene.ids


@in_virtual_time
async def test_a_registry_that_forgets() -> None:
    """404 on a heartbeat: everything is registered again, and the rhythm goes on from there."""
    scene = Scene.of()
    async with scene.played():
        await asyncio.sleep(7)
        scene.a.forget()
        await asyncio.sleep(4)
        assert scene.a.held() == scene.ids
        assert scene.a.whats().count("heartbeat 404") == 1
        assert [each.what for each in scene.a.asked].count("POST node") == 2
        await asyncio.sleep(5)
        assert scene.a.whats()[-1] == "heartbeat 200"


@in_virtual_time
async def test_an_earlier_life() -> None:
    """A Node that restarted without goodbye is cleared away, with all it had, and registered."""
    scene = Scene.of()
    node = scene.resources.node.model_dump(mode="json")
    scene.a.resources = {"node": {str(node["id"]): node}}
    scene.a.resources["device"] = {"stale": {"id": "stale", "node_id": node["id"]}}
    async with scene.played():
        await asyncio.sleep(1)
        assert scene.a.whats()[:3] == ["POST node 200", "DELETE node 204", "POST node 201"]
        assert scene.a.held() == scene.ids


@in_virtual_time
async def test_an_earlier_life_with_another_version_of_the_api() -> None:
    """409: it is taken out where it was put in."""
    scene = Scene.of()
    scene.a.resources = {"node": {scene.resources.node.id: {}}}
    scene.a.conflict = "v1.2"
    async with scene.played():
        await asyncio.sleep(1)
        assert scene.a.whats()[:3] == ["POST node 409", "DELETE node 204", "POST node 201"]
        assert [each.api_version for each in scene.a.asked[:3]] == ["v1.3", "v1.2", "v1.3"]
        assert scene.a.held() == scene.ids


@in_virtual_time
async def test_fail_over_within_a_cluster() -> None:
    """5xx: the next heartbeat goes to the next registry, at once, and nothing is sent twice."""
    scene = Scene.of("https://a", "https://b")
    async with scene.played():
        await asyncio.sleep(7)
        scene.b.resources = scene.a.resources
        scene.a.status = 503
        await asyncio.sleep(5)
        assert scene.a.whats()[-1] == "heartbeat 503"
        assert scene.b.whats() == ["heartbeat 200"]
        assert scene.b.asked[0].at - scene.a.asked[-1].at < 0.1
        assert scene.known.doubted == ["https://a"]
        await asyncio.sleep(50)
        assert set(scene.b.whats()) == {"heartbeat 200"}


@in_virtual_time
async def test_fail_over_to_another_registry_and_back() -> None:
    """One that does not know the Node is told everything; the first is used again when it fails."""
    scene = Scene.of("https://a", "https://b")
    async with scene.played():
        await asyncio.sleep(7)
        scene.a.status = 500
        await asyncio.sleep(5)
        assert scene.b.whats()[:2] == ["heartbeat 404", "POST node 201"]
        assert scene.b.held() == scene.ids
        scene.a.status = None
        scene.a.forget()
        before = len(scene.a.asked)
        await asyncio.sleep(100)
        assert len(scene.a.asked) == before
        scene.b.status = 502
        await asyncio.sleep(5)
        assert scene.a.whats()[before:][:2] == ["heartbeat 404", "POST node 201"]
        assert scene.a.held() == scene.ids


@in_virtual_time
async def test_a_registry_that_hangs() -> None:
    """No answer within a heartbeat's time: the next one is asked before the Node is forgotten."""
    scene = Scene.of("https://a", "https://b")
    async with scene.played():
        await asyncio.sleep(7)
        last = scene.a.times()[-1]
        scene.b.resources = scene.a.resources
        scene.a.silent = True
        await asyncio.sleep(10)
        assert scene.a.asked[-1].status == 0
        assert scene.b.whats()[0] == "heartbeat 200"
        assert scene.b.asked[0].at - last < 12


@in_virtual_time
async def test_registries_that_cannot_be_reached_from_the_start() -> None:
    """The first of them may never answer."""
    scene = Scene.of("https://nowhere", "https://a")
    async with scene.played():
        await asyncio.sleep(1)
        assert scene.a.whats()[:2] == ["heartbeat 404", "POST node 201"]
        assert scene.a.held() == scene.ids


@in_virtual_time
async def test_all_registries_down_then_one_up() -> None:
    """Attempts are ever rarer, five seconds apart at most, and one that answers ends that."""
    scene = Scene.of("https://a", "https://b")
    scene.a.status = scene.b.status = 503
    async with scene.played():
        await asyncio.sleep(600)
        assert 115 < len(scene.a.asked) == len(scene.b.asked) < 250
        gaps = [
            later.at - earlier.at
            for earlier, later in zip(scene.a.asked, scene.a.asked[1:], strict=False)
        ]
        assert max(gaps) < 5.1
        assert gaps[0] < 1.1
        scene.b.status = None
        await asyncio.sleep(5.1)
        assert scene.b.held() == scene.ids


@in_virtual_time
async def test_a_registry_that_restarts() -> None:
    """With a single one, the Node waits for it, and is back within seconds."""
    scene = Scene.of()
    async with scene.played():
        await asyncio.sleep(7)
        scene.a.status = 502
        await asyncio.sleep(4)
        scene.a.status = None
        scene.a.forget()
        await asyncio.sleep(2.1)
        assert scene.a.held() == scene.ids


@pytest.mark.parametrize("outage", [0.5, 2.0, 4.0, 5.5])
@pytest.mark.parametrize("status", [401, 503])
@in_virtual_time
async def test_a_heartbeat_succeeds_before_the_node_is_forgotten(
    status: int, outage: float
) -> None:
    """A registry that rejects the token for seconds, as while it fetches a key, has the Node."""
    scene = Scene.of()
    async with scene.played():
        await asyncio.sleep(8)
        for _ in range(3):
            last = scene.a.times()[-1]
            await asyncio.sleep(last + 4.9 - asyncio.get_running_loop().time())
            scene.a.status = status
            await asyncio.sleep(0.1 + outage)
            scene.a.status = None
            await asyncio.sleep(1.6)
            succeeded = [each.at for each in scene.a.of("heartbeat") if each.status == 200]
            assert last < succeeded[-1] < last + 12
            # The registry is well for a while: the next outage is another one.
            await asyncio.sleep(5)
        assert scene.a.held() == scene.ids


@pytest.mark.parametrize("outage", [6.0, 8.0, 10.0, 13.0, 20.0, 60.0])
@pytest.mark.parametrize("last", [None, 401, 403], ids=["down", "down and 401", "down and 403"])
@in_virtual_time
async def test_the_node_is_back_soon_after_an_outage(last: int | None, outage: float) -> None:
    """Whatever the last answers were, for as long as a registry needs to fetch keys."""
    scene = Scene.of()
    async with scene.played():
        await asyncio.sleep(8)
        await asyncio.sleep(scene.a.times()[-1] + 5.1 - asyncio.get_running_loop().time())
        scene.a.status = 503
        await asyncio.sleep(outage - 6)
        scene.a.status = last or 503
        await asyncio.sleep(6)
        scene.a.status = None
        if outage > 7:
            scene.a.forget()
        await asyncio.sleep(8.1)
        assert scene.a.held() == scene.ids


@in_virtual_time
async def test_a_rejected_resource_costs_only_itself() -> None:
    """And what depends on it; it is tried once in each version, and said as an error."""
    scene = Scene.of()
    flow_id = next(iter(scene.resources.flows))
    scene.a.rejects = {flow_id}
    async with scene.played():
        await asyncio.sleep(30)
        assert scene.a.held() == scene.ids - {flow_id}
        assert scene.a.whats().count("POST flow 400") == 1
        scene.a.rejects = set()
        scene.resources.flows.update(flow_id, label="Mended")
        await asyncio.sleep(0.1)
        assert scene.a.held() == scene.ids


@in_virtual_time
async def test_a_registry_that_rejects_the_node() -> None:
    """It is left alone until the Node has changed, and another registry is used."""
    scene = Scene.of("https://a", "https://b")
    scene.a.rejects = {scene.resources.node.id}
    async with scene.played():
        await asyncio.sleep(600)
        assert scene.a.whats() == ["POST node 400"]
        assert scene.b.held() == scene.ids
        scene.b.rejects = {scene.resources.node.id}
        await asyncio.sleep(600)
        refusals = len(scene.b.asked)
        await asyncio.sleep(600)
        assert len(scene.a.asked) <= 2
        assert refusals <= len(scene.b.asked) <= refusals + 240


@in_virtual_time
async def test_a_registry_that_gives_the_node_to_another() -> None:
    """403 until it has forgotten who had it before (BCP-003-02 "Registry Client Authorization")."""
    scene = Scene.of()
    scene.a.status = 403
    async with scene.played():
        await asyncio.sleep(12)
        assert 3 <= len(scene.a.asked) <= 6
        scene.a.status = None
        await asyncio.sleep(16)
        assert scene.a.held() == scene.ids
        scene.a.status = 403
        before = len(scene.a.asked)
        await asyncio.sleep(3600)
        assert len(scene.a.asked) - before < 70


def test_what_goes_on_for_hours_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A registry that is down is a warning, each attempt to reach it is not."""

    @in_virtual_time
    async def scene_() -> None:
        scene = Scene.of("https://a", "https://nowhere")
        scene.a.status = 503
        async with scene.played():
            await asyncio.sleep(3600)

    caplog.set_level(logging.WARNING)
    scene_()
    assert len(caplog.records) == 2


@in_virtual_time
async def test_registries_that_come_and_go() -> None:
    """None at first; a new one is used at once; one that is withdrawn is used while it answers."""
    scene = Scene.of()
    scene.known.urls = []
    async with scene.played():
        await asyncio.sleep(100)
        assert scene.a.asked == []
        scene.known.now("https://b")
        await asyncio.sleep(0.1)
        assert scene.b.held() == scene.ids
        scene.known.now("https://a", "https://b")
        await asyncio.sleep(20)
        assert scene.a.asked == []
        scene.known.now()
        await asyncio.sleep(20)
        assert scene.b.whats()[-1] == "heartbeat 200"
        scene.b.status = 503
        await asyncio.sleep(20)
        attempts = len(scene.b.asked)
        await asyncio.sleep(100)
        assert len(scene.b.asked) == attempts
        scene.known.now("https://a")
        await asyncio.sleep(0.1)
        assert scene.a.held() == scene.ids


# Tokens


def granted(now: float) -> GrantedTokens:
    """Return a token that lives a minute and names the second it was issued in."""
    return GrantedTokens(
        SecretStr(f"token-of-{int(now)}"), 60.0, frozenset({"registration"}), requested_at=now
    )


@in_virtual_time
async def test_without_a_token_nothing_is_sent_and_no_registry_blamed() -> None:
    """The Authorization Server is down at first, and again later for longer than tokens live."""
    scene, up = Scene.of("https://a", "https://b"), False
    now = asyncio.get_running_loop().time

    async def obtain() -> GrantedTokens:
        if not up:
            raise ServerUnavailable("down")
        return granted(now())

    scene.tokens = TokenSource(obtain, monotonic=now)
    async with scene.tokens, scene.played():
        await asyncio.sleep(60)
        assert scene.a.asked == scene.b.asked == []
        up = True
        await asyncio.sleep(20)
        assert scene.a.held() == scene.ids
        up = False
        await asyncio.sleep(120)
        assert scene.a.times()[-1] > 100
        assert now() - scene.a.times()[-1] > 50
        up = True
        await asyncio.sleep(20)
        assert now() - scene.a.times()[-1] <= 5
        assert scene.b.asked == []
        for each in scene.a.asked:
            issued = int(each.headers["authorization"].rpartition("-")[2])
            assert each.at < issued + 60


# The end


@in_virtual_time
async def test_it_unregisters_at_the_end() -> None:
    """Children first, the Node last, and no heartbeat after that."""
    scene = Scene.of()
    async with scene.played():
        await asyncio.sleep(7)
        before = len(scene.a.asked)
    deleted = [each.what for each in scene.a.asked[before:]]
    kinds = [each.removeprefix("DELETE ") for each in deleted]
    assert kinds == sorted(kinds, key=ORDER.index, reverse=True)
    assert len(kinds) == len(scene.ids)
    assert scene.a.held() == set()


@in_virtual_time
async def test_the_end_waits_for_no_registry() -> None:
    """One that hangs costs three seconds; one that is down, or that nothing is held by, none."""
    loop = asyncio.get_running_loop()
    for silent, status, longest in ((True, None, 3.1), (False, 503, 0.1)):
        scene = Scene.of()
        async with scene.played():
            await asyncio.sleep(7)
            scene.a.silent, scene.a.status = silent, status
            began = loop.time()
        assert loop.time() - began < longest
    async with Scene.of("https://nowhere").played():
        await asyncio.sleep(7)
        began = loop.time()
    assert loop.time() - began < 0.1


@in_virtual_time
async def test_a_registry_too_slow_for_all_of_it_gets_the_nodes_deletion() -> None:
    """It "MUST clean up related child resources", so nothing is left there."""
    scene = Scene.of()
    async with scene.played():
        await asyncio.sleep(7)
        node_id = scene.resources.node.id
        scene.a.silent_for = {each for each in scene.ids if each != node_id}
    assert scene.a.held() == set()


class Brittle(Known):
    """Breaks at first."""

    broken = False

    def known(self) -> Sequence[str]:
        """Raise, once."""
        if not self.broken:
            self.broken = True
            raise RuntimeError("a mishap")
        return super().known()


def test_no_mishap_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody thought of is logged, and tried again."""

    @in_virtual_time
    async def scene_() -> None:
        scene = Scene.of()
        scene.known = Brittle(scene.known.urls)
        async with scene.played():
            await asyncio.sleep(20)
            assert scene.a.held() == scene.ids

    caplog.set_level(logging.ERROR)
    scene_()
    assert "unexpected while registering" in caplog.text
