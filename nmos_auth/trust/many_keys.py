"""Trying many keys on one token: a few at once, the rest over later turns of the event loop."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from nmos_auth.errors import KeysUnavailable, Reason
from nmos_auth.rules.tokens import SignedToken

if TYPE_CHECKING:
    from nmos_auth.trust.jwks import VerificationKey

__all__ = ["AT_ONCE", "ManyKeys", "cost_of", "first_of"]

# Sixteen keys of 4096 bits take one or two milliseconds. The time of a verification grows with the
# square of the bits.
AT_ONCE = 16 * 4096**2
MOST_WAITING = 64
MOST_OUTCOMES = 256


def cost_of(keys: Sequence[VerificationKey]) -> int:
    """Return the cost of trying all of these keys, in the unit of `AT_ONCE`."""
    return sum(key.bits**2 for key in keys)


def first_of(keys: Sequence[VerificationKey]) -> int:
    """Return how many of these keys can be tried at once, beginning with the first; at least 1."""
    cost = 0
    for count, key in enumerate(keys):
        cost += key.bits**2
        if cost > AT_ONCE and count:
            return count
    return len(keys)


_Waiting = tuple[SignedToken, "tuple[VerificationKey, ...]"]


@dataclass(frozen=True, slots=True)
class _Outcome:
    keys: tuple[VerificationKey, ...]
    verified: bool


class ManyKeys:
    """Tries many keys on a token in several parts, between which other requests are served.

    The number of tokens that wait and of outcomes that are remembered is bounded. A forgotten
    token is tried again, which costs its sender a 503.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes, _Waiting] = OrderedDict()
        self._outcomes: OrderedDict[bytes, _Outcome] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def verify(self, text: bytes, signed: SignedToken, keys: tuple[VerificationKey, ...]) -> bool:
        """Tell whether one of these keys made the token's signature.

        Args:
            text: the token, of which only a digest is kept.
            signed: the same.
            keys: those that were not tried yet.

        Raises:
            KeysUnavailable: it is not known yet, but will be in a moment.
        """
        digest = sha256(text).digest()
        outcome = self._outcomes.get(digest)
        if outcome is not None and outcome.keys == keys:
            return outcome.verified
        if len(self._waiting) < MOST_WAITING:
            self._waiting[digest] = signed, keys
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(
                    self._run(), name="nmos_auth trying keys"
                )
        raise KeysUnavailable(Reason.KEYS_PENDING, token=signed.token)

    async def stop(self) -> None:
        """End trying."""
        task, self._task = self._task, None
        self._waiting.clear()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            digest, (signed, keys) = next(iter(self._waiting.items()))
            verified = False
            for some in _batches(keys):
                await asyncio.sleep(0)
                if any(key.verifies(signed) for key in some):
                    verified = True
                    break
            self._waiting.pop(digest, None)
            self._outcomes[digest] = _Outcome(keys, verified)
            if len(self._outcomes) > MOST_OUTCOMES:
                self._outcomes.popitem(last=False)


def _batches(keys: tuple[VerificationKey, ...]) -> Iterator[tuple[VerificationKey, ...]]:
    while keys:
        count = first_of(keys)
        yield keys[:count]
        keys = keys[count:]
