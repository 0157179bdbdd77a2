"""A server whose documents may go wrong."""

from __future__ import annotations

import pytest

from tests.support.authority import FakeAuthorizationServer


@pytest.fixture
def server(authority: FakeAuthorizationServer) -> FakeAuthorizationServer:
    """Return an Authorization Server, which serves any document that a test gives it."""
    return authority
