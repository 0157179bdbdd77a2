"""A clock moved by hand, and both stores of owners on it."""

from __future__ import annotations

import itertools

from redis.asyncio import Redis

from nmos_auth.registry import Placement
from nmos_auth.registry.redis import RedisOwners
from tests.support.clocks import Clock

__all__ = [
    "KEYS",
    "LIFETIME",
    "fresh_prefix",
    "fresh_redis",
    "key_of",
    "placed",
    "uuid",
]

KEYS = ("ends", "owners", "places", "families")
"""What the store in Redis calls its keys."""

LIFETIME = 12.0

_prefixes = (f"test-{number}" for number in itertools.count())


def fresh_prefix() -> str:
    """Return a prefix of keys that nobody has."""
    return next(_prefixes)


def key_of(prefix: str, name: str) -> str:
    """Return the name of a key in Redis."""
    return f"{{{prefix}}}:{name}"


def fresh_redis(client: Redis, clock: Clock | None = None) -> RedisOwners:
    """Return owners in Redis who know of nothing."""
    return RedisOwners(client, LIFETIME, prefix=fresh_prefix(), clock=clock)


def uuid(number: int) -> str:
    """Return a UUID of the tests' own."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def placed(resource_type: str, number: int, parent: int | None = None) -> Placement:
    """Return the place of a resource below a parent of the right type."""
    parent_types = {"node": None, "device": "node", "flow": "source"}
    return Placement(
        uuid(number),
        resource_type,
        None if parent is None else uuid(parent),
        parent_types.get(resource_type, "device"),
    )
