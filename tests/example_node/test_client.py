"""The Node as a Client of Authorization Servers: whether it is one, and what it says of itself."""

from pathlib import Path

import pytest

import nmos_auth
from example_node import Settings, create_app
from example_node.client import make_client
from nmos_auth.client import AuthMethod, AuthorizationClient, StoreError
from tests.example_node.support import HOST, running

NODE = Settings(host_name=HOST, port=8444, label="Camera 1", interfaces=("lo",))
AUTH = nmos_auth.Settings(
    audience=HOST, servers="https://auth.example.com", discovery="off", audit_log="logging"
)


def made(*, registers: bool = True, auth: nmos_auth.Settings = AUTH) -> AuthorizationClient | None:
    """Make the Node's Client."""
    return make_client(NODE, auth, registers=registers)


async def test_what_it_knows_of_itself() -> None:
    """A name for this instance, what Nodes may ask for, and where its keys are."""
    client = made()
    assert client is not None
    async with client:
        settings = client.settings
        assert settings.name == f"Camera 1 at {HOST}:8444"
        assert settings.scope == ("registration", "events")
        assert settings.jwks_uri == f"https://{HOST}:8444/jwks"
        assert settings.servers == ("https://auth.example.com",)


async def test_what_the_environment_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """NMOS_AUTH_CLIENT_* come first; with a secret there are no keys to publish."""
    for name, value in (
        ("NAME", "Camera of studio 1"),
        ("SCOPE", "registration"),
        ("AUTH_METHOD", "client_secret_basic"),
    ):
        monkeypatch.setenv(f"NMOS_AUTH_CLIENT_{name}", value)
    client = made(registers=False)
    assert client is not None
    async with client:
        settings = client.settings
        assert (settings.name, settings.scope) == ("Camera of studio 1", ("registration",))
        assert settings.auth_method is AuthMethod.CLIENT_SECRET_BASIC
        assert settings.jwks_uri is None
        async with running(create_app(NODE, AUTH, client=client)) as http:
            assert (await http.get("/jwks")).status_code == 404


def test_who_needs_no_tokens_is_no_client() -> None:
    """Without authorization, or without a registry and a name."""
    assert made(auth=nmos_auth.Settings(enabled=False)) is None
    assert made(registers=False) is None


def test_a_store_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It stops the start: another client_id would not be given this Node's resources."""
    store = tmp_path / "client.json"
    store.write_text("{")
    monkeypatch.setenv("NMOS_AUTH_CLIENT_STORE", str(store))
    with pytest.raises(StoreError):
        made()
