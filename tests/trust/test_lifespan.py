"""Background work starts and stops with the app, in whatever way the app is run."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmos_auth import NmosAuthMiddleware, Settings
from nmos_auth.errors import ConfigurationError
from nmos_auth.request.resource_server import ResourceServer
from tests.support.authority import FakeAuthorizationServer
from tests.support.lifespans import lifespan
from tests.support.responders import Stall
from tests.support.scene import SELF, MakeSettings, assert_untouched, bearer, http_client, node_app
from tests.support.servers import listen, serving
from tests.support.tls import TestAuthority
from tests.support.tokens import claims_of, signing_key

METADATA = "/.well-known/oauth-authorization-server"

App = Callable[[Settings | None], ASGIApp]


def fastapi_node(settings: Settings | None) -> FastAPI:
    """Make a Node as users do."""
    app = FastAPI()
    app.add_middleware(NmosAuthMiddleware, settings=settings)

    @app.get(SELF)
    async def _self() -> dict[str, str]:
        return {"id": "self"}

    return app


async def http_alone(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve HTTP, and know nothing of lifespans."""
    assert scope["type"] == "http"
    await PlainTextResponse("hello")(scope, receive, send)


def bare_node(settings: Settings | None) -> ASGIApp:
    """Make a Node without lifespan."""
    return NmosAuthMiddleware(http_alone, settings=settings)


async def until(client: httpx2.AsyncClient, token: str, status: int = 200) -> None:
    """Ask until the answer is this."""
    async with asyncio.timeout(10):
        # Nothing tells when the keys have come.
        while (await client.get(SELF, headers=bearer(token))).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def client_of(app: ASGIApp) -> httpx2.AsyncClient:
    """Return a client that calls an app on the running loop."""
    transport = httpx2.ASGITransport(app)
    return httpx2.AsyncClient(transport=transport, base_url="https://node1.example.com")


# Starting and stopping


