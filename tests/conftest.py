"""Fixtures for every room."""

from __future__ import annotations

import functools
import gc
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from nmos_auth import Settings
from nmos_auth.testing import StandInAuthorizationServer
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import MakeSettings, settings_for
from tests.support.servers import listen
from tests.support.tls import TestAuthority
from tests.support.tokens import signing_key

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("default")


def pytest_collection_finish() -> None:
    """Spare the garbage collector ten thousand collected tests, which stay until the end.

    FastAPI remembers the last 4,096 handlers, and with them some sixty apps: looking through all
    of them as often as Python does by itself is a fifth of what some tests cost.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(autouse=True)
def _levels_of_loggers() -> Iterator[None]:
    """Let no test hear more or less because a command that ran before it has set up logging."""
    loggers = [logging.getLogger(name) for name in ("", "nmos_auth", "nmos_auth.audit")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    """Return a certificate authority for this run."""
    return TestAuthority.create(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def issuer(tls: TestAuthority) -> Iterator[FakeAuthorizationServer]:
    """Run an Authorization Server over TLS that has two keys, and that no test changes."""
    with FakeAuthorizationServer([signing_key(0), signing_key(1)]).running(tls) as server:
        yield server


@pytest.fixture(scope="session")
def _running_authority(tls: TestAuthority) -> Iterator[FakeAuthorizationServer]:
    with FakeAuthorizationServer([]).running(tls) as server:
        yield server


@pytest.fixture
def authority(_running_authority: FakeAuthorizationServer) -> FakeAuthorizationServer:
    """Return an Authorization Server over TLS, honest, with one key, and asked nothing yet."""
    _running_authority.responders.clear()
    _running_authority.requests.clear()
    _running_authority.keys[:] = [signing_key(0)]
    return _running_authority


@pytest.fixture(scope="session")
def server(nmos_authority: StandInAuthorizationServer) -> StandInAuthorizationServer:
    """Return the Authorization Server that the tests of users have, whose keys are at hand."""
    return nmos_authority


@pytest.fixture(scope="session")
def make_settings(tls: TestAuthority) -> MakeSettings:
    """Return what makes settings that trust servers, as `settings_for` does."""
    return functools.partial(settings_for, tls)


@pytest.fixture(scope="session")
def quick_settings(make_settings: MakeSettings) -> MakeSettings:
    """Return the same for a Node that refreshes, and tries again, ten times a second."""
    return functools.partial(make_settings, refresh_interval=0.1, refetch_interval=1)


@pytest.fixture
def settings(
    authority: FakeAuthorizationServer, make_settings: MakeSettings, tmp_path: Path
) -> Settings:
    """Return settings that trust `authority` and write the audit log to a file."""
    return make_settings(authority, audit_log=str(tmp_path / "audit.log"))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Yield a listener that nobody may connect to."""
    with listen() as listener:
        yield listener
