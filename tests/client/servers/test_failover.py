"""Which server is asked, and when not at all: what a server asked for is kept."""

from __future__ import annotations

import asyncio

import pytest

from nmos_auth.client import AuthorizationClient, ClientError, ServersFailed, ServerUnavailable
from tests.client.clock import Clock
from tests.client.conftest import MakeClientSettings
from tests.client.scripted import WELL_KNOWN, Asked, Refusal, ScriptedServer
from tests.support.tls import TestAuthority


def later(seconds: int) -> Refusal:
    """Return an answer that asks for some time."""
    return Refusal(429, {}, ((b"retry-after", str(seconds).encode()),))


@pytest.mark.parametrize("seconds", [60, 3600, 86400])
async def test_retry_after_of_two_servers(
    server: ScriptedServer, make_settings: MakeClientSettings, tls: TestAuthority, seconds: int
) -> None:
    """Each is left alone for as long as it asked, up to a day, however often a token is wanted."""
    server.answers["/token"] = later(seconds)
    clock = Clock()
    with ScriptedServer().running(tls) as other:
        other.answers["/token"] = later(2 * seconds)
        settings = make_settings(server.issuer, other.issuer)
        async with AuthorizationClient(
            settings, clock=clock.time, monotonic=clock.monotonic
        ) as client:
            for _ in range(20):
                with pytest.raises(ServersFailed) as caught:
                    await client.obtain()
                assert caught.value.temporary
                assert 0 < (caught.value.retry_after or 0) <= seconds
                clock.ahead += seconds / 25
            assert (len(server.requests("/token")), len(other.requests("/token"))) == (1, 1)
            clock.ahead += seconds / 4
            del server.answers["/token"]
            await client.obtain()


@pytest.mark.parametrize("path", [WELL_KNOWN, "/register", "/token"])
async def test_retry_after_of_one_server(
    server: ScriptedServer, make_settings: MakeClientSettings, path: str
) -> None:
    """It is for the server as a whole: no other scope is asked for meanwhile, and no metadata."""
    server.answers[path] = later(3600)
    clock = Clock()
    async with AuthorizationClient(
        make_settings(server.issuer), clock=clock.time, monotonic=clock.monotonic
    ) as client:
        for scope in ("registration", "events", "registration"):
            with pytest.raises(ServerUnavailable) as caught:
                await client.tokens(scope).token()
            assert caught.value.status == 429
            clock.ahead += 1000
        assert len(server.requests(path)) == 1


async def test_no_server_is_known(make_settings: MakeClientSettings) -> None:
    """The text names the settings that would find one."""
    async with AuthorizationClient(make_settings()) as client:
        with pytest.raises(ServersFailed) as caught:
            await client.obtain()
    for name in ("NMOS_AUTH_SERVERS", "NMOS_AUTH_DISCOVERY", "NMOS_AUTH_DNS_DOMAIN"):
        assert name in str(caught.value)
    assert caught.value.setting == "NMOS_AUTH_SERVERS"


async def test_one_source_for_one_scope(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """However often a handler asks for `client.tokens()`, there is one token and one request."""
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        for _ in range(100):
            await client.tokens().token()
        assert client.tokens("registration") is client.tokens("registration", "registration")
        assert len(server.requests("/token")) == 1
        # "query node" is two scopes, in one string too.
        assert client.tokens("registration events") is client.tokens("events", "registration")
        await client.tokens("registration events").token()
        assert server.requests("/token")[-1].form["scope"] == "events registration"


async def test_a_shared_source_ends_with_its_last_user(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """One user who closes it takes it from nobody else; afterwards there is another."""
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        async with client.tokens() as first:
            async with client.tokens() as second:
                assert second is first
            await first.token()
        assert first.closed
        await client.tokens().token()


async def test_less_than_was_asked_for(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """What was granted is used if what is required is there, and revoked if it is not."""
    server.answers["/token"] = lambda _: server.token(scope="registration")
    async with AuthorizationClient(make_settings(server.issuer)) as client:
        held = await client.tokens("registration", "events", required=["registration"]).token()
        assert held.scope == {"registration"}
        assert not server.requests("/revoke")
        with pytest.raises(ClientError, match="events"):
            await client.tokens("registration", "events").token()
    assert server.requests("/revoke")[0].form["token"] == "access-3"


async def test_waiting_callers_of_a_closed_client(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """They get an error that says so: nobody is cancelled who was not asked to be."""

    async def slow(asked: Asked) -> object:
        await asyncio.sleep(0.5)
        return server.token()

    server.answers["/token"] = slow
    ended: list[str] = []

    async def ask(client: AuthorizationClient) -> None:
        try:
            await client.tokens().token()
        except ClientError as error:
            ended.append(str(error))

    client = AuthorizationClient(make_settings(server.issuer))
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(ask(client))
        while not server.requests("/token"):  # noqa: ASYNC110 - in another thread
            await asyncio.sleep(0.01)
        await client.aclose()
    assert len(ended) == 3
    assert all("closed" in each for each in ended)


async def test_closing_does_not_swallow_its_callers_cancellation(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """Who is cancelled while closing is cancelled, and the client closes all the same."""

    async def slow(asked: Asked) -> object:
        await asyncio.sleep(0.5)
        return Refusal(201, server.registration(asked))

    server.answers["/register"] = slow
    client = AuthorizationClient(make_settings(server.issuer))
    asking = asyncio.create_task(client.obtain())
    while not server.requests("/register"):  # noqa: ASYNC110 - in another thread
        await asyncio.sleep(0.01)
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0.05)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await client.aclose()
    with pytest.raises(ClientError):
        await asking
    # The registration that was under way is kept.
    assert client.store.get("registrations", server.issuer) is not None
