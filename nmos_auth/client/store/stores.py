"""What a Client keeps over restarts: its registrations, keys and refresh tokens.

IS-10 "Behaviour: Clients", Client Credentials: credentials "SHOULD be stored by the client in a
safe, permission-restricted, location in non-volatile memory", secrets "SHOULD be encrypted".
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.fernet import Fernet
from pydantic import SecretStr

from nmos_auth.client.errors import StoreError
from nmos_auth.client.settings import PREFIX
from nmos_auth.client.store.encryption import (
    key_file_of,
    load_key_file,
    make_key_file,
    reading,
    unseal,
    write_whole,
)
from nmos_auth.servers.private_files import FileRefused, PrivateFile
from nmos_auth.servers.strict_json import JsonObject, parse_object

__all__ = [
    "AUTHORIZATIONS",
    "KEYS",
    "REGISTRATIONS",
    "FileStore",
    "MemoryStore",
    "Record",
    "Store",
    "log_unwritten",
]

logger = logging.getLogger("nmos_auth")

# The kinds of records.
AUTHORIZATIONS = "authorizations"
KEYS = "keys"
REGISTRATIONS = "registrations"

_VERSION = 1
# Bytes of room that are needed in addition to what is kept now: a new token may be longer.
_ROOM = 16 * 1024
# Seconds to wait for a lock: longer than a registration may last.
_LOCK_PATIENCE = 60.0
_LOCK_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the store.

    Attributes:
        public: members that every reader of the file can read.
        secret: members that are encrypted, and not shown.
    """

    public: JsonObject = field(default_factory=dict)
    secret: JsonObject = field(default_factory=dict, repr=False)


def log_unwritten(what: str, error: StoreError) -> None:
    """Log that the store cannot write something for now, such as "the registration with …"."""
    logger.error("%s is kept in memory only, and is lost when this process ends: %s", what, error)


