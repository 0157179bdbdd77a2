"""The commands as processes: interrupted, killed, without room on the disk or anybody to read."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmos_auth.client import AuthorizationClient, ClientSettings
from nmos_auth.client.grants.grants import code_of
from nmos_auth.client.registration.registrations import redirect_uri_at
from tests.authority.support import PASSWORD, served
from tests.client.browser import Browser
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import CONTROLLER
from tests.client.rotating import Rotating, log_in
from tests.client.scripted import ScriptedServer
from tests.support.tls import TestAuthority
from tests.support.tokens import parts_of

pytestmark = pytest.mark.slow

MAIN = "import sys; from nmos_auth.cli import main; sys.exit(main(sys.argv[1:]))"
REDIRECT_URI = "http://127.0.0.1/callback/{server}"


def variables(settings: ClientSettings) -> dict[str, str]:
    """Return the environment that has these settings."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("NMOS_")},
        "NMOS_AUTH_SERVERS": ",".join(settings.servers),
        "NMOS_AUTH_CA_FILE": str(settings.ca_file),
        "NMOS_AUTH_DISCOVERY": "off",
        "NMOS_AUTH_CLIENT_NAME": str(settings.name),
        "NMOS_AUTH_CLIENT_SCOPE": " ".join(settings.scope),
        "NMOS_AUTH_CLIENT_GRANT": settings.grant.value,
        "NMOS_AUTH_CLIENT_AUTH_METHOD": settings.auth_method.value,
        "NMOS_AUTH_CLIENT_REDIRECT_URI": settings.redirect_uri or "",
        "NMOS_AUTH_CLIENT_JWKS_URI": settings.jwks_uri or "",
        "NMOS_AUTH_CLIENT_STORE": str(settings.store),
    }


@pytest.fixture
def controller(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> ClientSettings:
    """Return the settings of a Controller whose user has logged in at a server that rotates."""
    values = CONTROLLER | {"store": store_file, "redirect_uri": REDIRECT_URI}
    settings = make_settings(server.issuer, **values)
    server.answers["/token"] = Rotating(server)

    async def begin() -> None:
        async with AuthorizationClient(settings) as client:
            await log_in(client, server.issuer)

    asyncio.run(begin())
    return settings


def rotating(server: ScriptedServer) -> Rotating:
    """Return what answers at the token endpoint."""
    answers = server.answers["/token"]
    assert isinstance(answers, Rotating)
    return answers


def token(settings: ClientSettings) -> subprocess.CompletedProcess[str]:
    """Run `nmos-auth token`."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, "token"],
        env=variables(settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def started(settings: ClientSettings, *arguments: str) -> subprocess.Popen[str]:
    """Start a command."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        env=variables(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another process or thread does."""
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 3, [signal.SIGTERM, signal.SIGINT]],
    ids=["Ctrl-C", "SIGTERM", "Ctrl-C three times", "SIGTERM and Ctrl-C"],
)
def test_a_signal_in_the_middle_of_a_refresh(
    controller: ClientSettings, server: ScriptedServer, signals: list[signal.Signals]
) -> None:
    """The program ends when it has kept what the server gave it; the next one gets a token."""
    issuing = rotating(server)
    issuing.latency = 1.5
    spent = len(issuing.spent)
    with started(controller, "token") as process:
        until(lambda: len(issuing.spent) > spent)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.1)
        output, told = process.communicate(timeout=20)
    assert (process.returncode, output, told) == (1, "", "")
    issuing.latency = 0
    after = token(controller)
    assert (after.returncode, after.stderr) == (0, "")


def test_a_disk_without_room(controller: ClientSettings, server: ScriptedServer) -> None:
    """It is found out before the refresh token is spent; with room again there is a token."""
    issuing = rotating(server)
    spent = len(issuing.spent)
    for _ in range(2):
        full = subprocess.run(
            ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "-", sys.executable, "-c", MAIN, "token"],
            env=variables(controller),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (full.returncode, full.stdout) == (1, "")
        assert full.stderr.startswith("nmos-auth token: error: ")
        assert "cannot be written" in full.stderr
        assert full.stderr.count("\n") == 1
    assert len(issuing.spent) == spent
    assert token(controller).returncode == 0


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_processes_that_are_ended_while_others_wait(
    controller: ClientSettings, server: ScriptedServer, end: signal.Signals
) -> None:
    """Several share a store; one that ends in its turn lets the next one in, with what is kept."""
    issuing = rotating(server)
    issuing.latency = 0.5
    waiting = [started(controller, "token") for _ in range(4)]
    until(lambda: len(issuing.spent) >= 2)
    if end is signal.SIGTERM:
        for process in waiting[:2]:
            process.send_signal(end)
    told = [process.communicate(timeout=30) for process in waiting]
    assert not any("Traceback" in each[1] for each in told)
    issuing.latency = 0
    assert token(controller).returncode == 0


