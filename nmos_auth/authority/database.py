"""The state of an Authorization Server, in SQLite: one connection for any number of threads.

It holds digests of passwords, tokens, codes and client secrets, and not the secrets themselves. The
signing keys are an exception, so only the owner may read the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from nmos_auth.errors import ConfigurationError
from nmos_auth.servers.private_files import FileRefused, PrivateFile

__all__ = ["Database", "Row"]

_VERSION = 2

_SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE user (name TEXT PRIMARY KEY, password_hash TEXT NOT NULL) STRICT;
CREATE TABLE client (
    client_id TEXT PRIMARY KEY,
    metadata TEXT NOT NULL,
    secret_digest BLOB,
    sealed_secret BLOB,
    token_digest BLOB NOT NULL,
    trusted INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    reach INTEGER NOT NULL DEFAULT 2
) STRICT;
CREATE TABLE authorization (
    id INTEGER PRIMARY KEY,
    client_id TEXT NOT NULL,
    user TEXT NOT NULL,
    scope TEXT NOT NULL,
    expires_at REAL NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0,
    replaced_at REAL NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX authorization_client ON authorization (client_id);
CREATE TABLE code (
    digest BLOB PRIMARY KEY,
    authorization INTEGER NOT NULL REFERENCES authorization (id) ON DELETE CASCADE,
    redirect_uri TEXT,
    code_challenge TEXT,
    code_challenge_method TEXT,
    expires_at REAL NOT NULL,
    used INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX code_authorization ON code (authorization);
CREATE TABLE refresh_token (
    digest BLOB PRIMARY KEY,
    authorization INTEGER NOT NULL REFERENCES authorization (id) ON DELETE CASCADE,
    issued_generation INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX refresh_token_authorization ON refresh_token (authorization);
CREATE TABLE assertion (
    digest BLOB PRIMARY KEY,
    expires_at REAL NOT NULL
) STRICT;
CREATE INDEX assertion_expiry ON assertion (expires_at);
CREATE TABLE session (
    digest BLOB PRIMARY KEY,
    csrf TEXT NOT NULL,
    user TEXT,
    expires_at REAL NOT NULL
) STRICT;
CREATE INDEX session_expiry ON session (expires_at);
"""

# The files that SQLite reads as parts of the database.
_BESIDE = ("-wal", "-shm", "-journal")

# From version 1: a used token is older than the one that was last replaced.
_FROM_VERSION_1 = """
ALTER TABLE client ADD COLUMN reach INTEGER NOT NULL DEFAULT 2;
ALTER TABLE authorization ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE authorization ADD COLUMN replaced_at REAL NOT NULL DEFAULT 0;
ALTER TABLE refresh_token ADD COLUMN issued_generation INTEGER NOT NULL DEFAULT 0;
UPDATE refresh_token SET issued_generation = -2 WHERE used = 1;
ALTER TABLE refresh_token DROP COLUMN used;
"""

_IN_USE = "another server uses this database; stop it, or name another file"

Row = sqlite3.Row


class Database:
    """An SQLite database, in a file or in memory.

    Args:
        path: a file, made with mode 0600 if there is none; None for memory.

    Raises:
        ConfigurationError: the file cannot be used, belongs to another program, or other users may
            read it.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            _own(path)
        self._lock = threading.RLock()
        name = ":memory:" if path is None else str(path)
        try:
            # Every statement runs under the lock, so only one thread uses the connection at a time.
            self._connection = sqlite3.connect(name, check_same_thread=False, isolation_level=None)
            weakref.finalize(self, self._connection.close)
            self._prepare(None if path is None else str(path))
            if path is not None:
                _keep_private(path)
        except sqlite3.Error as error:
            in_use = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            reason = _IN_USE if in_use else str(error)
            raise ConfigurationError(f"{name}: {reason}") from None

    def _prepare(self, name: str | None) -> None:
        self._connection.row_factory = sqlite3.Row
        for pragma in (
            "busy_timeout = 2000",
            # After a rotation, two servers on one file would sign with keys that the other does not
            # publish. So the first statement locks the file until it is closed.
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "foreign_keys = ON",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        with self.transaction() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == _VERSION:
                return
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if version > 1 or (tables and version == 0):
                raise ConfigurationError(
                    f"{name}: it is not a database of this version of the server"
                )
            for statement in (_FROM_VERSION_1 if version else _SCHEMA).split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements in one transaction, while no other transaction runs."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled some failures back itself, of a full disk for example.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def one(self, statement: str, *values: object) -> Row | None:
        """Return the first row that a statement yields, or None."""
        with self._lock:
            row: Row | None = self._connection.execute(statement, values).fetchone()
            return row

    def change(self, statement: str, *values: object) -> int:
        """Run one statement and return the number of rows that it changed."""
        with self._lock:
            return self._connection.execute(statement, values).rowcount

    def setting(self, name: str) -> str | None:
        """Return a setting that `set_setting` kept, or None."""
        row = self.one("SELECT value FROM setting WHERE name = ?", name)
        return None if row is None else str(row["value"])

    def set_setting(self, name: str, value: str) -> None:
        """Keep a setting."""
        self.change("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", name, value)

    def remove_expired(self, now: float) -> None:
        """Remove what has expired; `now` is in seconds since 1970 UTC."""
        with self.transaction() as connection:
            for statement in (
                "DELETE FROM assertion WHERE expires_at < ?",
                "DELETE FROM session WHERE expires_at < ?",
                # This removes its codes and refresh tokens: until then their reuse is recognised.
                "DELETE FROM authorization WHERE expires_at < ?",
            ):
                connection.execute(statement, (now,))

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self._lock:
            self._connection.close()


def _own(path: Path) -> None:
    """Make the file, or check that it and SQLite's own files beside it may be believed."""
    with _refusals(path):
        file, *beside = _files(path)
        file.examine(os.O_RDWR | os.O_CREAT)
        for each in beside:
            with contextlib.suppress(FileNotFoundError):
                each.examine(os.O_RDWR)


def _keep_private(path: Path) -> None:
    """Close the files to other users, once they have proved to be a database of this server."""
    with _refusals(path):
        for each in _files(path):
            with contextlib.suppress(FileNotFoundError):
                each.keep_private()


def _files(path: Path) -> list[PrivateFile]:
    file = PrivateFile(path, setting="the database", secret=True)
    return [file, *(file.beside(suffix) for suffix in _BESIDE)]


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except FileRefused as error:
        raise ConfigurationError(error.why) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
