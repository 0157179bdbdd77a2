"""The keys of a Client: kept, published before use and after, changed without a gap."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from nmos_auth.client import ClientKeys, StoreError, jwks_route
from nmos_auth.client.store.stores import FileStore, MemoryStore, Record
from nmos_auth.servers.key_ring import KeyRole


def kids(keys: ClientKeys) -> list[str]:
    """Return the names of the published keys."""
    return [key["kid"] for key in keys.jwks()["keys"]]


def test_kept_over_a_restart(store_file: Path) -> None:
    """The same keys sign after a restart, and no private part can be read in the store."""
    first = ClientKeys(FileStore(store_file))
    again = ClientKeys(FileStore(store_file))
    assert again.current.kid == first.current.kid
    assert kids(again) == kids(first)
    private = str(first.current.as_dict(private=True)["d"])
    assert private not in store_file.read_text()
    assert private not in str(first.jwks())


def test_rotation_has_no_gap() -> None:
    """The key that signs next was published for an hour before; the former stays an hour."""
    now = 1000.0
    keys = ClientKeys(MemoryStore(), clock=lambda: now)
    former = keys.current.kid
    published = kids(keys)
    assert not keys.rotate()
    assert keys.current.kid == former
    now += 3600
    assert keys.rotate()
    assert keys.current.kid in published
    assert keys.current.kid != former
    assert former in kids(keys)
    assert len(kids(keys)) == 3
    now += 3601
    assert former not in kids(keys)


def test_what_each_key_is_there_for() -> None:
    """One signs, one is next since it was published, former ones are there until they go."""
    now = 1000.0
    keys = ClientKeys(MemoryStore(), clock=lambda: now)
    first, second = keys.published()
    assert (first.role, first.moment) == (KeyRole.SIGNS, None)
    assert (second.role, second.moment) == (KeyRole.NEXT, 1000)
    now += 4000
    assert keys.rotate()
    signs, following, former = keys.published()
    assert (signs.kid, signs.role) == (second.kid, KeyRole.SIGNS)
    assert (following.role, following.moment) == (KeyRole.NEXT, 5000)
    assert (former.kid, former.role, former.moment) == (first.kid, KeyRole.FORMER, 8600)
    assert [each.kid for each in keys.published()] == kids(keys)
    now += 3600
    assert [each.role for each in keys.published()] == [KeyRole.SIGNS, KeyRole.NEXT]


def test_rotation_is_seen_by_other_processes(store_file: Path) -> None:
    """Another process on the same store publishes and uses the new keys at once."""
    one, other = ClientKeys(FileStore(store_file)), ClientKeys(FileStore(store_file))
    assert one.rotate(announced=0)
    assert other.current.kid == one.current.kid
    assert kids(other) == kids(one)


def test_damaged_keys_are_not_replaced() -> None:
    """Keys that cannot be read are an error; no new ones are made in their place."""
    store = MemoryStore()
    store.put("keys", "client", Record({"retired": []}, {"current": {"kty": "RSA"}}))
    with pytest.raises(StoreError):
        ClientKeys(store)


def test_route() -> None:
    """The route serves public RSA keys for signatures and nothing private."""
    keys = ClientKeys(MemoryStore())
    answer = TestClient(Starlette(routes=[jwks_route(keys, "/x/jwks")])).get("/x/jwks")
    assert answer.headers["content-type"] == "application/json"
    for key in answer.json()["keys"]:
        assert set(key) == {"kty", "n", "e", "kid", "use"}
