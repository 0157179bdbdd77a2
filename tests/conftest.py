"""Fixtures for every room."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from nmos_auth import Settings
from tests.support.authority import FakeAuthorizationServer
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


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    """Return a certificate authority for this run."""
    return TestAuthority.create(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def authority(tls: TestAuthority) -> Iterator[FakeAuthorizationServer]:
    """Run an Authorization Server over TLS."""
    with FakeAuthorizationServer([signing_key()]).running(tls) as server:
        yield server


@pytest.fixture
def settings(authority: FakeAuthorizationServer, tls: TestAuthority, tmp_path: Path) -> Settings:
    """Return settings that trust that server and write the audit log to a file."""
    return Settings(
        audience="node1.example.com",
        servers=authority.issuer,
        ca_file=tls.ca_file,
        audit_log=str(tmp_path / "audit.log"),
    )
