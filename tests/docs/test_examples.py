"""Each file of docs/examples, run as its reader would run it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from nmos_auth import Settings
from nmos_auth.authority import Client, Permissions
from nmos_auth.testing import StandInAuthorizationServer, protect
from tests.authority.support import PASSWORD
from tests.client.browser import Browser
from tests.client.development_server import CONTROLLER, DevelopmentServer
from tests.support.audit import lines_of
from tests.support.servers import free_port, serving
from tests.support.tls import TestAuthority

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LONGEST = 60
NODE_ID = "3b8be755-08ff-452b-b217-c9151eb21193"
SECRET = "secret-of-a-node-0123456789"
CLIENT = Client(
    client_id="node-0123456789-0123456789",
    client_secret=SecretStr(SECRET),
    audience=("localhost",),
    scopes=("registration", "query"),
    client_credentials_scopes=("registration", "query"),
    permissions={
        "registration": Permissions(read=("*",), write=("*",)),
        "query": Permissions(read=("*",)),
    },
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set what the examples' middleware reads when it is made."""
    monkeypatch.setenv("NMOS_AUTH_AUDIENCE", "node1.example.com")
    monkeypatch.setenv("NMOS_AUTH_SERVERS", "https://auth.example.com")
    monkeypatch.setenv("NMOS_AUTH_AUDIT_LOG", str(tmp_path / "audit.log"))


def example(name: str) -> ModuleType:
    """Import an example afresh."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Protect = Callable[[str], TestClient]


@pytest.fixture
def protected(environment: None, server: StandInAuthorizationServer) -> Iterator[Protect]:
    """Yield what runs an example's app with the stand-in."""
    with contextlib.ExitStack() as stack:

        def run(name: str) -> TestClient:
            app: ASGIApp = example(name).app
            stack.enter_context(protect(app, server.settings()))
            return stack.enter_context(TestClient(app))

        yield run


def test_examples_are_short() -> None:
    """Under sixty lines each, with a line that says what they are."""
    for path in EXAMPLES.glob("*.py"):
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) < LONGEST, path.name
        assert lines[0].startswith('"""'), path.name


@pytest.mark.parametrize("name", ["node", "starlette_node"])
def test_a_node(name: str, protected: Protect, server: StandInAuthorizationServer) -> None:
    """401 without a token, 403 with another permission, and the handler knows who asks."""
    client = protected(name)
    path = "/x-nmos/node/v1.3/self"
    assert client.get(path).status_code == 401
    assert client.get(path, headers=server.headers(server.token())).status_code == 403
    token = server.token(read={"node": ["self"]}, client_id="controller-1")
    assert client.get(path, headers=server.headers(token)).json()["asked_by"] == "controller-1"


def test_an_event_socket(protected: Protect, server: StandInAuthorizationServer) -> None:
    """Of three Sources the token permits one."""
    token = server.token(read={"events": ["sources/a"]})
    url = "/x-nmos/events/v1.0/devices/d"
    with protected("event_socket").websocket_connect(url, headers=server.headers(token)) as socket:
        socket.send_json({"command": "subscription", "sources": ["a", "b", "c"]})
        assert socket.receive_json() == {"device": "d", "subscribed": ["a"]}


def test_asking_allows(protected: Protect, server: StandInAuthorizationServer) -> None:
    """A bulk request is refused as a whole where one Sender of it is not permitted."""
    client = protected("ask_allows")
    write = {"connection": ["bulk/senders", "single/senders/1/staged"]}
    headers = server.headers(server.token(write=write))
    path = "/x-nmos/connection/v1.1/bulk/senders"
    assert client.post(path, json=[{"id": "1"}], headers=headers).status_code == 200
    assert client.post(path, json=[{"id": "1"}, {"id": "2"}], headers=headers).status_code == 403


def test_a_registry(protected: Protect, server: StandInAuthorizationServer) -> None:
    """Another client may not touch a Node."""
    client = protected("registry")

    def of(client_id: str) -> dict[str, str]:
        return server.headers(
            server.token(write={"registration": ["*"]}, client_id=client_id, claims={"sub": "s"})
        )

    body = {"type": "node", "data": {"id": NODE_ID, "label": "node"}}
    base = "/x-nmos/registration/v1.3"
    assert client.post(f"{base}/resource", json=body, headers=of("one")).status_code == 201
    assert client.post(f"{base}/resource", json=body, headers=of("one")).status_code == 200
    assert client.post(f"{base}/resource", json=body, headers=of("two")).status_code == 403
    health = f"{base}/health/nodes/{NODE_ID}"
    assert client.post(health, headers=of("two")).status_code == 403
    assert client.post(health, headers=of("one")).status_code == 200
    resource = f"{base}/resource/nodes/{NODE_ID}"
    assert client.delete(resource, headers=of("two")).status_code == 403
    assert client.delete(resource, headers=of("one")).status_code == 204


