"""Authorization Servers that answer otherwise than they should: typed errors, and no secrets."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest

from nmos_auth.client import (
    AuthorizationClient,
    ClientError,
    OAuthError,
    RegistrationRefused,
    ScopeNotGranted,
    ServersFailed,
    ServerUnavailable,
    TokenRefused,
    UnusableAnswer,
)
from nmos_auth.client.errors import ServerMetadataError
from nmos_auth.client.store.stores import FileStore
from tests.client.conftest import MakeClientSettings
from tests.client.scripted import WELL_KNOWN, Asked, Refusal, ScriptedServer
from tests.support.tls import TestAuthority

GOOD = {"access_token": "access-1", "token_type": "Bearer", "expires_in": 60}

OPENID = "/.well-known/openid-configuration"


async def failure(
    make_settings: MakeClientSettings, *issuers: str, **changes: object
) -> ClientError:
    """Return the error with which asking for a token ends."""
    async with AuthorizationClient(make_settings(*issuers, **changes)) as client:
        with pytest.raises(ClientError) as caught:
            await client.tokens().token()
        return caught.value


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "https://evil.example.com"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"token_endpoint": "http://localhost/token"}, "token_endpoint"),
        ({"token_endpoint": None}, "token_endpoint"),
        ({"token_endpoint": 5}, "token_endpoint"),
        ({"registration_endpoint": "http://localhost/register"}, "registration_endpoint"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"revocation_endpoint": "https://a.example.com/r#f"}, "revocation_endpoint"),
        ({"grant_types_supported": "client_credentials"}, "grant_types_supported"),
        ({"registration_endpoint": None}, "does not register clients"),
    ],
)
async def test_metadata(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    changes: dict[str, object],
    words: str,
) -> None:
    """Metadata that must not be used is an error, and only the places of metadata are asked."""
    server.metadata_changes = changes
    error = await failure(make_settings, server.issuer)
    assert isinstance(error, ServerMetadataError)
    assert words in str(error)
    assert {asked.path for asked in server.asked} <= {WELL_KNOWN, OPENID}


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (Refusal(201, {}), UnusableAnswer, None),
        (Refusal(201, {"client_id": 5, "client_secret": "s"}), UnusableAnswer, None),
        (Refusal(201, {"client_id": "abc"}), UnusableAnswer, None),
        (Refusal(201, b"<html>"), UnusableAnswer, None),
        (Refusal(302, {}, ((b"location", b"https://localhost/"),)), UnusableAnswer, None),
        (
            Refusal(201, {"client_id": "abc", "token_endpoint_auth_method": "none"}),
            UnusableAnswer,
            None,
        ),
        (
            Refusal(
                201,
                {
                    "client_id": "abc",
                    "client_secret": "s",
                    "client_secret_expires_at": -(10**400),
                    "redirect_uris": 10**400,
                    "token_endpoint_auth_method": 10**400,
                },
            ),
            UnusableAnswer,
            None,
        ),
        (
            Refusal(201, {"client_id": "abc", "client_secret": "s", "client_secret_expires_at": 1}),
            UnusableAnswer,
            None,
        ),
        (
            Refusal(400, {"error": "invalid_client_metadata"}),
            RegistrationRefused,
            "invalid_client_metadata",
        ),
        (Refusal(401, {"error": "invalid_token"}), RegistrationRefused, "invalid_token"),
        (Refusal(403, b"<html>"), RegistrationRefused, None),
        (Refusal(500, b"<html>"), ServerUnavailable, None),
    ],
)
async def test_registration(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    store_file: Path,
    answer: Refusal,
    error: type[ClientError],
    code: str | None,
) -> None:
    """A registration that fails is a typed error with the server's code, and nothing is stored."""
    server.answers["/register"] = answer
    raised = await failure(make_settings, server.issuer, store=store_file)
    assert type(raised) is error
    assert getattr(raised, "code", None) == code
    assert len(server.requests("/register")) == 1
    assert FileStore(store_file).get("registrations", server.issuer) is None


