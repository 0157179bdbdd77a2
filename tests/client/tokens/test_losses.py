"""What a server once gave is thrown away only on that server's word about that very thing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nmos_auth.client import (
    AuthorizationClient,
    ClientClosed,
    ClientError,
    ClientSettings,
    LoginRequired,
    StoreError,
    TokenRefused,
)
from nmos_auth.client.store.stores import FileStore, MemoryStore, Record
from nmos_auth.client.tokens.authorizations import UserAuthorization
from nmos_auth.client.tokens.vaults import MemoryVault
from tests.client.clock import Clock
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import CONTROLLER
from tests.client.rotating import Rotating, complete, log_in
from tests.client.scripted import Asked, Refusal, ScriptedServer

REFUSED = Refusal(401, {"error": "invalid_client"})


@pytest.fixture
def rotating(server: ScriptedServer) -> Rotating:
    """Have the server rotate."""
    rotating = Rotating(server)
    server.answers["/token"] = rotating
    return rotating


@pytest.fixture
def settings(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path
) -> ClientSettings:
    """Return the settings of a Controller with a store."""
    return make_settings(server.issuer, **(CONTROLLER | {"store": store_file}))


@pytest.fixture
async def client(
    settings: ClientSettings, rotating: Rotating
) -> AsyncIterator[AuthorizationClient]:
    """Return a Controller whose user has logged in."""
    async with AuthorizationClient(settings) as client:
        await log_in(client, settings.servers[0])
        yield client


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "private_key_jwt"])
@pytest.mark.parametrize("managed", [True, False])
async def test_invalid_client_is_survived(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    store_file: Path,
    rotating: Rotating,
    method: str,
    managed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A `jwks_uri` that is not up yet, a clock that is off: when it is over there are tokens."""
    if managed:
        server.answers["/register"] = lambda asked: server.registration(
            asked,
            registration_client_uri=f"{server.issuer}/register/1",
            registration_access_token="of-the-registration",
        )
        server.answers["/register/1"] = lambda _: {"client_id": next(iter(server.known))}
    settings = make_settings(
        server.issuer,
        **(CONTROLLER | {"store": store_file, "auth_method": method}),
        jwks_uri="https://controller.example.com/jwks",
    )
    async with AuthorizationClient(settings) as client:
        await log_in(client, server.issuer)
    clock = Clock()
    async with AuthorizationClient(settings, clock=clock.time, monotonic=clock.monotonic) as client:
        server.answers["/token"] = REFUSED
        for _ in range(5):
            with pytest.raises(TokenRefused) as caught:
                await client.obtain()
            assert caught.value.code == "invalid_client"
            clock.ahead += 60
        server.answers["/token"] = rotating
        assert (await client.obtain()).scope == set(settings.scope)
    assert len(server.requests("/register")) == 1


async def test_invalid_client_for_credentials_arranged_by_hand(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    store_file: Path,
    rotating: Rotating,
) -> None:
    """Whatever the server says to them, the user's authorization stays, and the setting is told."""
    values = CONTROLLER | {"store": store_file, "auth_method": "client_secret_basic"}
    settings = make_settings(server.issuer, **values, id="by-hand", secret="secret-of-by-hand")
    async with AuthorizationClient(settings) as client:
        await log_in(client, server.issuer)
        server.answers["/token"] = REFUSED
        with pytest.raises(TokenRefused, match="NMOS_AUTH_CLIENT_SECRET") as caught:
            await client.obtain()
        assert caught.value.setting == "NMOS_AUTH_CLIENT_SECRET"
        server.answers["/token"] = rotating
        await client.obtain()


