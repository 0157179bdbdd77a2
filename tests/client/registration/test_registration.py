"""Registrations: what is sent, how long they count, and when another is made."""

from __future__ import annotations

import asyncio
import base64
import itertools
from pathlib import Path

import pytest

from nmos_auth.client import AuthorizationClient, RegistrationRefused, TokenRefused, UnusableAnswer
from nmos_auth.errors import ConfigurationError
from tests.client.clock import Clock
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import CONTROLLER
from tests.client.scripted import Asked, Refusal, ScriptedServer
from tests.support.tokens import parts_of

GOOD = {"access_token": "access-1", "token_type": "Bearer", "expires_in": 60}


def managed(server: ScriptedServer) -> None:
    """Have a server offer RFC 7592, and answer as the tests say at one management URL."""
    server.answers["/register"] = lambda asked: server.registration(
        asked,
        registration_client_uri=f"{server.issuer}/register/1",
        registration_access_token="of-the-registration",
    )


def forgets(server: ScriptedServer) -> None:
    """Have a server not know any more those Clients that it has seen so far."""
    former = {asked.headers["authorization"] for asked in server.requests("/token")}

    def token(asked: Asked) -> object:
        unknown = asked.headers["authorization"] in former
        return Refusal(401, {"error": "invalid_client"}) if unknown else server.token()

    server.answers["/token"] = token


@pytest.mark.parametrize(("token", "verb"), [(None, "set"), ("rejected-0123456789", "replace")])
async def test_a_server_that_wants_an_initial_access_token(
    server: ScriptedServer, make_settings: MakeClientSettings, token: str | None, verb: str
) -> None:
    """The error names the variable to set, or to replace."""
    server.answers["/register"] = Refusal(401, {"error": "invalid_token"})
    settings = make_settings(server.issuer, initial_access_token=token)
    async with AuthorizationClient(settings) as client:
        with pytest.raises(RegistrationRefused) as caught:
            await client.obtain()
    assert caught.value.setting == "NMOS_AUTH_CLIENT_INITIAL_ACCESS_TOKEN"
    assert f"{verb} NMOS_AUTH_CLIENT_INITIAL_ACCESS_TOKEN" in str(caught.value)


