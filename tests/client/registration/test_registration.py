"""Registrations: what is sent, how long they count, and when another is made."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from nmos_auth.client import AuthorizationClient, TokenRefused
from nmos_auth.errors import ConfigurationError
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import CONTROLLER
from tests.client.scripted import Asked, Refusal, ScriptedServer

GOOD = {"access_token": "access-1", "token_type": "Bearer", "expires_in": 60}


async def test_forgotten_registration(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """A server that forgot the Client gets one new registration, which is kept."""
    settings = make_settings(server.issuer, store=store_file)
    async with AuthorizationClient(settings) as client:
        await client.tokens().token()
    forgotten = set(server.known)

    def token(asked: Asked) -> object:
        name = asked.headers["authorization"]
        return Refusal(401, {"error": "invalid_client"}) if name == former else GOOD

    former = server.requests("/token")[0].headers["authorization"]
    server.answers["/token"] = token
    async with AuthorizationClient(settings) as client:
        await asyncio.gather(*(client.tokens().token() for _ in range(5)))
    assert len(server.requests("/register")) == 2
    async with AuthorizationClient(settings) as client:
        made = await client.servers.at(server.issuer).registration()
        assert made.client_id not in forgotten
    assert len(server.requests("/register")) == 2


async def test_invalid_client_is_no_loop(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """A server that knows nobody gets one new registration and two token requests, no more."""
    server.answers["/token"] = Refusal(401, {"error": "invalid_client"})
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        tokens = client.tokens()
        for _ in range(20):
            with pytest.raises(TokenRefused):
                await tokens.token()
    assert len(server.requests("/register")) == 2
    assert len(server.requests("/token")) == 2


async def test_credentials_that_change_with_every_reading(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """What a server gives in place of a secret and a token takes their place (RFC 7592)."""
    good = {"token": "token-0", "secret": "secret-of-the-client-0"}

    def managed(asked: Asked) -> dict[str, object]:
        return {
            "client_id": "client-00000000000000",
            "client_secret": good["secret"],
            "registration_access_token": good["token"],
            "registration_client_uri": f"{server.issuer}/register/1",
        }

    def read(asked: Asked) -> object:
        if asked.headers["authorization"] != f"Bearer {good['token']}":
            return Refusal(401, {"error": "invalid_token"})
        number = len(server.requests("/register/1"))
        good.update(token=f"token-{number}", secret=f"secret-of-the-client-{number}")
        return managed(asked)

    def token(asked: Asked) -> object:
        pair = base64.b64decode(asked.headers["authorization"].removeprefix("Basic "))
        known = pair.decode().endswith(f":{good['secret']}")
        return GOOD if known else Refusal(401, {"error": "invalid_client"})

    server.answers |= {"/register": managed, "/register/1": read, "/token": token}
    settings = make_settings(
        server.issuer,
        **(CONTROLLER | {"auth_method": "client_secret_basic", "store": store_file}),
    )
    for _ in range(3):
        async with AuthorizationClient(settings) as client:
            await client.servers.at(server.issuer).begin_authorization(["query"])
    settings = make_settings(server.issuer)
    async with AuthorizationClient(settings) as client:
        await client.obtain()
        good["secret"] = "changed-behind-its-back"
        await client.obtain()
    assert len(server.requests("/register")) == 2
    assert len(server.requests("/register/1")) == 4


@pytest.mark.parametrize("said", [Refusal(503), Refusal(200, {}), Refusal(200, b"<html>")])
async def test_a_registration_that_cannot_be_asked_about(
    server: ScriptedServer, make_settings: MakeClientSettings, said: Refusal
) -> None:
    """Where it stays unknown whether it is gone, `invalid_client` stands, and none is made anew."""
    server.answers["/register"] = lambda asked: server.registration(
        asked,
        registration_client_uri=f"{server.issuer}/register/1",
        registration_access_token="of-the-registration",
    )
    server.answers["/register/1"] = said
    server.answers["/token"] = Refusal(401, {"error": "invalid_client"})
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        with pytest.raises(TokenRefused) as caught:
            await client.obtain()
    assert caught.value.code == "invalid_client"
    assert len(server.requests("/register")) == 1


@pytest.mark.parametrize(("status", "registrations"), [(401, 5), (404, 5), (403, 1), (405, 1)])
async def test_logins_at_a_server_that_tells_nobody(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    store_file: Path,
    status: int,
    registrations: int,
) -> None:
    """A registration that is gone is made anew; one that may just not be read is used as it is."""
    server.answers["/register"] = lambda asked: server.registration(
        asked,
        registration_client_uri=f"{server.issuer}/register/1",
        registration_access_token="of-the-registration",
    )
    server.answers["/register/1"] = Refusal(status)
    settings = make_settings(server.issuer, **(CONTROLLER | {"store": store_file}))
    for _ in range(4):
        async with AuthorizationClient(settings) as client:
            await client.servers.at(server.issuer).begin_authorization(["query"])
    # Each login asks, the first right after it has registered.
    assert len(server.requests("/register")) == registrations


async def test_credentials_arranged_by_hand(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """A client id of the settings is used as it is, and never registered."""
    settings = make_settings(server.issuer, id="by-hand", secret="a%b:c d")
    async with AuthorizationClient(settings) as client:
        await client.tokens().token()
    # RFC 6749 Section 2.3.1: form-encoded before the colon and behind it.
    assert (
        server.requests("/token")[0].headers["authorization"]
        == "Basic YnktaGFuZDphJTI1YiUzQWMrZA=="
    )
    server.answers["/token"] = Refusal(401, {"error": "invalid_client"})
    async with AuthorizationClient(settings) as client:
        with pytest.raises(TokenRefused) as caught:
            await client.tokens().token()
    assert caught.value.code == "invalid_client"
    assert not server.requests("/register")


async def test_expired_secret(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """A client secret that has ended makes for a new registration before anything is asked."""
    now = 1_000_000.0
    server.answers["/register"] = lambda asked: server.registration(
        asked, client_secret_expires_at=now + 3600
    )
    settings = make_settings(server.issuer, store=store_file)
    async with AuthorizationClient(settings, clock=lambda: now) as client:
        await client.servers.at(server.issuer).client_credentials(["registration"])
        await client.servers.at(server.issuer).client_credentials(["registration"])
        assert len(server.requests("/register")) == 1
        now += 3600
        await client.servers.at(server.issuer).client_credentials(["registration"])
        assert len(server.requests("/register")) == 2


async def test_one_registration_for_many(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """Several Clients that start together on one store register once."""
    settings = make_settings(server.issuer, store=store_file)
    clients = [AuthorizationClient(settings) for _ in range(4)]
    await asyncio.gather(*(each.tokens().token() for each in clients))
    for client in clients:
        await client.aclose()
    assert len(server.requests("/register")) == 1


async def test_changed_settings_register_anew(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """A registration that the settings have outgrown is not used any more."""
    for name in ("Example Node 1", "Example Node 1", "Example Node 2"):
        settings = make_settings(server.issuer, store=store_file, name=name)
        async with AuthorizationClient(settings) as client:
            await client.tokens().token()
    names = [asked.document["client_name"] for asked in server.requests("/register")]
    assert names == ["Example Node 1", "Example Node 2"]


async def test_what_a_node_registers(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """A Node registers for client_credentials alone, with its name, scope and key location."""
    settings = make_settings(
        server.issuer, auth_method="private_key_jwt", jwks_uri="https://node.example.com/jwks"
    )
    async with AuthorizationClient(settings) as client:
        await client.tokens().token()
    assert server.requests("/register")[0].document == {
        "client_name": "Example Node 0001",
        "scope": "registration",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "RS512",
        "grant_types": ["client_credentials"],
        "response_types": [],
        "jwks_uri": "https://node.example.com/jwks",
    }


@pytest.mark.parametrize(
    ("uri", "more"),
    [
        ("https://node.example.com/callback", {}),
        ("http://127.0.0.1/callback", {"application_type": "native"}),
    ],
)
async def test_a_redirect_uri_is_registered_where_there_is_one(
    server: ScriptedServer, make_settings: MakeClientSettings, uri: str, more: dict[str, str]
) -> None:
    """With client_credentials too, since some servers make the audience of it."""
    async with AuthorizationClient(make_settings(server.issuer, redirect_uri=uri)) as client:
        await client.tokens().token()
    document = server.requests("/register")[0].document
    assert document["grant_types"] == ["client_credentials"]
    assert document.items() >= {"redirect_uris": [uri], **more}.items()


async def test_settings_that_a_registration_takes(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """What is missing for a registration is named when one is needed, and nothing is sent."""
    async with AuthorizationClient(make_settings(server.issuer, name=None)) as client:
        with pytest.raises(ConfigurationError, match="NMOS_AUTH_CLIENT_NAME"):
            await client.tokens().token()
    assert not server.requests("/register")
