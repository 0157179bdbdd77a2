"""Against PyPI `nmos-auth` 1.5.0, the BBC's Authorization Server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nmos_auth import NmosAuthMiddleware, Settings
from nmos_auth.client import (
    AuthorizationClient,
    BearerAuth,
    LoginRequired,
    RegistrationRefused,
    TokenRefused,
)
from nmos_auth.client.grants.grants import code_of
from tests.client.browser import Browser
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import CONTROLLER
from tests.client.peers import bbc_nmos_auth
from tests.client.peers.bbc_nmos_auth import BbcServer
from tests.support.servers import free_port, serving
from tests.support.tls import TestAuthority
from tests.support.tokens import parts_of

# It makes the audience of tokens of the redirect URI's domain, for Nodes as well.
NODE: dict[str, object] = {"redirect_uri": "https://localhost.example.com/callback"}

# The first run installs it.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def peer(tls: TestAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BbcServer]:
    """Run one."""
    folder = tmp_path_factory.mktemp("bbc")
    with bbc_nmos_auth.running(tls, folder, free_port()) as running:
        yield running


@pytest.fixture
async def browser(tls: TestAuthority) -> AsyncIterator[Browser]:
    """Yield a browser of its user."""
    browser = Browser(tls, "operator")
    yield browser
    await browser.close()


async def test_client_credentials(peer: BbcServer, make_settings: MakeClientSettings) -> None:
    """A Node registers and gets tokens: with `aud` as a string, and no `kid`."""
    async with AuthorizationClient(make_settings(peer.issuer, **NODE)) as client:
        token = await client.tokens().token()
        header, claims = parts_of(token.value.get_secret_value())
        assert "kid" not in header
        assert claims["aud"] == "*.example.com"
        assert claims["x-nmos-registration"] == {"read": ["*"], "write": ["*"]}


async def test_what_it_does_not_take(peer: BbcServer, make_settings: MakeClientSettings) -> None:
    """Its refusals are typed errors with its own codes."""
    settings = make_settings(
        peer.issuer, auth_method="private_key_jwt", jwks_uri="https://node.example.com/jwks"
    )
    async with AuthorizationClient(settings) as client:
        with pytest.raises(RegistrationRefused) as refused:
            await client.obtain()
        assert refused.value.code == "invalid_client_metadata"
    settings = make_settings(peer.issuer, id="by-hand", secret="no secret of anybody")
    async with AuthorizationClient(settings) as client:
        with pytest.raises(TokenRefused) as unknown:
            await client.obtain()
        assert unknown.value.code == "invalid_client"


async def test_authorization_code(
    peer: BbcServer, make_settings: MakeClientSettings, browser: Browser
) -> None:
    """A user authorizes; refresh tokens rotate; the end of it revokes them."""
    changes = CONTROLLER | {"auth_method": "client_secret_basic"}
    async with AuthorizationClient(make_settings(peer.issuer, **changes)) as client:
        server = client.servers.at(peer.issuer)
        pending = await server.begin_authorization(client.settings.scope)
        await browser.authorize(pending.url, until=pending.redirect_uri)
        # Its page loses the code_challenge; what the page should have sent does not.
        answer = await browser.post(pending.url, until=pending.redirect_uri, confirm="true")
        code = code_of(pending, parse_qsl(urlsplit(answer.headers["location"]).query))
        authorization = client.authorization_at(server)
        granted = await server.exchange_code(pending, code)
        await authorization.begin(granted, client.settings.scope)
        _, claims = parts_of((await client.obtain()).access_token.get_secret_value())
        assert claims["sub"] == "operator"
        assert claims["x-nmos-connection"] == {"read": ["*"], "write": ["*"]}
        rotated = await client.obtain()
        assert rotated.refresh_token is not None
        assert rotated.refresh_token != granted.refresh_token
        await authorization.end()
        with pytest.raises(LoginRequired):
            await client.obtain()
        with pytest.raises(TokenRefused) as dead:
            await server.refresh(rotated.refresh_token, client.settings.scope)
        assert dead.value.code in {"invalid_grant", "invalid_request"}


async def test_its_tokens_are_accepted(
    tls: TestAuthority,
    make_settings: MakeClientSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A Resource Server here takes its tokens, for its audience alone.

    Behind a proxy that adds a slash, since a Resource Server follows no redirects to keys.
    """

    def answer(_: Request) -> Response:
        return Response("{}")

    app = Starlette(routes=[Route("/x-nmos/registration/v1.3/resource", answer)])
    folder = tmp_path_factory.mktemp("bbc")
    with bbc_nmos_auth.running(tls, folder, free_port(), slashes=True) as peer:
        for audience, status in (("localhost.example.com", 200), ("localhost.example.org", 403)):
            settings = Settings(
                audience=audience,
                servers=peer.issuer,
                ca_file=tls.ca_file,
                audit_log=str(folder / "audit.log"),
            )
            protected = NmosAuthMiddleware(app, settings=settings)
            context = tls.server_context("localhost")
            with serving(protected, tls=context, lifespan="on") as port:
                origin = f"https://localhost:{port}"
                async with AuthorizationClient(make_settings(peer.issuer, **NODE)) as client:
                    auth = BearerAuth(client.tokens(), [origin])
                    verify = tls.client_context()
                    async with httpx.AsyncClient(auth=auth, verify=verify) as http:
                        sent = await http.get(f"{origin}/x-nmos/registration/v1.3/resource")
                        assert sent.status_code == status
