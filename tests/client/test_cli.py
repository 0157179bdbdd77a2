"""The commands of the client half: what they print, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from nmos_auth.cli import main
from tests.client.scripted import Refusal, ScriptedServer
from tests.support.tls import TestAuthority

MAIN = "import sys; from nmos_auth.cli import main; sys.exit(main(sys.argv[1:]))"
COMMAND = (sys.executable, "-c", MAIN)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def environment(server: ScriptedServer, tls: TestAuthority, tmp_path: Path) -> dict[str, str]:
    """Return the variables of a Node."""
    return {
        "NMOS_AUTH_SERVERS": server.issuer,
        "NMOS_AUTH_CA_FILE": str(tls.ca_file),
        "NMOS_AUTH_CLIENT_NAME": "Example Node 0001",
        "NMOS_AUTH_CLIENT_SCOPE": "registration",
        "NMOS_AUTH_CLIENT_AUTH_METHOD": "client_secret_basic",
        "NMOS_AUTH_CLIENT_STORE": str(tmp_path / "client.json"),
    }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs the command in this process: its exit code and what it wrote."""

    def run_command(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            code = main(arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return run_command


def test_token(run: Run, environment: dict[str, str], server: ScriptedServer) -> None:
    """The token alone is on standard output; a second run needs no second registration."""
    assert run(environment, "token") == (0, "access-2\n", "")
    assert run(environment, "token", "--scope", "registration", "events")[1] == "access-3\n"
    assert server.requests("/token")[-1].form["scope"] == "events registration"
    assert len(server.requests("/register")) == 1
    code, output, _ = run(environment, "token", "--json")
    assert code == 0
    assert json.loads(output) == {
        "access_token": "access-4",
        "token_type": "Bearer",
        "expires_in": 60,
        "scope": "registration",
    }


@pytest.mark.parametrize(
    ("changes", "arguments", "code", "words"),
    [
        ({"NMOS_AUTH_CLIENT_GRANT": "password"}, ["token"], 2, "NMOS_AUTH_CLIENT_GRANT"),
        ({"NMOS_AUTH_CLIENT_SCOPE": ""}, ["token"], 2, "NMOS_AUTH_CLIENT_SCOPE"),
        ({"NMOS_AUTH_CLIENT_NAME": ""}, ["token"], 2, "NMOS_AUTH_CLIENT_NAME"),
        ({}, ["token", "--scope", "query"], 1, "BCP-003-02"),
        ({"NMOS_AUTH_CLIENT_STORE": ""}, ["register"], 2, "NMOS_AUTH_CLIENT_STORE"),
        ({"NMOS_AUTH_CLIENT_STORE": ""}, ["keys", "show"], 2, "NMOS_AUTH_CLIENT_STORE"),
        ({}, ["login"], 2, "NMOS_AUTH_CLIENT_GRANT"),
        ({"NMOS_AUTH_CLIENT_STORE": ""}, ["logout"], 2, "NMOS_AUTH_CLIENT_STORE"),
        ({"NMOS_AUTH_SERVERS": "https://localhost:1"}, ["token"], 1, "localhost:1"),
        ({"NMOS_AUTH_SERVERS": "", "NMOS_AUTH_DISCOVERY": "off"}, ["servers"], 1, "no Authori"),
        (
            {
                "NMOS_AUTH_CLIENT_GRANT": "authorization_code",
                "NMOS_AUTH_CLIENT_AUTH_METHOD": "none",
            },
            ["token"],
            1,
            "nmos-auth login",
        ),
    ],
)
def test_errors_are_one_line(
    run: Run,
    environment: dict[str, str],
    changes: dict[str, str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    """What went wrong is one line on standard error; nothing is on standard output."""
    ended, output, told = run(environment | changes, *arguments)
    assert (ended, output) == (code, "")
    assert words in told
    assert told.startswith(f"nmos-auth {arguments[0]}: error: ")
    assert told.count("\n") == 1


def test_a_refusal_has_the_servers_code(
    run: Run, environment: dict[str, str], server: ScriptedServer
) -> None:
    """The error code of the server is told."""
    server.answers["/token"] = Refusal(400, {"error": "invalid_scope"})
    ended, output, told = run(environment, "token")
    assert (ended, output) == (1, "")
    assert "invalid_scope" in told
    assert told.count("\n") == 1


def test_misspelt_variables_are_told(run: Run, environment: dict[str, str]) -> None:
    """A variable that nothing reads is named on standard error."""
    ended, output, told = run(environment | {"NMOS_AUTH_CLIENT_NAMES": "x"}, "token")
    assert (ended, output) == (0, "access-2\n")
    assert "NMOS_AUTH_CLIENT_NAMES" in told


def test_register_and_servers(
    run: Run, environment: dict[str, str], server: ScriptedServer
) -> None:
    """`register` tells the client id and no secret; `servers` tells which can be used."""
    registered = f"{server.issuer} client-00000000000001 client_secret_basic\n"
    assert run(environment, "register") == (0, registered, "")
    _, output, _ = run(environment, "register", "--json")
    assert json.loads(output)["registrations"][0]["client_id"] == "client-00000000000001"
    assert run(environment, "servers")[:2] == (0, f"{server.issuer} ok\n")
    _, output, _ = run(environment, "servers", "--json")
    assert json.loads(output)["servers"][0]["token_endpoint"] == f"{server.issuer}/token"
    ended, output, _ = run(
        environment | {"NMOS_AUTH_SERVERS": f"https://localhost:1,{server.issuer}"}, "servers"
    )
    assert ended == 0
    assert output.splitlines()[0].startswith("https://localhost:1 ")
    assert output.splitlines()[1] == f"{server.issuer} ok"


def test_keys(run: Run, environment: dict[str, str], server: ScriptedServer) -> None:
    """They are shown and rotated without asking any server, and not before they were published."""
    signer = environment | {"NMOS_AUTH_CLIENT_AUTH_METHOD": "private_key_jwt"}
    _, output, _ = run(signer, "keys", "jwks")
    kids = [key["kid"] for key in json.loads(output)["keys"]]
    _, output, _ = run(signer, "keys", "show")
    signs, following = output.splitlines()
    assert signs == f"{kids[0]} signs"
    assert following.startswith(f"{kids[1]} next since 2")
    ended, output, told = run(signer, "keys", "rotate")
    assert (ended, output) == (1, "")
    assert following.split()[3] in told
    assert told.count("\n") == 1
    ended, output, told = run(signer, "keys", "rotate", "--announced", "0", "--json")
    assert (ended, told) == (0, "")
    keys = json.loads(output)["keys"]
    assert [key["role"] for key in keys] == ["signs", "next", "former"]
    assert [keys[0]["kid"], keys[2]["kid"]] == [kids[1], kids[0]]
    assert set(keys[2]) == {"kid", "role", "until"}
    assert run(environment, "keys", "show")[0] == 1
    assert not server.asked


def test_what_is_deleted(run: Run, environment: dict[str, str], server: ScriptedServer) -> None:
    """`register --delete` says whether there was anything to delete."""
    nothing = f"{server.issuer} nothing to delete\n"
    assert run(environment, "register", "--delete") == (0, nothing, "")
    server.answers["/register"] = lambda asked: server.registration(
        asked,
        registration_client_uri=f"{server.issuer}/register/1",
        registration_access_token="of-the-registration",
    )
    server.answers["/register/1"] = Refusal(204, b"")
    assert run(environment, "register")[0] == 0
    assert run(environment, "register", "--delete") == (0, f"{server.issuer} deleted\n", "")
    assert server.asked[-1].method == "DELETE"


def test_login_and_token(run: Run, environment: dict[str, str], server: ScriptedServer) -> None:
    """After a login in the browser, `token` refreshes what was authorized."""
    controller = environment | {
        "NMOS_AUTH_CLIENT_GRANT": "authorization_code",
        "NMOS_AUTH_CLIENT_AUTH_METHOD": "none",
        "NMOS_AUTH_CLIENT_SCOPE": "query",
    }
    login = subprocess.Popen(
        [*COMMAND, "login", "--no-browser", "--timeout", "20"],
        env={**os.environ, **controller},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with login:
        watchdog = threading.Timer(30, login.kill)
        watchdog.start()
        assert login.stderr is not None
        url = login.stderr.readline().split()[-1]
        query = dict(parse_qsl(urlsplit(url).query))
        back = f"{query['redirect_uri']}?state={query['state']}&code=code-1"
        assert httpx.get(back).status_code == 200
        output, told = login.communicate(timeout=20)
        watchdog.cancel()
    assert (login.returncode, output, told) == (0, f"logged in at {server.issuer}\n", "")
    assert run(controller, "token")[0] == 0
    grants = [asked.form["grant_type"] for asked in server.requests("/token")]
    assert grants == ["authorization_code", "refresh_token"]
    assert run(controller, "logout") == (0, f"logged out at {server.issuer}\n", "")
    assert len(server.requests("/revoke")) == 1
    assert json.loads(run(controller, "logout", "--json")[1]) == {"issuers": []}
    assert run(controller, "token")[0] == 1


def test_what_is_waited_for_is_shown_on_a_terminal(
    environment: dict[str, str], server: ScriptedServer
) -> None:
    """On standard error, and gone before the answer, which is on standard output alone."""
    leader, terminal = os.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, "servers"],
            env={**os.environ, **environment, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
            check=True,
            timeout=50,
        )
        shown = os.read(leader, 4096).decode()
    finally:
        os.close(leader)
        os.close(terminal)
    assert done.stdout == f"{server.issuer} ok\n"
    steps = shown.split("\r\033[K")
    assert steps == ["", "… finding servers", f"… asking {server.issuer}", ""]
