"""When a token that no held key verifies is invalid for good: the decision, and at work."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable

import pytest

from nmos_auth.servers.answers import Document
from nmos_auth.trust.finality import FirstSeen, LastFetch
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import MakeSettings, foreign_token
from tests.support.tokens import claims_of, signing_key
from tests.support.virtual_time import Documents, Resource, a_server, in_virtual_time

# The decision


@pytest.mark.parametrize(("begun", "final"), [(0, True), (6, True), (7, False), (8, False)])
def test_a_fetch_that_began_later_is_final(begun: int, *, final: bool) -> None:
    """Fetches are numbered; the one under way when a token was first seen does not do."""
    assert LastFetch(7, 0, None).began_after(begun) is final


@pytest.mark.parametrize(
    ("issued_at", "known"),
    [
        (None, False),
        (math.inf, False),
        (1000, False),
        (940, False),
        (939.9, True),
        (0, True),
        (-1e300, True),
    ],
)
def test_a_token_issued_a_minute_before_the_servers_own_time(
    issued_at: float | None, *, known: bool
) -> None:
    """A server publishes its keys within a minute of signing with them, by its own clock."""
    last = LastFetch(1, began=5, date=1000)
    assert last.knew_keys_of(issued_at, date=1e9, now=1e6) is known


@pytest.mark.parametrize(("issued_at", "known"), [(899.9, True), (900, False), (960, False)])
def test_where_the_server_tells_no_time_ours_is_used(issued_at: float, *, known: bool) -> None:
    """Ours at the fetch is ours now less the fetch's age, on a clock that never goes back."""
    last = LastFetch(1, began=500, date=None)
    assert last.knew_keys_of(issued_at, date=1000, now=540) is known


def test_what_was_first_seen_when_is_bounded() -> None:
    """The oldest are forgotten, and then seen for the first time again."""
    seen = FirstSeen()
    tokens = [number.to_bytes(32, "big") for number in range(4097)]
    assert [seen.begun(token, number) for number, token in enumerate(tokens[:-1])] == [*range(4096)]
    assert [seen.begun(token, 9999) for token in tokens[:-1]] == [*range(4096)]
    assert seen.begun(tokens[-1], 9999) == 9999
    assert seen.begun(tokens[1], 9999) == 1
    assert seen.begun(tokens[0], 9999) == 9999
    assert len(seen) == 4096


# At work


async def started(
    documents: Documents,
    make_settings: MakeSettings,
    *servers: FakeAuthorizationServer,
    static: Iterable[FakeAuthorizationServer] = (),
    **more: object,
) -> Resource:
    """Return a resource server that has fetched the keys of these servers, if it can."""
    resource = Resource.create(documents, make_settings(*servers, **more), static=static)
    resource.keys.start()
    await asyncio.sleep(1)
    return resource


def old_token(server: FakeAuthorizationServer, **claims: object) -> str:
    """Sign a token of an hour ago with a key that nobody publishes."""
    return foreign_token(server, None, iat=int(time.time()) - 3600, **claims)


