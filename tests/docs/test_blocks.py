"""Every block of every page: run here or by another test, or said not to be, with the reason.

`<!-- not run: REASON -->` stands above a block that no test can run. What a block installs is tried
by tests/packaging.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from nmos_auth import AccessToken, NmosAuthMiddleware, access_token
from nmos_auth.client import AuthorizationClient
from nmos_auth.client.login import LoginRoutes
from nmos_auth.registry import check_subscription
from nmos_auth.testing import StandInAuthorizationServer, protect
from nmos_auth.trust.static_keys import read_static_keys
from tests.docs.test_pages import CURRENT, DOCS, PAGES, ROOT
from tests.support.servers import free_port
from tests.support.tls import TestAuthority

# How many blocks of a page are run: those of the tutorial by test_tutorial.py, the others here.
RUN = {
    ("README", "python"): 2,
    ("README", "sh"): 1,
    ("cli", "sh"): 1,
    ("explain", "sh"): 2,
    ("keycloak", "sh"): 1,
    ("logging", "python"): 1,
    ("logging", "sh"): 1,
    ("logins", "python"): 2,
    ("metrics", "python"): 1,
    ("offline", "sh"): 1,
    ("proxy", "nginx"): 1,
    ("registry", "python"): 2,
    ("tokens", "sh"): 1,
    ("tutorial", "sh"): 6,
}
DATA = {"json": json.loads, "toml": tomllib.loads}
# What a program prints, or a picture: nothing to run.
SHOWN = {"text", "mermaid"}
_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?```(?P<language>[^\n]*)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
PROGRAMS = Path(sys.executable).parent


def _is_shown(language: str) -> bool:
    # A directive is the site's: what it includes is an example, with a test in test_examples.py.
    return language in {*DATA, *SHOWN} or language.startswith("{")


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a page that are to be run."""
    path = ROOT / "README.md" if page == "README" else DOCS / f"{page}.md"
    return [
        each["text"]
        for each in _BLOCK.finditer(path.read_text("utf-8"))
        if each["language"] == language and each["why"] is None
    ]


def test_every_block_is_run_or_says_why_not() -> None:
    """A page that gains a block needs a test of it, or a reason."""
    found: Counter[tuple[str, str]] = Counter()
    for page in CURRENT:
        for each in _BLOCK.finditer(page.read_text("utf-8")):
            if each["why"] is None and not _is_shown(each["language"]):
                found[page.stem, each["language"]] += 1
    assert found == RUN


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_data_has_its_form(page: Path) -> None:
    """Blocks of JSON and TOML are that."""
    for each in _BLOCK.finditer(page.read_text("utf-8")):
        if each["language"] in DATA:
            DATA[each["language"]](each["text"])


