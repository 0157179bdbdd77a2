"""Limits how often passwords can be guessed."""

from __future__ import annotations

from collections.abc import Callable

from cachetools import LRUCache

from nmos_auth.authority.errors import PasswordGuessing
from nmos_auth.servers.token_bucket import TokenBucket

__all__ = ["GuessLimit"]

# Wrong passwords at once, from one address and for one name; and the seconds for each further one.
_BURST_OF_ADDRESS = 10
_BURST_OF_NAME = 20
_INTERVAL = 10.0
_MOST_REMEMBERED = 10_000
# The names of users are shorter.
_LONGEST_NAME = 100


class GuessLimit:
    """Counts wrong passwords by the address that they come from, and by the name.

    A name has the larger allowance, so that guessing from one address does not lock its owner out.

    Args:
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._addresses: LRUCache[str, TokenBucket] = LRUCache(_MOST_REMEMBERED)
        self._names: LRUCache[str, TokenBucket] = LRUCache(_MOST_REMEMBERED)

    def check(self, name: str, address: str) -> None:
        """Check that a password may be tried.

        Raises:
            PasswordGuessing: it may not; the error has the time to wait.
        """
        now = self._monotonic()
        wait = max(bucket.wait(now) for bucket in self._buckets(name, address))
        if wait:
            raise PasswordGuessing(retry_after=wait)

    def count_failure(self, name: str, address: str) -> None:
        """Count a wrong password."""
        now = self._monotonic()
        for bucket in self._buckets(name, address):
            bucket.take(now)

    def _buckets(self, name: str, address: str) -> tuple[TokenBucket, TokenBucket]:
        return (
            _bucket(self._addresses, address, _BURST_OF_ADDRESS),
            _bucket(self._names, name[:_LONGEST_NAME], _BURST_OF_NAME),
        )


def _bucket(kept: LRUCache[str, TokenBucket], key: str, burst: int) -> TokenBucket:
    bucket = kept.get(key)
    if bucket is None:
        bucket = kept[key] = TokenBucket(interval=_INTERVAL, burst=burst)
    return bucket