@in_virtual_time
async def test_a_forged_token_of_an_hour_ago_is_invalid_at_first_sight(
    make_settings: MakeSettings,
) -> None:
    """Its key would be public by now."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = await started(documents, make_settings, server)
    assert [resource.answer(old_token(server)) for _ in range(20)] == [401] * 20
    await resource.keys.stop()


@pytest.mark.parametrize("age", [None, 0, 30])
def test_a_forged_token_of_now_is_invalid_after_one_fetch(
    make_settings: MakeSettings, age: int | None
) -> None:
    """One fetch is made for it, whether it is asked about again or not."""

    @in_virtual_time
    async def play() -> None:
        server, documents = a_server(), Documents()
        documents.publish(server)
        resource = await started(documents, make_settings, server)
        token = foreign_token(server, iat=None if age is None else int(time.time()) - age)
        assert resource.retry_after(token) == 1
        await asyncio.sleep(1)
        assert len(documents.times_of(server)) == 2
        assert resource.answer(token) == 401
        await resource.keys.stop()

    play()


@pytest.mark.parametrize("kid", ["key-9", "key-0"])
def test_a_token_seen_during_a_fetch_needs_another(make_settings: MakeSettings, kid: str) -> None:
    """That one may have been answered before the token's key was published; 503 until then.

    Nobody has to ask again for the other one to be made, whatever the token says of its key.
    """

    @in_virtual_time
    async def play() -> None:
        server, documents = a_server(), Documents()
        documents.publish(server)
        resource = await started(documents, make_settings, server)
        documents.latency = 1
        resource.answer(foreign_token(server))
        await asyncio.sleep(1)
        late = signing_key(9).sign(claims_of(server.issuer), {"kid": kid})
        assert resource.retry_after(late) == 1
        await asyncio.sleep(3.5)
        assert resource.answer(late) == 401
        assert len(documents.times_of(server)) == 3
        await resource.keys.stop()

    play()


@in_virtual_time
async def test_four_rotations_in_ten_seconds_refuse_nobody(make_settings: MakeSettings) -> None:
    """Each new key is used as soon as it is published: 503 at most, and then 200."""
    server, documents = a_server(), Documents(latency=0.1)
    documents.publish(server)
    resource = await started(documents, make_settings, server)
    now = asyncio.get_running_loop().time
    begun, statuses, rotation = now(), list[int](), 0
    waiting: list[str] = []
    while now() < begun + 60:
        if rotation < 5 and now() >= begun + 2.5 * rotation:
            rotation += 1
            server.keys.insert(0, signing_key(rotation))
            documents.publish(server)
        waiting.append(server.token())
        answers = [resource.answer(token) for token in waiting[-40:]]
        statuses += answers
        await asyncio.sleep(0.25)
    assert set(statuses) == {200, 503}
    assert resource.answer(waiting[-1]) == 200
    await resource.keys.stop()


@pytest.mark.parametrize("iat", [0, -3600], ids=["fresh", "old"])
def test_junk_does_not_keep_a_rotated_key_out(make_settings: MakeSettings, iat: int) -> None:
    """With 50 tokens a second of made-up keys a good one is never invalid, and soon good."""

    @in_virtual_time
    async def play() -> None:
        server, documents = a_server(), Documents(latency=0.1)
        documents.publish(server)
        resource = await started(documents, make_settings, server)
        key, now = signing_key(9), int(time.time())
        junk = [
            key.sign(claims_of(server.issuer, iat=now + iat), {"kid": str(n)}) for n in range(50)
        ]
        for token in junk * 20:
            resource.answer(token)
            await asyncio.sleep(0.02)
        server.keys[:] = [signing_key(1)]
        documents.publish(server)
        good, waited = server.token(), 0.0
        while (status := resource.answer(good)) != 200:
            assert status == 503
            assert waited < 12
            for token in junk[:5]:
                assert resource.answer(token) in {401, 503}
            await asyncio.sleep(0.1)
            waited += 0.1
        await resource.keys.stop()

    play()


@in_virtual_time
async def test_who_waits_as_told_is_answered_for_good(make_settings: MakeSettings) -> None:
    """`Retry-After` is by when the answer can have changed, the allowance used up or not."""
    server, documents = a_server(), Documents(latency=0.05)
    documents.publish(server)
    resource = await started(documents, make_settings, server, refetch_interval=30)
    for number in range(4):
        resource.answer(foreign_token(server, jti=f"before-{number}"))
        await asyncio.sleep(0.5)
    token = foreign_token(server)
    wait = resource.retry_after(token)
    assert 20 < wait <= 31
    await asyncio.sleep(wait)
    assert resource.answer(token) == 401
    await resource.keys.stop()


@in_virtual_time
async def test_a_final_answer_asks_again_only_while_nobody_else_could(
    make_settings: MakeSettings,
) -> None:
    """What a server gave may have been an old copy; one fetch of three is used for that."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = await started(documents, make_settings, server, refetch_interval=10)
    for _ in range(100):
        assert resource.answer(old_token(server)) == 401
        await asyncio.sleep(0.05)
    assert len(documents.times_of(server)) == 2
    assert resource.retry_after(foreign_token(server)) == 1
    await resource.keys.stop()


