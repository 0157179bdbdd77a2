"""A user's authorization and a registration while the store fails: nothing is lost or repeated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr

from nmos_auth.client import AuthorizationClient, ClientError, LoginRequired, StoreError
from nmos_auth.client.grants.grants import code_of
from nmos_auth.client.store.stores import MemoryStore, Record
from nmos_auth.client.tokens.authorizations import UserAuthorization
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import CONTROLLER
from tests.client.scripted import Asked, Refusal, ScriptedServer


class Store(MemoryStore):
    """A store that can be full."""

    full = False

    def put(self, kind: str, name: str, record: Record) -> None:
        """Keep a record, or say why not."""
        if self.full:
            raise StoreError("no space left on device")
        super().put(kind, name, record)

    def remove(self, kind: str, name: str) -> None:
        """Forget a record, or say why not."""
        if self.full:
            raise StoreError("no space left on device")
        super().remove(kind, name)

    def rehearse(self) -> None:
        """Find out that it is full."""
        if self.full:
            raise StoreError("no space left on device")


@dataclass
class Scene:
    """A user who has logged in, a store that can be full, and a clock."""

    client: AuthorizationClient
    store: Store
    authorization: UserAuthorization
    now: float = 0.0


@pytest.fixture
async def scene(server: ScriptedServer, make_settings: MakeClientSettings) -> AsyncIterator[Scene]:
    """Log a user in."""
    store = Store()
    scenes: list[Scene] = []

    def monotonic() -> float:
        return scenes[0].now if scenes else 0.0

    settings = make_settings(server.issuer, **CONTROLLER)
    async with AuthorizationClient(settings, store=store, monotonic=monotonic) as client:
        at = client.servers.at(server.issuer)
        pending = await at.begin_authorization(settings.scope)
        code = code_of(pending, [("state", pending.state.get_secret_value()), ("code", "code-1")])
        authorization = client.authorization_at(at)
        await authorization.begin(await at.exchange_code(pending, code), settings.scope)
        scenes.append(Scene(client, store, authorization))
        yield scenes[0]


def grants(server: ScriptedServer) -> list[str]:
    """Return the grants of the token requests so far."""
    return [asked.form["grant_type"] for asked in server.requests("/token")]


async def test_the_tokens_of_the_code_are_used(scene: Scene, server: ScriptedServer) -> None:
    """No refresh is needed right after a login, but for less than what was authorized it is."""
    assert (await scene.client.obtain()).scope == {"query", "connection"}
    assert grants(server) == ["authorization_code"]
    assert (await scene.client.obtain("query")).scope == {"query"}
    assert grants(server) == ["authorization_code", "refresh_token"]


async def test_tokens_of_the_code_that_have_grown_old(scene: Scene, server: ScriptedServer) -> None:
    """They are refreshed, whenever they are asked for."""
    scene.now += server.lifetime / 2
    await scene.client.obtain()
    assert grants(server) == ["authorization_code", "refresh_token"]


async def test_a_login_without_a_refresh_token(scene: Scene, server: ScriptedServer) -> None:
    """Its one token serves every source of the login until it ends, and then the user logs in."""
    server.answers["/token"] = lambda _: server.token()
    at = scene.client.servers.at(server.issuer)
    pending = await at.begin_authorization(["query", "connection"])
    await scene.authorization.complete(pending, SecretStr("code-2"))
    asked = len(server.requests("/token"))
    tokens = {
        (await scene.client.tokens(*scope).token()).value.get_secret_value()
        for scope in ((), ("query",), ("connection",), ("query", "connection"))
    }
    assert len(tokens) == 1
    assert len(server.requests("/token")) == asked
    scene.now += server.lifetime
    with pytest.raises(LoginRequired):
        await scene.client.obtain()


async def test_offline_access_is_asked_for_and_not_demanded(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """Servers that need it for a refresh token leave it out of the scope that they answer with."""
    server.answers["/token"] = lambda _: server.token(scope="query", refresh_token="r" * 40)
    settings = make_settings(
        server.issuer, **(CONTROLLER | {"scope": "query offline_access openid"})
    )
    async with AuthorizationClient(settings) as client:
        at = client.servers.at(server.issuer)
        pending = await at.begin_authorization(settings.scope)
        query = dict(parse_qsl(urlsplit(pending.url).query))
        assert query["scope"] == "offline_access openid query"
        # OpenID Connect Core 1.0 Section 11.
        assert query["prompt"] == "consent"
        await client.authorization_at(at).complete(pending, SecretStr("code-1"))
        await client.obtain()
        await client.obtain()
    assert server.requests("/register")[0].document["scope"] == "query offline_access openid"


@pytest.mark.parametrize(
    ("methods", "assume", "works"),
    [
        (None, False, False),
        (None, True, True),
        (["plain"], True, False),
        ([], True, False),
        (["plain", "S256"], False, True),
    ],
)
async def test_pkce(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    methods: list[str] | None,
    assume: bool,  # noqa: FBT001 - a column of the table
    works: bool,  # noqa: FBT001 - likewise
) -> None:
    """A server that does not say that it does it is taken to on request; never without it."""
    server.metadata_changes = {"code_challenge_methods_supported": methods}
    settings = make_settings(server.issuer, **CONTROLLER, assume_pkce=assume)
    async with AuthorizationClient(settings) as client:
        at = client.servers.at(server.issuer)
        if works:
            pending = await at.begin_authorization(["query"])
            assert "code_challenge_method=S256" in pending.url
            return
        with pytest.raises(ClientError, match="S256") as caught:
            await at.begin_authorization(["query"])
        assert (caught.value.setting is not None) is (methods is None)


async def test_a_revocation_without_content(scene: Scene, server: ScriptedServer) -> None:
    """Some servers answer it with 204."""
    server.answers["/revoke"] = Refusal(204, b"")
    await scene.authorization.end()
    assert len(server.requests("/revoke")) == 1


async def test_a_full_store_loses_no_refresh_token(scene: Scene, server: ScriptedServer) -> None:
    """That the new one cannot be kept is an error; the old one is never sent again."""

    def rotate(asked: Asked) -> object:
        if asked.form.get("refresh_token") != tokens[-1]:
            return Refusal(400, {"error": "invalid_grant"})
        tokens.append(f"{len(tokens):x>40}")
        return server.token(refresh_token=tokens[-1])

    kept = scene.store.get("authorizations", server.issuer)
    assert kept is not None
    tokens = [str(kept.secret["refresh_token"])]
    server.answers["/token"] = rotate
    await scene.client.obtain()
    scene.store.full = True
    for _ in range(2):
        with pytest.raises(StoreError):
            await scene.client.obtain()
    scene.store.full = False
    await scene.client.obtain()
    kept = scene.store.get("authorizations", server.issuer)
    assert kept is not None
    assert kept.secret["refresh_token"] == tokens[-1]


async def test_logout_with_a_full_store(scene: Scene, server: ScriptedServer) -> None:
    """What cannot be forgotten here is revoked all the same."""
    scene.store.full = True
    with pytest.raises(StoreError):
        await scene.authorization.end()
    assert len(server.requests("/revoke")) == 1
    scene.store.full = False
    await scene.authorization.end()
    with pytest.raises(LoginRequired):
        await scene.client.obtain()


async def test_one_registration_with_a_full_store(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """A registration that cannot be kept is used while the process lives, and made once."""
    store = Store()
    store.full = True
    async with AuthorizationClient(make_settings(server.issuer), store=store) as client:
        with pytest.raises(StoreError):
            await client.obtain()
        for _ in range(3):
            await client.obtain()
    assert len(server.requests("/register")) == 1
