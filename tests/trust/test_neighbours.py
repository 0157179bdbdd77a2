"""Neighbours of trusted issuers: asked by turns, held while they say so, and forgotten."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nmos_auth.errors import FetchError
from nmos_auth.servers.answers import Document
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.keeping import is_recent
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.keys_file import KeptIssuer, KeptKeys, KeysFile
from nmos_auth.trust.neighbours import Newcomers
from nmos_auth.trust.verifier import Verifier
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import MakeSettings, foreign_token
from tests.support.tokens import claims_of, signing_key
from tests.support.virtual_time import HOUR, Documents, Resource, a_server, in_virtual_time

# The decision: newcomers

MEMORY = 60
MOST_ANSWERS = 64

HERE, THERE = "192.0.2.1", "192.0.2.2"


def test_a_newcomer_is_asked_once_its_turn_comes() -> None:
    """503 with a second, and 1 while it is asked; then the outcome holds for a minute."""
    newcomers = Newcomers(interval=10)
    assert newcomers.next_turn(0) > 1e9
    assert newcomers.retry_after("a", HERE, 0) == 1
    assert newcomers.next_turn(0) == 0
    assert newcomers.take(0) == "a"
    assert newcomers.take(0) is None
    assert newcomers.retry_after("a", HERE, 5) == 1
    assert newcomers.take(5) is None
    newcomers.ended("a", answered=True, now=6)
    assert newcomers.retry_after("a", HERE, 6) is None
    assert newcomers.retry_after("a", HERE, 6 + MEMORY - 0.1) is None
    assert newcomers.take(6 + MEMORY - 0.1) is None
    assert newcomers.retry_after("a", HERE, 6 + MEMORY) == 1
    assert newcomers.take(6 + MEMORY) == "a"


def test_one_that_was_not_reached_is_answered_with_what_is_left_of_the_minute() -> None:
    """And is asked again only when a token comes."""
    newcomers = Newcomers(interval=10)
    newcomers.retry_after("a", HERE, 0)
    newcomers.take(0)
    newcomers.ended("a", answered=False, now=0)
    assert [newcomers.retry_after("a", HERE, now) for now in (0, 20.5, 59.9)] == [60, 40, 1]
    assert newcomers.take(1000) is None
    newcomers.retry_after("a", HERE, 1000)
    assert newcomers.take(1000) == "a"


def test_asking_newcomers_has_one_allowance() -> None:
    """A burst of three and one an interval, however many there are; the wait is told."""
    newcomers = Newcomers(interval=10)
    assert [newcomers.take(0) for _ in range(5)] == [None] * 5
    for name in "abcde":
        newcomers.retry_after(name, HERE, 0)
    assert [newcomers.take(0) for _ in range(5)] == ["a", "b", "c", None, None]
    assert newcomers.next_turn(0) == 10
    assert newcomers.retry_after("d", HERE, 0) == 11
    assert newcomers.retry_after("e", HERE, 0) == 21
    assert newcomers.retry_after("x", THERE, 0) == 21
    assert [newcomers.take(10), newcomers.take(10)] == ["d", None]
    assert [newcomers.take(20), newcomers.take(30)] == ["x", "e"]


def test_what_is_remembered_of_newcomers_is_bounded() -> None:
    """The oldest is forgotten, and asked again."""
    newcomers = Newcomers(interval=0.001)
    for number in range(MOST_ANSWERS + 1):
        newcomers.ended(str(number), answered=True, now=0)
    assert newcomers.retry_after("0", HERE, 1) == 1
    assert newcomers.retry_after("1", HERE, 1) is None


def test_the_latest_attempts_are_remembered() -> None:
    """One that was asked again is not the oldest."""
    newcomers = Newcomers(interval=0.001)
    for name in ("a", "b", "a", *map(str, range(MOST_ANSWERS - 1))):
        newcomers.ended(name, answered=True, now=0)
    assert newcomers.retry_after("b", HERE, 1) == 1
    assert newcomers.retry_after("a", HERE, 1) is None


def test_who_is_a_neighbour_no_more_is_asked_nothing() -> None:
    """Neither what is being asked nor what waits outlives the member that it is next to."""
    newcomers = Newcomers(interval=10)
    for name in ("gone 1", "here", "gone 2"):
        newcomers.retry_after(name, HERE, 0)
    assert newcomers.take(0) == "gone 1"
    newcomers.retain(lambda url: not url.startswith("gone"))
    assert newcomers.asked == set()
    assert [newcomers.take(0), newcomers.take(0)] == ["here", None]


def test_on_another_loop_nobody_is_being_asked() -> None:
    """What was under way is over; it is asked again when a token comes."""
    newcomers = Newcomers(interval=10)
    newcomers.retry_after("a", HERE, 0)
    newcomers.take(0)
    newcomers.restart()
    newcomers.retry_after("a", HERE, 1)
    assert newcomers.take(1) == "a"


def test_who_is_confirmed_is_a_newcomer_no_more() -> None:
    """Neither asked, nor waiting, nor remembered."""
    newcomers = Newcomers(interval=10)
    newcomers.retry_after("a", HERE, 0)
    newcomers.take(0)
    newcomers.ended("b", answered=True, now=0)
    newcomers.retry_after("c", HERE, 0)
    for name in "abc":
        newcomers.forget(name)
    assert newcomers.asked == set()
    assert newcomers.take(0) is None
    assert newcomers.retry_after("b", HERE, 0) == 1


# At work


def neighbour(port: int = 8443, key: int = 5) -> FakeAuthorizationServer:
    """Return a server on the host of the member, at another port."""
    return a_server(key, port=port)


async def started(make_settings: MakeSettings, *published: FakeAuthorizationServer) -> Resource:
    """Return a resource server that trusts the first of these, and has its keys."""
    documents = Documents()
    for each in published:
        documents.publish(each)
    resource = Resource.create(documents, make_settings(published[0]))
    resource.keys.start()
    await asyncio.sleep(1)
    return resource


def metadata_url(server: FakeAuthorizationServer) -> str:
    """Return where its metadata is."""
    return f"https://{server.host}:{server.port}{server.metadata_path}"


@pytest.mark.parametrize("peers", [1, 3])
def test_junk_from_other_addresses_does_not_keep_a_neighbour_out(
    make_settings: MakeSettings, peers: int
) -> None:
    """20 junk issuers a second, all of which hang: a good one is accepted within 30 s."""

    @in_virtual_time
    async def play() -> None:
        member, other, ports = a_server(0), neighbour(), itertools.count(10_000)
        resource = await started(make_settings, member, other)
        resource.documents.latency = 2.5
        key, now = signing_key(9), asyncio.get_running_loop().time
        waited_since = None
        for turn in range(20 * 90):
            junk = key.sign(claims_of(f"https://auth.example.com:{next(ports)}"))
            assert resource.answer(junk, f"198.51.100.{turn % peers}") == 503
            if turn > 20 * 30:
                waited_since = waited_since or now()
                status = resource.answer(other.token(), HERE)
                if status == 200:
                    break
                assert status == 503
            await asyncio.sleep(0.05)
        assert waited_since is not None
        assert resource.answer(other.token(), HERE) == 200
        assert now() - waited_since <= (30 if peers == 1 else 60)
        await resource.keys.stop()

    play()


@in_virtual_time
async def test_three_are_asked_at_a_time(make_settings: MakeSettings) -> None:
    """However short the interval; the others wait, and are asked in the end."""
    member, documents = a_server(0), Documents()
    documents.publish(member)
    others = [neighbour(port) for port in range(9000, 9008)]
    for each in others:
        documents.publish(each)
    resource = Resource.create(documents, make_settings(member, refetch_interval=0.01))
    resource.keys.start()
    await asyncio.sleep(1)
    documents.latency = 1
    for each in others:
        assert resource.answer(each.token()) == 503
        await asyncio.sleep(0.02)
    asked = [url for _, url in documents.asked if "auth.example.com:90" in url]
    assert len(asked) == 3
    await asyncio.sleep(10)
    assert [resource.answer(each.token()) for each in others] == [200] * 8
    await resource.keys.stop()


@in_virtual_time
async def test_a_confirmed_one_comes_before_newcomers(make_settings: MakeSettings) -> None:
    """Junk that hangs does not keep its new key from being fetched."""
    member, other, ports = a_server(0), neighbour(), itertools.count(10_000)
    resource = await started(make_settings, member, other)
    assert await resource.answer_after_fetch(other.token()) == 200
    resource.documents.latency = 4
    key = signing_key(9)
    for _ in range(200):
        resource.answer(key.sign(claims_of(f"https://auth.example.com:{next(ports)}")), THERE)
        await asyncio.sleep(0.05)
    other.keys[:] = [signing_key(6)]
    resource.documents.publish(other)
    token, waited = other.token(), 0.0
    while resource.answer(token) != 200:
        resource.answer(key.sign(claims_of(f"https://auth.example.com:{next(ports)}")), THERE)
        await asyncio.sleep(0.05)
        waited += 0.05
    assert waited < 17
    await resource.keys.stop()


GONE: dict[str, dict[str, object] | Document | Exception] = {
    "404": FetchError("404", status=404),
    "410": FetchError("410", status=410),
    "200 and HTML": FetchError("no JSON", status=200),
    "another issuer": {"issuer": "https://auth.example.com", "jwks_uri": "https://x.example/"},
    "another media type": Document(neighbour().metadata(), "text/plain"),
    "keys elsewhere": neighbour().metadata(jwks_uri="https://keys.example.com/"),
}


@pytest.mark.parametrize("name", GONE)
def test_a_neighbour_is_forgotten_as_soon_as_its_metadata_says_so(
    make_settings: MakeSettings, name: str
) -> None:
    """With the next fetch; tokens verified before included. Nobody else vouches for it."""

    @in_virtual_time
    async def play() -> None:
        other = neighbour()
        resource = await started(make_settings, a_server(0), other)
        token = other.token()
        assert await resource.answer_after_fetch(token) == 200
        resource.documents.by_url[metadata_url(other)] = GONE[name]
        await asyncio.sleep(HOUR + 61)
        assert resource.answer(other.token()) in {401, 503}
        assert await resource.answer_after_fetch(token) == 401
        resource.documents.publish(other)
        await asyncio.sleep(61)
        assert await resource.answer_after_fetch(token) == 200
        await resource.keys.stop()

    play()


TROUBLE: dict[str, dict[str, object] | Document | Exception] = {
    "no answer": FetchError("down"),
    "500": FetchError("500", status=500),
    "503": FetchError("503", status=503),
    "429": FetchError("429", status=429),
    "403": FetchError("403", status=403),
    "302": FetchError("302", status=302),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble_is_borne_for_a_day(make_settings: MakeSettings, name: str) -> None:
    """Then it is forgotten; until then its tokens are good."""

    @in_virtual_time
    async def play() -> None:
        other = neighbour()
        resource = await started(make_settings, a_server(0), other)
        assert await resource.answer_after_fetch(other.token()) == 200
        confirmed = asyncio.get_running_loop().time()
        resource.documents.by_url[metadata_url(other)] = TROUBLE[name]
        await asyncio.sleep(24 * HOUR - 61)
        assert resource.answer(other.token()) == 200
        while resource.answer(other.token()) == 200:  # noqa: ASYNC110 - on virtual time
            await asyncio.sleep(5)
        forgotten = asyncio.get_running_loop().time()
        assert 24 * HOUR - 1 <= forgotten - confirmed <= 24 * HOUR + 70
        await resource.keys.stop()

    play()


@in_virtual_time
async def test_a_day_is_counted_from_the_last_answer(make_settings: MakeSettings) -> None:
    """A neighbour that answers now and then stays."""
    other = neighbour()
    resource = await started(make_settings, a_server(0), other)
    assert await resource.answer_after_fetch(other.token()) == 200
    for _ in range(4):
        resource.documents.fail(other)
        await asyncio.sleep(20 * HOUR)
        assert resource.answer(other.token()) == 200
        resource.documents.publish(other)
        await asyncio.sleep(61)
    await resource.keys.stop()


@in_virtual_time
async def test_a_member_is_never_forgotten(make_settings: MakeSettings) -> None:
    """Whatever its metadata says; the settings vouch for it."""
    member = a_server(0)
    resource = await started(make_settings, member)
    token = member.token()
    for answer in (*GONE.values(), *TROUBLE.values()):
        resource.documents.by_url[metadata_url(member)] = answer
        await asyncio.sleep(9 * HOUR)
        assert resource.answer(token) == 200
    await resource.keys.stop()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (FetchError("404", status=404), 401),
        (FetchError("403", status=403), 401),
        (FetchError("302", status=302), 401),
        (FetchError("no JSON", status=200), 401),
        (FetchError("down"), 503),
        (FetchError("500", status=500), 503),
        (FetchError("429", status=429), 503),
    ],
    ids=str,
)
def test_what_a_newcomer_answers_instead(
    make_settings: MakeSettings, answer: Exception, status: int
) -> None:
    """Anything but itself counts as asked, for a minute; trouble does not."""

    @in_virtual_time
    async def play() -> None:
        other = neighbour()
        resource = await started(make_settings, a_server(0))
        resource.documents.by_url[metadata_url(other)] = answer
        token = other.token()
        assert resource.retry_after(token) == 1
        await asyncio.sleep(1)
        for _ in range(55):
            assert resource.answer(token) == status
            await asyncio.sleep(1)
        if status == 503:
            assert resource.retry_after(token) <= 5
        assert len(resource.documents.times_of(other)) == 1
        await asyncio.sleep(HOUR)
        assert len(resource.documents.times_of(other)) == 1
        assert resource.answer(token) == 503
        await resource.keys.stop()

    play()


# Over restarts


@pytest.mark.parametrize(
    ("age", "believed"),
    [
        (0, True),
        (24 * HOUR - 1, True),
        (24 * HOUR, False),
        (-59, True),
        (-60, True),
        (-61, False),
        (1e9, False),
    ],
)
def test_how_long_a_neighbour_of_a_file_is_believed(age: float, *, believed: bool) -> None:
    """A day since it was confirmed; a time in the future tells nothing."""
    assert is_recent(1e9 - age, 1e9) is believed


def restarted(
    make_settings: MakeSettings, path: Path, documents: Documents, member: FakeAuthorizationServer
) -> Resource:
    """Return a resource server that begins with a keys file."""
    settings = make_settings(member, keys_file=path)
    keys = KeyStore(
        settings,
        lambda: documents,
        kept=KeysFile(path),
        monotonic=asyncio.get_running_loop().time,
    )
    return Resource(documents, keys, Verifier(keys, settings.audience, settings.leeway))


@pytest.mark.parametrize(("age", "left"), [(0, 24), (20, 4), (23.5, 0.5), (25, 0)])
def test_the_day_goes_on_over_a_restart(
    make_settings: MakeSettings, tmp_path: Path, age: float, left: float
) -> None:
    """The keys file keeps when a neighbour was confirmed: what was planted ends with its place."""
    member, other, path = a_server(0), neighbour(), tmp_path / "keys.json"
    KeysFile(path).save(
        {
            each.issuer: KeptIssuer(parse_jwks(each.jwks()).keys, time.time() - age * HOUR)
            for each in (member, other)
        }
    )

    @in_virtual_time
    async def play() -> None:
        documents = Documents(latency=0.1)
        for each in (member, other):
            documents.fail(each)
        resource = restarted(make_settings, path, documents, member)
        resource.keys.start()
        assert resource.answer(other.token()) == (200 if left else 503)
        while resource.answer(other.token()) == 200:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(30)
        assert left * HOUR - 60 <= asyncio.get_running_loop().time() <= left * HOUR + 150
        assert resource.answer(member.token()) == 200
        await resource.keys.stop()

    play()


@in_virtual_time
async def test_a_neighbour_of_a_file_that_is_gone_is_forgotten(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """As soon as it is asked; the file forgets it too."""
    member, other, path = a_server(0), neighbour(), tmp_path / "keys.json"
    kept = {
        each.issuer: KeptIssuer(parse_jwks(each.jwks()).keys, time.time())
        for each in (member, other)
    }
    KeysFile(path).save(kept)
    documents = Documents()
    documents.publish(member)
    resource = restarted(make_settings, path, documents, member)
    resource.keys.start()
    assert resource.answer(other.token()) == 200
    await asyncio.sleep(1)
    assert resource.answer(other.token()) == 401
    await resource.keys.stop()
    assert set(KeysFile(path).load()) == {member.issuer}


@in_virtual_time
async def test_the_file_keeps_when_each_was_confirmed(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """Rewritten as the time goes on, and not for every fetch."""
    member, other, path = a_server(0), neighbour(), tmp_path / "keys.json"
    documents = Documents()
    documents.publish(member)
    documents.publish(other)
    begun_at = time.time() - asyncio.get_running_loop().time()
    settings = make_settings(member, keys_file=path, refresh_interval=10)

    def clock() -> float:
        return begun_at + asyncio.get_running_loop().time()

    saves = 0

    class Counting(KeysFile):
        def save(self, kept: KeptKeys) -> bool:
            nonlocal saves
            saves += 1
            return super().save(kept)

    async def at_once(save: Callable[[KeptKeys], bool], kept: KeptKeys) -> bool:
        return save(kept)

    keys = KeyStore(
        settings,
        lambda: documents,
        kept=Counting(path),
        monotonic=asyncio.get_running_loop().time,
        clock=clock,
        in_thread=at_once,
    )
    resource = Resource(documents, keys, Verifier(keys, settings.audience, settings.leeway))
    resource.keys.start()
    await resource.answer_after_fetch(other.token())
    await asyncio.sleep(HOUR)
    await resource.keys.stop()
    assert abs(KeysFile(path).load()[other.issuer].confirmed - clock()) < 90
    assert 20 <= saves <= 130


@in_virtual_time
async def test_foreign_keys_are_never_a_neighbours(make_settings: MakeSettings) -> None:
    """A confirmed one has its own keys only, and after a fetch a forged token is invalid."""
    other = neighbour()
    resource = await started(make_settings, a_server(0), other)
    assert await resource.answer_after_fetch(other.token()) == 200
    assert await resource.answer_after_fetch(foreign_token(other)) == 401
    assert await resource.answer_after_fetch(foreign_token(other, signing_key(0))) == 401
    await resource.keys.stop()
