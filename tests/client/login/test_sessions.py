"""The life of a session: its end by time, by the server, by another worker, and its store."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Collection

import pytest
from redis.asyncio import Redis
from starlette.requests import HTTPConnection

from nmos_auth.client import AuthorizationClient, ClientError, StoreError
from nmos_auth.client.login import LoginRoutes, MemorySessions, SessionStore, keeper
from nmos_auth.client.login.redis import RedisSessions
from nmos_auth.client.login.sealed import Seal
from tests.client.conftest import MakeClientSettings
from tests.client.login.applications import (
    Ends,
    WebBrowser,
    application,
    browsing,
    controller,
    logging_in,
)
from tests.client.rotating import Rotating
from tests.client.scripted import Asked, Refusal, ScriptedServer
from tests.support.clocks import Clock


async def test_a_session_has_an_end(client: AuthorizationClient, server: ScriptedServer) -> None:
    """However much it is used: after its lifetime it is over, and its tokens are revoked."""
    clock, ends = Clock(), Ends()
    async with logging_in(
        LoginRoutes(
            client, lifetime=100, idle_lifetime=60, clock=clock, monotonic=clock, on_end=ends
        )
    ) as browser:
        await browser.log_in()
        for _ in range(2):
            clock.now += 49
            assert await browser.who() is not None
        clock.now += 3
        assert await browser.who() is None
        await ends.until(1)
        assert ends.reasons == ["expired"]
        assert ends.sessions[0].ended.is_set()
    assert len(server.requests("/revoke")) == 1


@pytest.mark.parametrize(("required", "granted"), [(None, False), ("query", True), ("node", False)])
async def test_a_user_who_authorizes_less(
    client: AuthorizationClient, server: ScriptedServer, required: str | None, *, granted: bool
) -> None:
    """What is required decides; otherwise nothing of what was issued is left."""
    server.answers["/token"] = lambda _: server.token(scope="query", refresh_token="r" * 40)
    async with logging_in(LoginRoutes(client, required=required)) as browser:
        answer = await browser.come_back(await browser.begin())
        assert answer.status_code == (303 if granted else 400)
        assert (await browser.who() is not None) is granted
        assert len(server.requests("/revoke")) == (0 if granted else 1)


class Full(MemorySessions):
    """A store that cannot be written."""

    async def put(self, *_: object) -> None:
        """Fail."""
        raise StoreError("no room", temporary=True)


async def test_a_store_that_is_full(client: AuthorizationClient, server: ScriptedServer) -> None:
    """A login that cannot be kept is said to have failed, and its tokens are revoked."""
    async with logging_in(LoginRoutes(client, sessions=Full(time.monotonic))) as browser:
        answer = await browser.come_back(await browser.begin())
        assert answer.status_code == 503
        assert "no room" in answer.text
    assert len(server.requests("/revoke")) == 1


class Failing(MemorySessions):
    """One that can be read, and written only while it does not fail."""

    failing = False

    async def replace(self, key: str, value: bytes) -> None:
        """Keep another value, or say why not."""
        if self.failing:
            raise StoreError("the session store does not answer", temporary=True)
        await super().replace(key, value)


@pytest.mark.parametrize("failures", [1, 3])
async def test_a_store_that_fails_between_an_answer_and_its_write(
    client: AuthorizationClient, server: ScriptedServer, failures: int
) -> None:
    """The session goes on from memory, no token is spent twice, and others find the last one."""
    server.answers["/token"] = rotating = Rotating(server)
    server.lifetime = 1
    sessions, ends = Failing(time.monotonic), Ends()
    login = LoginRoutes(client, sessions=sessions, on_end=ends)
    async with logging_in(login) as browser:
        await browser.log_in()
        sessions.failing = True
        async with asyncio.timeout(10):
            while len(rotating.spent) < failures:
                assert await browser.who() is not None
                await asyncio.sleep(0.1)
        sessions.failing = False
        # Another worker, or this one after a restart.
        await login._keeper.aclose()
        assert await browser.who() is not None
    assert ends.reasons in (["closed"], ["closed", "closed"])


async def test_a_logout_in_the_middle_of_a_refresh(
    client: AuthorizationClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What the refresh brings is revoked, and nothing is said to be lost."""
    server.answers["/token"] = rotating = Rotating(server)
    server.lifetime = 1
    async with logging_in(LoginRoutes(client)) as browser:
        await browser.log_in()
        await browser.who()
        rotating.latency, spent = 0.5, len(rotating.spent)
        async with asyncio.timeout(10):
            while len(rotating.spent) == spent:  # noqa: ASYNC110 - in another thread
                await asyncio.sleep(0.02)
        assert (await browser.http.post("/logout")).status_code == 303
    (revoked,) = server.requests("/revoke")
    assert revoked.form["token"] in rotating.owners
    assert not [each for each in caplog.records if each.name == "nmos_auth" and each.levelno > 30]


