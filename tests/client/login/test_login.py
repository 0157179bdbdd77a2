"""Logins that go wrong: a state, a browser, an issuer, a code that does not fit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nmos_auth.client import (
    AuthorizationClient,
    AuthorizationRefused,
    CallbackError,
    ClientError,
    LoginRequired,
    ScopeNotGranted,
)
from nmos_auth.client.errors import ServerMetadataError
from nmos_auth.client.grants.grants import PendingAuthorization, code_of
from nmos_auth.client.login import LoginRoutes
from nmos_auth.client.login.loopback import log_in
from nmos_auth.errors import ConfigurationError
from tests.client.conftest import MakeClientSettings
from tests.client.scripted import Refusal, ScriptedServer
from tests.support.tls import TestAuthority

WEB = "https://controller.example.com"
CONTROLLER: dict[str, object] = {
    "scope": "query connection",
    "grant": "authorization_code",
    "auth_method": "none",
    "redirect_uri": f"{WEB}/callback",
}


@pytest.fixture
async def client(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> AsyncIterator[AuthorizationClient]:
    """Yield a Controller."""
    async with AuthorizationClient(make_settings(server.issuer, **CONTROLLER)) as client:
        yield client


@pytest.fixture
async def pending(client: AuthorizationClient, server: ScriptedServer) -> PendingAuthorization:
    """Return an authorization request."""
    return await client.servers.at(server.issuer).begin_authorization(["query"])


def state_of(url: str) -> str:
    """Return the state in an authorization request."""
    return dict(parse_qsl(urlsplit(url).query))["state"]


async def test_the_request(pending: PendingAuthorization, server: ScriptedServer) -> None:
    """It has PKCE with S256, a state, the exact redirect URI, and shows no secret in its repr."""
    query = dict(parse_qsl(urlsplit(pending.url).query))
    assert pending.url.startswith(f"{server.issuer}/authorize?")
    assert query["response_type"] == "code"
    assert query["redirect_uri"] == f"{WEB}/callback"
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert query["scope"] == "query"
    assert query["state"] not in repr(pending)
    assert pending.verifier.get_secret_value() not in pending.url


async def test_the_exchange(server: ScriptedServer, make_settings: MakeClientSettings) -> None:
    """It has the verifier, the same redirect URI, and names the Client beside its credentials."""
    changes = CONTROLLER | {"auth_method": "client_secret_basic"}
    async with AuthorizationClient(make_settings(server.issuer, **changes)) as client:
        at = client.servers.at(server.issuer)
        pending = await at.begin_authorization(["query"])
        await at.exchange_code(pending, SecretStr("code-1"))
        (asked,) = server.requests("/token")
        assert asked.headers["authorization"].startswith("Basic ")
        assert asked.form == {
            "grant_type": "authorization_code",
            "client_id": (await at.registration()).client_id,
            "code": "code-1",
            "code_verifier": pending.verifier.get_secret_value(),
            "redirect_uri": f"{WEB}/callback",
            "scope": "query",
        }


@pytest.mark.parametrize("methods", [None, [], ["plain"]])
async def test_no_pkce_no_request(
    client: AuthorizationClient, server: ScriptedServer, methods: list[str] | None
) -> None:
    """A server without PKCE S256 is not asked (RFC 9700 Section 2.1.1)."""
    server.metadata_changes = {"code_challenge_methods_supported": methods}
    with pytest.raises(ServerMetadataError, match="S256"):
        await client.servers.at(server.issuer).begin_authorization(["query"])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"state": "another"}, CallbackError),
        ({"state": None}, CallbackError),
        ({"code": None}, CallbackError),
        ({"code": ""}, CallbackError),
        ({"iss": "https://evil.example.com"}, CallbackError),
        ({"error": "access_denied"}, AuthorizationRefused),
        ({"error": "access_denied", "state": "another"}, CallbackError),
    ],
)
async def test_answers_that_do_not_fit(
    pending: PendingAuthorization, changes: dict[str, str | None], error: type[Exception]
) -> None:
    """Nothing is exchanged for an answer with another state, another issuer, or no code."""
    answer = {"state": pending.state.get_secret_value(), "code": "code-1", **changes}
    pairs = [(name, value) for name, value in answer.items() if value is not None]
    with pytest.raises(error):
        code_of(pending, pairs)


async def test_a_parameter_twice(pending: PendingAuthorization) -> None:
    """A repeated parameter has no meaning."""
    state = pending.state.get_secret_value()
    with pytest.raises(CallbackError):
        code_of(pending, [("state", state), ("code", "a"), ("code", "b")])


async def test_an_issuer_that_was_promised(
    client: AuthorizationClient, server: ScriptedServer
) -> None:
    """Where the server promises `iss`, an answer without it is another's (RFC 9207 Section 2.4)."""
    server.metadata_changes = {"authorization_response_iss_parameter_supported": True}
    pending = await client.servers.at(server.issuer).begin_authorization(["query"])
    answer = [("state", pending.state.get_secret_value()), ("code", "code-1")]
    with pytest.raises(CallbackError, match="issuer"):
        code_of(pending, answer)
    assert code_of(pending, [*answer, ("iss", server.issuer)]).get_secret_value() == "code-1"


