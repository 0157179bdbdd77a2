"""The database when its disk is full, and what it keeps of users."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from nmos_auth.authority.database import Database
from nmos_auth.authority.keys import SigningKeys
from nmos_auth.authority.serving import _change_keys
from nmos_auth.authority.users import User, hash_password
from nmos_auth.servers.key_ring import KeyRing
from tests.authority.support import cached_keys


def test_a_full_disk_is_named_and_survived(tmp_path: Path) -> None:
    """The failure is the disk's, nothing of the transaction is kept, and the next one works."""
    database = Database(tmp_path / "authority.db")
    (pages,) = database.one("PRAGMA page_count") or (0,)
    database.one(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.Error, match="full"), database.transaction() as connection:
        connection.executemany(
            "INSERT INTO setting (name, value) VALUES (?, ?)",
            [(name, "x" * 100_000) for name in ("a", "b")],
        )
    database.one("PRAGMA max_page_count = 100000")
    assert database.setting("a") is None
    with database.transaction():
        database.set_setting("c", "kept")
    assert database.setting("c") == "kept"


class Disk:
    """Keeps keys, unless it is full."""

    full = False

    def load(self) -> KeyRing | None:
        """Return that there are none."""
        return None

    def save(self, _: KeyRing) -> None:
        """Keep the keys, or fail as SQLite does."""
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")


async def test_keys_that_cannot_be_kept_do_not_end_the_rotations(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log says so, the former key signs on, and the next rotation is made."""
    disk = Disk()
    keys = SigningKeys(retention=60, new_key=cached_keys(), storage=disk)
    changes: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
    keeper = asyncio.create_task(_change_keys(keys, changes, None))

    async def rotated() -> str | None:
        done = threading.Event()
        changes.put_nowait(keys.rotate)
        changes.put_nowait(done.set)
        assert await asyncio.to_thread(done.wait, 10)
        return keys.current.kid

    first = keys.current.kid
    disk.full = True
    assert await rotated() == first
    assert "the signing keys stay as they are: database or disk is full" in caplog.text
    disk.full = False
    assert await rotated() != first
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)


GOOD = hash_password("correct horse")
SCRYPT, COST, BLOCK_SIZE, PARALLELISM, SALT, KEY = GOOD.split("$")


@pytest.mark.parametrize(
    "parts",
    [
        ("bcrypt", COST, BLOCK_SIZE, PARALLELISM, SALT, KEY),
        (SCRYPT, "16383", BLOCK_SIZE, PARALLELISM, SALT, KEY),
        (SCRYPT, "512", BLOCK_SIZE, PARALLELISM, SALT, KEY),
        (SCRYPT, "1048576", BLOCK_SIZE, PARALLELISM, SALT, KEY),
        (SCRYPT, COST, "0", PARALLELISM, SALT, KEY),
        (SCRYPT, COST, "17", PARALLELISM, SALT, KEY),
        (SCRYPT, COST, BLOCK_SIZE, "0", SALT, KEY),
        (SCRYPT, COST, BLOCK_SIZE, "17", SALT, KEY),
        (SCRYPT, COST, BLOCK_SIZE, PARALLELISM, "A", KEY),
        (SCRYPT, COST, BLOCK_SIZE, PARALLELISM, SALT, KEY[:-4]),
    ],
    ids=range(10),
)
def test_a_hash_that_scrypt_cannot_use_is_refused_at_the_start(parts: tuple[str, ...]) -> None:
    """Not at the login, which would fail for good."""
    User.model_validate({"name": "operator", "password_hash": GOOD})
    with pytest.raises(ValidationError, match="must be what hash_password returns"):
        User.model_validate({"name": "operator", "password_hash": "$".join(parts)})
