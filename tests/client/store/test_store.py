"""What is kept: encrypted, owner-only, whole or not at all, and never overwritten unread."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from nmos_auth.client import StoreError
from nmos_auth.client.store.stores import FileStore, Record

RECORD = Record({"client_id": "client-1"}, {"client_secret": "very secret indeed"})


def test_kept_over_a_restart(store_file: Path) -> None:
    """What was put is there for the next process, and its secrets are not readable in the file."""
    FileStore(store_file).put("registrations", "https://a.example.com", RECORD)
    again = FileStore(store_file)
    assert again.get("registrations", "https://a.example.com") == RECORD
    assert again.get("registrations", "https://b.example.com") is None
    assert "very secret" not in store_file.read_text()
    assert "client-1" in store_file.read_text()
    assert "very secret" not in repr(RECORD)


def test_owner_only(store_file: Path) -> None:
    """Store and key file are their owner's alone; nothing else is left but a lock."""
    FileStore(store_file).put("registrations", "https://a.example.com", RECORD)
    for path in store_file.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    names = {path.name for path in store_file.parent.iterdir()}
    assert names == {"client.json", "client.json.key", "client.json.lock"}


def test_key_from_the_environment(store_file: Path) -> None:
    """With a key given, no key file is made."""
    key = SecretStr(Fernet.generate_key().decode())
    FileStore(store_file, key).put("registrations", "https://a.example.com", RECORD)
    assert not store_file.with_name("client.json.key").exists()
    assert FileStore(store_file, key).get("registrations", "https://a.example.com") == RECORD


KEY = "client.json.key"
STORE = "client.json"

DAMAGES: dict[str, Callable[[Path], object]] = {
    "half written": lambda at: (at / STORE).write_bytes((at / STORE).read_bytes()[:99]),
    "empty": lambda at: (at / STORE).write_bytes(b""),
    "another key": lambda at: (at / KEY).write_bytes(Fernet.generate_key()),
    "no key": lambda at: (at / KEY).unlink(),
    "key damaged": lambda at: (at / KEY).write_bytes(b"rubbish"),
    "writable by others": lambda at: (at / STORE).chmod(0o666),
    "key writable by others": lambda at: (at / KEY).chmod(0o602),
    "a link in its place": lambda at: _replace_with_a_link(at / STORE),
    "another version": lambda at: _replace(at / STORE, b'"version": 1', b'"version": 2'),
    "secret moved": lambda at: _replace(at / STORE, b"https://a.", b"https://b."),
    "no records": lambda at: (at / STORE).write_bytes(b'{"version": 1, "records": []}'),
}


def _replace_with_a_link(path: Path) -> None:
    """Move the store where others may write, and lead there."""
    shared = path.parent / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    path.rename(shared / path.name)
    path.symlink_to(shared / path.name)


def _replace(path: Path, old: bytes, new: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(old, new))


@pytest.mark.parametrize("how", DAMAGES)
def test_unreadable_is_said_and_left_alone(store_file: Path, how: str) -> None:
    """A store that cannot be read is a typed error that names the file, and stays as it is."""
    FileStore(store_file).put("registrations", "https://a.example.com", RECORD)
    DAMAGES[how](store_file.parent)
    before = store_file.read_bytes()
    with pytest.raises(StoreError, match=r"client\.json") as caught:
        FileStore(store_file)
    assert "very secret" not in str(caught.value)
    assert store_file.read_bytes() == before


@pytest.mark.parametrize("name", [STORE, KEY])
def test_what_others_could_read_is_closed_and_used(
    store_file: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The store goes on, and whoever keeps it learns that its secrets may be known."""
    FileStore(store_file).put("registrations", "https://a.example.com", RECORD)
    (store_file.parent / name).chmod(0o644)
    store = FileStore(store_file)
    assert store.get("registrations", "https://a.example.com") == RECORD
    assert stat.S_IMODE((store_file.parent / name).stat().st_mode) == 0o600
    (warning,) = caplog.records
    assert "NMOS_AUTH_CLIENT_STORE" in warning.getMessage()


def test_what_others_could_write_is_used_once_somebody_says_so(store_file: Path) -> None:
    """A restart by itself does not make a store good that may be a stranger's."""
    FileStore(store_file).put("registrations", "https://a.example.com", RECORD)
    store_file.chmod(0o666)
    for _ in range(2):
        with pytest.raises(StoreError, match="chmod 600"):
            FileStore(store_file)
    store_file.chmod(0o600)
    assert FileStore(store_file).get("registrations", "https://a.example.com") == RECORD


def test_damaged_while_open(store_file: Path) -> None:
    """A store that is damaged while it is in use is not overwritten either."""
    store = FileStore(store_file)
    store.put("registrations", "https://a.example.com", RECORD)
    store_file.write_bytes(b"{")
    with pytest.raises(StoreError):
        store.put("registrations", "https://b.example.com", RECORD)
    assert store_file.read_bytes() == b"{"


def test_a_failed_write_loses_nothing(store_file: Path) -> None:
    """Where no new file can be made, the old one stays."""
    store = FileStore(store_file)
    store.put("registrations", "https://a.example.com", RECORD)
    before = store_file.read_bytes()
    with pytest.raises(TypeError):
        store.put("registrations", "https://b.example.com", Record({"not JSON": object()}))
    assert store_file.read_bytes() == before
    assert json.loads(before)["version"] == 1


def _put_many(store_file: Path, name: str) -> None:
    store = FileStore(store_file)
    for number in range(20):
        store.put("registrations", f"https://{name}-{number}.example.com", RECORD)


def test_what_killed_processes_left_is_removed(store_file: Path) -> None:
    """Copies of the store, of its key and of a trial are removed an hour later by any change."""
    store = FileStore(store_file)
    for suffix in ("", ".key", ".trial"):
        left = store_file.with_name(f"{store_file.name}{suffix}.0123456789abcdef")
        left.write_bytes(b"secret")
        left.chmod(0o600)
        os.utime(left, (0, time.time() - 3700))
    store.put("client", "https://as.example.com", Record({}, {}))
    assert not [*store_file.parent.glob("*.0123456789abcdef")]
    store.rehearse()
    assert not [*store_file.parent.glob("*.trial*")]


def test_several_processes_lose_nothing_of_each_other(store_file: Path) -> None:
    """Processes that write the same store at the same time keep each other's records."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_put_many, args=(store_file, name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    store = FileStore(store_file)
    for name in "ab":
        for number in range(20):
            assert store.get("registrations", f"https://{name}-{number}.example.com") == RECORD


async def test_alone(store_file: Path) -> None:
    """Two that ask for the same purpose come one after the other, for others at the same time."""
    store, inside = FileStore(store_file), 0

    async def enter(purpose: str, others: int) -> None:
        nonlocal inside
        async with store.alone(purpose):
            inside += 1
            await asyncio.sleep(0)
            assert inside <= others
            inside -= 1

    async with store.alone("else"):
        await asyncio.gather(*(enter("same", 1) for _ in range(3)))