async def test_servers_that_could_be_mixed_up(
    server: ScriptedServer, make_settings: MakeClientSettings, tls: TestAuthority
) -> None:
    """With several discovered servers, each has a redirect URI of its own or names itself."""
    with ScriptedServer().running(tls) as other:

        async def issuers() -> list[str]:
            return [server.issuer, other.issuer]

        for uri, promises, refused in (
            ("http://127.0.0.1/cb", False, True),
            ("http://127.0.0.1/cb", True, False),
            ("http://127.0.0.1/cb/{server}", False, False),
        ):
            server.metadata_changes = {"authorization_response_iss_parameter_supported": promises}
            settings = make_settings(**(CONTROLLER | {"redirect_uri": uri}))
            shown: list[str] = []
            async with AuthorizationClient(settings, issuers=issuers) as client:
                with pytest.raises(ClientError) as caught:
                    await log_in(client, open_browser=shown.append, patience=0.01)
            assert isinstance(caught.value, LoginRequired) is not refused
            assert (shown == []) is refused


@pytest.fixture
async def web(client: AuthorizationClient) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a browser at a web Controller."""
    login = LoginRoutes(client)

    async def who(request: Request) -> Response:
        session = login.session(request)
        if session is None:
            return JSONResponse(None)
        return JSONResponse((await session.tokens.token()).value.get_secret_value())

    app = Starlette(routes=[Route("/who", who), *login.routes])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=WEB) as browser:
        yield browser


async def callback(browser: httpx.AsyncClient, **parameters: str) -> httpx.Response:
    """Come back from the Authorization Server."""
    return await browser.get(f"/callback?{urlencode(parameters)}")


async def test_login_and_logout(web: httpx.AsyncClient, server: ScriptedServer) -> None:
    """Logged in, the session has a token; logged out, it is revoked and gone."""
    started = await web.get("/login?next=/who")
    done = await callback(web, state=state_of(started.headers["location"]), code="code-1")
    assert done.headers["location"] == "/who"
    assert (await web.get("/who")).json().startswith("access-")
    assert (await web.get("/logout")).status_code == 405
    session = web.cookies["__Host-nmos-auth-session"]
    await web.post("/logout")
    (revoked,) = server.requests("/revoke")
    assert revoked.form["token"].startswith("refresh-")
    # The cookie of before is worth nothing any more.
    web.cookies["__Host-nmos-auth-session"] = session
    assert (await web.get("/who")).json() is None


async def test_logout_while_the_server_is_down(
    web: httpx.AsyncClient, server: ScriptedServer
) -> None:
    """The user is logged out here all the same."""
    started = await web.get("/login")
    await callback(web, state=state_of(started.headers["location"]), code="code-1")
    server.answers["/revoke"] = Refusal(503)
    assert (await web.post("/logout")).status_code == 303
    assert (await web.get("/who")).json() is None


async def test_a_state_is_good_for_once(web: httpx.AsyncClient, server: ScriptedServer) -> None:
    """The same answer a second time exchanges nothing."""
    started = await web.get("/login")
    state = state_of(started.headers["location"])
    assert (await callback(web, state=state, code="code-1")).status_code == 303
    assert (await callback(web, state=state, code="code-1")).status_code == 400
    assert (await callback(web, state="unknown", code="code-1")).status_code == 400
    assert len(server.requests("/token")) == 1


async def test_an_answer_to_another_browser(web: httpx.AsyncClient, server: ScriptedServer) -> None:
    """Nobody is logged in as somebody else by a link to the callback."""
    started = await web.get("/login")
    web.cookies.clear()
    answer = await callback(web, state=state_of(started.headers["location"]), code="code-1")
    assert answer.status_code == 400
    assert not server.requests("/token")
    assert (await web.get("/who")).json() is None


async def test_a_new_session_with_every_login(web: httpx.AsyncClient) -> None:
    """A session id from before a login is not a session after it."""
    web.cookies["__Host-nmos-auth-session"] = "chosen-by-somebody"
    started = await web.get("/login")
    await callback(web, state=state_of(started.headers["location"]), code="code-1")
    web.cookies.clear()
    web.cookies["__Host-nmos-auth-session"] = "chosen-by-somebody"
    assert (await web.get("/who")).json() is None


@pytest.mark.parametrize(
    "target", ["https://evil.org/", "//evil.org", "/\\evil.org", "evil", "/a\\b", "/a\nb"]
)
async def test_no_open_redirect(web: httpx.AsyncClient, target: str) -> None:
    """A login ends on a path of the Controller, whatever its link says."""
    started = await web.get("/login", params={"next": target})
    done = await callback(web, state=state_of(started.headers["location"]), code="code-1")
    assert done.headers["location"] == "/"


async def test_refused_and_down(web: httpx.AsyncClient, server: ScriptedServer) -> None:
    """Refusals and failures are answered, with the server's code and no other."""
    started = await web.get("/login")
    state = state_of(started.headers["location"])
    answer = await callback(web, state=state, error="access_denied")
    assert answer.status_code == 400
    assert "access_denied" in answer.text
    started = await web.get("/login")
    server.answers["/token"] = Refusal(503)
    state = state_of(started.headers["location"])
    answer = await callback(web, state=state, code="code-very-secret")
    assert answer.status_code == 502
    assert "code-very-secret" not in answer.text
    server.answers["/.well-known/oauth-authorization-server"] = Refusal(503)


