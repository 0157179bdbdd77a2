"""What operators are told of the trusted issuers and their keys. It contains no secret."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nmos_auth.trust.issuers import Issuer, Source

__all__ = ["IssuerStatus", "KeyStatus", "TrustStatus", "status_of"]


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One held key.

    Attributes:
        kid: the server's name for it, or None.
        bits: the size of its modulus.
        age: seconds for which it has been held.
    """

    kid: str | None
    bits: int
    age: float


@dataclass(frozen=True, slots=True)
class IssuerStatus:
    """One issuer at this moment.

    Attributes:
        url: the issuer identifier.
        source: why its keys are valid.
        keys: those that are held, in the order in which it publishes them.
        is_fetching: whether a fetch is under way.
        next_fetch: seconds until the next fetch begins at the latest; None if it is never asked.
        since_fetch: seconds since the last successful fetch began, or None.
        failures: how many fetches have failed in a row.
        error: why the last fetch gave no keys, or None. It may quote what the server answered.
        clock_offset: seconds by which the server's clock was ahead of this machine's when it was
            last asked; negative where it was behind, None where the server did not say.
    """

    url: str
    source: Source
    keys: tuple[KeyStatus, ...]
    is_fetching: bool
    next_fetch: float | None
    since_fetch: float | None
    failures: int
    error: str | None
    clock_offset: float | None


@dataclass(frozen=True, slots=True)
class TrustStatus:
    """The trusted issuers and their confirmed neighbours at this moment.

    Attributes:
        issuers: members first, in the order of the settings.
        is_settled: whether every way of discovery that is used has answered.
    """

    issuers: tuple[IssuerStatus, ...]
    is_settled: bool

    @property
    def has_keys(self) -> bool:
        """Whether any key is held. Without one, no token can be verified."""
        return any(each.keys for each in self.issuers)


def status_of(issuer: Issuer, now: float) -> IssuerStatus:
    """Return the status of one issuer.

    Args:
        issuer: the issuer.
        now: the time on the clock by which its fetches are timed.
    """
    schedule, last = issuer.schedule, issuer.last_fetch
    wait = max(0.0, schedule.next_fetch(now) - now)
    return IssuerStatus(
        url=issuer.url.text,
        source=issuer.source,
        keys=tuple(
            KeyStatus(key.kid, key.bits, now - issuer.held_since[key]) for key in issuer.keys
        ),
        is_fetching=schedule.pending is not None,
        next_fetch=wait if issuer.is_fetched and wait < math.inf else None,
        since_fetch=None if last is None else now - last.began,
        failures=schedule.failures,
        error=issuer.error,
        clock_offset=issuer.clock_offset,
    )
