"""The store in Redis: one round trip, several processes, and a server that fails."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from nmos_auth.errors import OwnersUnavailable
from nmos_auth.registry import Verdict
from nmos_auth.registry.redis import RedisOwners
from tests.registry.support import KEYS, LIFETIME, fresh_prefix, fresh_redis, key_of, placed
from tests.support.clocks import Clock
from tests.support.redis import redis_server
from tests.support.servers import listen

ROOT = Path(__file__).parents[2]
NODE, DEVICE = placed("node", 1), placed("device", 2, 1)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    """Yield a client of the room's server."""
    async with Redis.from_url(redis_url) as client:
        yield client


async def commands_by_clients(client: Redis) -> int:
    """Count the commands that have come so far; those within a script do not come."""
    statistics = await client.info("commandstats")
    return sum(
        statistics.get(f"cmdstat_{name}", {}).get("calls", 0)
        for name in ("evalsha", "eval", "script|load", "multi", "watch", "get")
    )


async def test_a_question_is_one_round_trip(client: Redis) -> None:
    """Once the server has the script, each request of a Registry is one command."""
    owners = fresh_redis(client)
    await owners.register("a", NODE)
    before = await commands_by_clients(client)
    await owners.register("a", DEVICE)
    await owners.heartbeat("a", NODE.id)
    await owners.register("b", NODE)
    await owners.delete("a", "device", DEVICE.id)
    assert await commands_by_clients(client) == before + 4


async def test_a_server_that_lost_the_script_gets_it_again(client: Redis) -> None:
    """Which any server does that restarts."""
    owners = fresh_redis(client)
    await owners.register("a", NODE)
    await client.script_flush()
    assert await owners.register("b", NODE) is Verdict.REFUSED


async def test_nothing_is_left_of_what_is_gone(client: Redis) -> None:
    """What was deleted and what ended takes no memory."""
    owners = RedisOwners(client, prefix="test-left")
    for placement in (NODE, DEVICE):
        await owners.register("a", placement)
    keys = await client.keys("{test-left}:*")
    assert len(keys) == 4
    # Should no Registry ask any more, a second after the Node has ended
    for key in keys:
        assert 12_000 < await client.pttl(key) <= 13_000
    await owners.delete("a", "node", NODE.id)
    assert await client.keys("{test-left}:*") == []


async def test_the_server_tells_the_time(client: Redis) -> None:
    """Without a clock of the Registry's, a Node ends by that of the server."""
    owners = RedisOwners(client, 0.05, prefix="test-time")
    assert await owners.register("a", NODE) is Verdict.CREATED
    deadline = time.monotonic() + 10
    while await owners.register("b", NODE) is not Verdict.CREATED:
        assert time.monotonic() < deadline


async def test_a_clock_that_is_set_back_keeps_no_dead_node(client: Redis) -> None:
    """A Node without heartbeats ends a lifetime after the clock was set back, not years later."""
    clock = Clock()
    owners = fresh_redis(client, clock)
    assert await owners.register("a", NODE) is Verdict.CREATED
    clock.now -= 365 * 86400
    assert await owners.heartbeat("b", NODE.id) is Verdict.REFUSED
    clock.now += LIFETIME - 1
    assert await owners.register("b", NODE) is Verdict.REFUSED
    clock.now += 1
    assert await owners.register("b", NODE) is Verdict.CREATED


async def test_registries_with_different_prefixes_know_nothing_of_each_other(
    client: Redis,
) -> None:
    """One server may serve several Registries."""
    assert await fresh_redis(client).register("a", NODE) is Verdict.CREATED
    assert await fresh_redis(client).register("b", NODE) is Verdict.CREATED


def test_of_two_processes_one_is_first(redis_url: str) -> None:
    """Two processes race for the same Nodes; each Node has exactly one owner."""
    count = 200
    contenders = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.registry.contender", redis_url, "race", name, str(count)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    for contender in contenders:
        assert contender.stdout is not None
        assert contender.stdout.readline() == "ready\n"
    for contender in contenders:
        assert contender.stdin is not None
        contender.stdin.write("go\n")
        contender.stdin.flush()
    answers = [contender.communicate(timeout=30)[0].split() for contender in contenders]
    assert len(answers[0]) == count
    for pair in zip(*answers, strict=True):
        assert sorted(pair) == ["created", "refused"]


