"""How a store's secrets are encrypted: with a Fernet key from a setting or a file beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from cryptography.fernet import Fernet, InvalidToken

from nmos_auth.client.errors import StoreError
from nmos_auth.servers.private_files import FileRefused, PrivateFile
from nmos_auth.servers.strict_json import JsonObject, parse_object

__all__ = [
    "key_file_of",
    "load_key_file",
    "make_key_file",
    "reading",
    "unseal",
    "write_whole",
]


def key_file_of(store: PrivateFile) -> PrivateFile:
    """Return the key file of a store: its name is that of the store with `.key` appended."""
    return store.beside(".key")


@contextlib.contextmanager
def reading(file: PrivateFile) -> Iterator[bytes]:
    """Yield the content of a file that only this user or root may write.

    If no error leaves the block, the file has proved to be a store or a key, and is closed to other
    users.

    Raises:
        FileNotFoundError: there is none.
        StoreError: it may not be used, or cannot be read.
    """
    try:
        with file.reading() as content:
            yield content
    except FileRefused as error:
        raise StoreError(str(error)) from None


def write_whole(file: PrivateFile, content: bytes, *, replace: bool = True) -> None:
    """Write a file with mode 0600; after a crash it is complete, or as it was before.

    Raises:
        FileExistsError: it is there, and `replace` is False.
        StoreError: it cannot be written.
    """
    try:
        file.write(content, replace=replace)
    except FileExistsError:
        raise
    except FileRefused as error:
        raise StoreError(str(error)) from None
    except OSError as error:
        raise StoreError(
            f"{file.path} cannot be written: {error.strerror}", temporary=True
        ) from None


def load_key_file(file: PrivateFile) -> Fernet:
    """Read a key file.

    Raises:
        FileNotFoundError: there is none.
        StoreError: it cannot be read or is not a key.
    """
    with reading(file) as content:
        try:
            return Fernet(content.strip())
        except ValueError:
            raise StoreError(f"{file.path} is not a Fernet key") from None


def make_key_file(file: PrivateFile) -> Fernet:
    """Make a key file, or read the one that another process made at the same time.

    Raises:
        StoreError: it cannot be written.
    """
    with contextlib.suppress(FileExistsError):
        write_whole(file, Fernet.generate_key() + b"\n", replace=False)
    return load_key_file(file)


def unseal(fernet: Fernet, sealed: object) -> JsonObject:
    """Decrypt a JSON object.

    Raises:
        ValueError: it was encrypted with another key, or is damaged.
    """
    try:
        return parse_object(fernet.decrypt(sealed if isinstance(sealed, str) else b""))
    except InvalidToken:
        raise ValueError("it is damaged, or was encrypted with another key") from None