@dataclass
class Late:
    """Keeps the answers of the token endpoint back for a while, when it is told to.

    Attributes:
        keeps: whether it does.
        kept: how many it has.
    """

    keeps: bool = False
    kept: int = 0

    def around(self, app: ASGIApp) -> ASGIApp:
        """Put it around an app."""

        async def late(scope: Scope, receive: Receive, send: Send) -> None:
            async def sent(message: Message) -> None:
                if self.keeps and scope["path"] == "/token":
                    self.kept += 1
                    while self.keeps:  # noqa: ASYNC110 - another thread says when
                        await asyncio.sleep(0.01)
                await send(message)

            await app(scope, receive, sent)

        return late


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_ended_between_the_answer_and_the_write(
    tls: TestAuthority, make_settings: MakeClientSettings, store_file: Path, end: signal.Signals
) -> None:
    """The development server has rotated, and nobody has the new token: the next start gets it."""
    late = Late()
    with served(tls=tls, around=late.around) as server:
        values = CONTROLLER | {"store": store_file, "redirect_uri": REDIRECT_URI}
        settings = make_settings(server.issuer, **values)

        async def begin() -> None:
            browser = Browser(tls, PASSWORD)
            async with AuthorizationClient(settings) as client:
                at = client.servers.at(server.issuer)
                uri = redirect_uri_at(settings, server.issuer).replace("127.0.0.1", "127.0.0.1:1")
                pending = await at.begin_authorization(settings.scope, redirect_uri=uri)
                answer = await browser.authorize(pending.url, until=uri)
                code = code_of(pending, parse_qsl(urlsplit(answer.headers["location"]).query))
                await client.authorization_at(at).complete(pending, code)
            await browser.close()

        asyncio.run(begin())
        for _ in range(2):
            late.keeps, late.kept = True, 0
            with started(settings, "token") as process:
                until(lambda: late.kept)
                process.send_signal(end)
                if end is signal.SIGKILL:
                    process.wait(20)
                late.keeps = False
                process.communicate(timeout=20)
            after = token(settings)
            assert (after.returncode, after.stderr) == (0, "")


def test_processes_that_start_together_sign_with_one_key(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """Of several workers on an empty store, one makes the keys, and one registers."""
    settings = make_settings(
        server.issuer,
        auth_method="private_key_jwt",
        jwks_uri="https://node.example.com/jwks",
        store=store_file,
    )
    workers = [started(settings, "token") for _ in range(5)]
    for worker in workers:
        output, told = worker.communicate(timeout=50)
        assert (worker.returncode, told) == (0, "")
        assert output
    with started(settings, "keys", "jwks") as process:
        published = json.loads(process.communicate(timeout=30)[0])["keys"]
    assert {kid_of(asked.form["client_assertion"]) for asked in server.requests("/token")} == {
        published[0]["kid"]
    }
    assert len(server.requests("/register")) == 1


def kid_of(assertion: str) -> str:
    """Return the `kid` of a JWT."""
    return str(parts_of(assertion)[0]["kid"])


@pytest.mark.parametrize(
    ("redirection", "words"),
    [
        (">&-", "standard output is closed"),
        (">/dev/full", "standard output: No space left on device"),
        ("| true", "standard output: Broken pipe"),
        ("2>&-", ""),
        (">&- 2>&-", ""),
        ("2>/dev/full", ""),
        ("<&-", ""),
    ],
)
def test_nobody_to_read_it(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    store_file: Path,
    redirection: str,
    words: str,
) -> None:
    """What cannot be written is told in one line where that works, and without a traceback."""
    settings = make_settings(server.issuer, store=store_file)
    command = f'(sleep 0.3; "$@"; echo $? >{store_file.parent}/code) {redirection}'
    ended = subprocess.run(
        ["/bin/sh", "-c", command, "-", sys.executable, "-c", MAIN, "token"],
        # There is a note about the second.
        env=variables(settings) | ({"NMOS_AUTH_CLIENT_SCOP": "a"} if "2>" in redirection else {}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    until((store_file.parent / "code").exists)
    told = ended.stderr
    assert words in told
    assert told.count("\n") == (1 if words else 0)
    code = int((store_file.parent / "code").read_text())
    assert code == (1 if words or ">&- 2" in redirection else 0)


def test_a_port_in_use(controller: ClientSettings, server: ScriptedServer) -> None:
    """A login whose redirect port somebody else has says so in a line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        uri = f"http://127.0.0.1:{port}/callback/{{server}}"
        settings = controller.model_copy(update={"redirect_uri": uri})
        with started(settings, "login", "--no-browser") as process:
            output, told = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    assert "address already in use" in told
    assert told.count("\n") == 1