async def test_a_smaller_scope_keeps_the_refresh_token(
    client: AuthorizationClient, pending: PendingAuthorization, server: ScriptedServer
) -> None:
    """A user may authorize less: that is said, and what was authorized is kept."""
    server.answers["/token"] = server.token(scope="query", refresh_token="r" * 40)
    at = client.servers.at(server.issuer)
    code = code_of(pending, [("state", pending.state.get_secret_value()), ("code", "code-1")])
    authorization = client.authorization_at(at)
    with pytest.raises(ScopeNotGranted) as caught:
        await authorization.begin(await at.exchange_code(pending, code), ["query", "connection"])
    assert caught.value.granted == {"query"}
    assert (await authorization.obtain()).scope == {"query"}
    assert (await authorization.obtain(["query"])).scope == {"query"}


async def test_loopback_ignores_others(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """Other programs on this machine can neither end nor take over a login."""
    settings = make_settings(
        server.issuer, **(CONTROLLER | {"redirect_uri": "http://127.0.0.1/cb"}), store=store_file
    )
    shown: asyncio.Queue[str] = asyncio.Queue()
    async with AuthorizationClient(settings) as client, httpx.AsyncClient() as browser:
        login = asyncio.create_task(log_in(client, open_browser=shown.put_nowait))
        query = dict(parse_qsl(urlsplit(await shown.get()).query))
        back = query["redirect_uri"]
        state = query["state"]
        for url, status in (
            (f"{back}?state=guessed&code=x", 400),
            (f"{back}?state=guessed&error=access_denied", 400),
            (f"{back}/other?state={state}&code=x", 404),
        ):
            assert (await browser.get(url)).status_code == status
        assert (await browser.post(f"{back}?state={state}&code=x")).status_code == 400
        assert not server.requests("/token")
        assert (await browser.get(f"{back}?state={state}&code=code-1")).status_code == 200
        assert (await login).issuer == server.issuer
    assert server.requests("/token")[0].form["redirect_uri"] == back
    registered = server.requests("/register")[0].document
    assert registered["redirect_uris"] == ["http://127.0.0.1/cb"]


async def test_loopback_without_an_answer(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """A user who never comes back, one who refuses, and a redirect URI elsewhere are errors."""
    settings = make_settings(
        server.issuer, **(CONTROLLER | {"redirect_uri": "http://127.0.0.1/cb"})
    )
    shown: asyncio.Queue[str] = asyncio.Queue()
    async with AuthorizationClient(settings) as client, httpx.AsyncClient() as browser:
        with pytest.raises(LoginRequired):
            await log_in(client, open_browser=lambda _: None, patience=0.01)
        login = asyncio.create_task(log_in(client, open_browser=shown.put_nowait))
        query = dict(parse_qsl(urlsplit(await shown.get()).query))
        back = f"{query['redirect_uri']}?state={query['state']}&error=access_denied"
        assert "refused" in (await browser.get(back)).text
        with pytest.raises(AuthorizationRefused):
            await login
    async with AuthorizationClient(make_settings(server.issuer, **CONTROLLER)) as client:
        with pytest.raises(ConfigurationError, match="loopback"):
            await log_in(client, open_browser=lambda _: None)
