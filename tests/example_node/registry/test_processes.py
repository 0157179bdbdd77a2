"""`python -m example_node.registry`: settings, TLS, and several processes with one Redis server."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from pydantic import ValidationError

from example_node.registry import Settings, create_app
from example_node.serving import run
from nmos_auth.testing import StandInAuthorizationServer
from tests.example_node.registry.support import NODE_ID, REGISTRATION, bearer, post, uuid
from tests.support.redis import redis_server
from tests.support.servers import listen
from tests.support.tls import TestAuthority

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "example_node.registry")
EVERYTHING = {"registration": ["*"]}


def environment(**variables: str) -> dict[str, str]:
    """The environment of a Registry, without what this run's environment says of any."""
    foreign = ("EXAMPLE_", "NMOS_AUTH_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **variables}


@contextlib.contextmanager
def running(variables: dict[str, str], tls: TestAuthority) -> Iterator[str]:
    """Run a Registry until the block ends, and yield its URL."""
    with listen() as listener:
        port = listener.getsockname()[1]
    certificate, key = tls.write_server_files("localhost")
    everything = environment(
        EXAMPLE_REGISTRY_HOST_NAME="localhost",
        EXAMPLE_REGISTRY_PORT=str(port),
        EXAMPLE_REGISTRY_TLS_CERTIFICATE=str(certificate),
        EXAMPLE_REGISTRY_TLS_KEY=str(key),
        **variables,
    )
    with subprocess.Popen(
        COMMAND, env=everything, cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any(re.search("running on https://", line, re.IGNORECASE) for line in lines)
            yield f"https://localhost:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=10)


async def test_two_registries_on_one_redis_server(
    server: StandInAuthorizationServer, tls: TestAuthority, tmp_path: Path
) -> None:
    """Each Node that two clients register at once has one owner; without Redis nobody is one."""
    settings = server.settings()
    variables = {
        "NMOS_AUTH_AUDIENCE": server.audience,
        "NMOS_AUTH_SERVERS": server.issuer,
        "NMOS_AUTH_ALLOW_HTTP": "true",
        "NMOS_AUTH_STATIC_KEYS_FILE": str(settings.static_keys_file),
        "NMOS_AUTH_DISCOVERY": "off",
        "NMOS_AUTH_AUDIT_LOG": str(tmp_path / "audit.log"),
    }
    tokens = [
        server.token(read=EVERYTHING, write=EVERYTHING, client_id=client) for client in ("a", "b")
    ]
    async with contextlib.AsyncExitStack() as stack:
        redis = stack.enter_context(contextlib.ExitStack())
        variables["EXAMPLE_REGISTRY_REDIS"] = redis.enter_context(redis_server(tmp_path))
        clients = [
            await stack.enter_async_context(
                httpx2.AsyncClient(
                    base_url=stack.enter_context(running(variables, tls)),
                    verify=tls.client_context(),
                )
            )
            for _ in tokens
        ]
        for number in range(20):
            answers = await asyncio.gather(
                *(
                    post(client, "node", token, id=uuid(number))
                    for client, token in zip(clients, tokens, strict=True)
                )
            )
            assert sorted(answer.status_code for answer in answers) == [201, 403]
        redis.close()
        for answer in (
            await post(clients[0], "node", tokens[0]),
            await clients[0].post(
                f"{REGISTRATION}/health/nodes/{NODE_ID}", headers=bearer(tokens[0])
            ),
            await clients[0].delete(
                f"{REGISTRATION}/resource/nodes/{NODE_ID}", headers=bearer(tokens[0])
            ),
        ):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["code"] == 503


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "https requires EXAMPLE_REGISTRY_TLS_CERTIFICATE and EXAMPLE_REGISTRY_TLS_KEY"),
        ({"EXAMPLE_REGISTRY_EXPIRY": "soon"}, "EXAMPLE_REGISTRY_EXPIRY: "),
    ],
)
def test_the_command_says_what_is_wrong(
    variables: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A setting that cannot be used ends the command with one line that names it."""
    good = {"EXAMPLE_REGISTRY_HOST_NAME": "localhost", "NMOS_AUTH_AUDIENCE": "localhost"}
    for name, value in {**good, **variables}.items():
        monkeypatch.setenv(name, value)
    assert run(Settings, create_app, largest_message=1024) == 2
    assert message in capsys.readouterr().err


def test_settings_keep_the_password_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in no representation, and in no message about a URL that cannot be used."""
    monkeypatch.setenv("EXAMPLE_REGISTRY_REDIS", "rediss://user:secret@redis.example.com")
    settings = Settings(host_name="registry.example.com")
    assert "secret" not in repr(settings)
    assert settings.websocket_origin == "wss://registry.example.com:8444"
    monkeypatch.setenv("EXAMPLE_REGISTRY_REDIS", "https://user:secret@redis.example.com")
    with pytest.raises(ValidationError, match="redis") as failure:
        Settings()
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    "variables",
    [
        {"EXPIRY": "0"},
        {"EXPIRY": "inf"},
        {"PORT": "0"},
        {"HOST_NAME": "a/b"},
        {"PROTOCOL": "ftp"},
    ],
)
def test_a_wrong_value_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """A value that cannot be used stops the Registry."""
    for name, value in variables.items():
        monkeypatch.setenv(f"EXAMPLE_REGISTRY_{name}", value)
        with pytest.raises(ValidationError, match=name.lower()):
            Settings()
