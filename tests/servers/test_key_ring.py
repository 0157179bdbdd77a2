"""Keys that change without a gap: published before they sign, and after."""

from __future__ import annotations

import functools
import itertools

from joserfc.jwk import RSAKey

from nmos_auth.servers.key_ring import KeyRing, KeyRole, new_signing_key

HOUR = 3600.0


@functools.cache
def key(number: int) -> RSAKey:
    """Return one of a few keys, made once."""
    del number
    return new_signing_key()


def kids(ring: KeyRing, now: float) -> list[str]:
    """Return the names of the published keys."""
    return [entry["kid"] for entry in ring.jwks(now)["keys"]]


def test_a_key_is_published_before_it_signs_and_after() -> None:
    """Through five rotations every key is next, then signs, then is former for an hour."""
    numbers = itertools.count()
    ring = KeyRing.first(lambda: key(next(numbers)), 0.0)
    for turn in range(1, 6):
        now = turn * HOUR / 2
        before = ring
        ring = ring.rotated(key(next(numbers) % 8), now, retention=HOUR)
        assert ring.current is before.following
        assert ring.announced_at == now
        assert set(kids(before, now)) <= set(kids(ring, now))
        assert kids(ring, now)[2] == before.current.kid
        assert before.current.kid in kids(ring, now + HOUR - 1)
        assert before.current.kid not in kids(ring, now + HOUR)


def test_a_key_that_is_withdrawn_is_gone_at_once() -> None:
    """The key announced before stays announced, and the withdrawn one is published no more."""
    ring = KeyRing(key(0), key(1), announced_at=5.0)
    replaced = ring.replaced(key(2), 10.0)
    assert (replaced.current, replaced.following) == (key(2), key(1))
    assert replaced.announced_at == 5.0
    assert kids(replaced, 10.0) == [key(2).kid, key(1).kid]


def test_what_each_key_is_there_for() -> None:
    """The one that signs, the next one since when, the former ones until when."""
    ring = KeyRing(key(0), key(1), 1.0).rotated(key(2), 10.0, retention=HOUR)
    shown = [(each.kid, each.role, each.moment) for each in ring.published(10.0)]
    assert shown == [
        (key(1).kid, KeyRole.SIGNS, None),
        (key(2).kid, KeyRole.NEXT, 10.0),
        (key(0).kid, KeyRole.FORMER, 10.0 + HOUR),
    ]


def test_nothing_private_is_published() -> None:
    """RFC 7518 Section 6.3.1, and what the key is for."""
    (entry, _) = KeyRing(key(0), key(1)).jwks(0.0, alg="RS512")["keys"]
    assert entry.keys() == {"kty", "n", "e", "kid", "use", "alg"}
    assert (entry["use"], entry["alg"]) == ("sig", "RS512")