@in_virtual_time
async def test_an_old_copy_of_the_keys_costs_a_minute_at_most(make_settings: MakeSettings) -> None:
    """A cache gives the keys of before; its `Age` tells, and the new token is not invalid."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    now = time.time()
    old = server.jwks()
    documents.by_url[f"{server.issuer}/jwks"] = Document(old, date=now - 1000)
    resource = await started(documents, make_settings, server)
    server.keys.insert(0, signing_key(1))
    token = server.token(iat=int(now) - 500)
    assert resource.answer(token) == 503
    documents.by_url[f"{server.issuer}/jwks"] = Document(server.jwks(), date=now)
    assert await resource.answer_after_fetch(token) == 200
    await resource.keys.stop()


@in_virtual_time
async def test_a_server_whose_clock_is_behind_is_judged_by_its_own(
    make_settings: MakeSettings,
) -> None:
    """By our clock its new tokens look old; by its own they are not."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    behind = time.time() - 600
    documents.by_url[f"{server.issuer}/jwks"] = Document(server.jwks(), date=behind)
    resource = await started(documents, make_settings, server)
    assert resource.answer(foreign_token(server, iat=int(behind) - 30)) == 503
    assert resource.answer(foreign_token(server, iat=int(behind) - 90)) == 401
    await resource.keys.stop()


# Where the issuer cannot be asked


@in_virtual_time
async def test_a_token_waits_while_its_issuer_is_down(make_settings: MakeSettings) -> None:
    """Only the issuer's answer is final; `Retry-After` is when it is asked next."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = await started(documents, make_settings, server)
    documents.fail(server)
    token = foreign_token(server)
    for _ in range(60):
        assert 1 <= resource.retry_after(token) <= 61
        await asyncio.sleep(1)
    assert resource.answer(old_token(server)) == 401
    documents.publish(server)
    await asyncio.sleep(61)
    assert resource.answer(token) == 401
    await resource.keys.stop()


@in_virtual_time
async def test_another_member_is_asked_for_a_copy(make_settings: MakeSettings) -> None:
    """IS-10: servers "SHOULD each host a copy of each other's public keys"."""
    down, up, documents = a_server(0), a_server(1, host="b.example.com"), Documents()
    documents.publish(down)
    documents.publish(up)
    resource = await started(documents, make_settings, down, up)
    documents.fail(down)
    down.keys.insert(0, signing_key(2))
    up.keys.append(signing_key(2))
    documents.publish(up)
    token = down.token()
    assert resource.answer(token) == 503
    assert await resource.answer_after_fetch(token) == 200
    await resource.keys.stop()


@in_virtual_time
async def test_what_another_member_says_is_not_final(make_settings: MakeSettings) -> None:
    """It may not have the copy yet; and it is asked within its own allowance only."""
    down, up, documents = a_server(0), a_server(1, host="b.example.com"), Documents()
    documents.publish(up)
    resource = await started(documents, make_settings, down, up)
    token, before = foreign_token(down), len(documents.times_of(up))
    for _ in range(600):
        assert resource.answer(token) == 503
        await asyncio.sleep(0.1)
    asked = documents.times_of(up)[before:]
    assert 6 <= len(asked) <= 3 + 60 / 10 + 1
    await resource.keys.stop()


@in_virtual_time
async def test_a_member_that_answers_does_not_have_others_asked(
    make_settings: MakeSettings,
) -> None:
    """There is nothing to find elsewhere."""
    first, second, documents = a_server(0), a_server(1, host="b.example.com"), Documents()
    documents.publish(first)
    documents.publish(second)
    resource = await started(documents, make_settings, first, second)
    for number in range(10):
        await resource.answer_after_fetch(foreign_token(first, jti=str(number)))
    assert len(documents.times_of(second)) == 1
    await resource.keys.stop()


# Issuers that are never asked


@pytest.mark.parametrize("make", [foreign_token, old_token], ids=["fresh", "old"])
def test_what_static_keys_do_not_verify_is_invalid_at_once(
    make_settings: MakeSettings, make: Callable[[FakeAuthorizationServer], str]
) -> None:
    """Nobody is asked; and their keys are good for the tokens of every member."""

    @in_virtual_time
    async def play() -> None:
        static, server, documents = a_server(2, host="c.example.com"), a_server(0), Documents()
        documents.publish(server)
        resource = await started(documents, make_settings, server, static=[static])
        assert resource.answer(static.token()) == 200
        assert resource.answer(make(static)) == 401
        assert resource.answer(signing_key(2).sign(claims_of(server.issuer))) == 200
        assert resource.answer(signing_key(0).sign(claims_of(static.issuer))) == 200
        await asyncio.sleep(7200)
        assert not any(static.host in url for _, url in documents.asked)
        await resource.keys.stop()

    play()
