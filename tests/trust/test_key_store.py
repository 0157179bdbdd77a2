"""Which keys are asked for when a token needs one that is not held; starting and stopping."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from nmos_auth.errors import ConfigurationError, KeysUnavailable, Reason
from nmos_auth.trust.jwks import VerificationKey, parse_jwks
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.verifier import Verifier
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import MakeSettings, foreign_token
from tests.support.tokens import SigningKey, claims_of, signing_key
from tests.support.virtual_time import HOUR, Documents, Resource, a_server, in_virtual_time

# Which keys there are


def static(*numbers: int) -> dict[str, tuple[VerificationKey, ...]]:
    """Return the keys of an issuer that is never asked."""
    key_set = parse_jwks({"keys": [signing_key(number).jwk() for number in numbers]})
    return {"https://static.example.com": key_set.keys}


def test_the_key_that_a_token_names_comes_first(make_settings: MakeSettings) -> None:
    """The others follow in the order of the set; a stranger has none."""
    keys = KeyStore(make_settings(), Documents, static_keys=static(0, 1, 2))
    for kid, expected in (("key-1", [1, 0, 2]), ("key-0", [0, 1, 2]), (None, [0, 1, 2])):
        candidates = keys.candidates("https://static.example.com", kid)
        assert [key.kid for key in candidates] == [f"key-{number}" for number in expected]
    assert keys.candidates("https://other.example.com", "key-0") == ()


def test_somebody_has_to_be_trusted(make_settings: MakeSettings) -> None:
    """The start stops, and says with which settings that is done; keys of a file will do."""
    with pytest.raises(ConfigurationError, match=r"NMOS_AUTH_SERVERS.*NMOS_AUTH_DISCOVERY"):
        KeyStore(make_settings(), Documents)
    KeyStore(make_settings(), Documents, static_keys=static(0))
    KeyStore(make_settings(trusted_issuers="https://auth.example.com"), Documents)


@in_virtual_time
async def test_starting_twice_is_starting_once(make_settings: MakeSettings) -> None:
    """A client is made for each run."""
    made = list[Documents]()

    def make() -> Documents:
        made.append(Documents())
        return made[-1]

    keys = KeyStore(make_settings(), make, static_keys=static(0))
    for _ in range(2):
        keys.start()
        keys.start()
        await keys.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(made) == 2


@in_virtual_time
async def test_whether_there_ever_were_keys_is_told(make_settings: MakeSettings) -> None:
    """An operator looks elsewhere where a server was never reached."""
    server, documents = a_server(), Documents()
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    await asyncio.sleep(1)
    with pytest.raises(KeysUnavailable) as never:
        resource.verifier.verify(server.token().encode())
    documents.publish(server)
    await resource.answer_after_fetch(server.token())
    with pytest.raises(KeysUnavailable) as missing:
        resource.verifier.verify(foreign_token(server).encode())
    assert (never.value.reason, missing.value.reason) == (
        Reason.KEYS_NEVER_HAD,
        Reason.KEYS_PENDING,
    )
    await resource.keys.stop()


def test_on_another_event_loop_all_are_asked_again(make_settings: MakeSettings) -> None:
    """Neighbours too that were being asked when the other loop ended."""
    member, other, documents = a_server(), a_server(5, port=8443), Documents()
    documents.publish(member)
    documents.hang(other)
    times = itertools.count()
    keys = KeyStore(make_settings(member), lambda: documents, monotonic=lambda: next(times) / 1000)
    resource = Resource(documents, keys, Verifier(keys, (), 1))

    @in_virtual_time
    async def first() -> None:
        keys.start()
        await asyncio.sleep(1)
        assert resource.answer(other.token()) == 503
        await asyncio.sleep(0.1)
        assert len(documents.times_of(other)) == 1

    @in_virtual_time
    async def second() -> None:
        documents.publish(other)
        keys.start()
        assert resource.answer(other.token()) == 503
        await asyncio.sleep(0.1)
        assert resource.answer(other.token()) == 200
        await keys.stop()

    first()
    second()


# Refetching for an unknown key


@in_virtual_time
async def test_a_missing_key_is_fetched_once_for_all_who_ask(make_settings: MakeSettings) -> None:
    """503 only while the one shared fetch runs; then the new key counts."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    await asyncio.sleep(1)
    server.keys.insert(0, signing_key(1))
    documents.publish(server)
    documents.latency = 0.5
    before = len(documents.times_of(server))
    tokens = [server.token() for _ in range(50)]
    assert {resource.answer(each) for each in tokens} == {503}
    await asyncio.sleep(0.9)
    assert {resource.answer(each) for each in tokens} == {503}
    await asyncio.sleep(0.2)
    assert {resource.answer(each) for each in tokens} == {200}
    assert len(documents.times_of(server)) == before + 1
    await resource.keys.stop()


