"""Everything against npm `oidc-provider`, a certified server that none of us wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

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
    LoginRequired,
    RegistrationRefused,
    TokenRefused,
    jwks_route,
)
from nmos_auth.client.grants.grants import PendingAuthorization, code_of
from nmos_auth.client.login import LoginRoutes
from nmos_auth.client.login.loopback import LOOPBACK_REDIRECT_URI, log_in
from nmos_auth.client.registration.dynamic_registration import (
    delete_registration,
    read_registration,
)
from tests.client.browser import Browser
from tests.client.clock import Clock
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import CONTROLLER
from tests.client.peers import oidc_provider
from tests.client.peers.oidc_provider import OidcProvider
from tests.support.servers import free_port, serving
from tests.support.tls import TestAuthority
from tests.support.tokens import parts_of

# The first run installs it.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def peer(tls: TestAuthority) -> Iterator[OidcProvider]:
    """Run one with a path in its issuer."""
    with oidc_provider.running(tls, path="/nmos") as running:
        yield running


@pytest.fixture
async def browser(tls: TestAuthority) -> AsyncIterator[Browser]:
    """Yield a browser."""
    browser = Browser(tls, "operator")
    yield browser
    await browser.close()


def claims_of(token: SecretStr) -> dict[str, object]:
    """Read the claims of a token."""
    return parts_of(token.get_secret_value())[1]


@pytest.mark.parametrize("algorithms", [["RS512"], ["RS256"]])
async def test_private_key_jwt(
    tls: TestAuthority, make_settings: MakeClientSettings, store_file: Path, algorithms: list[str]
) -> None:
    """A Node registers, signs assertions, rotates its keys, and gets tokens all the while."""
    port = free_port()
    with oidc_provider.running(tls, assertionAlgorithms=algorithms) as peer:
        settings = make_settings(
            peer.issuer,
            auth_method="private_key_jwt",
            jwks_uri=f"https://localhost:{port}/keys",
            store=store_file,
        )
        async with AuthorizationClient(settings) as client:
            app = Starlette(routes=[jwks_route(client.keys, "/keys")])
            with serving(app, tls=tls.server_context("localhost"), port=port):
                server = client.servers.at(peer.issuer)
                first = await client.tokens().token()
                assert claims_of(first.value)["scope"] == "registration"
                # The server refuses an assertion that it has seen.
                for _ in range(3):
                    await server.client_credentials(["registration"])
                assert client.keys.rotate(announced=0)
                await server.client_credentials(["registration"])
                client_id = (await server.registration()).client_id
        async with AuthorizationClient(settings) as client:
            assert (await client.servers.at(peer.issuer).registration()).client_id == client_id


async def test_client_secret_basic(peer: OidcProvider, make_settings: MakeClientSettings) -> None:
    """A secret that the server issued gets tokens; a wrong one the server's own error."""
    async with AuthorizationClient(make_settings(peer.issuer)) as client:
        token = await client.tokens().token()
        assert claims_of(token.value)["iss"] == peer.issuer
        known = await client.servers.at(peer.issuer).registration()
    settings = make_settings(peer.issuer, id=known.client_id, secret="wrong:secret%")
    async with AuthorizationClient(settings) as client:
        with pytest.raises(TokenRefused) as caught:
            await client.tokens().token()
    assert caught.value.code == "invalid_client"
    assert "wrong:secret" not in str(caught.value)


async def test_initial_access_token(tls: TestAuthority, make_settings: MakeClientSettings) -> None:
    """A server that asks for an initial access token registers nobody without it."""
    with oidc_provider.running(tls, initialAccessToken="initial-0123456789") as peer:
        for given, registers in (("initial-0123456789", True), ("another", False), (None, False)):
            settings = make_settings(peer.issuer, initial_access_token=given)
            async with AuthorizationClient(settings) as client:
                server = client.servers.at(peer.issuer)
                if registers:
                    assert (await server.registration()).client_id
                    continue
                with pytest.raises(RegistrationRefused) as caught:
                    await server.registration()
                assert caught.value.code == "invalid_token"


