"""The Node over HTTPS: served as `python -m example_node` serves it, and reached by its name."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import trustme

import nmos_auth
from example_node import Settings, create_app
from example_node.serving import run
from tests.support.authority import FakeAuthorizationServer
from tests.support.servers import free_port, listen, serving
from tests.support.tls import TestAuthority
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture
def served(tls: TestAuthority) -> Iterator[httpx2.Client]:
    """A client of a Node that uvicorn serves over TLS, on the computer's own clock."""
    app = create_app(
        Settings(host_name="localhost", interfaces=("lo",)), nmos_auth.Settings(enabled=False)
    )
    with (
        serving(app, tls=tls.server_context("localhost")) as port,
        httpx2.Client(
            base_url=f"https://localhost:{port}/x-nmos", verify=tls.client_context()
        ) as client,
    ):
        yield client


def test_a_scheduled_activation_happens_on_time(served: httpx2.Client) -> None:
    """With real time: 202, then active no earlier than the activation time."""
    (sender_id, *_) = served.get("/connection/v1.1/single/senders/").json()
    sender = f"/connection/v1.1/single/senders/{sender_id}"
    activation = {"mode": "activate_scheduled_relative", "requested_time": "0:200000000"}
    response = served.patch(f"{sender}staged", json={"activation": activation})
    assert response.status_code == 202
    due = response.json()["activation"]["activation_time"]
    # A client learns that the schedule is over when it can change what is staged again.
    eventually(lambda: served.patch(f"{sender}staged", json={}).status_code != 423)
    active = served.get(f"{sender}active").json()["activation"]
    assert active["mode"] == "activate_scheduled_relative"
    assert tuple(map(int, active["activation_time"].split(":"))) >= tuple(map(int, due.split(":")))


def test_head_has_no_body_on_the_wire(served: httpx2.Client) -> None:
    """One connection serves HEAD and then GET, so nothing of a body came in between."""
    for path in ("/node/v1.3/self", "/node/v1.3/self/", "/node/v1.3/nothing"):
        head, get = served.head(path), served.get(path)
        assert head.status_code == get.status_code
        assert head.headers["content-length"] == get.headers["content-length"]
        assert head.content == b""
        assert get.content


def environment(**variables: str) -> dict[str, str]:
    """The environment of a Node, without what this run's environment says of Nodes."""
    foreign = ("EXAMPLE_NODE_", "NMOS_AUTH_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {
        **kept,
        "EXAMPLE_NODE_INTERFACES": "lo",
        "EXAMPLE_NODE_REGISTRY_DISCOVERY": "off",
        **variables,
    }


def test_the_command_serves_a_protected_node(
    tls: TestAuthority, authority: FakeAuthorizationServer
) -> None:
    """`python -m example_node` with certificates answers over TLS alone, and wants a token."""
    rsa = tls.write_server_files("localhost", key_type=trustme.KeyType.RSA)
    ecdsa = tls.write_server_files("localhost", key_type=trustme.KeyType.ECDSA)
    port = free_port()
    variables = environment(
        EXAMPLE_NODE_HOST_NAME="localhost",
        EXAMPLE_NODE_PORT=str(port),
        EXAMPLE_NODE_TLS_CERTIFICATE=f"{rsa[0]},{ecdsa[0]}",
        EXAMPLE_NODE_TLS_KEY=f"{rsa[1]},{ecdsa[1]}",
        NMOS_AUTH_AUDIENCE="localhost",
        NMOS_AUTH_SERVERS=authority.issuer,
        NMOS_AUTH_CA_FILE=str(tls.ca_file),
    )
    command = [sys.executable, "-m", "example_node"]
    with subprocess.Popen(
        command, env=variables, cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if re.search(r"running on https://", line, re.IGNORECASE):
                    break
            with httpx2.Client(
                base_url=f"https://localhost:{port}", verify=tls.client_context()
            ) as client:
                assert "node/" in client.get("/x-nmos").json()
                response = client.get("/x-nmos/node/v1.3/self")
                assert response.status_code == 401
                assert response.json()["code"] == 401
                assert response.headers["strict-transport-security"] == "max-age=31536000"
            with pytest.raises(httpx2.TransportError):
                httpx2.get(f"http://localhost:{port}/x-nmos")
        finally:
            process.terminate()
            process.communicate(timeout=10)


def test_a_port_in_use_has_a_cure() -> None:
    """One line says which port it is, that another program uses it, and which setting to change."""
    with listen() as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "example_node"],
            env=environment(
                EXAMPLE_NODE_PROTOCOL="http",
                EXAMPLE_NODE_PORT=str(port),
                NMOS_AUTH_AUDIENCE="localhost",
                NMOS_AUTH_DISCOVERY="off",
            ),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        f"127.0.0.1 port {port}: Address already in use; end the program that uses it, or choose"
        " another port with EXAMPLE_NODE_PORT"
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "https requires EXAMPLE_NODE_TLS_CERTIFICATE and EXAMPLE_NODE_TLS_KEY"),
        (
            {"EXAMPLE_NODE_TLS_CERTIFICATE": __file__, "EXAMPLE_NODE_TLS_KEY": __file__},
            "cannot be used",
        ),
        (
            {
                "EXAMPLE_NODE_TLS_CERTIFICATE": f"{__file__},{__file__}",
                "EXAMPLE_NODE_TLS_KEY": __file__,
            },
            "with the same number of",
        ),
        ({"EXAMPLE_NODE_PORT": "many"}, "EXAMPLE_NODE_PORT: 'many' is not a number"),
        ({"EXAMPLE_NODE_TLS_KEY": "no.key"}, "EXAMPLE_NODE_TLS_KEY: 'no.key' is not a file"),
        ({"EXAMPLE_NODE_PROTOCOL": "htp"}, "EXAMPLE_NODE_PROTOCOL: 'htp' is not one of"),
        (
            {"EXAMPLE_NODE_PROTOCOL": "http", "EXAMPLE_NODE_INTERFACES": "nosuch0"},
            "network interface 'nosuch0'",
        ),
        (
            {"EXAMPLE_NODE_PROTOCOL": "http", "NMOS_AUTH_AUDIENCE": "not a name"},
            "NMOS_AUTH_AUDIENCE: ",
        ),
    ],
)
def test_the_command_says_what_is_wrong(
    variables: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A setting that cannot be used ends the command with one line that names it."""
    good = {"EXAMPLE_NODE_HOST_NAME": "localhost", "NMOS_AUTH_AUDIENCE": "localhost"}
    for name, value in {**good, **variables}.items():
        monkeypatch.setenv(name, value)
    assert run(Settings, create_app, largest_message=1024) == 2
    assert message in capsys.readouterr().err