@in_virtual_time
async def test_a_forged_token_of_a_newcomer_costs_one_fetch(make_settings: MakeSettings) -> None:
    """The one that confirms the neighbour, which began after the token was first seen."""
    member, other, documents = a_server(), a_server(5, port=8443), Documents()
    documents.publish(member)
    documents.publish(other)
    resource = Resource.create(documents, make_settings(member))
    resource.keys.start()
    await asyncio.sleep(1)
    forged = foreign_token(other)
    assert resource.retry_after(forged) == 1
    await asyncio.sleep(1)
    assert resource.answer(forged) == 401
    assert resource.answer(other.token()) == 200
    assert len(documents.times_of(other)) == 1
    await resource.keys.stop()


@in_virtual_time
async def test_a_key_that_is_not_there_is_refused_once_a_fetch_is_over(
    make_settings: MakeSettings,
) -> None:
    """503 until a fetch has ended that began after the token was first seen; and 401 from then."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server, refetch_interval=1000))
    resource.keys.start()
    await asyncio.sleep(1)
    documents.latency = 1
    token = foreign_token(server)
    assert resource.retry_after(token) == 1
    await asyncio.sleep(1.9)
    assert resource.retry_after(token) == 1
    await asyncio.sleep(0.2)
    assert [resource.answer(token) for _ in range(10)] == [401] * 10
    await resource.keys.stop()


@pytest.mark.parametrize("interval", [1.0, 10.0, 60.0])
@in_virtual_time
async def test_a_flood_of_unknown_keys_is_a_trickle_at_the_server(
    make_settings: MakeSettings, interval: float
) -> None:
    """A burst of three, then one an interval; who holds a known token notices nothing."""
    server, documents = a_server(), Documents(latency=0.05)
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server, refetch_interval=interval))
    resource.keys.start()
    await asyncio.sleep(1)
    cached, start = server.token(), asyncio.get_running_loop().time()
    unknown = itertools.cycle([foreign_token(server), *(_with_kid(server, n) for n in range(20))])
    duration = 20 * interval
    while asyncio.get_running_loop().time() < start + duration:
        assert resource.answer(next(unknown)) in {401, 503}
        assert resource.answer(cached) == 200
        await asyncio.sleep(interval / 20)
    fetched = [when for when in documents.times_of(server) if when >= start]
    assert 20 <= len(fetched) <= 3 + 20
    for first, fourth in zip(fetched, fetched[3:], strict=False):
        assert fourth - first > 0.9 * interval
    await resource.keys.stop()


def _with_kid(server: FakeAuthorizationServer, number: int) -> str:
    return signing_key(9).sign(claims_of(server.issuer), {"kid": f"unknown-{number}"})


@in_virtual_time
async def test_after_a_quiet_time_the_burst_is_three_again(make_settings: MakeSettings) -> None:
    """However long it was quiet, no more than three fetches come at once."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server, refetch_interval=10))
    resource.keys.start()
    for _ in range(3):
        await asyncio.sleep(300)
        before = len(documents.times_of(server))
        for _ in range(20):
            resource.answer(foreign_token(server))
            await asyncio.sleep(0.01)
        assert len(documents.times_of(server)) == before + 3
    await resource.keys.stop()


@in_virtual_time
async def test_one_issuers_flood_is_not_anothers(make_settings: MakeSettings) -> None:
    """Each issuer has its own allowance: a new key of another is fetched at once."""
    flooded, other, documents = a_server(), a_server(1, host="b.example.com"), Documents()
    documents.publish(flooded)
    documents.publish(other)
    resource = Resource.create(documents, make_settings(flooded, other))
    resource.keys.start()
    await asyncio.sleep(1)
    for _ in range(20):
        resource.answer(foreign_token(flooded))
        await asyncio.sleep(0.01)
    other.keys.insert(0, signing_key(2))
    documents.publish(other)
    assert await resource.answer_after_fetch(other.token()) == 200
    await resource.keys.stop()