async def test_invalid_client_names_the_keys_and_the_clock(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """The text says by how much the clock is off, and where the keys should be."""
    server.answers["/token"] = REFUSED
    settings = make_settings(
        server.issuer, auth_method="private_key_jwt", jwks_uri="https://node.example.com/jwks"
    )
    clock = Clock(set_ahead=-120)
    async with AuthorizationClient(settings, clock=clock.time) as client:
        with pytest.raises(TokenRefused) as caught:
            await client.obtain()
        key = client.keys.current.kid
    told = str(caught.value)
    assert re.search("1[12][0-9] s behind", told)
    for each in ("https://node.example.com/jwks", "NMOS_AUTH_CLIENT_JWKS_URI", str(key)):
        assert each in told
    assert caught.value.setting == "NMOS_AUTH_CLIENT_JWKS_URI"


async def test_one_users_invalid_client_is_nobody_elses(
    server: ScriptedServer, make_settings: MakeClientSettings, rotating: Rotating
) -> None:
    """Of several sessions of a web Controller, all live on."""
    settings = make_settings(server.issuer, **CONTROLLER)
    async with AuthorizationClient(settings) as client:
        at = client.servers.at(server.issuer)
        sessions = [UserAuthorization(at, MemoryVault()) for _ in range(5)]
        for session in sessions:
            await complete(client, session)
        server.answers["/token"] = REFUSED
        with pytest.raises(TokenRefused):
            await sessions[0].obtain()
        server.answers["/token"] = rotating
        for session in sessions:
            await session.obtain()
    assert len(server.requests("/register")) == 1


async def test_a_client_that_is_gone_means_a_login(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path, rotating: Rotating
) -> None:
    """401 of the management URL, twice: the user has to log in, and can with a new registration."""
    server.answers["/register"] = lambda asked: server.registration(
        asked,
        registration_client_uri=f"{server.issuer}/register/1",
        registration_access_token="of-the-registration",
    )
    server.answers["/register/1"] = lambda _: {"client_id": next(iter(server.known))}
    settings = make_settings(server.issuer, **(CONTROLLER | {"store": store_file}))
    clock = Clock()
    async with AuthorizationClient(settings, clock=clock.time, monotonic=clock.monotonic) as client:
        await log_in(client, server.issuer)
        server.answers |= {"/token": REFUSED, "/register/1": Refusal(401)}
        with pytest.raises(TokenRefused) as refused:
            await client.obtain()
        assert refused.value.retry_after == pytest.approx(10, abs=0.5)
        clock.ahead += 11
        with pytest.raises(LoginRequired) as caught:
            await client.obtain()
        assert caught.value.code == "invalid_client"
        server.answers["/token"] = rotating
        await log_in(client, server.issuer)
        await client.obtain()
    assert len(server.requests("/register")) == 2


@pytest.mark.parametrize("how", ["closed", "cancelled and closed", "timed out", "timed out twice"])
async def test_an_exchange_under_way_is_never_cut_off(
    settings: ClientSettings, rotating: Rotating, how: str
) -> None:
    """The server has rotated and its answer is on its way: the next start has the new token."""
    async with AuthorizationClient(settings) as client:
        await log_in(client, settings.servers[0])
        rotating.latency = 0.5
        waiting = asyncio.create_task(client.tokens().token())
        await asyncio.sleep(0.2)
        if how != "closed":
            waiting.cancel()
        for _ in range(how.count("timed") + how.count("twice")):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.obtain(), 0.2)
    if how == "closed":
        with pytest.raises(ClientClosed):
            await waiting
    rotating.latency = 0
    assert rotating.spent
    async with AuthorizationClient(settings) as client:
        await client.obtain()