def test_metrics(
    protected: Protect, server: StandInAuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prometheus gets decisions by label at /metrics."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "node", raising=False)
    client = protected("metrics")
    token = server.token(read={"node": ["self"]})
    client.get("/x-nmos/node/v1.3/self", headers=server.headers(token))
    shown = client.get("/metrics/").text
    assert 'nmos_auth_decisions_total{api="node",method="GET"' in shown
    monkeypatch.delitem(sys.modules, "node", raising=False)


def test_the_test(environment: None) -> None:
    """The example of a test passes, by pytest itself."""
    options = ["-q", "-p", "no:randomly", "-p", "no:asyncio", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-c", os.devnull, "test_node.py"],
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def run(name: str, **variables: str) -> str:
    """Run an example as a program, and return what it prints."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("NMOS_AUTH_")}
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_node_and_a_script_as_clients(
    environment: None, tls: TestAuthority, tmp_path: Path
) -> None:
    """Against the example of a Registry: registered with heartbeats, and read by a script."""
    module = example("registry")

    async def nodes() -> list[dict[str, object]]:
        return list(module.registered.values())

    module.app.get("/x-nmos/query/v1.3/nodes")(nodes)
    with DevelopmentServer(tls, tmp_path / "authority.db", clients=(CLIENT,)).running() as server:
        settings = Settings(
            audience="localhost",
            servers=server.issuer,
            ca_file=tls.ca_file,
            audit_log=str(tmp_path / "audit.log"),
        )
        with (
            protect(module.app, settings),
            serving(module.app, tls=tls.server_context("localhost")) as port,
        ):
            variables = {
                "NMOS_AUTH_SERVERS": server.issuer,
                "NMOS_AUTH_CA_FILE": str(tls.ca_file),
                "NMOS_AUTH_CLIENT_ID": CLIENT.client_id,
                "NMOS_AUTH_CLIENT_SECRET": SECRET,
                "NMOS_AUTH_CLIENT_AUTH_METHOD": "client_secret_basic",
                "NMOS_AUTH_CLIENT_CREDENTIALS_SCOPE": "registration,query",
                "NMOS_AUTH_CLIENT_SCOPE": "registration query",
                "REGISTRY": f"https://localhost:{port}",
            }
            run("register_and_heartbeat", **variables, HEARTBEATS="2", HEARTBEAT="0.01")
            assert run("synchronous", **variables) == "node\n"
    lines = lines_of(tmp_path / "audit.log")
    assert [each["status"] for each in lines if each["outcome"] == "authorized"] == [
        201,
        200,
        200,
        200,
    ]


async def test_a_controller(
    tls: TestAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user logs in with a browser, and the page says who that is and what for."""
    port = free_port()
    origin = f"https://localhost:{port}"
    with DevelopmentServer(tls, tmp_path / "authority.db").running() as server:
        for name, value in {
            "NMOS_AUTH_SERVERS": server.issuer,
            "NMOS_AUTH_CA_FILE": str(tls.ca_file),
            "NMOS_AUTH_CLIENT_NAME": str(CONTROLLER["name"]),
            "NMOS_AUTH_CLIENT_SCOPE": "query",
            "NMOS_AUTH_CLIENT_GRANT": "authorization_code",
            "NMOS_AUTH_CLIENT_AUTH_METHOD": "none",
            "NMOS_AUTH_CLIENT_REDIRECT_URI": f"{origin}/callback",
        }.items():
            monkeypatch.setenv(name, value)
        app = example("controller_login").app
        browser = Browser(tls, PASSWORD)
        try:
            with serving(app, tls=tls.server_context("localhost"), port=port):
                answer = await browser.authorize(f"{origin}/me")
        finally:
            await browser.close()
    assert isinstance(answer, httpx.Response)
    assert answer.text == "operator may use query"