class Store(Protocol):
    """Keeps records by kind and name; for example one registration for each issuer."""

    @property
    def lasting(self) -> bool:
        """Whether it outlives the process."""
        ...

    def get(self, kind: str, name: str) -> Record | None:
        """Return a record, or None.

        Raises:
            StoreError: what is there cannot be read.
        """
        ...

    def put(self, kind: str, name: str, record: Record) -> None:
        """Replace the record with this kind and name.

        Raises:
            StoreError: it cannot be written, or what is there cannot be read.
        """
        ...

    def remove(self, kind: str, name: str) -> None:
        """Forget a record, if there is one.

        Raises:
            StoreError: the store cannot be written, or what is there cannot be read.
        """
        ...

    def update(
        self, kind: str, name: str, change: Callable[[Record | None], Record | None]
    ) -> Record | None:
        """Replace a record by what `change` returns, while no other process writes.

        Args:
            kind: the kind.
            name: the name.
            change: receives the record, or None, and returns the new one, or None for no record.
                If it returns the same object, nothing is written.

        Returns:
            The record that is there now, or None.

        Raises:
            StoreError: the store cannot be written, or what is there cannot be read.
        """
        ...

    def rehearse(self) -> None:
        """Check that a record could be written now.

        Raises:
            StoreError: it could not be written.
        """
        ...

    def version(self) -> object:
        """Return a value that changes when any process changes the records."""
        ...

    def alone(self, purpose: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Return a lock that keeps out all others with the same purpose, in any process.

        Raises:
            StoreError: another one has held it for a minute.
        """
        ...


class MemoryStore:
    """A store that ends with the process."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Record] = {}
        self._changes = 0
        self._locks: dict[str, asyncio.Lock] = {}
        self._writing = threading.RLock()

    @property
    def lasting(self) -> bool:
        """Whether it outlives the process: it does not."""
        return False

    def get(self, kind: str, name: str) -> Record | None:
        """Return a record, or None."""
        return self._records.get((kind, name))

    def put(self, kind: str, name: str, record: Record) -> None:
        """Keep a record."""
        self._records[kind, name] = record
        self._changes += 1

    def remove(self, kind: str, name: str) -> None:
        """Forget a record, if there is one."""
        self._records.pop((kind, name), None)
        self._changes += 1

    def update(
        self, kind: str, name: str, change: Callable[[Record | None], Record | None]
    ) -> Record | None:
        """Replace a record by what `change` returns."""
        with self._writing:
            former = self.get(kind, name)
            record = change(former)
            if record is None and former is not None:
                self.remove(kind, name)
            elif record is not None and record is not former:
                self.put(kind, name, record)
            return record

    def rehearse(self) -> None:
        """Do nothing: memory can be written."""

    def version(self) -> object:
        """Return the number of changes."""
        return self._changes

    @contextlib.asynccontextmanager
    async def alone(self, purpose: str) -> AsyncIterator[None]:
        """Keep out all others with the same purpose."""
        async with self._locks.setdefault(purpose, asyncio.Lock()):
            yield


class FileStore:
    """A store in a JSON file with mode 0600, replaced completely or not at all.

    Secrets are encrypted with `key`, or without one with a key file that is made beside the store.
    A file that cannot be read is left as it is: nothing is registered instead or overwritten.

    Args:
        path: the file; its directory must exist.
        key: a Fernet key; None for a key file.

    Raises:
        StoreError: the file or the key cannot be read, or they do not belong together.
    """

    def __init__(self, path: Path, key: SecretStr | None = None) -> None:
        self._path = path
        self._file = PrivateFile(path, setting=f"{PREFIX}STORE", secret=True)
        self._fernet = self._open_key(key)
        for kind, entries in self._read().items():
            for name in entries:
                self._record(kind, name, entries[name])

    @property
    def lasting(self) -> bool:
        """Whether it outlives the process: it does."""
        return True

    def get(self, kind: str, name: str) -> Record | None:
        """Return a record, or None."""
        entry = self._read().get(kind, {}).get(name)
        return None if entry is None else self._record(kind, name, entry)

    def put(self, kind: str, name: str, record: Record) -> None:
        """Replace the record with this kind and name."""
        self.update(kind, name, lambda _: record)

    def remove(self, kind: str, name: str) -> None:
        """Forget a record, if there is one."""
        self.update(kind, name, lambda _: None)

    def update(
        self, kind: str, name: str, change: Callable[[Record | None], Record | None]
    ) -> Record | None:
        """Replace a record by what `change` returns, while no other process writes."""
        with self._lock_file(".lock") as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            entries = self._read()
            entry = entries.get(kind, {}).get(name)
            former = None if entry is None else self._record(kind, name, entry)
            record = change(former)
            if record is former:
                return record
            if record is None:
                del entries[kind][name]
            else:
                entries.setdefault(kind, {})[name] = self._sealed(kind, name, record)
            document = {"version": _VERSION, "records": entries}
            write_whole(self._file, json.dumps(document, indent=1).encode() + b"\n")
            return record

    def rehearse(self) -> None:
        """Write slightly more than the store holds to another file, and remove that again."""
        try:
            size = self._path.stat().st_size
        except OSError:
            size = 0
        trial = self._file.beside(".trial")
        write_whole(trial, b" " * (size + _ROOM))
        trial.path.unlink(missing_ok=True)

    def version(self) -> object:
        """Return the identity of the file, which every change replaces."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    @contextlib.asynccontextmanager
    async def alone(self, purpose: str) -> AsyncIterator[None]:
        """Keep out all others with the same purpose, in any process."""
        with self._lock_file(f".{purpose}.lock") as descriptor:
            try:
                async with asyncio.timeout(_LOCK_PATIENCE):
                    while not _locked(descriptor):  # noqa: ASYNC110 - another process may hold it
                        await asyncio.sleep(_LOCK_POLL)
            except TimeoutError:
                raise StoreError(
                    f"{self._path} is in use by another process", temporary=True
                ) from None
            yield

    def _open_key(self, key: SecretStr | None) -> Fernet:
        if key is not None:
            try:
                return Fernet(key.get_secret_value().encode())
            except ValueError:
                raise StoreError(f"{PREFIX}STORE_KEY is not a Fernet key") from None
        file = key_file_of(self._file)
        try:
            return load_key_file(file)
        except FileNotFoundError:
            if self._path.exists():
                raise StoreError(
                    f"{self._path} exists, but its key file {file.path} does not: restore the key"
                    f" file, set {PREFIX}STORE_KEY, or remove the store to register again"
                ) from None
            return make_key_file(file)

    def _read(self) -> dict[str, dict[str, JsonObject]]:
        try:
            with reading(self._file) as content:
                return self._records(parse_object(content))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StoreError(f"{self._path} is damaged: {error}") from None

    def _records(self, document: JsonObject) -> dict[str, dict[str, JsonObject]]:
        records = document.get("records")
        if document.get("version") != _VERSION or not isinstance(records, dict):
            raise StoreError(f"{self._path} is not a store of this version")
        for entries in records.values():
            if not isinstance(entries, dict) or not all(
                isinstance(each, dict) for each in entries.values()
            ):
                raise StoreError(f"{self._path} is damaged: a record is not an object")
        return records

    def _record(self, kind: str, name: str, entry: JsonObject) -> Record:
        try:
            opened = unseal(self._fernet, entry.get("sealed"))
        except ValueError as error:
            raise StoreError(f"{self._path}: {kind} of {name}: {error}") from None
        public, secret = entry.get("public"), opened.get("secret")
        if (opened.get("kind"), opened.get("name")) != (kind, name):
            raise StoreError(f"{self._path}: {kind} of {name} has the secret of another record")
        if not isinstance(public, dict) or not isinstance(secret, dict):
            raise StoreError(f"{self._path}: {kind} of {name} is damaged")
        return Record(public, secret)

    def _sealed(self, kind: str, name: str, record: Record) -> JsonObject:
        # Kind and name are encrypted with a secret, so that it cannot be moved to another record.
        secret = json.dumps({"kind": kind, "name": name, "secret": record.secret}).encode()
        return {"public": record.public, "sealed": self._fernet.encrypt(secret).decode()}

    @contextlib.contextmanager
    def _lock_file(self, suffix: str) -> Iterator[int]:
        # The lock is a file of its own, because the store itself is replaced with every change.
        file = self._file.beside(suffix)
        with contextlib.ExitStack() as held:
            try:
                descriptor = held.enter_context(file.opened(os.O_RDWR | os.O_CREAT))
            except FileRefused as error:
                raise StoreError(str(error)) from None
            except OSError as error:
                raise StoreError(f"{file.path} cannot be opened: {error.strerror}") from None
            yield descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
