"""Fixtures for the tests of Nodes, which pytest finds by itself; nothing is imported without them.

def test_self_is_protected(nmos_authority, nmos_protect):
    nmos_protect(app)
    with TestClient(app) as client:
        assert client.get("/x-nmos/node/v1.3/self").status_code == 401
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

    from nmos_auth.testing import StandInAuthorizationServer

__all__ = ["nmos_authority", "nmos_protect"]


@pytest.fixture(scope="session")
def nmos_authority() -> Iterator[StandInAuthorizationServer]:
    """Run a stand-in for the Authorization Server, which signs any token that a test needs."""
    from nmos_auth.testing import authorization_server  # noqa: PLC0415 - only where it is asked for

    with authorization_server() as server:
        yield server


@pytest.fixture
def nmos_protect(nmos_authority: StandInAuthorizationServer) -> Iterator[Callable[..., None]]:
    """Return a function that makes an app trust that server until the test ends.

    `nmos_protect(app)` finds the app's NmosAuthMiddleware, as `nmos_auth.testing.protect` does;
    keyword arguments change settings, as those of `StandInAuthorizationServer.settings`.
    """
    from nmos_auth.testing import protect  # noqa: PLC0415 - only where it is asked for

    with contextlib.ExitStack() as undo:

        def put(app: ASGIApp, **changes: Any) -> None:  # noqa: ANN401 - Settings checks every one
            undo.enter_context(protect(app, nmos_authority.settings(**changes)))

        yield put
