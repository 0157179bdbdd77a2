"""A Node to test: without authorization, on a clock that tests move by hand."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

import nmos_auth
from example_node import Settings, create_app
from example_node.node import ReferenceNode
from tests.example_node.support import HOST, SINGLE, ManualClock, running


@pytest.fixture(autouse=True)
def _no_discovery(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Node and a Registry that a test makes look and call into no network, unless it says so."""
    monkeypatch.setenv("EXAMPLE_NODE_REGISTRY_DISCOVERY", "off")
    monkeypatch.setenv("EXAMPLE_REGISTRY_PRI", "off")


@pytest.fixture
def clock() -> ManualClock:
    """The Node's clock, at 1000 seconds."""
    return ManualClock()


@pytest.fixture
def legs() -> int:
    """How many legs the Senders and Receivers have; tests of ST 2022-7 say two."""
    return 1


@pytest.fixture
def node_settings(legs: int) -> Settings:
    """The Node's settings: media on the loopback interface, which every computer has."""
    return Settings(host_name=HOST, interfaces=("lo",) * legs)


@pytest.fixture
def app(node_settings: Settings, clock: ManualClock) -> FastAPI:
    """The application, without authorization."""
    return create_app(node_settings, nmos_auth.Settings(enabled=False), clock)


@pytest.fixture
def node(app: FastAPI) -> ReferenceNode:
    """The Node behind the application."""
    found = app.state.node
    assert isinstance(found, ReferenceNode)
    return found


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the running Node."""
    async with running(app) as client:
        yield client


@pytest.fixture
def sender(node: ReferenceNode) -> str:
    """The URL path of the video Sender in the Connection API."""
    return f"{SINGLE}/senders/{next(iter(node.senders))}"


@pytest.fixture
def receiver(node: ReferenceNode) -> str:
    """The URL path of the video Receiver in the Connection API."""
    return f"{SINGLE}/receivers/{next(iter(node.receivers))}"
