"""Everything against our own development Authorization Server, over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nmos_auth.cli import main
from nmos_auth.client import (
    AuthMethod,
    AuthorizationClient,
    AuthorizationRefused,
    ClientError,
    ClientSettings,
    GrantNotPermitted,
    LoginRequired,
    RegistrationRefused,
    ServerUnavailable,
    TokenRefused,
    TokenSource,
    jwks_route,
)
from nmos_auth.client.grants.grants import GrantedTokens, code_of
from nmos_auth.client.login import LoginRoutes
from nmos_auth.client.login.loopback import LOOPBACK_REDIRECT_URI, log_in
from nmos_auth.client.registration.dynamic_registration import read_registration
from nmos_auth.client.store.stores import FileStore
from nmos_auth.client.tokens.authorizations import UserAuthorization
from tests.authority.support import PASSWORD, USER, Served
from tests.client.browser import Browser
from tests.client.clock import Clock
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import CONTROLLER, Counted, DevelopmentServer
from tests.support.servers import free_port, serving
from tests.support.tls import TestAuthority


@pytest.fixture
def development(tls: TestAuthority, tmp_path: Path) -> DevelopmentServer:
    """Return a server with a database that does not run yet."""
    return DevelopmentServer(tls, tmp_path / "authority.db")


@pytest.fixture
def authority_server(development: DevelopmentServer) -> Iterator[Served]:
    """Run it."""
    with development.running() as server:
        yield server


@pytest.fixture
def counted(development: DevelopmentServer) -> Counted:
    """Return the numbers of requests it got."""
    return development.counted


@pytest.fixture
async def browser(tls: TestAuthority) -> AsyncIterator[Browser]:
    """Yield a browser of the user there is."""
    browser = Browser(tls, PASSWORD)
    yield browser
    await browser.close()


def initial(server: Served) -> dict[str, object]:
    """Return the setting that lets a Node register."""
    return {"initial_access_token": server.authority.initial_access_token()}


async def errors_of(source: TokenSource, times: int = 50) -> list[ClientError]:
    """Ask again and again for a token that the server does not issue."""
    errors = []
    for _ in range(times):
        with pytest.raises(ClientError) as caught:
            await source.token()
        errors.append(caught.value)
    return errors


def codes_of(errors: list[ClientError], kind: type[ClientError]) -> set[str | None]:
    """Return the server's codes in errors that are all of one kind."""
    assert {type(error) for error in errors} == {kind}
    return {getattr(error, "code", None) for error in errors}


@pytest.mark.parametrize("scope", ["registration", "events", "registration events"])
async def test_client_credentials(
    authority_server: Served, make_settings: MakeClientSettings, counted: Counted, scope: str
) -> None:
    """A Node registers with an initial access token, and a hundred callers share one request."""
    settings = make_settings(authority_server.issuer, **initial(authority_server), scope=scope)
    async with AuthorizationClient(settings) as client:
        source = client.tokens()
        tokens = await asyncio.gather(*(source.token() for _ in range(100)))
        assert len({id(token) for token in tokens}) == 1
        claims = authority_server.verified(tokens[0].value.get_secret_value())
        assert set(str(claims["scope"]).split()) == set(scope.split())
        registration = await client.servers.at(authority_server.issuer).registration()
        assert claims["sub"] == registration.client_id
        assert len(registration.client_id) >= 20
    assert (counted["POST /register"], counted["POST /token"]) == (1, 1)


async def test_other_scopes(
    authority_server: Served, make_settings: MakeClientSettings, counted: Counted
) -> None:
    """Neither half gives client_credentials for another scope unless that was arranged."""
    settings = make_settings(authority_server.issuer, **initial(authority_server))
    async with AuthorizationClient(settings) as client:
        with pytest.raises(GrantNotPermitted):
            await client.obtain("query")
        assert not counted.counts
    arranged = settings.model_copy(
        update={"credentials_scope": ("*",), "scope": ("registration", "query")}
    )
    async with AuthorizationClient(arranged) as client:
        errors = await errors_of(client.tokens("query"))
        assert codes_of(errors, TokenRefused) == {"invalid_scope"}
        assert (await client.obtain("registration")).scope == {"registration"}
    assert (counted["POST /register"], counted["POST /token"]) == (1, 2)


@pytest.mark.parametrize("token", [None, "no-initial-access-token-at-all"])
async def test_no_initial_access_token(
    authority_server: Served,
    make_settings: MakeClientSettings,
    counted: Counted,
    token: str | None,
) -> None:
    """A Node that may not register is told so, by the server's code, and asks once."""
    settings = make_settings(authority_server.issuer, initial_access_token=token)
    async with AuthorizationClient(settings) as client:
        errors = await errors_of(client.tokens())
        assert codes_of(errors, RegistrationRefused) == {"invalid_token"}
    assert (counted["POST /register"], counted["POST /token"]) == (1, 0)


