"""A process that wants to be the first to register Nodes: python -m tests.registry.contender.

Arguments: the URL of a Redis server, a prefix of keys, a client id, a number of Nodes. It says when
it is ready, waits for a line, and prints a line of verdicts.
"""

from __future__ import annotations

import asyncio
import sys

from redis.asyncio import Redis

from nmos_auth.registry.redis import RedisOwners
from tests.registry.support import placed


async def _contend(url: str, prefix: str, client_id: str, count: int) -> None:
    async with Redis.from_url(url) as client:
        owners = RedisOwners(client, prefix=prefix, timeout=10)
        await owners.heartbeat(client_id, "nothing")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        verdicts = [
            await owners.register(client_id, placed("node", number)) for number in range(count)
        ]
        sys.stdout.write(" ".join(verdicts) + "\n")


if __name__ == "__main__":
    url, prefix, client_id, count = sys.argv[1:]
    asyncio.run(_contend(url, prefix, client_id, int(count)))
