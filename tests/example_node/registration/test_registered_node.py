"""The whole Node as a Client, over TLS: Authorization Server, registry and DNS are real servers."""

import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import jwt
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

import nmos_auth
from example_node import Settings, create_app
from example_node.node import ReferenceNode
from example_node.registration.records import records_of
from example_node.registry import Settings as RegistrySettings
from example_node.registry import create_app as create_registry
from example_node.registry.registry import COLLECTIONS, Change, Registry
from nmos_auth import NmosAuthMiddleware
from nmos_auth.errors import Reason
from nmos_auth.settings import Discovery
from tests.authority.support import Served
from tests.client.development_server import DevelopmentServer
from tests.example_node.registration.fake_registry import FakeRegistry
from tests.support.dns import REGISTER, DnsServer
from tests.support.servers import free_port, serving
from tests.support.tls import TestAuthority

# It is also how long a Node waits for an answer, and servers in threads of a busy machine are slow.
INTERVAL = 1.0
KEYS_ON_THEIR_WAY = {Reason.KEYS_PENDING, Reason.KEYS_NEVER_HAD}


@dataclass
class World:
    """A network with a DNS server, an Authorization Server that does not run yet, and a registry.

    Attributes:
        registry: it wants tokens, as BCP-003-02 has it.
    """

    tls: TestAuthority
    directory: Path
    dns: DnsServer
    authority: DevelopmentServer
    registry: FakeRegistry
    monkeypatch: pytest.MonkeyPatch

    @property
    def issuer(self) -> str:
        """The Authorization Server's issuer."""
        return f"https://localhost:{self.authority.port}"

    def registry_settings(self) -> nmos_auth.Settings:
        """Return settings by which a registry wants tokens."""
        return nmos_auth.Settings(
            audience="localhost",
            servers=self.issuer,
            ca_file=self.tls.ca_file,
            audit_log=str(self.directory / "registry-audit.log"),
        )

    def protected(self, app: ASGIApp) -> ASGIApp:
        """Have an app want tokens."""
        inside = Starlette(routes=[Mount("/", app)])
        return NmosAuthMiddleware(inside, settings=self.registry_settings())

    def refusals(self) -> list[str]:
        """Return why the registry refused requests."""
        log = (self.directory / "registry-audit.log").read_text("utf-8")
        records = [json.loads(line) for line in log.splitlines()]
        return [each["reason"] for each in records if each["outcome"] != "authorized"]

    @contextlib.contextmanager
    def authorizing(self) -> Iterator[Served]:
        """Run the Authorization Server, which lets Nodes made meanwhile register."""
        with self.authority.running() as server:
            token = server.authority.initial_access_token().get_secret_value()
            self.monkeypatch.setenv("NMOS_AUTH_CLIENT_INITIAL_ACCESS_TOKEN", token)
            yield server

    @contextlib.contextmanager
    def node(self, port: int | None = None, *, seed: str = "") -> Iterator["RunningNode"]:
        """Run a Node that finds everything by DNS; those of one seed have the same ids."""
        port = port or free_port()
        app = create_app(
            Settings(
                host_name="localhost",
                port=port,
                seed=seed,
                interfaces=("lo",),
                registry_discovery=Discovery.UNICAST,
                heartbeat_interval=INTERVAL,
            ),
            nmos_auth.Settings(
                audience="localhost",
                discovery="unicast",
                dns_domain="example.com",
                ca_file=self.tls.ca_file,
                audit_log=str(self.directory / "node-audit.log"),
            ),
        )
        ended, lifespan = threading.Event(), app.router.lifespan_context

        @contextlib.asynccontextmanager
        async def noted(running: FastAPI) -> AsyncIterator[None]:
            async with lifespan(running):
                yield
            ended.set()

        app.router.lifespan_context = noted
        with serving(app, tls=self.tls.server_context("localhost"), port=port):
            yield RunningNode(app, f"https://localhost:{port}", ended)


@dataclass
class RunningNode:
    """A Node that runs."""

    app: FastAPI
    url: str
    ended: threading.Event

    @property
    def ids(self) -> set[str]:
        """The ids of all its resources."""
        node = self.app.state.node
        assert isinstance(node, ReferenceNode)
        return {each.id for each in records_of(node.resources)}