async def test_management(
    authority_server: Served,
    make_settings: MakeClientSettings,
    store_file: Path,
    counted: Counted,
) -> None:
    """A registration is found again, updated with the settings, read, and deleted (RFC 7592)."""
    issuer = authority_server.issuer

    def settings(name: str) -> ClientSettings:
        return make_settings(issuer, **initial(authority_server), store=store_file, name=name)

    for name in ("Example Node 1", "Example Node 1", "Example Node 2"):
        async with AuthorizationClient(settings(name)) as client:
            server = client.servers.at(issuer)
            await server.client_credentials(["registration"])
            read = await read_registration(client.transport, await server.registration())
            assert read["client_name"] == name
    assert (counted["POST /register"], counted["PUT /register"]) == (1, 1)
    async with AuthorizationClient(settings("Example Node 2")) as client:
        server = client.servers.at(issuer)
        registration = await server.registration()
        assert await server.deregister()
        assert not await server.deregister()
        with pytest.raises(RegistrationRefused) as caught:
            await read_registration(client.transport, registration)
        assert caught.value.status == 401
    assert FileStore(store_file).get("registrations", issuer) is None


async def test_a_forgotten_registration(
    development: DevelopmentServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """A server that lost its database gets one new registration, for many callers at once."""
    with development.running() as server:
        settings = make_settings(server.issuer, **initial(server), store=store_file)
        async with AuthorizationClient(settings) as client:
            await client.tokens().token()
            former = await client.servers.at(server.issuer).registration()
    development.database = None
    counted = development.counted
    counted.counts.clear()
    with development.running() as server:
        settings = settings.model_copy(update=initial(server))
        clock = Clock()
        async with AuthorizationClient(
            settings, clock=clock.time, monotonic=clock.monotonic
        ) as client:
            with pytest.raises(TokenRefused):
                await client.obtain()
            assert counted["POST /register"] == 0
            clock.ahead += 11
            await asyncio.gather(*(client.tokens().token() for _ in range(10)))
            now = await client.servers.at(server.issuer).registration()
            assert now.client_id != former.client_id
            assert counted["POST /register"] == 1
            for _ in range(3):
                await client.obtain()
        assert counted["POST /register"] == 1


async def test_keys_that_cannot_be_fetched(
    authority_server: Served, make_settings: MakeClientSettings, counted: Counted
) -> None:
    """`invalid_client` for want of keys is not a forgotten registration, and causes no loop."""
    settings = make_settings(
        authority_server.issuer,
        **initial(authority_server),
        auth_method="private_key_jwt",
        jwks_uri=f"https://localhost:{free_port()}/jwks",
    )
    async with AuthorizationClient(settings) as client:
        errors = await errors_of(client.tokens())
        assert codes_of(errors, TokenRefused) == {"invalid_client"}
    assert (counted["POST /register"], counted["POST /token"]) == (1, 1)


@contextlib.contextmanager
def publishing_keys(client: AuthorizationClient, tls: TestAuthority, port: int) -> Iterator[None]:
    """Serve the keys of a Client that has any until the block ends."""
    if client.settings.auth_method is not AuthMethod.PRIVATE_KEY_JWT:
        yield
        return
    app = Starlette(routes=[jwks_route(client.keys)])
    with serving(app, tls=tls.server_context("localhost"), port=port):
        yield


async def test_private_key_jwt_and_rotation(
    authority_server: Served,
    make_settings: MakeClientSettings,
    store_file: Path,
    tls: TestAuthority,
) -> None:
    """Keys of Client and server change one after the other, and every token request succeeds."""
    port = free_port()
    settings = make_settings(
        authority_server.issuer,
        **initial(authority_server),
        auth_method="private_key_jwt",
        jwks_uri=f"https://localhost:{port}/jwks",
        store=store_file,
    )
    async with AuthorizationClient(settings) as client:
        with publishing_keys(client, tls, port):
            server_keys = authority_server.authority.keys
            for change in (
                # The server has fetched the next key with the one in use, and need not again.
                lambda: client.keys.rotate(announced=0),
                server_keys.rotate,
                server_keys.replace,
            ):
                await client.obtain()
                change()
                granted = await client.obtain()
                authority_server.verified(granted.access_token.get_secret_value())


async def authorized(
    client: AuthorizationClient, browser: Browser, issuer: str
) -> tuple[UserAuthorization, GrantedTokens]:
    """Have the user log in and consent, and exchange the code."""
    server = client.servers.at(issuer)
    pending = await server.begin_authorization(client.settings.scope)
    answer = await browser.authorize(pending.url, until=pending.redirect_uri)
    parameters = parse_qsl(urlsplit(answer.headers["location"]).query)
    assert ("iss", issuer) in parameters
    granted = await server.exchange_code(pending, code_of(pending, parameters))
    authorization = client.authorization_at(server)
    await authorization.begin(granted, client.settings.scope)
    return authorization, granted


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "private_key_jwt"])
async def test_authorization_code(
    development: DevelopmentServer,
    make_settings: MakeClientSettings,
    store_file: Path,
    browser: Browser,
    tls: TestAuthority,
    method: str,
) -> None:
    """A user authorizes; refresh tokens rotate, over restarts of both sides; logout revokes."""
    port = free_port()
    changes = CONTROLLER | {"auth_method": method, "store": store_file}
    if method == "private_key_jwt":
        changes["jwks_uri"] = f"https://localhost:{port}/jwks"
    with development.running() as server:
        settings = make_settings(server.issuer, **changes)
        async with AuthorizationClient(settings) as client:
            with publishing_keys(client, tls, port):
                authorization, granted = await authorized(client, browser, server.issuer)
                first = await authorization.obtain()
                claims = server.verified(first.access_token.get_secret_value())
                assert claims["sub"] == USER.name
                assert "x-nmos-connection" in claims
                rotated = await authorization.obtain()
                assert granted.refresh_token is not None
                assert rotated.refresh_token is not None
                assert rotated.refresh_token != granted.refresh_token
                assert len(rotated.refresh_token.get_secret_value()) >= 40
    with development.running() as server:
        async with AuthorizationClient(settings) as client:
            with publishing_keys(client, tls, port):
                assert (await client.obtain("query")).scope == {"query"}
                last = await client.obtain()
                assert last.scope == {"query", "connection"}
                authorization = await client.authorization()
                await authorization.end()
                with pytest.raises(LoginRequired):
                    await client.obtain()
                assert last.refresh_token is not None
                with pytest.raises(TokenRefused) as caught:
                    await client.servers.at(server.issuer).refresh(last.refresh_token, ["query"])
                assert caught.value.code == "invalid_grant"
    assert development.counted["POST /register"] == 1
    assert development.counted["POST /revoke"] == 1