@pytest.fixture
def _looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have processes look thirty times a second whether their sessions are still there."""
    monkeypatch.setattr(keeper, "_LOOK_EVERY", 0.03)


@pytest.mark.usefixtures("_looking_often")
async def test_an_unused_session_ends(client: AuthorizationClient, server: ScriptedServer) -> None:
    """By itself, without anybody asking for it."""
    clock, ends = Clock(), Ends()
    async with logging_in(
        LoginRoutes(client, idle_lifetime=60, monotonic=clock, on_end=ends)
    ) as browser:
        await browser.log_in()
        assert await browser.who() is not None
        clock.now += 61
        await ends.until(1)
        assert ends.reasons == ["expired"]
    assert len(server.requests("/revoke")) == 1


async def test_a_session_ends_with_its_authorization(
    client: AuthorizationClient, server: ScriptedServer
) -> None:
    """On the server's word that the grant is dead the user has to log in again; on no other."""
    server.lifetime = 1
    ends = Ends()
    answers = [
        Refusal(503),
        Refusal(400, {"error": "invalid_grant"}),
    ]

    def answer(asked: Asked) -> object:
        if asked.form["grant_type"] == "refresh_token" and answers:
            return answers.pop(0)
        return server.token(refresh_token="r" * 40)

    server.answers["/token"] = answer
    login = LoginRoutes(client, on_end=ends)
    async with logging_in(login) as browser:
        await browser.log_in()
        (live,) = login._keeper._live.values()
        async with asyncio.timeout(20):
            while not live.session.ended.is_set():
                with contextlib.suppress(ClientError):
                    await live.session.tokens.token()
                await asyncio.sleep(0.1)
        await ends.until(1)
        assert ends.reasons == ["refused"]
        assert not answers
        assert await browser.who() is None


async def test_a_slow_hook_brings_no_session_back(client: AuthorizationClient) -> None:
    """While the application is told, the cookie of a user who has logged out opens nothing."""
    told, go_on = asyncio.Event(), asyncio.Event()

    async def on_end(*_: object) -> None:
        told.set()
        await go_on.wait()

    async with logging_in(LoginRoutes(client, on_end=on_end)) as browser:
        await browser.log_in()
        out = asyncio.create_task(browser.http.post("/logout"))
        await told.wait()
        assert await browser.who() is None
        go_on.set()
        assert (await out).status_code == 303


class Stubborn(MemorySessions):
    """A store that forgets nothing while it is told so."""

    is_down = True

    async def remove(self, key: str) -> None:
        """Forget a session, or fail."""
        if self.is_down:
            raise StoreError("down", temporary=True)
        await super().remove(key)


async def test_a_logout_that_does_not_reach_the_store(
    client: AuthorizationClient, server: ScriptedServer
) -> None:
    """It is not called a logout, and can be tried again; the tokens are revoked all the same."""
    store = Stubborn(time.monotonic)
    async with logging_in(LoginRoutes(client, sessions=store)) as browser:
        await browser.log_in()
        answer = await browser.http.post("/logout")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert len(server.requests("/revoke")) == 1
        store.is_down = False
        assert (await browser.http.post("/logout")).status_code == 303
        assert await browser.who() is None


