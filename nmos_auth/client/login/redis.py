"""Sessions of an application with several workers, in Redis; it requires the extra `redis`."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Collection
from typing import TYPE_CHECKING, TypeVar

from nmos_auth.client.errors import StoreError
from nmos_auth.errors import MissingExtra

with MissingExtra.named("redis", "redis"):
    from redis.exceptions import LockError, RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisSessions"]

T = TypeVar("T")

# Seconds: an exchange takes ten at most.
_LOCKED_FOR = 15.0


class RedisSessions:
    """Keeps sessions in Redis, encrypted: who reads them there cannot use them.

    While Redis does not answer, no user can log in or out, and `LoginRoutes.current` raises
    `StoreError`; the sessions are available again when Redis is. Pass it to `LoginRoutes` as
    `sessions`.

    Args:
        client: the client of a Redis server; it brings its own address, TLS, credentials and
            retries.
        prefix: the beginning of the names of keys. Different applications need different prefixes.
        timeout: seconds that a question may take, including the connection.
        locked_for: seconds after which a worker that exchanges tokens is considered dead.

        >>> sessions = RedisSessions(Redis.from_url("rediss://redis"))  # doctest: +SKIP
    """

    shared = True

    def __init__(
        self,
        client: Redis,
        *,
        prefix: str = "nmos-auth-sessions",
        timeout: float = 2.0,
        locked_for: float = _LOCKED_FOR,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._timeout = timeout
        self._locked_for = locked_for
        self._secret: bytes | None = None

    async def secret(self) -> bytes:
        """Return 32 random bytes, the same for all processes that share the store."""
        if self._secret is None:
            name = f"{self._prefix}:secret"
            await self._ask(self._client.set(name, secrets.token_hex(32), nx=True))
            kept = _octets(await self._ask(self._client.get(name)))
            if kept is None:
                raise StoreError("the session store does not keep what is written", temporary=True)
            self._secret = bytes.fromhex(kept.decode())
        return self._secret

    async def put(self, key: str, value: bytes, lifetime: float) -> None:
        """Keep a session for `lifetime` seconds."""
        await self._ask(self._client.set(self._name(key), value, px=_milliseconds(lifetime)))

    async def replace(self, key: str, value: bytes) -> None:
        """Keep another value until the same time, unless the session is gone by now."""
        await self._ask(self._client.set(self._name(key), value, xx=True, keepttl=True))

    async def get(self, key: str) -> bytes | None:
        """Return a session, or None."""
        return _octets(await self._ask(self._client.get(self._name(key))))

    async def touch(self, key: str, lifetime: float) -> bool:
        """Keep a session for `lifetime` seconds from now on; False where it is gone."""
        return bool(await self._ask(self._client.pexpire(self._name(key), _milliseconds(lifetime))))

    async def present(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys whose sessions are there."""
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.exists(self._name(key))
        found = await self._ask(pipeline.execute())
        return {key for key, there in zip(keys, found, strict=True) if there}

    async def remove(self, key: str) -> None:
        """Forget a session."""
        await self._ask(self._client.delete(self._name(key)))

    @contextlib.asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Keep other tasks and processes out while the tokens of a session are exchanged.

        Raises:
            StoreError: Redis does not answer, or another task or process exchanges them for too
                long.
        """
        lock = self._client.lock(
            f"{self._name(key)}:lock",
            timeout=self._locked_for,
            blocking_timeout=self._locked_for * 2,
            thread_local=False,
        )
        try:
            locked = await lock.acquire()
        except (RedisError, OSError) as error:
            raise _unavailable(error) from None
        if not locked:
            raise StoreError("another worker exchanges the tokens of this session", temporary=True)
        try:
            yield
        finally:
            # It ends by itself.
            with contextlib.suppress(LockError, RedisError, OSError):
                await lock.release()

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{key}"

    async def _ask(self, question: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await question
        except (RedisError, OSError) as error:
            raise _unavailable(error) from None


def _unavailable(error: Exception) -> StoreError:
    # Its words may hold the address with a password.
    return StoreError(
        f"the session store does not answer ({error.__class__.__name__})", temporary=True
    )


def _octets(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else None


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