@pytest.mark.parametrize("make_app", [fastapi_node, node_app])
async def test_no_task_is_left_after_shutdown(
    make_app: App, authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """Shutdown ends what startup began, and the server is asked no more."""
    app = make_app(make_settings(authority, refresh_interval=0.05))
    before = asyncio.all_tasks()
    async with lifespan(app), client_of(app) as client:
        await until(client, authority.token())
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before
    asked = authority.count()
    await asyncio.sleep(0.3)
    assert authority.count() == asked


async def test_keys_are_fetched_before_any_request(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """The lifespan starts the fetching, so that the first request may be answered."""
    app = fastapi_node(make_settings(authority))
    async with lifespan(app), client_of(app) as client:
        await asyncio.to_thread(authority.wait_for_requests, 1, "/jwks")
        assert authority.count("/jwks") >= 1
        await until(client, authority.token())


async def test_shutdown_does_not_wait_for_a_server(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """It leaves in the middle of a fetch, and the server sees it go."""
    stall = authority.responders[METADATA] = Stall()
    app = fastapi_node(make_settings(authority))
    async with asyncio.timeout(2):
        async with lifespan(app):
            await asyncio.to_thread(authority.wait_for_requests, 1)
    assert await asyncio.to_thread(stall.abandoned.wait, 2)


async def test_shutdown_in_the_middle_of_a_tls_handshake_closes_the_connection(
    make_settings: MakeSettings,
) -> None:
    """Nothing is left open for the garbage collector to find and to complain of."""
    server = FakeAuthorizationServer([])
    with listen() as deaf:
        server.port = deaf.getsockname()[1]
        app = fastapi_node(make_settings(server))
        async with lifespan(app):
            connection, _ = await asyncio.to_thread(deaf.accept)
            assert await asyncio.to_thread(connection.recv, 65536)
        with connection:
            connection.settimeout(1)
            assert await asyncio.to_thread(_rest, connection) == b""


def _rest(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


def test_a_server_sees_a_clean_start_and_a_clean_end(
    authority: FakeAuthorizationServer,
    make_settings: MakeSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No server has anything to complain of."""
    app = fastapi_node(make_settings(authority))
    with caplog.at_level(logging.INFO), serving(app, lifespan="on") as port:
        httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False)
    errors = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert errors == []
    assert "unsupported" not in caplog.text


# Without lifespan


@pytest.mark.parametrize("switch", ["auto", "off"])
def test_an_app_without_lifespan_starts_with_the_first_request(
    switch: str, authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """503 first, then the keys are there; whether the server tries a lifespan or not."""
    app = bare_node(make_settings(authority))
    with (
        serving(app, lifespan="auto" if switch == "auto" else "off") as port,
        http_client(f"http://127.0.0.1:{port}") as client,
    ):
        first = client.get(SELF, headers=bearer(authority.token()))
        assert first.status_code == 503
        assert int(first.headers["retry-after"]) >= 1
        authority.wait_for_requests(1, "/jwks")
        while client.get(SELF, headers=bearer(authority.token())).status_code == 503:
            pass
        assert client.get(SELF, headers=bearer(authority.token())).status_code == 200


async def test_many_first_requests_start_once(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """However many come at once."""
    stall = authority.responders[METADATA] = Stall()
    app = bare_node(make_settings(authority))
    before = asyncio.all_tasks()
    async with client_of(app) as client:
        answers = await asyncio.gather(
            *(client.get(SELF, headers=bearer(authority.token())) for _ in range(20))
        )
        assert {each.status_code for each in answers} == {503}
        await asyncio.to_thread(authority.wait_for_requests, 1)
        assert authority.count() == 1
        stall.release()
        del authority.responders[METADATA]
        await until(client, authority.token())
    for task in asyncio.all_tasks() - before:
        task.cancel()


# More than one event loop


@pytest.mark.parametrize("make_app", [fastapi_node, node_app])
def test_two_event_loops_in_turn(
    make_app: App, authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """A test suite runs one app under several test clients: each has a loop of its own."""
    app = make_app(make_settings(authority))
    for number in (1, 2, 3):
        with TestClient(app) as client:
            known = authority.token()
            while (answer := client.get(SELF, headers=bearer(known))).status_code == 503:
                assert number == 1, "what one loop fetched counts on the next"
            assert answer.status_code == 200
            authority.keys.insert(0, signing_key(number))
            new = authority.token()
            while (answer := client.get(SELF, headers=bearer(new))).status_code == 503:
                pass
            assert answer.status_code == 200


# The loop's end cancels a fetch wherever it is, in httpcore's closing of the connection too.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
# Each loop ends while keys are fetched; anyio leaves behind what was about to connect.
@pytest.mark.filterwarnings("ignore:coroutine 'connect_tcp:RuntimeWarning")
def test_an_event_loop_for_every_request(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """A test client that is not entered ends its loop with each answer: no harm is done."""
    client = TestClient(fastapi_node(make_settings(authority)))
    for _ in range(5):
        assert client.get(SELF, headers=bearer(authority.token())).status_code in {200, 503}
        assert client.get(SELF).status_code == 401
    gc.collect()  # here, where what was left behind is expected


def test_a_second_event_loop_at_the_same_time_is_refused(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """Two servers of one app in two threads: the second is told, and the first goes on."""
    app = fastapi_node(make_settings(authority))
    before = len(authority.requests)
    with TestClient(app) as client:
        known = authority.token()
        while client.get(SELF, headers=bearer(known)).status_code == 503:
            pass
        fetched = len(authority.requests)
        assert fetched > before
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="two event loops"), TestClient(app):
                raise AssertionError
        other = TestClient(app)
        for _ in range(3):
            with pytest.raises(ConfigurationError, match="an app for each server"):
                other.get(SELF, headers=bearer(known))
        assert client.get(SELF, headers=bearer(known)).status_code == 200
        assert len(authority.requests) == fetched
    with TestClient(app) as client:
        assert client.get(SELF, headers=bearer(known)).status_code in {200, 503}


def test_of_two_event_loops_that_begin_at_once_one_is_refused(
    authority: FakeAuthorizationServer, make_settings: MakeSettings, tmp_path: Path
) -> None:
    """The app is never served by two, however close their starts are."""
    settings = make_settings(authority, audit_log=str(tmp_path / "audit.log"))
    together = threading.Barrier(2)

    async def begin(server: ResourceServer) -> bool:
        together.wait()
        try:
            server.start()
        except ConfigurationError:
            return False
        finally:
            # Both event loops run until both have tried.
            await asyncio.to_thread(together.wait)
        await server.stop()
        return True

    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            server = ResourceServer(settings, time.time)
            began = list(threads.map(asyncio.run, [begin(server), begin(server)]))
            assert sorted(began) == [False, True]


@pytest.mark.parametrize("kind", ["http", "websocket", "lifespan"])
def test_without_asyncio_the_error_says_so(
    kind: str, authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """`hypercorn -k trio`: the start fails, and each request where that goes unnoticed."""
    app = NmosAuthMiddleware(http_alone, make_settings(authority))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": SELF, "headers": [], "query_string": b""}
    with pytest.raises(ConfigurationError, match="asyncio"):
        app(scope, receive, send).send(None)
    if kind == "lifespan":
        assert sent[0]["type"] == "lifespan.startup.failed"
        assert "asyncio" in sent[0]["message"]


# Wrong settings

PROGRAM = """
from fastapi import FastAPI
from nmos_auth import NmosAuthMiddleware

app = FastAPI()
app.add_middleware(NmosAuthMiddleware)
"""

WRONG = {
    "NMOS_AUTH_SERVERS": "http://auth.example.com",
    "NMOS_AUTH_TRUSTED_ISSUERS": "auth.example.com",
    "NMOS_AUTH_CA_FILE": "/nowhere/root.crt",
    "NMOS_AUTH_REFRESH_INTERVAL": "often",
    "NMOS_AUTH_REFETCH_INTERVAL": "-1",
    "NMOS_AUTH_ISSUER_POLICY": "any",
    "NMOS_AUTH_AUDIENCE": "https://",
    "NMOS_AUTH_KEYS_FILE": "/nowhere/keys.json",
    "NMOS_AUTH_AUDIT_LOG": "/nowhere/audit.log",
    "NMOS_AUTH_ALLOW_HTTP": "perhaps",
    "NMOS_AUTH_ENABLED": "perhaps",
    "NMOS_AUTH_LEEWAY": "nan",
}


def environment(**changes: str) -> Mapping[str, str]:
    """Return this environment with the variables that a Node needs, and changes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NMOS_AUTH_")}
    needed = {"NMOS_AUTH_AUDIENCE": "node1.example.com", "NMOS_AUTH_SERVERS": "https://localhost:1"}
    return kept | needed | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"NMOS_AUTH_SERVERS": "http://auth.example.com"},
        {"NMOS_AUTH_SERVERS": "", "NMOS_AUTH_DISCOVERY": "off"},
    ],
)
def test_a_wrong_setting_stops_uvicorn(changes: dict[str, str], tmp_path: Path) -> None:
    """It exits with an error, on its own, and says which variable is wrong."""
    (tmp_path / "program.py").write_text(PROGRAM)
    uvicorn = subprocess.run(
        [sys.executable, "-m", "uvicorn", "program:app", "--port", "0"],
        cwd=tmp_path,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert uvicorn.returncode != 0
    assert "NMOS_AUTH_SERVERS" in uvicorn.stderr
    assert "Uvicorn running" not in uvicorn.stderr


@pytest.mark.parametrize("name", WRONG)
def test_a_test_client_raises_the_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users' own tests see what is wrong: ConfigurationError, with the variable's name."""
    for each, value in environment(**{name: WRONG[name]}).items():
        monkeypatch.setenv(each, value)
    with pytest.raises(ConfigurationError, match=name), TestClient(fastapi_node(None)):
        pass


@pytest.mark.parametrize("name", WRONG)
def test_without_an_event_loop_the_error_is_raised_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app that is wrapped by hand fails when it is made."""
    if name == "NMOS_AUTH_AUDIT_LOG":
        pytest.skip("the audit log is opened when the app starts")
    for each, value in environment(**{name: WRONG[name]}).items():
        monkeypatch.setenv(each, value)
    with pytest.raises(ConfigurationError, match=name):
        NmosAuthMiddleware(http_alone)


def test_a_wrong_setting_never_leaves_the_door_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server told not to run lifespans answers 500, and not what is protected."""
    for each, value in environment(NMOS_AUTH_SERVERS="http://auth.example.com").items():
        monkeypatch.setenv(each, value)
    with serving(fastapi_node(None), lifespan="off") as port:
        for path in (SELF, "/x-nmos/", "/docs"):
            answer = httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
            assert answer.status_code == 500


# Switched off


def test_switched_off_everything_passes_and_the_log_says_so(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture, tls: TestAuthority
) -> None:
    """NMOS_AUTH_ENABLED=false: one warning, no background work, no server asked."""
    with listen() as listener:
        settings = Settings(enabled=False, servers=f"https://localhost:{listener.getsockname()[1]}")
        with (
            caplog.at_level(logging.WARNING, "nmos_auth"),
            TestClient(fastapi_node(settings)) as client,
        ):
            assert client.get(SELF).status_code == 200
            token = signing_key(0).sign(claims_of("https://auth.example.com"))
            assert client.get(SELF, headers=bearer(token)).status_code == 200
        assert_untouched(listener)
    warned = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(warned) == 1
    assert "NMOS_AUTH_ENABLED" in warned[0].getMessage()
