"""Redis as it is deployed: many at once, a cluster, Sentinel's failover, servers that may evict."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.sentinel import Sentinel

from nmos_auth.errors import OwnersUnavailable
from nmos_auth.registry import Owners, Verdict
from nmos_auth.registry.redis import RedisOwners
from tests.registry.support import KEYS, fresh_prefix, key_of, placed
from tests.support.redis import redis_cluster, redis_sentinel, redis_server

CREATED, DONE, ABSENT, REFUSED = Verdict.CREATED, Verdict.DONE, Verdict.ABSENT, Verdict.REFUSED
NODE, DEVICE, SENDER = placed("node", 1), placed("device", 2, 1), placed("sender", 3, 2)
MANY = 3000


async def live_a_life(owners: Owners) -> None:
    """Ask everything there is to ask, of a Node and of one who is not its owner."""
    for placement in (NODE, DEVICE, SENDER):
        assert await owners.register("a", placement) is CREATED
        assert await owners.register("b", placement) is REFUSED
    assert await owners.heartbeat("a", NODE.id) is DONE
    assert await owners.delete("a", "device", DEVICE.id) is DONE
    assert await owners.delete("a", "sender", SENDER.id) is ABSENT
    assert await owners.delete("a", "node", NODE.id) is DONE


@pytest.mark.parametrize("pool", ["default", "blocking", "small", "smaller"])
async def test_a_burst_is_answered(redis_url: str, pool: str) -> None:
    """All Nodes of a plant register at once, as after a restart of the Registry: none gets 503."""
    client = {
        "default": lambda: Redis.from_url(redis_url),
        "blocking": lambda: Redis.from_pool(BlockingConnectionPool.from_url(redis_url)),
        "small": lambda: Redis.from_url(redis_url, max_connections=16),
        "smaller": lambda: Redis.from_url(redis_url, max_connections=3),
    }[pool]()
    async with client:
        owners = RedisOwners(client, prefix=fresh_prefix(), timeout=30)
        before = (await client.info("stats"))["total_connections_received"]
        answers = await asyncio.gather(
            *(owners.register("a", placed("node", number)) for number in range(MANY))
        )
        assert set(answers) == {CREATED}
        connections = (await client.info("stats"))["total_connections_received"] - before
        assert connections <= 16


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a cluster of three servers."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


async def test_a_cluster_keeps_the_owners_of_a_registry_together(cluster_url: str) -> None:
    """Its servers share the slots; all keys of a Registry are on one, whichever that is."""
    servers = set()
    async with RedisCluster.from_url(cluster_url) as client:
        for number in range(30):
            prefix = f"registry-{number}"
            nodes = {client.get_node_from_key(key_of(prefix, name)) for name in KEYS}
            assert len(nodes) == 1
            servers |= nodes
            await live_a_life(RedisOwners(client, prefix=prefix, timeout=30))
    assert len(servers) == 3


async def test_a_burst_is_answered_by_a_cluster(cluster_url: str) -> None:
    """As by a server that is none."""
    async with RedisCluster.from_url(cluster_url) as client:
        owners = RedisOwners(client, prefix=fresh_prefix(), timeout=30)
        answers = await asyncio.gather(
            *(owners.register("a", placed("node", number)) for number in range(500))
        )
        assert set(answers) == {CREATED}


async def test_a_client_that_knows_no_clusters_permits_nothing(
    cluster_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the keys are on another server of the cluster, the log says what to use."""
    async with RedisCluster.from_url(cluster_url) as cluster, Redis.from_url(cluster_url) as client:
        here = int(cluster_url.rpartition(":")[2])
        prefix = next(
            prefix
            for prefix in (f"elsewhere-{number}" for number in range(100))
            if (node := cluster.get_node_from_key(key_of(prefix, "ends"))) and node.port != here
        )
        with pytest.raises(OwnersUnavailable):
            await RedisOwners(client, prefix=prefix).register("a", NODE)
    assert "RedisCluster" in caplog.text