async def test_a_store_that_is_full_costs_no_token(
    client: AuthorizationClient, rotating: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is found out before anything is spent, and it passes with the trouble."""

    def full(_: object) -> None:
        raise StoreError("no space left on device", temporary=True)

    spent = len(rotating.spent)
    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "rehearse", full)
        for _ in range(3):
            with pytest.raises(StoreError) as caught:
                await client.obtain()
            assert caught.value.temporary
    assert len(rotating.spent) == spent
    await client.obtain()


class Filling(MemoryStore):
    """A store that fills between the trial and the write."""

    full = False

    def put(self, kind: str, name: str, record: Record) -> None:
        """Keep a record, or say why not."""
        if self.full:
            raise StoreError("no space left on device", temporary=True)
        super().put(kind, name, record)


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_in": -1},
        {"expires_in": None},
        {"token_type": None},
        {"access_token": None},
        {"access_token": "a b"},
        {"scope": ["query"]},
        {"error": "server_error"},
    ],
)
async def test_an_answer_that_cannot_be_used_rotates_all_the_same(
    client: AuthorizationClient,
    server: ScriptedServer,
    rotating: Rotating,
    changes: dict[str, object],
) -> None:
    """The Refresh Token in it is kept, since the one that was sent is spent."""

    async def answer(asked: Asked) -> object:
        honest = await rotating(asked)
        assert isinstance(honest, dict)
        return {name: each for name, each in {**honest, **changes}.items() if each is not None}

    server.answers["/token"] = answer
    with contextlib.suppress(ClientError):
        await client.obtain()
    server.answers["/token"] = rotating
    await client.obtain()
    assert len(rotating.spent) == 2
    async with AuthorizationClient(client.settings) as following:
        await following.obtain()


async def test_a_token_that_was_issued_is_given_out(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    rotating: Rotating,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though its successor cannot be kept: the log says so, and the process lives on with it."""
    store = Filling()
    async with AuthorizationClient(
        make_settings(server.issuer, **CONTROLLER), store=store
    ) as client:
        await log_in(client, server.issuer)
        store.full = True
        for _ in range(3):
            await client.obtain()
        assert "no space left" in caplog.text
        assert any(record.levelno == logging.ERROR for record in caplog.records)
        store.full = False
    # It was written at the end.
    kept = store.get("authorizations", server.issuer)
    assert kept is not None
    assert kept.secret["refresh_token"] in rotating.owners


async def test_a_late_refusal_ends_no_new_login(
    client: AuthorizationClient, settings: ClientSettings, rotating: Rotating
) -> None:
    """The daemon's token is dead; while the server says so, the user logs in with the command."""
    rotating.owners.clear()
    rotating.latency = 0.6
    refresh = asyncio.create_task(client.obtain())
    await asyncio.sleep(0.2)
    rotating.latency = 0
    async with AuthorizationClient(settings) as command:
        await log_in(command, settings.servers[0])
    with pytest.raises(LoginRequired):
        await refresh
    await client.obtain()


async def test_only_the_token_that_was_sent_is_dropped(
    client: AuthorizationClient, settings: ClientSettings, rotating: Rotating
) -> None:
    """A store that somebody else has written meanwhile keeps what it has."""
    rotating.owners.clear()
    rotating.latency = 0.5
    refresh = asyncio.create_task(client.obtain())
    await asyncio.sleep(0.2)
    record = Record({"scope": "query", "client_id": None}, {"refresh_token": "another"})
    FileStore(settings.store or Path()).put("authorizations", settings.servers[0], record)
    with pytest.raises(LoginRequired):
        await refresh
    assert FileStore(settings.store or Path()).get("authorizations", settings.servers[0]) == record


@pytest.mark.parametrize("change", [{"name": "Another Controller"}, {"scope": "query events"}])
async def test_changed_settings_end_no_authorization(
    client: AuthorizationClient,
    settings: ClientSettings,
    server: ScriptedServer,
    rotating: Rotating,
    change: dict[str, object],
    make_settings: MakeClientSettings,
) -> None:
    """A refresh uses the registration that its token belongs to (RFC 6749 Section 6)."""
    changed = make_settings(server.issuer, **(CONTROLLER | {"store": settings.store, **change}))
    async with AuthorizationClient(changed) as other:
        for _ in range(3):
            assert (await other.obtain("query")).scope == {"query"}
        assert len(server.requests("/register")) == 1
        # A registration for what is new does not end it either.
        await other.servers.at(server.issuer).registration()
        await other.obtain("query")
    assert len(server.requests("/register")) == 2
    assert len(set(rotating.owners.values())) == 1


async def test_a_former_registration_goes_with_its_last_grant(
    server: ScriptedServer, make_settings: MakeClientSettings, store_file: Path, rotating: Rotating
) -> None:
    """It is kept while the user's authorization belongs to it, and then taken out of the books."""
    server.answers["/register"] = lambda asked: server.registration(
        asked,
        registration_client_uri=f"{server.issuer}/register/{len(server.known)}",
        registration_access_token="of-the-registration",
    )
    server.answers["/register/1"] = lambda asked: (
        Refusal(405)
        if asked.method == "PUT"
        else Refusal(204, b"")
        if asked.method == "DELETE"
        else {"client_id": next(iter(server.known))}
    )
    values = CONTROLLER | {"store": store_file}
    server.answers["/register/0"] = server.answers["/register/1"]
    async with AuthorizationClient(make_settings(server.issuer, **values)) as client:
        await log_in(client, server.issuer)
    changed = make_settings(server.issuer, **(values | {"name": "Another Controller"}))
    async with AuthorizationClient(changed) as client:
        await client.servers.at(server.issuer).registration()
        await client.obtain()
        deleted = [asked for asked in server.asked if asked.method == "DELETE"]
        assert not deleted
        await (await client.authorization()).end()
    deleted = [asked for asked in server.asked if asked.method == "DELETE"]
    assert len(deleted) == 1
    # The logout itself went out in the name of the client that the token belongs to.
    (revoked,) = server.requests("/revoke")
    assert revoked.form["client_id"] == min(server.known)
    assert len(server.requests("/register")) == 2


async def test_a_logout_registers_nothing(
    client: AuthorizationClient,
    settings: ClientSettings,
    server: ScriptedServer,
    make_settings: MakeClientSettings,
) -> None:
    """With another name in the settings too."""
    changed = make_settings(
        server.issuer, **(CONTROLLER | {"store": settings.store, "name": "Another"})
    )
    async with AuthorizationClient(changed) as other:
        await (await other.authorization()).end()
    assert len(server.requests("/register")) == 1
    (revoked,) = server.requests("/revoke")
    assert revoked.form["client_id"] in server.known


async def test_a_store_of_an_earlier_version(
    client: AuthorizationClient, settings: ClientSettings, server: ScriptedServer
) -> None:
    """An authorization that does not say whose it is belongs to the registration that is there."""
    store = FileStore(settings.store or Path())
    kept = store.get("authorizations", server.issuer)
    known = store.get("registrations", server.issuer)
    assert kept is not None
    assert known is not None
    store.put("authorizations", server.issuer, Record({"scope": kept.public["scope"]}, kept.secret))
    earlier = {
        name: value
        for name, value in known.public.items()
        if not name.endswith(("_at", "_since", "_until")) or name == "secret_expires_at"
    }
    del earlier["signing_algorithm"]
    store.put("registrations", server.issuer, Record(earlier, known.secret))
    async with AuthorizationClient(settings) as later:
        await later.obtain()
    assert len(server.requests("/register")) == 1
