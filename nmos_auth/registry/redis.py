"""The owners of Nodes in a Registry of several processes or machines, in a Redis server."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Final, TypeVar

from nmos_auth.errors import MissingExtra, OwnersUnavailable
from nmos_auth.registry.owners import STEP, Verdict
from nmos_auth.registry.turns import Turns
from nmos_auth.rules.resources import NODE, Placement

with MissingExtra.named("redis", "redis"):
    from redis.exceptions import MovedError, RedisError, ResponseError
    from redis.exceptions import TimeoutError as RedisTimeoutError

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool, Redis, RedisCluster

__all__ = ["RedisOwners"]

_SCRIPT: Final = files(__package__).joinpath("owners.lua").read_text("utf-8")

# This is a script with a key of the owners, so that in a cluster the server with that key answers.
_EVICTION_SCRIPT: Final = """
local answer = redis.pcall('INFO', 'memory')
return type(answer) == 'string' and string.match(answer, 'maxmemory_policy:([%w-]+)') or ''
"""
# Questions that are sent to Redis at once, each on a connection of its own.
_MOST_AT_ONCE: Final = 16
_NO_EVICTION: Final = "noeviction"
# The first word of a Redis error, unless it is ERR, which the client removes.
_CODE: Final = re.compile(r"[A-Z]+(?= )")

logger = logging.getLogger("nmos_auth")

T = TypeVar("T")


class RedisOwners:
    """Keeps the owners of Nodes in Redis; see `Owners`.

    A question is one round trip: Redis runs a script as a whole, so that one of two processes comes
    first. While Redis does not answer, or not in time, nothing is permitted. A resource that Redis
    loses has no owner until its Node registers again, which IS-04 makes it do when a heartbeat is
    answered with 404. A server that keeps its data over restarts (`appendonly yes`) and evicts
    nothing (`maxmemory-policy noeviction`) loses little; the log warns of one that may evict.

    Args:
        client: the client of a Redis server, of a primary that Sentinel found, or of a cluster; it
            brings its own address, TLS, credentials and retries.
        lifetime: seconds for which a Node is kept without a heartbeat; IS-04 "Behaviour:
            Registration", Heartbeating, has 12.
        prefix: the beginning of the names of keys, written in braces, so that a cluster keeps them
            together. Registries that do not share their owners need different prefixes.
        timeout: seconds that Redis may take for a question, including the connection; time in which
            the event loop is too busy to read the answer is not included.
        step: the most resources that one call clears away.
        most_per_client: the most resources that a client may have, including those that are still
            to be cleared away; None for any number.
        clock: seconds since 1970 UTC, instead of the Redis server's own clock, which all processes
            share.

    Raises:
        ValueError: the prefix is empty or has a brace in it.

        >>> owners = RedisOwners(Redis.from_url("rediss://redis.example.com"))  # doctest: +SKIP
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        lifetime: float = 12,
        *,
        prefix: str = "nmos-auth",
        timeout: float = 1,
        step: int = STEP,
        most_per_client: int | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if not prefix or "{" in prefix or "}" in prefix:
            raise ValueError("prefix: it must not be empty, and must not contain a brace")
        self._script = client.register_script(_SCRIPT)
        self._eviction_script = client.register_script(_EVICTION_SCRIPT)
        self._lifetime = round(lifetime * 1000)
        self._keys = [f"{{{prefix}}}:{name}" for name in ("ends", "owners", "places", "families")]
        # The usual pool raises an error where it has no connection left. A cluster has a pool for
        # each server.
        pool: ConnectionPool | None = getattr(client, "connection_pool", None)
        most = _MOST_AT_ONCE if pool is None else min(_MOST_AT_ONCE, pool.max_connections)
        self._turns = Turns(most, timeout)
        self._step = step
        self._most = "" if most_per_client is None else most_per_client
        self._clock = clock
        self._failing = False
        self._eviction_known = False

    async def register(self, client_id: str, placement: Placement) -> Verdict:
        """Record a resource that a client registers."""
        return await self._ask(
            "register",
            client_id,
            placement.id,
            placement.type,
            placement.parent or "",
            placement.parent_type or "",
        )

    async def delete(self, client_id: str, resource_type: str, resource_id: str) -> Verdict:
        """Forget a resource and everything below it."""
        return await self._ask("delete", client_id, resource_id, resource_type)

    async def heartbeat(self, client_id: str, node_id: str) -> Verdict:
        """Keep a Node for another lifetime."""
        return await self._ask("heartbeat", client_id, node_id, NODE)

    async def check_server(self) -> None:
        """Warn in the log if the server may evict keys, or does not answer.

        A Registry may call this when it starts; otherwise the first question does it.
        """
        with suppress(OwnersUnavailable):
            await self._within_a_turn(self._look_for_eviction)

    async def _ask(
        self,
        what: str,
        client_id: str,
        resource_id: str,
        resource_type: str,
        parent: str = "",
        parent_type: str = "",
    ) -> Verdict:
        now = "" if self._clock is None else str(int(self._clock() * 1000))
        # Half a surrogate pair, which JSON allows, has to reach Redis as well.
        client = client_id.encode("utf-8", "surrogatepass")
        place = (resource_id, resource_type, parent, parent_type)
        arguments: list[str | bytes | int] = [
            what,
            client,
            *place,
            self._lifetime,
            now,
            self._step,
            self._most,
        ]

        async def ask() -> object:
            await self._look_for_eviction()
            return await self._script(self._keys, arguments)

        return Verdict(_text(await self._within_a_turn(ask)))

    async def _within_a_turn(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            async with self._turns.turn():
                answer = await _persistently(ask)
        except (RedisError, OSError) as error:
            if not self._failing:
                logger.warning("Redis does not tell who owns what: %s", _told(error, self._keys))
            self._failing = True
            raise OwnersUnavailable from error
        self._failing = False
        return answer

    async def _look_for_eviction(self) -> None:
        """Warn once of a server that may evict keys."""
        if self._eviction_known:
            return
        policy = _text(await self._eviction_script(self._keys[:1]))
        if self._eviction_known:
            return  # another question has found it out in the meantime
        self._eviction_known = True
        if policy and policy != _NO_EVICTION:
            logger.warning(
                "Redis may evict the owners of Nodes: maxmemory-policy is %s; set it to %s",
                policy,
                _NO_EVICTION,
            )


async def _persistently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again if the client gave up by its own clock, which also runs while the loop is busy."""
    while True:
        with suppress(RedisTimeoutError):
            return await ask()


def _told(error: Exception, keys: Sequence[str]) -> str:
    """Tell of an error without its text, which may show an address or a password."""
    if isinstance(error, MovedError):
        return "the server is one of a cluster, for which RedisOwners requires a RedisCluster"
    if type(error) is not ResponseError:
        return type(error).__name__
    code = _CODE.match(str(error))
    if "user_script" in str(error) and (code is None or code[0] == "WRONGTYPE"):
        return (
            f"something else has written to its keys {', '.join(keys)}; delete them, after which"
            " Nodes register again, or choose another prefix"
        )
    return "ResponseError" if code is None else f"ResponseError {code[0]}"


def _text(answer: object) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
