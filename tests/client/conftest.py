"""Fixtures for the client half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from nmos_auth.client import ClientSettings
from tests.client.scripted import ScriptedServer
from tests.support.tls import TestAuthority


class MakeClientSettings(Protocol):
    """Makes settings of a Client."""

    def __call__(self, *issuers: str, **changes: object) -> ClientSettings:
        """Make them."""
        ...


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("NMOS_AUTH_"):
            monkeypatch.delenv(name)


@pytest.fixture
def server(tls: TestAuthority) -> Iterator[ScriptedServer]:
    """Run a scripted Authorization Server over TLS."""
    with ScriptedServer().running(tls) as running:
        yield running


@pytest.fixture
def make_settings(tls: TestAuthority) -> MakeClientSettings:
    """Return what makes settings of a Node with a client secret."""

    def make(*issuers: str, **changes: object) -> ClientSettings:
        values: dict[str, object] = {
            "name": "Example Node 0001",
            "scope": "registration",
            "auth_method": "client_secret_basic",
            "servers": issuers,
            "ca_file": tls.ca_file,
            "discovery": "off",
        }
        return ClientSettings(**(values | changes))

    return make


@pytest.fixture
def store_file(tmp_path: Path) -> Path:
    """Return the path of a store that is not there yet."""
    return tmp_path / "client.json"
