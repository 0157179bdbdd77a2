"""When keys are fetched, kept and withdrawn. Hours of it, on a loop of virtual time."""

from __future__ import annotations

import asyncio
import itertools
import statistics

import pytest

from nmos_auth.errors import FetchError
from tests.support.scene import MakeSettings
from tests.support.tokens import claims_of, signing_key
from tests.support.virtual_time import HOUR, Documents, Resource, a_server, in_virtual_time


def pauses(times: list[float]) -> list[float]:
    """Return the time from each moment to the next."""
    return [later - earlier for earlier, later in itertools.pairwise(times)]


# Refreshing


@in_virtual_time
async def test_keys_are_fetched_every_hour_and_a_random_share_of_a_minute(
    make_settings: MakeSettings,
) -> None:
    """IS-10: once an hour, "altering their retrieval time by a value between 0-60 seconds"."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    await asyncio.sleep(200 * HOUR)
    waited = pauses(documents.times_of(server))
    assert len(waited) > 190
    assert all(HOUR <= each <= HOUR + 60.1 for each in waited)
    assert max(waited) - min(waited) > 30
    assert statistics.stdev(waited) > 5
    await resource.keys.stop()


@in_virtual_time
async def test_short_intervals_vary_by_a_share_of_themselves(make_settings: MakeSettings) -> None:
    """Under a minute, the random share is of the interval."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server, refresh_interval=10))
    resource.keys.start()
    await asyncio.sleep(2000)
    waited = pauses(documents.times_of(server))
    assert len(waited) > 90
    assert all(10 <= each <= 20.1 for each in waited)
    assert max(waited) - min(waited) > 5
    await resource.keys.stop()


@in_virtual_time
async def test_two_nodes_do_not_fall_into_step(make_settings: MakeSettings) -> None:
    """Nodes started at the same moment ask at different times."""
    server, documents, others = a_server(), Documents(), Documents()
    for each in (documents, others):
        each.publish(server)
    settings = make_settings(server)
    nodes = [Resource.create(each, settings) for each in (documents, others)]
    for node in nodes:
        node.keys.start()
    await asyncio.sleep(5 * HOUR)
    assert documents.times_of(server)[1:] != others.times_of(server)[1:]
    for node in nodes:
        await node.keys.stop()


@in_virtual_time
async def test_the_keys_of_every_server_are_refreshed(make_settings: MakeSettings) -> None:
    """One server that hangs does not hold up the refreshing of another."""
    first, second, documents = a_server(), a_server(1, host="b.example.com"), Documents()
    documents.publish(second)
    documents.by_url[f"{first.issuer}/.well-known/oauth-authorization-server"] = FetchError("")
    resource = Resource.create(documents, make_settings(first, second))
    resource.keys.start()
    await asyncio.sleep(1)
    assert resource.answer(second.token()) == 200
    await asyncio.sleep(3 * HOUR)
    assert len(documents.times_of(second)) == 3
    await resource.keys.stop()


# Failing


@in_virtual_time
async def test_after_failures_it_backs_off_at_random(make_settings: MakeSettings) -> None:
    """IS-10: "the Resource Server MUST implement a randomised back-off mechanism"."""
    server = a_server()
    runs = []
    for _ in range(8):
        documents = Documents()
        resource = Resource.create(documents, make_settings(server))
        resource.keys.start()
        await asyncio.sleep(HOUR)
        await resource.keys.stop()
        runs.append(pauses(documents.times_of(server)))
    columns = list(zip(*runs, strict=False))
    # Design, Answers: "first retries come within a second or two".
    assert all(0 < each <= 2 for each in (*columns[0], *columns[1]))
    averages = [statistics.mean(column) for column in columns]
    assert averages[0] < averages[2] < averages[4]
    assert statistics.mean(averages[-10:]) > 10 * averages[0]
    assert all(len(set(column)) == len(column) for column in columns)
    # A server that is back is found again soon: within little more than a minute.
    assert max(max(run) for run in runs) <= 61
    assert all(len(run) < 200 for run in runs)


@in_virtual_time
async def test_requests_do_not_put_off_the_first_retries(make_settings: MakeSettings) -> None:
    """Design, Answers: "first retries come within a second or two", whoever knocks meanwhile."""
    server, documents = a_server(), Documents()
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    now = asyncio.get_running_loop().time
    while resource.answer(server.token()) == 503:
        await asyncio.sleep(0.05)
        if now() > 0.5:
            documents.publish(server)
    assert now() < 3
    await resource.keys.stop()


