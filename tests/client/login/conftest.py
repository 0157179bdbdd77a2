"""Fixtures for logins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from nmos_auth.client import AuthorizationClient
from tests.client.conftest import MakeClientSettings
from tests.client.login.applications import controller
from tests.client.scripted import ScriptedServer
from tests.support.redis import redis_server


@pytest.fixture
async def client(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> AsyncIterator[AuthorizationClient]:
    """Yield a web Controller."""
    async with AuthorizationClient(make_settings(server.issuer, **controller())) as client:
        yield client


@pytest.fixture(scope="package")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis server for this room; who uses it keeps to a prefix of its own."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url
