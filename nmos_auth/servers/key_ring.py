"""Private keys that change without a gap: the one that signs, the next one, and former ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from joserfc.jwk import RSAKey

__all__ = ["FormerKey", "KeyRing", "KeyRole", "PublishedKey", "new_signing_key", "public_members"]

_KEY_BITS = 2048
# RFC 7517 Section 4 and RFC 7518 Section 6.3.1: nothing private, whatever else a key holds.
_PUBLIC_MEMBERS = ("kty", "n", "e", "kid")


def new_signing_key() -> RSAKey:
    """Generate an RSA key of 2048 bits whose `kid` is its RFC 7638 thumbprint."""
    return RSAKey.generate_key(_KEY_BITS, auto_kid=True)


class KeyRole(StrEnum):
    """What a published key is for."""

    SIGNS = "signs"
    NEXT = "next"
    FORMER = "former"


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key in a published set.

    Attributes:
        kid: its name.
        role: what it is for.
        moment: seconds since 1970 UTC from which the next key has been published, or until which
            a former one will be; None for the one that signs.
    """

    kid: str
    role: KeyRole
    moment: float | None = None


@dataclass(frozen=True, slots=True)
class FormerKey:
    """A key that no longer signs.

    Attributes:
        key: the key.
        published_until: seconds since 1970 UTC.
    """

    key: RSAKey
    published_until: float


@dataclass(frozen=True, slots=True)
class KeyRing:
    """One consistent set of keys: a change replaces the whole set.

    All keys are published: the next one before it signs, for verifiers that cache the set, and a
    former one while something that it signed can still be valid.

    Attributes:
        current: the key that signs.
        following: the key that is published and signs next.
        announced_at: seconds since 1970 UTC from which `following` has been published.
        former: the keys that signed before, the latest first.
    """

    current: RSAKey
    following: RSAKey
    announced_at: float = 0.0
    former: tuple[FormerKey, ...] = ()

    @classmethod
    def first(cls, new_key: Callable[[], RSAKey], now: float) -> KeyRing:
        """Make the first keys."""
        return cls(new_key(), new_key(), now)

    def rotated(self, announced: RSAKey, now: float, *, retention: float) -> KeyRing:
        """Return the ring in which the next key signs, and another one is announced.

        Args:
            announced: the key that signs after the next change.
            now: seconds since 1970 UTC.
            retention: seconds for which the former key stays published.
        """
        former = FormerKey(self.current, now + retention)
        return KeyRing(self.following, announced, now, (former, *self.former_at(now)))

    def replaced(self, key: RSAKey, now: float) -> KeyRing:
        """Return the ring in which another key signs, and the one that signed is withdrawn."""
        return replace(self, current=key, former=self.former_at(now))

    def former_at(self, now: float) -> tuple[FormerKey, ...]:
        """Return the former keys that are still published."""
        return tuple(each for each in self.former if now < each.published_until)

    def published(self, now: float) -> list[PublishedKey]:
        """Return what each published key is for."""
        return [
            PublishedKey(str(self.current.kid), KeyRole.SIGNS),
            PublishedKey(str(self.following.kid), KeyRole.NEXT, self.announced_at),
            *(
                PublishedKey(str(each.key.kid), KeyRole.FORMER, each.published_until)
                for each in self.former_at(now)
            ),
        ]

    def jwks(self, now: float, **members: str) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JWK Set (RFC 7517 Section 5).

        Args:
            now: seconds since 1970 UTC.
            members: further members of each key, such as `use` and `alg`.
        """
        keys = [self.current, self.following, *(each.key for each in self.former_at(now))]
        return {"keys": [{**public_members(key), "use": "sig", **members} for key in keys]}


def public_members(key: RSAKey) -> dict[str, str]:
    """Return the JWK of a key's public part (RFC 7518 Section 6.3.1)."""
    members = key.as_dict(private=False)
    return {name: str(members[name]) for name in _PUBLIC_MEMBERS}