@pytest.mark.parametrize("name", [*KEYS, "a count"])
async def test_keys_with_another_content_are_named(
    redis_url: str, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Nothing is permitted, once in the log with the cure; once they are deleted, all goes on."""
    prefix = fresh_prefix()
    async with Redis.from_url(redis_url) as client:
        owners = RedisOwners(client, prefix=prefix)
        assert await owners.register("a", placed("node", 1)) is Verdict.CREATED
        if name in KEYS:
            await client.set(key_of(prefix, name), "of another program")
        else:
            await client.hset(key_of(prefix, "owners"), " a", "of another program")
        for number in (2, 3):
            with pytest.raises(OwnersUnavailable):
                await owners.register("a", placed("node", number))
        (warning,) = caplog.messages
        assert key_of(prefix, "owners") in warning
        assert "delete them" in warning
        assert "another program" not in warning
        await client.delete(*(key_of(prefix, each) for each in KEYS))
        assert await owners.register("a", placed("node", 2)) is Verdict.CREATED


async def test_a_refusal_of_the_server_is_named_by_its_code(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text may show more; the first word is what Redis documents."""
    async with Redis.from_url(redis_url) as client:
        owners = RedisOwners(client, prefix=fresh_prefix())
        await client.config_set("min-replicas-to-write", 1)
        try:
            with pytest.raises(OwnersUnavailable):
                await owners.register("a", placed("node", 1))
        finally:
            await client.config_set("min-replicas-to-write", 0)
    assert [each for each in caplog.messages if each.endswith(": ResponseError NOREPLICAS")]


async def test_a_server_that_is_down_permits_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """No answer is none that permits; the log says so once, and not how to log in."""
    with listen() as listener:
        port = listener.getsockname()[1]
    async with Redis.from_url(f"redis://user:secret@127.0.0.1:{port}") as client:
        owners = RedisOwners(client)
        with caplog.at_level(logging.WARNING, "nmos_auth"):
            for question in (
                owners.register("a", NODE),
                owners.heartbeat("a", NODE.id),
                owners.delete("a", "node", NODE.id),
            ):
                with pytest.raises(OwnersUnavailable) as failure:
                    await question
                assert "secret" not in str(failure.value)
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


async def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    """Connecting works, and no answer ever comes."""
    with listen() as listener:
        async with Redis.from_url(f"redis://127.0.0.1:{listener.getsockname()[1]}") as client:
            owners = RedisOwners(client, timeout=0.1)
            async with asyncio.timeout(5):
                with pytest.raises(OwnersUnavailable):
                    await owners.register("a", NODE)


async def test_a_late_answer_is_nobodys(client: Redis) -> None:
    """An answer that comes after its time is not taken for that to a later question."""
    owners = RedisOwners(client, prefix="test-late", timeout=0.05)
    patient = RedisOwners(client, prefix="test-late", timeout=10)
    assert await patient.register("a", NODE) is Verdict.CREATED
    await client.client_pause(200)
    with pytest.raises(OwnersUnavailable):
        await owners.heartbeat("a", NODE.id)
    for _ in range(3):
        assert await patient.register("b", NODE) is Verdict.REFUSED
        assert await patient.heartbeat("a", NODE.id) is Verdict.DONE
        assert await patient.heartbeat("a", DEVICE.id) is Verdict.ABSENT


async def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    """Down and up again; what it lost is owned by whoever registers first."""
    with listen() as listener:
        port = listener.getsockname()[1]
    async with Redis.from_url(f"redis://127.0.0.1:{port}") as client:
        owners = RedisOwners(client)
        with redis_server(tmp_path, port=port):
            assert await owners.register("a", NODE) is Verdict.CREATED
        with pytest.raises(OwnersUnavailable):
            await owners.register("a", NODE)
        with redis_server(tmp_path, port=port):
            assert await owners.heartbeat("a", NODE.id) is Verdict.ABSENT
            assert await owners.register("a", NODE) is Verdict.CREATED


async def test_a_client_that_gives_up_sooner_is_asked_again(redis_url: str) -> None:
    """Its own bounds on time go by a clock on which a busy event loop is late; ours decide."""
    async with Redis.from_url(redis_url, socket_timeout=0.05) as hasty:
        owners = RedisOwners(hasty, prefix="test-hasty", timeout=30)
        assert await owners.register("a", NODE) is Verdict.CREATED
        async with Redis.from_url(redis_url) as client:
            await client.client_pause(1000)
        assert await owners.heartbeat("a", NODE.id) is Verdict.DONE
    with listen() as listener:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        async with Redis.from_url(url, socket_timeout=0.05) as hasty:
            owners = RedisOwners(hasty, timeout=0.5)
            async with asyncio.timeout(20):
                with pytest.raises(OwnersUnavailable):
                    await owners.register("a", NODE)