async def test_management(
    peer: OidcProvider, make_settings: MakeClientSettings, store_file: Path
) -> None:
    """A registration is read, updated when the settings change, and deleted (RFC 7592)."""
    async with AuthorizationClient(make_settings(peer.issuer, store=store_file)) as client:
        first = await client.servers.at(peer.issuer).registration()
    changed = make_settings(peer.issuer, store=store_file, name="Example Node 0002")
    async with AuthorizationClient(changed) as client:
        server = client.servers.at(peer.issuer)
        await server.client_credentials(["registration"])
        second = await server.registration()
        assert second.client_id == first.client_id
        # This server gives a new registration access token with every update.
        assert second.configuration_token != first.configuration_token
        transport = client.transport
        assert (await read_registration(transport, second))["client_name"] == "Example Node 0002"
        assert await server.deregister()
        with pytest.raises(RegistrationRefused):
            await read_registration(transport, second)
        assert (await server.registration()).client_id != first.client_id


async def test_a_registration_that_the_server_forgot(
    peer: OidcProvider, make_settings: MakeClientSettings
) -> None:
    """A Client that was deleted behind its back registers again and gets its token."""
    clock = Clock()
    settings = make_settings(peer.issuer)
    async with AuthorizationClient(settings, clock=clock.time, monotonic=clock.monotonic) as client:
        server = client.servers.at(peer.issuer)
        await server.client_credentials(["registration"])
        former = await server.registration()
        await delete_registration(client.transport, former)
        with pytest.raises(TokenRefused):
            await server.client_credentials(["registration"])
        clock.ahead += 11
        await server.client_credentials(["registration"])
        assert (await server.registration()).client_id != former.client_id


async def begun(
    client: AuthorizationClient, browser: Browser, issuer: str
) -> tuple[PendingAuthorization, list[tuple[str, str]]]:
    """Have the user authorize; give the request and the parameters of its answer."""
    pending = await client.servers.at(issuer).begin_authorization(client.settings.scope)
    answer = await browser.authorize(pending.url, until=pending.redirect_uri)
    query = urlsplit(answer.headers["location"]).query
    return pending, parse_qsl(query)


@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
async def test_authorization_code(
    peer: OidcProvider,
    make_settings: MakeClientSettings,
    store_file: Path,
    browser: Browser,
    method: str,
) -> None:
    """A user authorizes; refresh tokens rotate, over restarts; the end revokes them."""
    settings = make_settings(
        peer.issuer, **(CONTROLLER | {"auth_method": method, "store": store_file})
    )
    async with AuthorizationClient(settings) as client:
        with pytest.raises(LoginRequired):
            await client.tokens().token()
        server = client.servers.at(peer.issuer)
        pending, answer = await begun(client, browser, peer.issuer)
        # oidc-provider sends `iss` (RFC 9207).
        assert ("iss", peer.issuer) in answer
        code = code_of(pending, answer)
        authorization = client.authorization_at(server)
        granted = await server.exchange_code(pending, code)
        await authorization.begin(granted, settings.scope)
        claims = claims_of((await authorization.obtain()).access_token)
        assert claims["sub"] == "operator"
        assert "x-nmos-connection" in claims
        tokens = {(await authorization.obtain()).access_token.get_secret_value() for _ in range(3)}
        assert len(tokens) == 3
    async with AuthorizationClient(settings) as client:
        narrower = await client.obtain("query")
        assert narrower.scope == {"query"}
        assert (await client.obtain()).scope == {"query", "connection"}
        await (await client.authorization()).end()
        with pytest.raises(LoginRequired):
            await client.obtain()


async def test_a_dead_refresh_token(
    peer: OidcProvider, make_settings: MakeClientSettings, store_file: Path, browser: Browser
) -> None:
    """A refresh token used twice kills the family: the user has to log in again, nothing loops."""
    settings = make_settings(peer.issuer, **CONTROLLER, store=store_file)
    async with AuthorizationClient(settings) as client:
        server = client.servers.at(peer.issuer)
        pending, answer = await begun(client, browser, peer.issuer)
        granted = await server.exchange_code(pending, code_of(pending, answer))
        authorization = client.authorization_at(server)
        await authorization.begin(granted, settings.scope)
        await authorization.obtain()
        await authorization.obtain()
        assert granted.refresh_token is not None
        with pytest.raises(TokenRefused):
            await server.refresh(granted.refresh_token, settings.scope)
        with pytest.raises(LoginRequired) as caught:
            await client.obtain()
        assert caught.value.code == "invalid_grant"
        assert not await authorization.known()