async def test_a_replayed_refresh_token(
    authority_server: Served,
    make_settings: MakeClientSettings,
    store_file: Path,
    browser: Browser,
    counted: Counted,
) -> None:
    """It revokes the family: the user has to log in again, once, and nothing loops until then."""
    settings = make_settings(authority_server.issuer, **CONTROLLER, store=store_file)
    async with AuthorizationClient(settings) as client:
        authorization, granted = await authorized(client, browser, authority_server.issuer)
        # The server takes the token last replaced for half a minute, and no older one.
        for _ in range(3):
            await authorization.obtain()
        assert granted.refresh_token is not None
        with pytest.raises(TokenRefused):
            await client.servers.at(authority_server.issuer).refresh(
                granted.refresh_token, settings.scope
            )
        asked = counted["POST /token"]
        errors = await errors_of(client.tokens())
        assert codes_of(errors, LoginRequired) == {"invalid_grant"}
        assert counted["POST /token"] == asked + 1
        await authorized(client, browser, authority_server.issuer)
        assert (await client.obtain()).scope == set(settings.scope)


async def test_a_token_that_never_reached_the_disk(
    authority_server: Served,
    make_settings: MakeClientSettings,
    store_file: Path,
    browser: Browser,
) -> None:
    """A client that was killed between the server's answer and its own write goes on."""
    settings = make_settings(authority_server.issuer, **CONTROLLER, store=store_file)
    async with AuthorizationClient(settings) as client:
        await authorized(client, browser, authority_server.issuer)
        await (await client.authorization()).obtain()
        await asyncio.to_thread(shutil.copy2, store_file, store_file.with_suffix(".before"))
        await (await client.authorization()).obtain()
    # So the disk is where nothing of the last answer was written.
    await asyncio.to_thread(shutil.copy2, store_file.with_suffix(".before"), store_file)
    for _ in range(2):
        async with AuthorizationClient(settings) as client:
            assert (await client.obtain()).scope == set(settings.scope)


