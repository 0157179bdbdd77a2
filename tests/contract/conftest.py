"""One Authorization Server and one server under judgement for the whole table."""

from __future__ import annotations

import logging
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from nmos_auth import Settings
from tests.contract.rows import TableMint
from tests.contract.scene import Scene, at_rest, echo_app, held
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import settings_for
from tests.support.servers import listen
from tests.support.tls import TestAuthority
from tests.support.tokens import signing_key

AUDIENCE = "node1.example.com,a.b.example.net,node-7.example.org,desk.example.int"

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="session", autouse=True)
def _uvicorn_logs() -> Iterator[None]:
    """Let uvicorn log as it does when it is run by itself."""
    logger = logging.getLogger("uvicorn")
    level = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(level)


@pytest.fixture(scope="session")
def listener() -> Iterator[socket.socket]:
    """Listen where no token may make the server connect; see in the end that none did."""
    with listen() as listening:
        yield listening
        assert select.select([listening], [], [], 0)[0] == [], "an untrusted host was asked"


@pytest.fixture(scope="session")
def mint(issuer: FakeAuthorizationServer, listener: socket.socket) -> TableMint:
    """Return the maker of tokens."""
    port = listener.getsockname()[1]
    return TableMint(
        issuer=issuer.issuer,
        key=signing_key(0),
        second=signing_key(1),
        stranger=signing_key(2),
        listener=port,
    )


@pytest.fixture(scope="session")
def make_settings(
    issuer: FakeAuthorizationServer, tls: TestAuthority, tmp_path_factory: pytest.TempPathFactory
) -> MakeSettings:
    """Return a maker of settings, each with an audit log of its own."""

    def make(**changes: object) -> Settings:
        log = tmp_path_factory.mktemp("contract") / "audit.log"
        usual = {"audience": AUDIENCE, "audit_log": str(log), "refetch_interval": 3600}
        return settings_for(tls, issuer, **{**usual, **changes})

    return make


@pytest.fixture(scope="session")
def scene(mint: TableMint, make_settings: MakeSettings) -> Iterator[Scene]:
    """Serve the app of five lines, at rest."""
    with held(echo_app(make_settings()), mint) as running:
        yield at_rest(running)


@pytest.fixture(scope="session")
def absent(mint: TableMint) -> Iterator[TableMint]:
    """Yield a maker of tokens whose issuer has never been there: its port is kept, and shut."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield replace(mint, issuer=f"https://localhost:{reserved.getsockname()[1]}")


@pytest.fixture(scope="session")
def keyless(absent: TableMint, make_settings: MakeSettings) -> Iterator[Scene]:
    """Serve it while the Authorization Server has never been there."""
    with held(echo_app(make_settings(servers=absent.issuer)), absent) as running:
        yield running