@in_virtual_time
async def test_after_success_the_back_off_begins_again(make_settings: MakeSettings) -> None:
    """A server that fails today is not made to pay for yesterday."""
    server, documents = a_server(), Documents()
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    await asyncio.sleep(HOUR / 2)
    documents.publish(server)
    await asyncio.sleep(3 * HOUR)
    documents.fail(server)
    before = len(documents.asked)
    await asyncio.sleep(HOUR + 90)
    again = [when for when, url in documents.asked[before:] if "well-known" in url]
    assert pauses(again)[0] <= 2
    await resource.keys.stop()


@pytest.mark.parametrize("error", [FetchError("down"), RuntimeError("no one expected this")])
@in_virtual_time
async def test_no_failure_loses_a_key_or_ends_the_refreshing(
    make_settings: MakeSettings, error: Exception
) -> None:
    """IS-10: "SHOULD assume currently held public keys remain valid" while it cannot connect."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    await asyncio.sleep(1)
    cached = server.token()
    assert resource.answer(cached) == 200
    metadata_url = f"{server.issuer}/.well-known/oauth-authorization-server"
    documents.by_url[metadata_url] = error
    for _ in range(6):
        await asyncio.sleep(HOUR)
        assert resource.answer(cached) == 200
        assert resource.answer(server.token()) == 200
    server.keys.insert(0, signing_key(1))
    documents.publish(server)
    await asyncio.sleep(61)
    assert resource.answer(server.token()) == 200
    await resource.keys.stop()


@in_virtual_time
async def test_retry_after_is_a_whole_number_of_seconds_worth_waiting(
    make_settings: MakeSettings,
) -> None:
    """Before any key came: 503, at every moment, with an integer that is at least one."""
    server, documents = a_server(), Documents(latency=0.3)
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    waits = []
    for _ in range(1000):
        await asyncio.sleep(0.37)
        waits.append(resource.retry_after(server.token()))
    assert all(1 <= each <= 61 and str(each).isdecimal() for each in waits)
    assert waits[0] <= 2
    await resource.keys.stop()


@in_virtual_time
async def test_a_client_that_waits_as_told_finds_the_keys(make_settings: MakeSettings) -> None:
    """Down at start, then up: who comes back after `Retry-After` each time is soon served."""
    server, documents = a_server(), Documents()
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    now = asyncio.get_running_loop().time
    back_at = 0.0
    while resource.answer(server.token()) == 503:
        await asyncio.sleep(resource.retry_after(server.token()))
        if not back_at and now() > 600:
            back_at = now()
            documents.publish(server)
    assert resource.answer(server.token()) == 200
    assert 600 < back_at < now() <= back_at + 62
    await resource.keys.stop()


@in_virtual_time
async def test_no_key_ever_had_is_503_even_where_the_server_publishes_none(
    make_settings: MakeSettings,
) -> None:
    """Design, Answers: "no key of a trusted issuer ever had yet → 503"."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    documents.by_url[f"{server.issuer}/jwks"] = {"keys": []}
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    for _ in range(20):
        await asyncio.sleep(3)
        assert resource.answer(server.token()) == 503
    documents.publish(server)
    await asyncio.sleep(62)
    assert await resource.answer_after_fetch(server.token()) == 200
    await resource.keys.stop()


# Withdrawing


@in_virtual_time
async def test_a_successful_refresh_withdraws_what_is_gone(make_settings: MakeSettings) -> None:
    """Cached tokens are withdrawn with the key; tokens of the other keys stay good."""
    server, documents = a_server(0, 1), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    await asyncio.sleep(1)
    gone = server.token()
    kept = signing_key(1).sign(claims_of(server.issuer))
    assert [resource.answer(each) for each in (gone, kept)] == [200, 200]
    del server.keys[0]
    documents.publish(server)
    await asyncio.sleep(HOUR + 61)
    assert resource.answer(kept) == 200
    assert await resource.answer_after_fetch(gone) == 401
    await resource.keys.stop()


@in_virtual_time
async def test_a_key_under_another_kid_is_the_same_key(make_settings: MakeSettings) -> None:
    """RFC 7517 Section 4.5: `kid` is for choosing among keys, it does not make one."""
    server, documents = a_server(), Documents()
    documents.publish(server)
    resource = Resource.create(documents, make_settings(server))
    resource.keys.start()
    await asyncio.sleep(1)
    cached = server.token()
    assert resource.answer(cached) == 200
    documents.by_url[f"{server.issuer}/jwks"] = {"keys": [signing_key(0).jwk(kid="another")]}
    await asyncio.sleep(HOUR + 61)
    assert [resource.answer(each) for each in (cached, server.token())] == [200, 200]
    await resource.keys.stop()
