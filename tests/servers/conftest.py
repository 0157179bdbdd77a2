"""A server whose documents may go wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.authority import FakeAuthorizationServer
from tests.support.tls import TestAuthority
from tests.support.tokens import signing_key


@pytest.fixture(scope="module")
def running_server(tls: TestAuthority) -> Iterator[FakeAuthorizationServer]:
    """Run a server over TLS for all tests of this file."""
    with FakeAuthorizationServer([signing_key()]).running(tls) as server:
        yield server


@pytest.fixture
def server(running_server: FakeAuthorizationServer) -> FakeAuthorizationServer:
    """Return that server, honest again."""
    running_server.responders.clear()
    running_server.requests.clear()
    return running_server