@pytest.fixture
def world(tls: TestAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Yield such a network."""
    authority = DevelopmentServer(tls, tmp_path / "authority.db", port=free_port())
    dns = DnsServer(patience=0.4)
    dns.configure(monkeypatch)
    world = World(tls, tmp_path, dns, authority, FakeRegistry(), monkeypatch)
    world.registry.protection = world.protected
    with dns.running(), world.registry.running(tls):
        dns.advertise("localhost", authority.port)
        dns.advertise_registry("localhost", world.registry.port)
        yield world


def client_ids(registry: FakeRegistry) -> set[str]:
    """Return the clients whose tokens a registry has seen."""
    tokens = {each.headers["authorization"].removeprefix("Bearer ") for each in registry.asked}
    claims = [jwt.decode(token, options={"verify_signature": False}) for token in tokens]
    assert all("registration" in str(each["scope"]).split() for each in claims)
    return {str(each["client_id"]) for each in claims}


def test_it_finds_its_way_and_leaves_no_trace(world: World) -> None:
    """From DNS to tokens to the registry, with the keys that it serves itself; and out again."""
    with world.authorizing(), world.node() as node:
        world.registry.wait_until(lambda: world.registry.whats().count("heartbeat 200") >= 2)
        assert world.registry.held() == node.ids
        with httpx2.Client(base_url=node.url, verify=world.tls.client_context()) as http:
            assert {each["kty"] for each in http.get("/jwks").json()["keys"]} == {"RSA"}
            assert http.get("/x-nmos/node/v1.3/self").status_code == 401
    assert world.registry.held() == set()
    assert len(client_ids(world.registry)) == 1
    assert (world.authority.counted["POST /register"], world.authority.counted["POST /token"]) == (
        1,
        1,
    )


def test_an_authorization_server_that_comes_and_goes(world: World) -> None:
    """Without one nothing is sent; with one all is; and tokens in hand serve on when it is gone."""
    registry = world.registry
    with world.authorizing():
        pass  # The Node has the initial access token from this run.
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(world.node())
        time.sleep(1)
        assert registry.asked == []
        with world.authorizing():
            registry.wait_until(lambda: registry.held() == node.ids)
        beats = len(registry.times())
        registry.wait_until(lambda: len(registry.times()) >= beats + 2)
        assert registry.whats()[-1] == "heartbeat 200"
    assert registry.held() == set()
    assert set(world.refusals()) <= KEYS_ON_THEIR_WAY


def test_a_node_that_restarts_keeps_its_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a store it is the same client: registries give a Node to none but its owner."""
    monkeypatch.setenv("NMOS_AUTH_CLIENT_STORE", str(world.directory / "client.json"))
    port = free_port()
    with world.authorizing():
        for _ in range(2):
            world.registry.forget()
            with world.node(port) as node:
                world.registry.wait_until(lambda: world.registry.held() == node.ids)
    assert len(client_ids(world.registry)) == 1
    assert world.authority.counted["POST /register"] == 1


def test_with_nothing_there_the_node_serves_on(world: World) -> None:
    """No Authorization Server, no registry, no DNS: its APIs answer, and it ends."""
    world.dns.rcode = "SERVFAIL"
    with world.node() as node:
        with httpx2.Client(base_url=node.url, verify=world.tls.client_context()) as http:
            for _ in range(5):
                response = http.get("/x-nmos/node/v1.3/self", timeout=1)
                assert response.status_code == 401
        assert not node.ended.is_set()
    assert node.ended.wait(10)
    assert world.registry.asked == []


# With the reference Registry


class Watched:
    """What the reference Registry holds, for another thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._changed = threading.Condition()
        registry.follow(self._tell)

    def _tell(self, _: Change) -> None:
        with self._changed:
            self._changed.notify_all()

    def held(self) -> set[str]:
        """Return the ids of all of it."""
        return {resource_id for each in COLLECTIONS for resource_id in self._registry[each]}

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until a change makes this hold."""
        with self._changed:
            assert self._changed.wait_for(holds, 30), self.held()


@pytest.fixture
def watched(world: World, tls: TestAuthority) -> Iterator[Watched]:
    """Run the reference Registry, and advertise it in place of the fake one."""
    app = create_registry(RegistrySettings(host_name="localhost"), world.registry_settings())
    world.dns.withdraw("registry", REGISTER)
    with serving(app, tls=tls.server_context("localhost")) as port:
        world.dns.advertise_registry("localhost", port)
        yield Watched(app.state.registry)


def test_the_example_registry_and_its_owners(world: World, watched: Watched) -> None:
    """It gives a Node to its client, and to another not before that one has left (BCP-003-02)."""
    with world.authorizing(), contextlib.ExitStack() as stack:
        with world.node(seed="twins") as node:
            watched.wait_until(lambda: watched.held() == node.ids)
            assert stack.enter_context(world.node(seed="twins")).ids == node.ids
            while Reason.OWNER not in world.refusals():
                time.sleep(0.1)
            assert watched.held() == node.ids
        assert watched.held() == set()
        watched.wait_until(lambda: watched.held() == node.ids)
    assert watched.held() == set()
    assert set(world.refusals()) <= {Reason.OWNER, *KEYS_ON_THEIR_WAY}
