"""Signing keys change as IS-10 "Changing Keys" asks."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from joserfc.jwk import RSAKey

from nmos_auth.authority import SigningKeys
from tests.authority.support import cached_keys, served
from tests.support.clocks import Clock


def kids(keys: SigningKeys) -> list[str]:
    """Return the published key ids."""
    return [str(key["kid"]) for key in keys.jwks()["keys"]]


def test_a_rotation_signs_with_the_key_announced_before() -> None:
    """Who fetched the keys before the rotation can verify what is signed after it."""
    with served() as server:
        current, following = server.published()
        old = server.token()
        server.authority.keys.rotate()
        assert server.authority.keys.current.kid == following
        published = server.published()
        assert published[0] == following
        assert published[2] == current
        assert published[1] not in {current, following}
        for token in (old, server.token()):
            server.verified(token)


def test_a_former_key_is_published_until_its_last_token_has_expired() -> None:
    """Tokens of 60 seconds keep their key for as long and the margin for late clocks."""
    clock = Clock()
    with served(clock=clock) as server:
        former = server.authority.keys.current.kid
        server.authority.keys.rotate()
        clock.now += 60
        assert former in server.published()
        clock.now += 61
        assert former not in server.published()
        assert len(server.published()) == 2


def test_quick_rotations_keep_every_key_that_may_be_needed() -> None:
    """Several former keys are published at once, the latest first."""
    clock = Clock()
    keys = SigningKeys(retention=100, clock=clock, new_key=cached_keys())
    used = []
    for _ in range(3):
        used.append(keys.current.kid)
        keys.rotate()
        clock.now += 30
    assert kids(keys)[2:] == used[::-1]
    clock.now += 15
    assert kids(keys)[2:] == used[:0:-1]


def test_a_replacement_withdraws_the_key_at_once() -> None:
    """A compromised key is gone from the JWKS, and nobody has seen the one that signs now."""
    with served() as server:
        current, following = server.published()
        server.authority.keys.rotate()
        seen = server.published()
        server.authority.keys.replace()
        published = server.published()
        assert following not in published
        assert current in published
        assert published[1] == seen[1]
        assert published[0] not in {current, following, *seen}
        assert server.verified(server.token())


def test_no_request_waits_for_a_new_key() -> None:
    """While a key is being made, tokens are signed and keys are published."""
    making, made = threading.Event(), threading.Event()
    source = cached_keys()

    def slow_key() -> RSAKey:
        if making.is_set():
            assert made.wait(10)
        return source()

    keys = SigningKeys(retention=90, new_key=slow_key)
    before = kids(keys)
    making.set()
    with ThreadPoolExecutor() as pool:
        rotation = pool.submit(keys.rotate)
        assert kids(keys) == before
        assert keys.current.kid == before[0]
        made.set()
        rotation.result(10)
    assert keys.current.kid == before[1]


def test_changes_at_the_same_time_lose_no_key() -> None:
    """Each of many concurrent rotations moves one key on."""
    keys = SigningKeys(retention=90, new_key=cached_keys())
    with ThreadPoolExecutor(8) as pool:
        for rotation in [pool.submit(keys.rotate) for _ in range(8)]:
            rotation.result(10)
    assert len(kids(keys)) == len(set(kids(keys))) == 10


def test_the_log_names_keys_and_never_shows_one(caplog: pytest.LogCaptureFixture) -> None:
    """Rotation and replacement are logged by key id."""
    keys = SigningKeys(retention=90, new_key=cached_keys())
    first = keys.current
    with caplog.at_level("INFO", "nmos_auth.authority"):
        keys.rotate()
        second = keys.current
        keys.replace()
    rotated, replaced = (record.getMessage() for record in caplog.records)
    assert f"{second.kid} signs" in rotated
    assert f"{first.kid} stays published" in rotated
    assert f"{second.kid} is withdrawn" in replaced
    private = str(second.as_dict(private=True)["d"])
    assert private not in rotated + replaced
