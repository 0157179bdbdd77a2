"""A Registry to test, on a clock that tests move by hand."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

import nmos_auth
from example_node.registry import Settings, create_app
from nmos_auth.testing import StandInAuthorizationServer, authorization_server
from tests.example_node.registry.support import HOST
from tests.example_node.support import ManualClock, running


@pytest.fixture
def registry_settings() -> Settings:
    """The Registry's settings."""
    return Settings(host_name=HOST)


@pytest.fixture
async def client(
    registry_settings: Settings, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a Registry without authorization."""
    app = create_app(registry_settings, nmos_auth.Settings(enabled=False), clock)
    async with running(app) as client:
        yield client


@pytest.fixture(scope="module")
def server() -> Iterator[StandInAuthorizationServer]:
    """What signs the tokens of the protected Registry's clients."""
    with authorization_server(HOST) as server:
        yield server


@pytest.fixture
async def protected(
    registry_settings: Settings, server: StandInAuthorizationServer, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a Registry that is protected."""
    async with running(create_app(registry_settings, server.settings(), clock)) as client:
        yield client