async def test_forgotten_registration(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """A server that says so twice, ten seconds apart, gets one new registration, which is kept."""
    settings = make_settings(server.issuer, store=store_file)
    managed(server)
    clock = Clock()
    async with AuthorizationClient(settings) as client:
        await client.tokens().token()
        former = await client.servers.at(server.issuer).registration()
    forgets(server)
    server.answers["/register/1"] = Refusal(401, {"error": "invalid_token"})
    async with AuthorizationClient(settings, clock=clock.time, monotonic=clock.monotonic) as client:
        for _ in range(3):
            with pytest.raises(TokenRefused) as caught:
                await client.obtain()
            assert caught.value.temporary
            assert caught.value.retry_after == pytest.approx(10, abs=0.5)
        assert len(server.requests("/register")) == 1
        clock.ahead += 11
        await asyncio.gather(*(client.obtain() for _ in range(5)))
        made = await client.servers.at(server.issuer).registration()
        assert made.client_id != former.client_id
    assert len(server.requests("/register")) == 2
    async with AuthorizationClient(settings) as client:
        assert (await client.servers.at(server.issuer).registration()) == made
    assert len(server.requests("/register")) == 2


async def test_the_second_question_may_be_another_process(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """When the first 401 came is kept: a program that is started for every token gets there too."""
    settings = make_settings(server.issuer, store=store_file)
    managed(server)
    async with AuthorizationClient(settings) as client:
        await client.obtain()
    forgets(server)
    server.answers["/register/1"] = Refusal(401, {"error": "invalid_token"})
    clock = Clock()
    for _ in range(3):
        async with AuthorizationClient(
            settings, clock=clock.time, monotonic=clock.monotonic
        ) as client:
            with pytest.raises(TokenRefused):
                await client.obtain()
        clock.ahead += 4
    async with AuthorizationClient(settings, clock=clock.time, monotonic=clock.monotonic) as client:
        await client.obtain()
    assert len(server.requests("/register")) == 2


async def test_a_clock_that_is_set_is_no_second_thought(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """A clock put forward or back between two questions makes no ten seconds of one."""
    settings = make_settings(server.issuer, store=store_file)
    managed(server)
    clock = Clock()
    async with AuthorizationClient(settings, clock=clock.time, monotonic=clock.monotonic) as client:
        await client.obtain()
        forgets(server)
        server.answers["/register/1"] = Refusal(401, {"error": "invalid_token"})
        for clock.set_ahead in (0, 3600, -3600, 0):
            with pytest.raises(TokenRefused):
                await client.obtain()
    assert len(server.requests("/register")) == 1


async def test_a_registration_that_is_back(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """One 401 between good answers, of a server that restarts say, changes nothing."""
    settings = make_settings(server.issuer, store=store_file)
    managed(server)
    clock = Clock()
    async with AuthorizationClient(settings, clock=clock.time, monotonic=clock.monotonic) as client:
        await client.obtain()
        for _ in range(3):
            server.answers["/token"] = Refusal(401, {"error": "invalid_client"})
            server.answers["/register/1"] = Refusal(401, {"error": "invalid_token"})
            with pytest.raises(TokenRefused):
                await client.obtain()
            del server.answers["/token"]
            await client.obtain()
            clock.ahead += 3600
    assert len(server.requests("/register")) == 1


async def test_invalid_client_without_management(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """Ten minutes of it lead to one new registration, and then to one an hour at most."""
    server.answers["/token"] = Refusal(401, {"error": "invalid_client"})
    settings = make_settings(server.issuer, store=store_file)
    clock = Clock()
    made: list[int] = []
    async with AuthorizationClient(settings, clock=clock.time, monotonic=clock.monotonic) as client:
        tokens = client.tokens()
        for minute in range(200):
            with pytest.raises(TokenRefused):
                await tokens.token()
            if len(server.requests("/register")) > len(made):
                made.append(minute)
            clock.ahead += 60
    # The registration itself was made at the start: the next is due an hour after.
    assert made[0] == 0
    assert 60 <= made[1] <= 71
    assert all(59 <= after - before <= 71 for before, after in itertools.pairwise(made[1:]))
    assert len(server.requests("/token")) < 60


async def test_ten_minutes_later_it_is_registered_once_more(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """A server without RFC 7592 that has lost its Clients has a new one after ten minutes."""
    settings = make_settings(server.issuer, store=store_file)
    clock = Clock()
    async with AuthorizationClient(settings, clock=clock.time, monotonic=clock.monotonic) as client:
        await client.obtain()
        forgets(server)
        clock.ahead += 7200
        refused = 0
        while len(server.requests("/register")) == 1:
            try:
                await client.obtain()
            except TokenRefused:
                refused += 1
            clock.ahead += 60
        assert 10 <= refused <= 11
        await client.obtain()
    assert len(server.requests("/register")) == 2


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
    """While it stays unknown whether it is gone, `invalid_client` stands, and none is made."""
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


@pytest.mark.parametrize("status", [401, 404, 403, 405, 500, 501])
async def test_logins_at_a_server_that_tells_nobody(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path, status: int
) -> None:
    """A registration that cannot be read from the start is used as it is, for any number."""
    managed(server)
    server.answers["/register/1"] = Refusal(status)
    settings = make_settings(server.issuer, **(CONTROLLER | {"store": store_file}))
    for _ in range(4):
        async with AuthorizationClient(settings) as client:
            await client.servers.at(server.issuer).begin_authorization(["query"])
    assert len(server.requests("/register")) == 1
    assert len(server.requests("/register/1")) == (1 if status in {401, 404} else 4)


@pytest.mark.parametrize(
    ("status", "registrations"),
    [pytest.param(401, 2, marks=pytest.mark.slow), (404, 1), (500, 1)],
)
async def test_logins_at_a_server_that_tells_nobody_any_more(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    store_file: Path,
    status: int,
    registrations: int,
) -> None:
    """One that is misrouted later on costs one registration where it says 401, and no more."""
    managed(server)
    server.answers["/register/1"] = lambda _: {"client_id": "client-00000000000001"}
    settings = make_settings(server.issuer, **(CONTROLLER | {"store": store_file}))
    for _ in range(10):
        async with AuthorizationClient(settings) as client:
            await client.servers.at(server.issuer).begin_authorization(["query"])
        server.answers["/register/1"] = Refusal(status)
    assert len(server.requests("/register")) == registrations


async def test_many_logins_ask_once(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """Whoever opens the login page over and over makes no request to the management URL each."""
    managed(server)
    server.answers["/register/1"] = lambda _: {"client_id": "client-00000000000001"}
    async with AuthorizationClient(make_settings(server.issuer, **CONTROLLER)) as client:
        at = client.servers.at(server.issuer)
        await asyncio.gather(*(at.begin_authorization(["query"]) for _ in range(50)))
        for _ in range(50):
            await at.begin_authorization(["query"])
    assert len(server.requests("/register/1")) == 1


async def test_two_processes_and_a_rotating_registration_access_token(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """Each uses what the store has (RFC 7592 Section 2.1: the token may change with every read)."""
    good = ["token-0"]

    def read(asked: Asked) -> object:
        if asked.headers["authorization"] != f"Bearer {good[-1]}":
            return Refusal(401, {"error": "invalid_token"})
        good.append(f"token-{len(good)}")
        return {
            "client_id": "client-00000000000001",
            "registration_access_token": good[-1],
        }

    server.answers["/register"] = lambda asked: server.registration(
        asked,
        registration_client_uri=f"{server.issuer}/register/1",
        registration_access_token="token-0",
    )
    server.answers["/register/1"] = read
    settings = make_settings(server.issuer, **(CONTROLLER | {"store": store_file}))
    clock = Clock()
    clients = [
        AuthorizationClient(settings, clock=clock.time, monotonic=clock.monotonic) for _ in range(3)
    ]
    for _ in range(4):
        for client in clients:
            await client.servers.at(server.issuer).begin_authorization(["query"])
        clock.ahead += 60
    for client in clients:
        await client.aclose()
    assert len(server.requests("/register")) == 1
    assert len(good) == 13


@pytest.mark.parametrize(
    ("uri", "token"),
    [
        ("http://localhost/register/1", "of-the-registration"),
        ("/register/1", "of-the-registration"),
        ("register", "of-the-registration"),
        ("", "of-the-registration"),
        (5, "of-the-registration"),
        ("https://localhost/register/1", ["of-the-registration"]),
    ],
)
async def test_management_that_cannot_be_used_is_left_out(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    store_file: Path,
    uri: object,
    token: object,
) -> None:
    """The registration is kept and used as if the server did not offer to manage it."""
    server.answers["/register"] = lambda asked: server.registration(
        asked,
        registration_client_uri=uri,
        registration_access_token=token,
        client_secret_expires_at="0",
    )
    settings = make_settings(server.issuer, store=store_file)
    for _ in range(3):
        async with AuthorizationClient(settings) as client:
            await client.obtain()
            assert not (await client.servers.at(server.issuer).registration()).managed
    assert len(server.requests("/register")) == 1


async def test_a_registration_that_cannot_be_used_is_taken_back(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """Attempts at a server that registers something else leave nothing there."""
    server.answers["/register"] = lambda asked: server.registration(
        asked,
        token_endpoint_auth_method="none",
        registration_client_uri=f"{server.issuer}/register/1",
        registration_access_token="of-the-registration",
    )
    server.answers["/register/1"] = Refusal(204, b"")
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        for _ in range(3):
            with pytest.raises(UnusableAnswer):
                await client.obtain()
    deleted = [asked for asked in server.requests("/register/1") if asked.method == "DELETE"]
    assert len(deleted) == len(server.requests("/register")) == 3


async def test_client_secret_post_is_answered_with_basic(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """RFC 6749 Section 2.3.1: whoever issues a secret takes HTTP Basic."""
    server.answers["/register"] = lambda asked: server.registration(
        asked, token_endpoint_auth_method="client_secret_post"
    )
    settings = make_settings(server.issuer, store=store_file)
    async with AuthorizationClient(settings) as client:
        await client.obtain()
    assert server.requests("/token")[0].headers["authorization"].startswith("Basic ")
    assert len(server.requests("/register")) == 1


@pytest.mark.parametrize(
    ("said", "made"),
    [
        (Refusal(204, b""), 1),
        (Refusal(200, b""), 1),
        (Refusal(200, {}), 1),
        (Refusal(200, b"<html>"), 2),
        (Refusal(401, {"error": "invalid_token"}), 2),
        (Refusal(403, {}), 2),
        (Refusal(404, {}), 2),
        (Refusal(405, {}), 2),
        (Refusal(500, {}), 2),
        (Refusal(501, {}), 2),
    ],
)
async def test_an_update_is_answered_otherwise(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    store_file: Path,
    said: Refusal,
    made: int,
) -> None:
    """After a changed setting there is a token whatever the server says to the update."""
    managed(server)
    server.answers["/register/1"] = said
    for name in ("Example Node 1", "Example Node 2", "Example Node 2"):
        settings = make_settings(server.issuer, store=store_file, name=name)
        async with AuthorizationClient(settings) as client:
            await client.obtain()
    assert len(server.requests("/register")) == made
    assert [asked.method for asked in server.requests("/register/1")][:1] == ["PUT"]


async def test_what_is_registered_is_signed_with(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """The algorithm that the server registered is the one of the assertions."""
    server.answers["/register"] = lambda asked: server.registration(
        asked, token_endpoint_auth_signing_alg="RS256"
    )
    settings = make_settings(
        server.issuer, auth_method="private_key_jwt", jwks_uri="https://node.example.com/jwks"
    )
    async with AuthorizationClient(settings) as client:
        await client.obtain()
    header, _ = parts_of(server.requests("/token")[0].form["client_assertion"])
    assert header["alg"] == "RS256"


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


async def test_changed_settings_register_again(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    store_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A registration that the settings have outgrown is not used any more.

    What that means for a Node is told: a Registry knows it by its client_id.
    """
    for name in ("Example Node 1", "Example Node 1", "Example Node 2"):
        settings = make_settings(server.issuer, store=store_file, name=name)
        async with AuthorizationClient(settings) as client:
            await client.tokens().token()
    names = [asked.document["client_name"] for asked in server.requests("/register")]
    assert names == ["Example Node 1", "Example Node 2"]
    (told,) = [each.getMessage() for each in caplog.records if "client_id at" in each.getMessage()]
    assert all(client_id in told for client_id in server.known)
    assert "answers 403 to the new one until that has expired" in told


async def test_two_programs_with_other_settings_on_one_store(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """They do not register by turns: the first one goes along, a later start finds its own."""
    one, two = (
        make_settings(server.issuer, store=store_file, name=name) for name in ("One", "Two")
    )
    async with AuthorizationClient(one) as first, AuthorizationClient(two) as second:
        for _ in range(5):
            await first.obtain()
            await second.obtain()
    assert len(server.requests("/register")) == 2
    for _ in range(3):
        for settings in (one, two):
            async with AuthorizationClient(settings) as client:
                await client.obtain()
    assert len(server.requests("/register")) == 2


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