class Slow(MemorySessions):
    """A shared store that takes its time to say what it has."""

    shared = True

    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def present(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys whose sessions are there."""
        found = await super().present(keys)
        self.asked.set()
        await self.answer.wait()
        return found


@pytest.mark.usefixtures("_looking_often")
async def test_a_login_during_a_look_is_not_taken_for_a_logout(client: AuthorizationClient) -> None:
    """What was not asked about is not missing."""
    store, ends = Slow(), Ends()
    async with logging_in(LoginRoutes(client, sessions=store, on_end=ends)) as browser:
        store.answer.set()
        await browser.log_in()
        store.asked.clear()
        store.answer.clear()
        async with asyncio.timeout(10):
            await store.asked.wait()
        browser.http.cookies.clear()
        login = asyncio.create_task(browser.log_in())
        await asyncio.sleep(0.2)
        store.answer.set()
        await login
        assert await browser.who() is not None
        assert ends.reasons == []


async def test_a_hook_that_fails_keeps_nobody_logged_in(client: AuthorizationClient) -> None:
    """Its exception is logged, and the session has ended all the same."""

    def fail(*_: object) -> None:
        raise LookupError

    async with logging_in(LoginRoutes(client, on_end=fail)) as browser:
        await browser.log_in()
        assert (await browser.http.post("/logout")).status_code == 303
        assert await browser.who() is None


async def test_sessions_are_asked_for_without_waiting(client: AuthorizationClient) -> None:
    """In the memory of a process `session` does what `current` does."""
    login = LoginRoutes(client)
    async with logging_in(login) as browser:
        await browser.log_in()
        (live,) = login._keeper._live.values()
        cookie = browser.http.build_request("GET", "/who").headers["cookie"]
        connection = HTTPConnection({"type": "http", "headers": [(b"cookie", cookie.encode())]})
        assert login.session(connection) is live.session
        await login.end(live.session)
        assert login.session(connection) is None


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Yield a client of a Redis server."""
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> SessionStore:
    """Return a session store of either kind."""
    if request.param == "memory":
        return MemorySessions(time.monotonic)
    redis: Redis = request.getfixturevalue("redis")
    return RedisSessions(redis, prefix=f"test-{uuid.uuid4()}")


async def test_a_store_keeps_what_it_is_given(store: SessionStore) -> None:
    """For as long as it is told, and forgets it when told."""
    await store.put("a", b"one", 60)
    assert await store.get("a") == b"one"
    await store.replace("a", b"two")
    assert await store.get("a") == b"two"
    assert await store.touch("a", 60)
    assert await store.present(["a", "b"]) == {"a"}
    await store.remove("a")
    assert await store.get("a") is None
    assert not await store.touch("a", 60)
    await store.replace("a", b"three")
    assert await store.get("a") is None
    assert await store.present(["a"]) == set()
    assert await store.present([]) == set()
    await store.put("c", b"short", 0.05)
    await asyncio.sleep(0.1)
    assert await store.get("c") is None
    assert await store.secret() == await store.secret()
    assert len(await store.secret()) == 32


async def test_a_store_lets_one_at_a_time(store: SessionStore) -> None:
    """Two that exchange the tokens of one session do so one after the other."""
    inside = 0

    async def enter() -> None:
        nonlocal inside
        async with store.alone("a"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(5)))


@contextlib.asynccontextmanager
async def workers(
    redis: Redis, server: ScriptedServer, make_settings: MakeClientSettings, ends: Ends
) -> AsyncIterator[list[WebBrowser]]:
    """Run two workers of one application behind one address, with one browser for both."""
    settings = make_settings(server.issuer, **controller(id="client-0123456789-0123456789"))
    prefix = f"test-{uuid.uuid4()}"
    async with contextlib.AsyncExitStack() as stack:
        browsers: list[WebBrowser] = []
        for _ in range(2):
            client = await stack.enter_async_context(AuthorizationClient(settings))
            sessions = RedisSessions(redis, prefix=prefix)
            login = LoginRoutes(client, sessions=sessions, on_end=ends)
            await stack.enter_async_context(login)
            browser = await stack.enter_async_context(browsing(application(login)))
            if browsers:
                browser.http._cookies = browsers[0].http._cookies
            browsers.append(browser)
        yield browsers