@pytest.mark.parametrize(
    ("answer", "error", "code", "temporary"),
    [
        (Refusal(200, b"access_token=abc"), UnusableAnswer, None, False),
        (Refusal(200, {}), UnusableAnswer, None, False),
        ({**GOOD, "token_type": "mac"}, UnusableAnswer, None, False),
        ({**GOOD, "token_type": None}, UnusableAnswer, None, False),
        ({**GOOD, "access_token": "a b"}, UnusableAnswer, None, False),
        ({**GOOD, "access_token": "a\r\nx: y"}, UnusableAnswer, None, False),
        ({**GOOD, "access_token": 5}, UnusableAnswer, None, False),
        ({"access_token": "a", "token_type": "Bearer"}, UnusableAnswer, None, False),
        ({**GOOD, "expires_in": "soon"}, UnusableAnswer, None, False),
        ({**GOOD, "expires_in": True}, UnusableAnswer, None, False),
        ({**GOOD, "expires_in": 0}, UnusableAnswer, None, False),
        ({**GOOD, "expires_in": -5}, UnusableAnswer, None, False),
        ({**GOOD, "expires_in": -(10**400)}, UnusableAnswer, None, False),
        ({**GOOD, "scope": 5}, UnusableAnswer, None, False),
        ({**GOOD, "scope": "query"}, ScopeNotGranted, None, False),
        ({**GOOD, "scope": ""}, ScopeNotGranted, None, False),
        ({"error": "invalid_scope"}, TokenRefused, "invalid_scope", False),
        (Refusal(400, {"error": "invalid_scope"}), TokenRefused, "invalid_scope", False),
        (
            Refusal(400, {"error": "unauthorized_client"}),
            TokenRefused,
            "unauthorized_client",
            False,
        ),
        (Refusal(400, {"error": ["list"]}), TokenRefused, None, False),
        (Refusal(400, {"error": "x" * 999}), TokenRefused, None, False),
        (Refusal(400, b"<html>Bad Request"), TokenRefused, None, False),
        (Refusal(404, b""), TokenRefused, None, False),
        (Refusal(429, {}, ((b"retry-after", b"7"),)), ServerUnavailable, None, True),
        (Refusal(500, {"error": "server_error"}), ServerUnavailable, "server_error", True),
        (Refusal(503, b"<html>"), ServerUnavailable, None, True),
        (Refusal(307, b"", ((b"location", b"https://localhost/"),)), UnusableAnswer, None, False),
        (Refusal(200, b"[" * 300_000), ServerUnavailable, None, True),
    ],
)
async def test_token_answers(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    answer: object,
    error: type[ClientError],
    code: str | None,
    temporary: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Whatever the token endpoint answers is one request and one typed error with its code."""
    server.answers["/token"] = answer
    raised = await failure(make_settings, server.issuer)
    assert type(raised) is error
    assert getattr(raised, "code", None) == code
    assert raised.temporary is temporary
    assert len(server.requests("/token")) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"token_type": "bearer"},
        {"expires_in": "60"},
        {"expires_in": 60.5},
        # JSON has no largest number.
        {"expires_in": 10**400},
        {"refresh_token": ""},
    ],
)
async def test_token_answers_that_will_do(
    server: ScriptedServer, make_settings: MakeClientSettings, changes: dict[str, object]
) -> None:
    """`token_type` in any case will do, and a lifetime that is a number in whatever spelling."""
    server.answers["/token"] = {**GOOD, **changes}
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        assert (await client.tokens().token()).value.get_secret_value() == "access-1"


async def test_no_secret_in_errors_and_logs(
    server: ScriptedServer, make_settings: MakeClientSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that repeats our credentials in its error does not get them into any text."""

    def parrot(asked: Asked) -> Refusal:
        said = f"you sent {asked.body.decode()} with {asked.headers.get('authorization')}"
        return Refusal(400, {"error": "invalid_request", "error_description": said})

    caplog.set_level(logging.DEBUG)
    server.answers["/token"] = parrot
    error = await failure(make_settings, server.issuer)
    shown = "".join(traceback.format_exception(error)) + repr(error) + caplog.text
    sent = server.requests("/token")[0].headers["authorization"].removeprefix("Basic ")
    for secret in (sent, "secret:1 of/the+client"):
        assert secret not in shown
    assert isinstance(error, OAuthError)
    assert error.description is not None
    assert "[secret]" in error.description


async def test_no_initial_access_token_in_errors(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """The initial access token is sent, and does not come back in an error either."""
    server.answers["/register"] = lambda asked: Refusal(
        401, {"error": "invalid_token", "error_description": asked.headers["authorization"]}
    )
    error = await failure(make_settings, server.issuer, initial_access_token="initial-0123456789")
    assert server.requests("/register")[0].headers["authorization"] == "Bearer initial-0123456789"
    assert "initial-0123456789" not in "".join(traceback.format_exception(error))


async def test_no_answer_at_all(
    server: ScriptedServer, make_settings: MakeClientSettings, tls: TestAuthority
) -> None:
    """A server that is not there, and one whose certificate is another's, are unavailable."""
    with ScriptedServer().running(tls) as gone:
        pass
    error = await failure(make_settings, gone.issuer)
    assert isinstance(error, ServerUnavailable)
    error = await failure(make_settings, server.issuer, ca_file=None)
    assert isinstance(error, ServerUnavailable)
    assert "certificate" in str(error).lower()


async def test_metadata_behind_a_slash(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """A redirect to the very URL with a slash after it is followed, and no other is."""
    moved = Refusal(308, b"", ((b"location", f"{WELL_KNOWN}/".encode()),))
    server.answers = {WELL_KNOWN: moved, f"{WELL_KNOWN}/": lambda _: server.metadata()}
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        await client.tokens().token()
    assert [asked.path for asked in server.asked][:2] == [WELL_KNOWN, f"{WELL_KNOWN}/"]
    server.answers[WELL_KNOWN] = Refusal(308, b"", ((b"location", b"https://evil.example.com/"),))
    error = await failure(make_settings, server.issuer)
    assert isinstance(error, ServerUnavailable)
    assert error.status == 308


@pytest.mark.parametrize(
    "first",
    [
        Refusal(200, b"<!doctype html>"),
        Refusal(200, {}),
        Refusal(302, b"", ((b"location", b"/login"),)),
        Refusal(404, b""),
        Refusal(429, b""),
        Refusal(500, b""),
    ],
    ids=lambda answer: str(answer.status),
)
async def test_an_openid_provider(
    server: ScriptedServer, make_settings: MakeClientSettings, first: Refusal
) -> None:
    """Its own place has the metadata where the RFC 8414 place answers with something else."""
    server.answers = {WELL_KNOWN: first, OPENID: lambda _: server.metadata()}
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        await client.tokens().token()
    assert [asked.path for asked in server.asked][:2] == [WELL_KNOWN, OPENID]


async def test_an_issuer_of_the_same_origin(
    server: ScriptedServer, make_settings: MakeClientSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy has a realm's metadata at its root: the realm's own confirms it, with a warning."""
    realm = f"{server.issuer}/realms/nmos"
    server.metadata_changes = {"issuer": realm}
    server.answers["/realms/nmos" + OPENID] = lambda _: server.metadata()
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        await client.tokens().token()
    assert f"{server.issuer} has the metadata of {realm}" in caplog.text


async def test_fail_over(
    server: ScriptedServer, make_settings: MakeClientSettings, tls: TestAuthority
) -> None:
    """The next server serves while the first is down; the first is asked again when it is up."""
    with ScriptedServer().running(tls) as first:
        pass
    settings = make_settings(first.issuer, server.issuer)
    now = 0.0
    async with AuthorizationClient(settings, monotonic=lambda: now) as client:
        await client.servers.ask(lambda each: each.client_credentials(settings.scope))
        assert len(server.requests("/token")) == 1
        with first.running(tls):
            await client.servers.ask(lambda each: each.client_credentials(settings.scope))
            assert not first.asked
            now = 6
            await client.servers.ask(lambda each: each.client_credentials(settings.scope))
            assert len(first.requests("/token")) == 1


async def test_every_server_fails(
    server: ScriptedServer, make_settings: MakeClientSettings, tls: TestAuthority
) -> None:
    """The error then tells what happened at each, and that trying again may help."""
    server.answers["/token"] = Refusal(400, {"error": "invalid_scope"})
    with ScriptedServer().running(tls) as other:
        other.answers["/token"] = Refusal(503)
        error = await failure(make_settings, server.issuer, other.issuer)
        assert isinstance(error, ServersFailed)
        assert set(error.failures) == {server.issuer, other.issuer}
        assert isinstance(error.failures[server.issuer], TokenRefused)
        assert error.temporary
    assert isinstance(await failure(make_settings), ServersFailed)


async def test_a_refusal_is_not_repeated_while_others_are_down(
    server: ScriptedServer, make_settings: MakeClientSettings, tls: TestAuthority
) -> None:
    """Waiting for a server that is down does not mean asking the one that refused on and on."""
    refusal = Refusal(400, {"error": "invalid_scope"})
    server.answers["/token"] = lambda asked: (
        server.token() if asked.form["scope"] == "registration" else refusal
    )
    now = 0.0
    with ScriptedServer().running(tls) as down:
        pass
    settings = make_settings(server.issuer, down.issuer)
    async with AuthorizationClient(settings, monotonic=lambda: now) as client:
        for _ in range(60):
            with pytest.raises(ServersFailed) as caught:
                await client.obtain("events")
            assert set(caught.value.failures) == {server.issuer, down.issuer}
            assert caught.value.temporary
            now += 15
        assert len(server.requests("/token")) <= 10
        # What it can give, it is asked for all the same.
        await client.obtain("registration")
