"""Fixtures for trust."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Protocol

import pytest

from nmos_auth import Settings
from tests.support.authority import FakeAuthorizationServer
from tests.support.servers import listen
from tests.support.tls import TestAuthority
from tests.support.tokens import signing_key


class MakeSettings(Protocol):
    """Makes settings that trust servers."""

    def __call__(self, *servers: FakeAuthorizationServer, **changes: object) -> Settings:
        """Make them."""
        ...


@pytest.fixture(scope="package")
def running_authority(tls: TestAuthority) -> Iterator[FakeAuthorizationServer]:
    """Run an Authorization Server over TLS."""
    with FakeAuthorizationServer([]).running(tls) as server:
        yield server


@pytest.fixture
def authority(running_authority: FakeAuthorizationServer) -> FakeAuthorizationServer:
    """Return that server, honest, with one key, and asked nothing yet."""
    running_authority.responders.clear()
    running_authority.requests.clear()
    running_authority.keys[:] = [signing_key(0)]
    return running_authority


@pytest.fixture
def make_settings(tls: TestAuthority) -> MakeSettings:
    """Return what makes settings that trust servers, and log to the logging module."""

    def make(*servers: FakeAuthorizationServer, **changes: object) -> Settings:
        values: dict[str, object] = {
            "audience": "node1.example.com",
            "servers": tuple(server.issuer for server in servers),
            "ca_file": tls.ca_file,
            "audit_log": "logging",
            "discovery": "off",
        }
        return Settings(**(values | changes))

    return make


@pytest.fixture
def quick_settings(make_settings: MakeSettings) -> MakeSettings:
    """Return the same for a Node that refreshes, and tries again, ten times a second."""

    def make(*servers: FakeAuthorizationServer, **changes: object) -> Settings:
        quick: dict[str, object] = {"refresh_interval": 0.1, "refetch_interval": 1}
        return make_settings(*servers, **(quick | changes))

    return make


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Yield a listener that nobody may connect to."""
    with listen() as listener:
        yield listener