async def test_a_code_is_good_for_once(
    peer: OidcProvider, make_settings: MakeClientSettings, browser: Browser
) -> None:
    """The second exchange of a code, and one with another verifier, are refused by the server."""
    async with AuthorizationClient(make_settings(peer.issuer, **CONTROLLER)) as client:
        server = client.servers.at(peer.issuer)
        pending, answer = await begun(client, browser, peer.issuer)
        code = code_of(pending, answer)
        await server.exchange_code(pending, code)
        with pytest.raises(TokenRefused) as caught:
            await server.exchange_code(pending, code)
        assert caught.value.code == "invalid_grant"
        assert code.get_secret_value() not in str(caught.value)
        pending, answer = await begun(client, browser, peer.issuer)
        other, _ = await begun(client, browser, peer.issuer)
        with pytest.raises(CallbackError):
            code_of(other, answer)
        with pytest.raises(TokenRefused) as caught:
            await server.exchange_code(other, SecretStr(dict(answer)["code"]))
        assert caught.value.code == "invalid_grant"


async def test_the_user_refuses(
    peer: OidcProvider, make_settings: MakeClientSettings, browser: Browser
) -> None:
    """What the authorization endpoint answers instead of a code is a typed error with its code."""
    async with AuthorizationClient(make_settings(peer.issuer, **CONTROLLER)) as client:
        server = client.servers.at(peer.issuer)
        pending = await server.begin_authorization(["query"])
        answer = await browser.get(f"{pending.url}&prompt=none", until=pending.redirect_uri)
        with pytest.raises(AuthorizationRefused) as caught:
            code_of(pending, parse_qsl(urlsplit(answer.headers["location"]).query))
        assert caught.value.code == "login_required"


async def test_loopback(
    peer: OidcProvider, make_settings: MakeClientSettings, store_file: Path, browser: Browser
) -> None:
    """A native Controller logs in over a loopback port that was not registered (RFC 8252)."""
    settings = make_settings(
        peer.issuer, **(CONTROLLER | {"redirect_uri": LOOPBACK_REDIRECT_URI, "store": store_file})
    )
    shown: asyncio.Queue[str] = asyncio.Queue()
    pages: list[str] = []

    async def use_browser() -> None:
        pages.append((await browser.authorize(await shown.get())).text)

    async with AuthorizationClient(settings) as client:
        user = asyncio.create_task(use_browser())
        authorization = await log_in(client, open_browser=shown.put_nowait)
        await user
        assert authorization.issuer == peer.issuer
        assert "The login is complete" in pages[0]
    async with AuthorizationClient(settings) as client:
        assert (await client.obtain()).scope == {"query", "connection"}


async def test_web_login(
    peer: OidcProvider, make_settings: MakeClientSettings, tls: TestAuthority, browser: Browser
) -> None:
    """A web Controller: login, callback and logout, with the tokens on the server."""
    port = free_port()
    origin = f"https://localhost:{port}"
    settings = make_settings(
        peer.issuer, **(CONTROLLER | {"redirect_uri": f"{origin}/auth/{{server}}/callback"})
    )
    # One loop for the Client and its application: that of uvicorn's thread.
    holder: list[LoginRoutes] = []

    async def who(request: Request) -> Response:
        session = holder[0].session(request)
        if session is None:
            return JSONResponse({"user": None})
        token = await session.tokens.token()
        return JSONResponse({"user": claims_of(token.value)["sub"], "issuer": session.issuer})

    client = AuthorizationClient(settings)
    holder.append(LoginRoutes(client, login="/auth/login", logout="/auth/logout"))
    app = Starlette(routes=[Route("/", who), Route("/who", who), *holder[0].routes])
    with serving(app, tls=tls.server_context("localhost"), port=port):
        assert (await browser.get(f"{origin}/who")).json() == {"user": None}
        answer = await browser.authorize(f"{origin}/auth/login?next=/who")
        assert answer.json() == {"user": "operator", "issuer": peer.issuer}
        assert str(answer.url) == f"{origin}/who"
        cookies = {cookie.name: cookie for cookie in browser.cookies}
        session = next(each for name, each in cookies.items() if name.endswith("-session"))
        assert session.secure
        assert session.has_nonstandard_attr("HttpOnly")
        assert (await browser.post(f"{origin}/auth/logout")).json() == {"user": None}
    await client.aclose()