@pytest.mark.usefixtures("_looking_often")
async def test_workers_share_sessions(
    redis: Redis, server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """A login begun at one ends at another; both know who is logged in, and both that nobody is."""
    ends = Ends()
    async with workers(redis, server, make_settings, ends) as (one, other):
        state = await one.begin()
        assert (await other.come_back(state)).status_code == 303
        assert await other.who() is not None
        assert await one.who() is not None
        # Each refresh used the token that the one before it left.
        refreshed = [
            asked.form["refresh_token"]
            for asked in server.requests("/token")
            if asked.form["grant_type"] == "refresh_token"
        ]
        assert len(set(refreshed)) == len(refreshed) == 1
        assert (await one.http.post("/logout")).status_code == 303
        assert await one.who() is None
        assert await other.who() is None
        # The other worker ends what it had in hand within seconds, and revokes nothing twice.
        await ends.until(2)
        assert ends.reasons == ["logout", "logout"]
        (revoked,) = server.requests("/revoke")
        assert revoked.form["token"] not in refreshed


async def test_workers_take_turns_to_refresh(
    redis: Redis, server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """However often both need a token at once, no refresh token is spent twice."""
    server.lifetime = 1
    async with workers(redis, server, make_settings, Ends()) as (one, other):
        await one.come_back(await one.begin())
        for pause in (0.8, 0.8, 0.8, 0):
            tokens = await asyncio.gather(one.who(), other.who(), one.who(), other.who())
            assert None not in tokens
            await asyncio.sleep(pause)
    spent = [
        asked.form["refresh_token"]
        for asked in server.requests("/token")
        if asked.form["grant_type"] == "refresh_token"
    ]
    assert len(spent) >= 5
    assert len(set(spent)) == len(spent)


async def test_a_worker_that_dies_in_a_refresh_holds_up_nobody_for_long(
    redis: Redis, server: ScriptedServer
) -> None:
    """Its lock ends by itself; until then the others wait."""
    store = RedisSessions(redis, prefix=f"test-{uuid.uuid4()}", locked_for=0.5)
    entered = store.alone("a")
    await entered.__aenter__()
    begun = time.monotonic()
    async with store.alone("a"):
        assert 0.2 < time.monotonic() - begun < 5
    await entered.__aexit__(None, None, None)
    assert not server.asked


async def test_without_a_refresh_token_workers_share_the_token(
    redis: Redis, server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """Where a server gives none, every worker has the one Access Token that there is."""
    server.answers["/token"] = lambda _: server.token()
    async with workers(redis, server, make_settings, Ends()) as (one, other):
        await one.come_back(await one.begin())
        token = await one.who()
        assert token is not None
        assert await other.who() == token


async def test_nothing_in_redis_can_be_used(
    redis: Redis, server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """Neither tokens nor cookies stand there; a session opens with its cookie only."""
    async with workers(redis, server, make_settings, Ends()) as (one, other):
        await one.come_back(await one.begin())
        token = await other.who()
        assert token is not None
        cookie = one.http.cookies["__Host-nmos-auth-session"]
        dump = b""
        async for name in redis.scan_iter():
            dump += name + b" " + (await redis.dump(name) or b"")
        for hidden in (token, cookie, "refresh-"):
            assert hidden.encode() not in dump


async def test_a_store_that_is_down_is_said_to_be() -> None:
    """Nobody is taken for logged out, or in; the error has no address and no password in it."""
    async with Redis.from_url("redis://:password@127.0.0.1:1") as redis:
        store = RedisSessions(redis, timeout=0.5)
        with pytest.raises(StoreError) as caught:
            await store.get("a")
        assert caught.value.temporary
        assert "password" not in str(caught.value)
        with pytest.raises(StoreError):
            async with store.alone("a"):
                pass


def test_seals_open_for_their_own_only() -> None:
    """Not for another cookie, another purpose or after their time."""
    sealed = Seal.of_session("cookie").close({"a": 1})
    assert Seal.of_session("cookie").open(sealed) == {"a": 1}
    for other in (Seal.of_session("another"), Seal.of_logins(b"cookie")):
        with pytest.raises(ValueError, match="not encrypted here"):
            other.open(sealed)
    login = Seal.of_logins(b"secret")
    sealed = login.close({"a": 1}, now=1000)
    assert login.open(sealed, lifetime=600, now=1599) == {"a": 1}
    with pytest.raises(ValueError, match="too old"):
        login.open(sealed, lifetime=600, now=1601)
