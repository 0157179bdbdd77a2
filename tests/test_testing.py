"""What the package offers to the tests of Nodes, used as such a test uses it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from nmos_auth import AccessToken, ConfigurationError, NmosAuthMiddleware, access_token
from nmos_auth.testing import StandInAuthorizationServer, authorization_server, protect

SELF = "/x-nmos/node/v1.3/self"
READ = {"node": ["self"]}


@pytest.fixture
def node(server: StandInAuthorizationServer) -> Iterator[TestClient]:
    """Yield a client of a protected Node."""
    app = FastAPI()
    app.add_middleware(NmosAuthMiddleware, settings=server.settings())

    @app.get(SELF)
    async def node_self(token: Annotated[AccessToken, Depends(access_token)]) -> str:
        return token.client_id

    with TestClient(app) as client:
        yield client


def test_the_first_request_is_answered_at_once(
    server: StandInAuthorizationServer, node: TestClient
) -> None:
    """No key has to be fetched first, and the handler sees who asks."""
    token = server.token(read=READ, client_id="controller-of-this-test")
    answer = node.get(SELF, headers=server.headers(token))
    assert (answer.status_code, answer.json()) == (200, "controller-of-this-test")


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (lambda server: server.token(read=READ), 200),
        (lambda server: server.token(read={"node": ["devices"]}), 403),
        (lambda server: server.token(write={"node": ["*"]}), 403),
        (lambda server: server.token(), 403),
        (lambda server: server.token(read=READ, lifetime=-10), 401),
        (lambda server: server.token(read=READ, claims={"aud": ["other.example.com"]}), 403),
        (lambda server: server.token(read=READ, claims={"iss": "https://nobody.example.com"}), 401),
        (lambda server: server.token(read=READ, claims={"client_id": None, "azp": "a"}), 200),
        (lambda server: server.token(read=READ, claims={"sub": None}), 401),
        (lambda server: server.token(read=READ)[:-8] + "AAAAAAAA", 401),
    ],
)
def test_tokens_of_any_kind(
    server: StandInAuthorizationServer,
    node: TestClient,
    make: Callable[[StandInAuthorizationServer], str],
    status: int,
) -> None:
    """Each part of a token can be made wrong, and the middleware answers as it would elsewhere."""
    assert node.get(SELF, headers=server.headers(make(server))).status_code == status


def test_no_token(node: TestClient) -> None:
    """The Node is protected as it will be in earnest."""
    assert node.get(SELF).status_code == 401


def test_another_server_is_not_trusted(node: TestClient) -> None:
    """Two stand-ins have two keys and two issuers."""
    with authorization_server() as other:
        token = other.token(read=READ)
    assert node.get(SELF, headers=other.headers(token)).status_code == 401


def test_the_middleware_fetches_from_it(server: StandInAuthorizationServer) -> None:
    """It is a real server: the key comes by the network where none is kept."""
    app = FastAPI()
    app.add_middleware(
        NmosAuthMiddleware, settings=server.settings(servers=server.issuer, static_keys_file=None)
    )
    headers = server.headers(server.token(read=READ))
    with TestClient(app) as client:
        while (answer := client.get(SELF, headers=headers)).status_code == 503:
            assert answer.headers["retry-after"] == "1"
    assert answer.status_code == 404  # authorized, and the app has no such route


def test_settings_are_checked(server: StandInAuthorizationServer) -> None:
    """Changes are as good or bad as in the environment."""
    assert server.settings(leeway=5).leeway == 5
    with pytest.raises(ConfigurationError, match="NMOS_AUTH_LEEWAY"):
        server.settings(leeway=-1)


def test_nothing_is_left_behind() -> None:
    """The directory goes with the server."""
    with authorization_server() as server:
        keys_file = server.settings().static_keys_file
        assert keys_file is not None
        assert keys_file.is_file()
    assert not keys_file.parent.exists()


# An existing app


def existing(kind: str = "added", clock: Callable[[], float] = time.time) -> ASGIApp:
    """Make an app as a user's module does, with the settings of the environment."""
    inner = FastAPI()

    @inner.get(SELF)
    async def node_self() -> str:
        return "self"

    if kind == "around":
        return NmosAuthMiddleware(inner, clock=clock)
    inner.add_middleware(NmosAuthMiddleware, clock=clock)
    if kind == "added":
        return inner
    outer = FastAPI()
    outer.mount("", inner)
    return outer


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set what a deployment of that app would have."""
    monkeypatch.setenv("NMOS_AUTH_AUDIENCE", "deployed.example.com")
    monkeypatch.setenv("NMOS_AUTH_SERVERS", "https://nobody.invalid")
    monkeypatch.setenv("NMOS_AUTH_AUDIT_LOG", str(tmp_path / "deployed.log"))


# Starlette starts no mounted app, so the loop ends while its keys are fetched; anyio leaves behind
# what was about to connect.
@pytest.mark.filterwarnings("ignore:coroutine 'connect_tcp:RuntimeWarning")
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("kind", ["added", "around", "mounted"])
def test_an_existing_app_trusts_the_stand_in(kind: str, server: StandInAuthorizationServer) -> None:
    """Wherever the middleware is, it has the settings of the test, and later its own again."""
    app = existing(kind)
    headers = server.headers(server.token(read=READ))
    for _ in range(3):
        with protect(app, server.settings()), TestClient(app) as client:
            assert client.get(SELF, headers=headers).status_code == 200
            assert client.get(SELF).status_code == 401
    with TestClient(app) as client:
        assert client.get(SELF, headers=headers).status_code == 401


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("kind", ["added", "around"])
def test_an_existing_app_keeps_its_clock(kind: str, server: StandInAuthorizationServer) -> None:
    """A token has expired by the clock that the app was made with."""
    app = existing(kind, clock=lambda: time.time() + 7200)
    with protect(app, server.settings()), TestClient(app) as client:
        headers = server.headers(server.token(read=READ, lifetime=3600))
        assert client.get(SELF, headers=headers).status_code == 401
        headers = server.headers(server.token(read=READ, lifetime=10800))
        assert client.get(SELF, headers=headers).status_code == 200


@pytest.mark.usefixtures("environment")
def test_two_servers_one_after_the_other(server: StandInAuthorizationServer) -> None:
    """An app keeps nothing of the server of an earlier test."""
    app = existing()
    with protect(app, server.settings()), TestClient(app) as client:
        assert client.get(SELF, headers=server.headers(server.token(read=READ))).status_code == 200
    with (
        authorization_server() as other,
        protect(app, other.settings()),
        TestClient(app) as client,
    ):
        assert client.get(SELF, headers=other.headers(other.token(read=READ))).status_code == 200
        assert client.get(SELF, headers=server.headers(server.token(read=READ))).status_code == 401


def test_an_app_without_the_middleware_is_refused(server: StandInAuthorizationServer) -> None:
    """A test of an open Node would prove nothing."""
    with pytest.raises(ConfigurationError, match="add_middleware"):
        protect(FastAPI(), server.settings())


NOTHING_IMPORTED = """
import sys

IMPORTED = {"fastapi", "joserfc", "nmos_auth.testing"} & sys.modules.keys()

def test_nothing_was_imported_before_the_first_test_was_read():
    assert not IMPORTED
"""


def test_the_plugin_tests_the_node_of_the_readme(tmp_path: Path) -> None:
    """Pytest finds the fixtures by itself; the README's test tests the README's Node, verbatim."""
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (node,) = [each for each in blocks if "app = FastAPI()" in each]
    (test,) = [each for each in blocks if "nmos_protect(app)" in each]
    again = test.replace("def test_self", "def test_self_again")
    (tmp_path / "node.py").write_text(node, "utf-8")
    (tmp_path / "test_a_first.py").write_text(NOTHING_IMPORTED, "utf-8")
    (tmp_path / "test_node.py").write_text(test + again, "utf-8")
    options = ["-q", "-p", "no:randomly", "-p", "no:asyncio", "-p", "no:cacheprovider"]
    # Old versions of Starlette use a name that anyio has moved.
    options += ["-W", "error", "-W", "ignore:The anyio.abc.BlockingPortal alias"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "3 passed" in run.stdout, run.stdout + run.stderr