def bash(block: str, cwd: Path, variables: Mapping[str, str] = {}) -> str:
    """Run a block without what it installs, and return what it prints."""
    text = re.sub(r"^pip install .*$", "", block, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euc", text],  # noqa: S607 - as its reader would
        cwd=cwd,
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a reader who has set these variables."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("NMOS_AUTH_")}
    return {**clean, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", **variables}


def execute(block: str, **known: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever it needs
    """Run Python, and return its names."""
    exec(compile(block, "block", "exec"), known)  # noqa: S102 - our own pages
    return known


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Return the folder of somebody who has copied the README's Node."""
    (tmp_path / "node.py").write_text(blocks("README", "python")[0])
    return tmp_path


NODE = {"NMOS_AUTH_AUDIENCE": "node1.example.com", "NMOS_AUTH_SERVERS": "https://auth.example.com"}


def test_the_node_of_the_readme_and_its_test(node: Path) -> None:
    """Whoever copies both has a test that passes."""
    (node / "test_node.py").write_text(blocks("README", "python")[1])
    options = "-q -p no:randomly -p no:asyncio -p no:cacheprovider -c /dev/null"
    told = bash(f"python -m pytest {options} test_node.py", node, NODE)
    assert "1 passed" in told


def test_the_node_of_the_readme_is_served(node: Path, tls: TestAuthority) -> None:
    """Over TLS, as the README starts it."""
    issued = tls.root.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(node / "node.crt")
    issued.private_key_pem.write_to_path(node / "node.key")
    (block,) = blocks("README", "sh")
    port = free_port()
    *before, start = [line for line in block.splitlines() if not line.startswith("pip install")]
    assert start.startswith("uvicorn")
    with subprocess.Popen(
        ["bash", "-euc", "\n".join([*before, f"exec {start} --port {port}"])],  # noqa: S607
        cwd=node,
        env=environment({"NMOS_AUTH_AUDIT_LOG": "off"}),
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            context = ssl.create_default_context(cafile=tls.ca_file)
            url = f"https://localhost:{port}/x-nmos/node/v1.3/self"
            assert _answer(url, context).status_code == 401
        finally:
            process.terminate()


def _answer(url: str, context: ssl.SSLContext | None = None) -> httpx.Response:
    deadline = time.monotonic() + 30
    while True:
        try:
            return httpx.get(url, verify=context or True, trust_env=False)
        except httpx.TransportError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.05)


def test_the_shell_completes(tmp_path: Path) -> None:
    """What the page puts into ~/.bashrc defines the completion."""
    (block,) = blocks("cli", "sh")
    assert "nmos-auth" in bash(f"{block}\ncomplete -p nmos-auth", tmp_path)


def test_explain_and_doctor(server: StandInAuthorizationServer, tmp_path: Path) -> None:
    """With the environment of a Node, and its token in the file that the page names."""
    explain, doctor = blocks("explain", "sh")
    token = server.token(read={"node": ["self"]})
    (tmp_path / "token.txt").write_text(token)
    variables = {
        "NMOS_AUTH_AUDIENCE": server.audience,
        "NMOS_AUTH_SERVERS": server.issuer,
        "NMOS_AUTH_ALLOW_HTTP": "true",
    }
    assert "permitted: 200" in bash(explain, tmp_path, variables)
    port = free_port()
    here = doctor.replace("https://node1.example.com", f"https://localhost:{port}")
    told = bash(f"{here.strip()} || test $? = 1", tmp_path, variables)
    assert f"localhost:{port}" in told


def test_a_keycloak_realm(tmp_path: Path) -> None:
    """A realm to import, from the table of the page."""
    (block,) = blocks("keycloak", "sh")
    shutil.copy(DOCS / "examples" / "permissions.json", tmp_path)
    bash(block, tmp_path)
    assert json.loads((tmp_path / "realm.json").read_text())["realm"] == "nmos"


def test_the_levels_of_the_log(tmp_path: Path) -> None:
    """The package says at INFO whom it trusts; in a process of its own, since levels stay."""
    program = "print(logging.getLogger('nmos_auth.trust').getEffectiveLevel() == logging.INFO)"
    (tmp_path / "program.py").write_text(blocks("logging", "python")[0] + program)
    assert bash("python program.py", tmp_path) == "True\n"


def test_what_was_refused(tmp_path: Path) -> None:
    """It is counted by the line of the page, from a line that the page shows."""
    (block,) = blocks("logging", "sh")
    (line,) = [
        each["text"]
        for each in _BLOCK.finditer((DOCS / "logging.md").read_text("utf-8"))
        if each["language"] == "json"
    ]
    (tmp_path / "audit.log").write_text(json.dumps(json.loads(line)) + "\n")
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    assert bash(block, tmp_path).split()[:3] == ["1", "403", "permission:"]


async def test_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app with the three routes, and sessions in Redis with the same client."""
    for name, value in {
        "NMOS_AUTH_SERVERS": "https://auth.example.com",
        "NMOS_AUTH_CLIENT_NAME": "Controller",
        "NMOS_AUTH_CLIENT_GRANT": "authorization_code",
        "NMOS_AUTH_CLIENT_AUTH_METHOD": "none",
        "NMOS_AUTH_CLIENT_SCOPE": "query",
        "NMOS_AUTH_CLIENT_REDIRECT_URI": "https://controller.example.com/callback/{server}",
    }.items():
        monkeypatch.setenv(name, value)
    first, second = blocks("logins", "python")
    made = execute(first)
    assert {"/login", "/logout", "/callback/{server}"} <= {
        route.path for route in made["app"].routes
    }
    other = execute(second, LoginRoutes=LoginRoutes, client=made["client"])
    for each in (made["login"], other["login"], made["client"]):
        await each.aclose()


def test_status_routes(server: StandInAuthorizationServer) -> None:
    """The app is ready, and says so."""
    app = FastAPI()
    app.add_middleware(NmosAuthMiddleware, settings=server.settings())
    execute(blocks("metrics", "python")[0], app=app)
    with TestClient(app) as client:
        assert client.get("/live").status_code == 200
        assert client.get("/ready").status_code == 200


def test_static_keys(server: StandInAuthorizationServer, tmp_path: Path) -> None:
    """The key set can be fetched, and the settings name a file that is believed."""
    (block,) = blocks("offline", "sh")
    keys = tmp_path / "keys.json"
    here = block.replace("https://auth.example.com", server.issuer)
    here = here.replace("/etc/nmos/keys.json", str(keys))
    fetch, settings = here.strip().splitlines()
    document = {"issuers": {"https://auth.example.com": json.loads(bash(fetch, tmp_path))}}
    keys.write_text(json.dumps(document))
    program = "from nmos_auth import Settings; print(Settings().static_keys_file)"
    told = bash(f"{settings}\npython -c '{program}'", tmp_path, {"NMOS_AUTH_AUDIENCE": "n.a.com"})
    assert told.strip() == str(keys)
    assert read_static_keys(keys, allow_http=False).keys() == document["issuers"].keys()


def test_owners_and_subscriptions(server: StandInAuthorizationServer) -> None:
    """Owners in Redis can be made, and the socket of a subscription asks for its path."""
    redis, socket_of_subscription = blocks("registry", "python")
    execute(redis)

    class Subscription:
        resource_path = "/senders"

    app = FastAPI()
    execute(
        socket_of_subscription,
        app=app,
        WebSocket=WebSocket,
        Annotated=Annotated,
        AccessToken=AccessToken,
        Depends=Depends,
        access_token=access_token,
        check_subscription=check_subscription,
        subscriptions={"1": Subscription},
    )
    app.add_middleware(NmosAuthMiddleware, settings=server.settings())
    with protect(app, server.settings()), TestClient(app) as client:
        for read, allowed in ((["senders/*", "senders"], True), (["nodes/*"], False)):
            headers = server.headers(server.token(read={"query": read}))
            with contextlib.ExitStack() as stack:
                if not allowed:
                    stack.enter_context(pytest.raises((WebSocketDisconnect, httpx.HTTPError)))
                stack.enter_context(client.websocket_connect("/ws/1", headers=headers))


async def test_the_settings_of_a_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page exports is complete."""
    (block,) = blocks("tokens", "sh")
    here = block.replace("/var/lib/node", str(tmp_path))
    for line in bash(f"{here}\nenv", tmp_path).splitlines():
        name, _, value = line.partition("=")
        if name.startswith("NMOS_AUTH_"):
            monkeypatch.setenv(name, value)
    async with AuthorizationClient() as client:
        client.settings.check_complete(finds_servers=True)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_behind_nginx(node: Path, server: StandInAuthorizationServer, tls: TestAuthority) -> None:
    """Requests and WebSockets pass, and the token of a handshake is not in nginx's log."""
    (block,) = blocks("proxy", "nginx")
    outside, inside = free_port(), free_port()
    (node / "node.py").write_text(_SOCKET)
    issued = tls.root.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(node / "node.crt")
    issued.private_key_pem.write_to_path(node / "node.key")
    for name, value in {
        "listen 443 ssl;": f"listen 127.0.0.1:{outside} ssl;",
        "/etc/nginx/node.": f"{node}/node.",
        "/var/log/nginx/node.log": f"{node}/nginx.log",
        "127.0.0.1:8080": f"127.0.0.1:{inside}",
    }.items():
        assert name in block
        block = block.replace(name, value)
    (mapping,) = re.findall(r"`(map .*?)`", (DOCS / "proxy.md").read_text("utf-8"))
    temporary = " ".join(
        f"{each}_temp_path {node}/{each};"
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (node / "nginx.conf").write_text(
        f"daemon off; pid {node}/nginx.pid; error_log {node}/error.log;\n"
        f"events {{}}\nhttp {{ {temporary}\n{mapping}\n{block} }}\n"
    )
    programs: list[list[str]] = [
        ["nginx", "-p", str(node), "-c", str(node / "nginx.conf")],
        ["uvicorn", "node:app", "--port", str(inside), "--no-access-log"],
    ]
    with contextlib.ExitStack() as stack:
        for words in programs:
            process = stack.enter_context(
                subprocess.Popen(
                    words,
                    cwd=node,
                    env=environment(
                        {
                            "NMOS_AUTH_AUDIENCE": server.audience,
                            "NMOS_AUTH_SERVERS": server.issuer,
                            "NMOS_AUTH_ALLOW_HTTP": "true",
                            "NMOS_AUTH_AUDIT_LOG": str(node / "audit.log"),
                        }
                    ),
                    stderr=subprocess.DEVNULL,
                )
            )
            stack.callback(process.terminate)
        context = ssl.create_default_context(cafile=tls.ca_file)
        while _answer(f"https://localhost:{outside}/ready", context).status_code != 200:
            time.sleep(0.05)
        refused = _answer(f"https://localhost:{outside}/x-nmos/node/v1.3/self", context)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert refused.headers["strict-transport-security"] == "max-age=31536000"
        token = server.token(read={"events": ["*"]})
        handshake = (
            f"GET /x-nmos/events/v1.0/devices/d?access_token={token} HTTP/1.1\r\n"
            "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        with (
            socket.create_connection(("127.0.0.1", outside)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(handshake.encode())
            assert connection.recv(1024).startswith(b"HTTP/1.1 101 ")
    log = (node / "nginx.log").read_text()
    assert '"GET /x-nmos/events/v1.0/devices/d" 101' in log
    assert "access_token" not in log


_SOCKET = f"""
import sys; sys.path.insert(0, {str(DOCS / "examples")!r})
from event_socket import app
from nmos_auth.status import status_routes
app.router.routes.extend(status_routes())
"""