async def test_sentinel_fails_over(tmp_path: Path) -> None:
    """503 while there is no primary; then the replica, which has what it was told, goes on."""
    with ExitStack() as servers:
        primary_server = servers.enter_context(ExitStack())
        port = _port_of(primary_server.enter_context(redis_server(tmp_path)))
        options = {"replicaof": f"127.0.0.1 {port}"}
        replica = _port_of(servers.enter_context(redis_server(tmp_path, options=options)))
        watch = servers.enter_context(redis_sentinel(tmp_path, port, name="owners"))
        sentinel = Sentinel([("127.0.0.1", watch)])  # type: ignore[no-untyped-call]
        async with (
            sentinel.sentinels[0],
            Redis(port=watch) as events,
            events.pubsub() as subscription,
            sentinel.master_for("owners") as client,
        ):
            await subscription.subscribe("+switch-master")
            owners = RedisOwners(client, lifetime=60)
            for placement in (NODE, DEVICE, SENDER):
                assert await owners.register("a", placement) is CREATED
            assert await client.wait(1, 10_000) == 1
            await _until_known(events, replica)

            await asyncio.to_thread(primary_server.close)
            for question in (owners.heartbeat("a", NODE.id), owners.register("b", NODE)):
                with pytest.raises(OwnersUnavailable):
                    await question
            async with asyncio.timeout(30):
                async for message in subscription.listen():
                    if message["type"] == "message":
                        break
            assert str(replica).encode() in message["data"]

            assert await owners.heartbeat("a", NODE.id) is DONE
            for placement in (NODE, DEVICE, SENDER):
                assert await owners.register("b", placement) is REFUSED
                assert await owners.register("a", placement) is DONE


def _port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def _until_known(sentinel: Redis, replica: int) -> None:
    """Wait until Sentinel, which asks its primary now and then, knows of the replica."""
    async with asyncio.timeout(30):
        # Sentinel has no event for what it knows already.
        while str(replica) not in str(await sentinel.sentinel_slaves("owners")):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def first_warnings(
    url: str, caplog: pytest.LogCaptureFixture, *, count: int = 2
) -> list[str]:
    """Start a Registry that asks so many questions; returns what the log says."""
    caplog.clear()
    async with Redis.from_url(url) as client:
        owners = RedisOwners(client, prefix=fresh_prefix())
        for number in range(count):
            await owners.register("a", placed("node", number))
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-ttl", "allkeys-lfu"])
async def test_the_start_warns_of_a_server_that_may_evict(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, policy: str
) -> None:
    """All keys have a time to live, so any policy but one takes them; said once, with the cure."""
    with redis_server(tmp_path, options={"maxmemory-policy": policy}) as url:
        (warning,) = await first_warnings(url, caplog)
    assert policy in warning
    assert "noeviction" in warning


async def test_the_warning_is_there_before_any_question(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For a Registry that asks when it starts; a server that is down does not keep it from that."""
    with redis_server(tmp_path, options={"maxmemory-policy": "allkeys-lru"}) as url:
        async with Redis.from_url(url) as client:
            owners = RedisOwners(client, prefix=fresh_prefix())
            await owners.check_server()
            assert len(caplog.records) == 1
            await owners.register("a", NODE)
            assert len(caplog.records) == 1
    async with Redis.from_url(url) as client:
        await RedisOwners(client).check_server()
    assert "does not tell" in caplog.records[-1].getMessage()


async def test_a_server_that_evicts_nothing_is_not_warned_of(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As Redis itself comes; nor is one that does not tell."""
    assert await first_warnings(redis_url, caplog) == []
    async with Redis.from_url(redis_url) as client:
        await client.acl_setuser(
            "modest",
            enabled=True,
            passwords=["+word"],
            keys=["*"],
            commands=["+@all", "-info"],
        )
        modest = redis_url.replace("redis://", "redis://modest:word@")
        assert await first_warnings(modest, caplog) == []
        await client.acl_deluser("modest")


@pytest.mark.parametrize("prefix", ["", "{", "a}", "{a}"])
def test_a_prefix_that_would_part_the_keys_is_refused(prefix: str) -> None:
    """The braces round the prefix are what keeps the keys on one server of a cluster."""
    with pytest.raises(ValueError, match="prefix"):
        RedisOwners(Redis(), prefix=prefix)


def test_the_extra_is_named_where_it_is_missing() -> None:
    """Importing says what to install."""
    program = "import sys; sys.modules['redis'] = None; import nmos_auth.registry.redis"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "asgi-nmos-auth[redis]" in run.stderr
    assert run.stderr.count("Traceback") == 1
