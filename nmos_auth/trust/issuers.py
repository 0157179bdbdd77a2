"""What is known of one issuer."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from nmos_auth.servers.server_metadata import IssuerRules
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.trust.finality import LastFetch
from nmos_auth.trust.jwks import VerificationKey
from nmos_auth.trust.schedule import Schedule

__all__ = ["Issuer", "Source"]


class Source(StrEnum):
    """Why an issuer's keys are valid."""

    SERVERS = "servers"
    TRUSTED_ISSUERS = "trusted issuers"
    STATIC_KEYS = "static keys"
    DISCOVERY = "discovery"
    METADATA = "metadata"
    """Metadata at a configured place names this issuer, of the very same origin."""
    SAME_HOST = "same host"
    """A neighbour: it differs from a trusted issuer in the port only."""


@dataclass(slots=True, eq=False)
class Issuer:
    """What is known of one issuer.

    Attributes:
        url: the issuer identifier.
        rules: which URLs and documents are valid when fetching from it.
        source: why its keys are valid.
        schedule: when it is asked for them.
        keys: what it publishes, as of the last good fetch.
        held_since: when each of its keys was first held, on the monotonic clock.
        pool: the keys that verify its tokens: its own first and, for a member, the other members'.
        has_had_keys: whether any fetch, or a file, ever gave its keys.
        last_fetch: the last fetch that succeeded.
        confirmed_at: when it was last confirmed, on the monotonic clock; for neighbours.
        passed_over: what the log last said of keys that cannot be used.
        error: why the last fetch gave no keys, or None.
        clock_offset: seconds by which its clock was ahead of this machine's, or None.
    """

    url: IssuerUrl
    rules: IssuerRules
    source: Source
    schedule: Schedule
    keys: tuple[VerificationKey, ...] = ()
    held_since: dict[VerificationKey, float] = field(default_factory=dict)
    pool: tuple[VerificationKey, ...] = ()
    has_had_keys: bool = False
    last_fetch: LastFetch | None = None
    confirmed_at: float = 0.0
    passed_over: tuple[str, ...] = ()
    error: str | None = None
    clock_offset: float | None = None

    @property
    def is_neighbour(self) -> bool:
        """Whether its keys verify only its own tokens."""
        return self.source is Source.SAME_HOST

    @property
    def is_member(self) -> bool:
        """Whether it is one of the trusted issuers, whose keys verify each other's tokens."""
        if self.source is Source.METADATA:
            return self.has_had_keys
        return not self.is_neighbour

    @property
    def is_fetched(self) -> bool:
        """Whether it is ever asked."""
        return self.source is not Source.STATIC_KEYS

    def hold(self, keys: tuple[VerificationKey, ...], now: float) -> bool:
        """Hold these keys from now on, and tell whether a key was withdrawn."""
        withdrawn = not set(self.keys) <= set(keys)
        self.held_since = {key: self.held_since.get(key, now) for key in keys}
        self.keys = keys
        self.has_had_keys = True
        return withdrawn
