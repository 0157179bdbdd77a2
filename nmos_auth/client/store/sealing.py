"""What a store's secrets are encrypted with: a Fernet key, given or kept beside the store."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from nmos_auth.client.errors import StoreError
from nmos_auth.servers.strict_json import JsonObject, parse_object

__all__ = ["key_file_of", "load_key_file", "make_key_file", "read_private", "unseal", "write_whole"]


def key_file_of(store: Path) -> Path:
    """Give the key file of a store: the same name with `.key` behind it."""
    return store.with_name(store.name + ".key")


def read_private(path: Path) -> bytes:
    """Read a file that nobody but its owner may have opened.

    Raises:
        FileNotFoundError: there is none.
        StoreError: it cannot be read, or others may read or write it.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise StoreError(f"{path}: others than its owner may open it; `chmod 600` it")
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None


def write_whole(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write an owner-only file that after any crash is there whole or as it was.

    Raises:
        FileExistsError: it is there, and `replace` is False.
        StoreError: it cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                Path(name).replace(path)
            else:
                path.hardlink_to(name)
        finally:
            Path(name).unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_key_file(path: Path) -> Fernet:
    """Read a key file.

    Raises:
        FileNotFoundError: there is none.
        StoreError: it cannot be read or is no key.
    """
    try:
        return Fernet(read_private(path).strip())
    except ValueError:
        raise StoreError(f"{path} is not a Fernet key") from None


def make_key_file(path: Path) -> Fernet:
    """Make a key file, or take the one that another process has just made.

    Raises:
        StoreError: it cannot be written.
    """
    with contextlib.suppress(FileExistsError):
        write_whole(path, Fernet.generate_key() + b"\n", replace=False)
    return load_key_file(path)


def unseal(fernet: Fernet, sealed: object) -> JsonObject:
    """Decrypt a JSON object.

    Raises:
        ValueError: it was encrypted with another key, or is damaged.
    """
    try:
        return parse_object(fernet.decrypt(sealed if isinstance(sealed, str) else b""))
    except InvalidToken:
        raise ValueError("it is damaged, or was encrypted with another key") from None