@in_virtual_time
async def test_known_keys_cause_no_fetch(make_settings: MakeSettings) -> None:
    """IS-10: "SHOULD NOT re-fetch … unless none of the public keys which they hold" fits."""
    server, documents = a_server(0, 1, 2), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    await asyncio.sleep(1)
    before = len(documents.asked)
    claims = claims_of(server.issuer)
    for header in ({"kid": None}, {"kid": "key-1"}, {"kid": "never seen"}, {"kid": ""}):
        assert resource.answer(signing_key(2).sign(claims, header)) == 200
        await asyncio.sleep(1)
    assert len(documents.asked) == before
    await resource.keys.stop()


@pytest.mark.parametrize("changes", [{"exp": 1000}, {"iat": 4e12}, {"nbf": 4e12}, {"sub": None}])
@in_virtual_time
async def test_a_token_that_is_wrong_anyway_causes_no_fetch(
    make_settings: MakeSettings, changes: dict[str, object]
) -> None:
    """Whatever is wrong with a token that can be seen without its key is 401 at once."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    await asyncio.sleep(1)
    before = len(documents.asked)
    assert resource.answer(signing_key(9).sign(claims_of(server.issuer, **changes))) == 401
    await asyncio.sleep(1)
    assert len(documents.asked) == before
    await resource.keys.stop()


# Starting and stopping


@in_virtual_time
async def test_stopping_leaves_nothing_behind(make_settings: MakeSettings) -> None:
    """No task outlives `stop`, not even in the middle of a fetch, and the client is closed."""
    servers = [a_server(host=f"{name}.example.com") for name in "abc"]
    documents = Documents(latency=1)
    documents.publish(servers[0])
    documents.publish(servers[1])
    resource = Resource.create(documents, make_settings(*servers))
    for moment in (0.0, 0.5, 1.5, 2.5, 100.0):
        resource.keys.start()
        await asyncio.sleep(moment)
        await resource.keys.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert documents.closed == 5
    asked = len(documents.asked)
    await asyncio.sleep(2 * HOUR)
    assert len(documents.asked) == asked


@in_virtual_time
async def test_starting_twice_starts_once(make_settings: MakeSettings) -> None:
    """Each request may start the background work; only the first does."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server))
    for _ in range(10):
        resource.keys.start()
    await asyncio.sleep(1)
    assert len(documents.times_of(server)) == 1
    await resource.keys.stop()
    await resource.keys.stop()
    assert documents.closed == 1


def test_a_second_event_loop_takes_over(make_settings: MakeSettings) -> None:
    """Keys that one loop fetched count on the next, and are refreshed there."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resources: list[Resource] = []

    @in_virtual_time
    async def first() -> None:
        resources.append(Resource.create(documents, make_settings(server)))
        resources[0].keys.start()
        await asyncio.sleep(1)
        assert resources[0].answer(server.token()) == 200
        await resources[0].keys.stop()

    @in_virtual_time
    async def second() -> None:
        resources[0].keys.start()
        assert resources[0].answer(server.token()) == 200
        server.keys.insert(0, signing_key(1))
        documents.publish(server)
        await asyncio.sleep(2)
        assert await resources[0].answer_after_fetch(server.token()) == 200
        await resources[0].keys.stop()

    first()
    second()


def test_keys_of_different_length_all_count(make_settings: MakeSettings) -> None:
    """2048 to 4096 bits, tried one by one."""
    server = a_server()
    server.keys[:] = [SigningKey("a", 2048), SigningKey("b", 3072), SigningKey(None, 4096)]

    @in_virtual_time
    async def scene() -> None:
        documents = Documents()
        documents.publish(server)
        resource = Resource.create(documents, make_settings(server))
        resource.keys.start()
        await asyncio.sleep(1)
        for key in server.keys:
            assert resource.answer(key.sign(claims_of(server.issuer))) == 200
        await resource.keys.stop()

    scene()
