"""What is known of one issuer, and how often it may be asked."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from nmos_auth.servers.server_metadata import IssuerRules
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.trust.jwks import VerificationKey

__all__ = ["Allowance", "Issuer"]

BURST = 3


@dataclass(slots=True)
class Allowance:
    """So many at once, then one an interval."""

    interval: float
    left: float = BURST
    counted_at: float = -math.inf

    def take(self, now: float) -> bool:
        """Take one, if there is one, at `now` on a monotonic clock in seconds."""
        self.left = min(BURST, self.left + (now - self.counted_at) / self.interval)
        self.counted_at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(slots=True, eq=False)
class Issuer:
    """What is known of one issuer.

    Attributes:
        url: the issuer identifier.
        rules: what holds for fetching from it.
        trusted: a member of the trusted issuers, rather than a neighbour on a member's host.
        keys: what it publishes, as of the last good fetch.
        pool: the keys that verify its tokens: its own first, then the other members' if it is one.
        ever_had: whether any fetch, or the keys file, ever gave its keys.
        fetching: whether a fetch is under way or about to be.
        next_attempt: when the next fetch is due, on the monotonic clock.
    """

    url: IssuerUrl
    rules: IssuerRules
    trusted: bool
    allowance: Allowance
    keys: tuple[VerificationKey, ...] = ()
    pool: tuple[VerificationKey, ...] = ()
    ever_had: bool = False
    fetching: bool = False
    failures: int = 0
    next_attempt: float = -math.inf
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def is_forgettable(self, now: float) -> bool:
        """Tell whether this is a neighbour whose failure has been remembered long enough."""
        return not (self.trusted or self.ever_had or self.fetching) and self.next_attempt <= now