async def test_a_code_twice(
    authority_server: Served, make_settings: MakeClientSettings, browser: Browser
) -> None:
    """The second exchange is refused, and revokes what the first one gave."""
    settings = make_settings(authority_server.issuer, **CONTROLLER)
    async with AuthorizationClient(settings) as client:
        server = client.servers.at(authority_server.issuer)
        pending = await server.begin_authorization(["query"])
        answer = await browser.authorize(pending.url, until=pending.redirect_uri)
        code = code_of(pending, parse_qsl(urlsplit(answer.headers["location"]).query))
        granted = await server.exchange_code(pending, code)
        assert granted.refresh_token is not None
        with pytest.raises(TokenRefused) as caught:
            await server.exchange_code(pending, code)
        assert caught.value.code == "invalid_grant"
        assert code.get_secret_value() not in str(caught.value)
        with pytest.raises(TokenRefused) as caught:
            await server.refresh(granted.refresh_token, ["query"])
        assert caught.value.code == "invalid_grant"


async def test_what_the_server_refuses_the_user(
    authority_server: Served, make_settings: MakeClientSettings, browser: Browser
) -> None:
    """An error that comes back through the browser is a typed error with the server's code."""
    settings = make_settings(authority_server.issuer, **CONTROLLER)
    async with AuthorizationClient(settings) as client:
        pending = await client.servers.at(authority_server.issuer).begin_authorization(["node"])
        answer = await browser.get(pending.url, until=pending.redirect_uri)
        with pytest.raises(AuthorizationRefused) as caught:
            code_of(pending, parse_qsl(urlsplit(answer.headers["location"]).query))
        assert caught.value.code == "invalid_scope"


async def test_loopback(
    authority_server: Served, make_settings: MakeClientSettings, browser: Browser
) -> None:
    """A native Controller logs in over a port that it has not registered (RFC 8252)."""
    changes = CONTROLLER | {"redirect_uri": LOOPBACK_REDIRECT_URI}
    shown: asyncio.Queue[str] = asyncio.Queue()
    async with AuthorizationClient(make_settings(authority_server.issuer, **changes)) as client:
        login = asyncio.create_task(log_in(client, open_browser=shown.put_nowait))
        page = await browser.authorize(await shown.get())
        assert "The login is complete" in page.text
        assert (await (await login).obtain()).scope == {"query", "connection"}


async def test_web_login(
    authority_server: Served,
    make_settings: MakeClientSettings,
    tls: TestAuthority,
    browser: Browser,
    counted: Counted,
) -> None:
    """A web Controller logs a user in, has tokens, and revokes them at logout."""
    port = free_port()
    origin = f"https://localhost:{port}"
    changes = CONTROLLER | {"redirect_uri": f"{origin}/callback/{{server}}"}
    client = AuthorizationClient(make_settings(authority_server.issuer, **changes))
    login = LoginRoutes(client)

    async def who(request: Request) -> Response:
        session = login.session(request)
        token = None if session is None else await session.tokens.token()
        return JSONResponse(token and token.value.get_secret_value())

    app = Starlette(routes=[Route("/", who), *login.routes])
    with serving(app, tls=tls.server_context("localhost"), port=port):
        token = (await browser.authorize(f"{origin}/login?next=/")).json()
        assert authority_server.verified(token)["sub"] == USER.name
        assert (await browser.post(f"{origin}/logout")).json() is None
        assert counted["POST /revoke"] == 1
    await client.aclose()


async def test_a_server_that_is_down_for_a_while(
    development: DevelopmentServer, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """While it is down that is said, and afterwards everything goes on with the registration."""
    with development.running() as server:
        settings = make_settings(server.issuer, **initial(server), store=store_file)
        async with AuthorizationClient(settings) as client:
            await client.obtain()
    async with AuthorizationClient(settings) as client:
        with pytest.raises(ServerUnavailable):
            await client.obtain()
        with development.running():
            await client.obtain()
    assert development.counted["POST /register"] == 1


def test_the_command_line(
    authority_server: Served,
    tls: TestAuthority,
    store_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`nmos-auth` gets a token with what the environment says, and takes the Client out again."""
    token = authority_server.authority.initial_access_token().get_secret_value()
    for name, value in {
        "NMOS_AUTH_SERVERS": authority_server.issuer,
        "NMOS_AUTH_CA_FILE": str(tls.ca_file),
        "NMOS_AUTH_CLIENT_NAME": "Example Node 0001",
        "NMOS_AUTH_CLIENT_AUTH_METHOD": "client_secret_basic",
        "NMOS_AUTH_CLIENT_SCOPE": "registration events",
        "NMOS_AUTH_CLIENT_STORE": str(store_file),
        "NMOS_AUTH_CLIENT_INITIAL_ACCESS_TOKEN": token,
    }.items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert main(["token", "--scope", "events"]) == 0
    written = capsys.readouterr()
    assert authority_server.verified(written.out.strip())["scope"] == "events"
    assert written.err == ""
    assert main(["register", "--delete"]) == 0
    assert capsys.readouterr().out == f"{authority_server.issuer} deleted\n"
    assert main(["token", "--scope", "query"]) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1
