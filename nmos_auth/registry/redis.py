"""The owners of a Registry that is several processes or machines, in a Redis server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from nmos_auth.errors import OwnersUnavailable
from nmos_auth.registry.owners import Verdict
from nmos_auth.rules.resources import NODE, Placement

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisOwners"]

_SCRIPT: Final = files(__package__).joinpath("owners.lua").read_text("utf-8")

logger = logging.getLogger("nmos_auth")


class RedisOwners:
    """Keeps the owners of Nodes in Redis; see `Owners`.

    A question is one round trip: a script that Redis runs as a whole, so that of two processes one
    is first. While Redis does not answer, or not in time, nothing is permitted. What Redis loses is
    owned by nobody until its Node registers again, which IS-04 has it do when a heartbeat is
    answered with 404; a server that keeps its data over restarts (`appendonly yes`) loses little.

    Args:
        client: of a Redis server, or of a primary that Sentinel found; address, TLS, credentials
            and retries are its own.
        lifetime: seconds for which a Node is kept without a heartbeat; IS-04 "Behaviour:
            Registration", Heartbeating, has 12.
        prefix: what the names of keys begin with, in braces, so that a cluster keeps them together.
            Registries that are not one have different ones.
        timeout: seconds that a question may take, connecting included.
        clock: seconds since 1970, in place of the Redis server's own clock, which all processes
            share.

        >>> owners = RedisOwners(Redis.from_url("rediss://redis.example.com"))  # doctest: +SKIP
    """

    def __init__(
        self,
        client: Redis,
        lifetime: float = 12,
        *,
        prefix: str = "nmos-auth",
        timeout: float = 1,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._script = client.register_script(_SCRIPT)
        self._lifetime = round(lifetime * 1000)
        self._keys = [f"{{{prefix}}}:{name}" for name in ("ends", "owners", "places", "families")]
        self._timeout = timeout
        self._clock = clock
        self._failing = False

    async def register(self, client_id: str, placement: Placement) -> Verdict:
        """Take note of a resource that a client registers."""
        return await self._ask(
            "register",
            client_id,
            placement.id,
            placement.type,
            placement.parent or "",
            placement.parent_type or "",
        )

    async def delete(self, client_id: str, resource_type: str, resource_id: str) -> Verdict:
        """Forget a resource, and all that belongs to it."""
        return await self._ask("delete", client_id, resource_id, resource_type)

    async def heartbeat(self, client_id: str, node_id: str) -> Verdict:
        """Keep a Node for another while."""
        return await self._ask("heartbeat", client_id, node_id, NODE)

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
        # Half a surrogate pair, which JSON can say, has to reach Redis as well.
        client = client_id.encode("utf-8", "surrogatepass")
        place = (resource_id, resource_type, parent, parent_type)
        arguments: list[str | bytes | int] = [what, client, *place, self._lifetime, now]
        try:
            async with asyncio.timeout(self._timeout):
                answer: object = await self._script(self._keys, arguments)
        except (RedisError, OSError) as error:
            if not self._failing:
                logger.warning("Redis does not tell who owns what: %s", type(error).__name__)
            self._failing = True
            raise OwnersUnavailable from error
        self._failing = False
        return Verdict(answer.decode() if isinstance(answer, bytes) else str(answer))
