"""Files that hold trust or secrets: who may own them, and how they are read and replaced.

Such a file is a regular file of this user or of root that no other user may write. `file_places`
says which links on the way to it are followed, and which groups are other users.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from nmos_auth.servers.file_places import (
    EVERYBODY_ELSE,
    WRITE,
    FileRefused,
    is_trusted,
    others_bits,
    place_of,
)

__all__ = ["FilePlanted", "FileRefused", "PrivateFile"]

_LARGEST = 64 * 1024 * 1024
_READ = stat.S_IRGRP | stat.S_IROTH

logger = logging.getLogger("nmos_auth")


class FilePlanted(FileRefused):
    """Other users could write the file, so its content may be theirs. They no longer can."""


class PrivateFile:
    """A file that holds trust or a secret.

    Each object logs once what is wrong with a file that may still be used.

    Args:
        path: the path.
        setting: the variable or option that names it.
        secret: whether other users may not read it either.
    """

    def __init__(self, path: Path, *, setting: str, secret: bool) -> None:
        self.path = path
        self._setting = setting
        self._secret = secret
        self._told: set[str] = set()

    def beside(self, suffix: str) -> PrivateFile:
        """Return the file whose name is that of this one with `suffix` appended."""
        path = self.path.with_name(self.path.name + suffix)
        return PrivateFile(path, setting=self._setting, secret=self._secret)

    def read(self) -> bytes:
        """Return the content of the file; what `opened` raises is raised here."""
        with self.opened() as descriptor:
            return self._content(descriptor)

    @contextlib.contextmanager
    def reading(self) -> Iterator[bytes]:
        """Yield the content; if no error leaves the block, other users may no longer read a secret.

        The block finds out whether the content is what the setting names: a path may be wrong, and
        to close a file such as /etc/passwd would stop other users and their programs.

        Raises:
            FileNotFoundError, FilePlanted, FileRefused: as `opened`.
        """
        with self.opened() as descriptor:
            yield self._content(descriptor)
            self._keep_private(descriptor)

    def keep_private(self) -> None:
        """Do what `reading` does at the end with a file that something else has read.

        Raises:
            FileNotFoundError: there is none.
            FileRefused: it cannot be opened.
        """
        with self._held(os.O_RDONLY) as descriptor:
            self._keep_private(descriptor)

    def examine(self, flags: int = os.O_RDONLY) -> None:
        """Check that the file may be used, and create it where `flags` say so, like `opened`."""
        with self.opened(flags):
            pass

    @contextlib.contextmanager
    def opened(self, flags: int = os.O_RDONLY) -> Iterator[int]:
        """Open the file, check that it may be used, and yield its descriptor.

        Raises:
            FileNotFoundError: there is none.
            FilePlanted: it is this user's, and others could write it until now.
            FileRefused: it may not be used for another reason, or cannot be opened.
        """
        with self._held(flags) as descriptor:
            self._examine(descriptor)
            yield descriptor

    def write(self, content: bytes, *, replace: bool = True) -> None:
        """Write the file with mode 0600; after a crash it is complete, or as it was before.

        Raises:
            FileExistsError: it is there, and `replace` is False.
            FileRefused: another user could have made a link on the way.
            OSError: it cannot be written.
        """
        with place_of(self.path) as place:
            place.replace(content, replace=replace)

    @contextlib.contextmanager
    def _held(self, flags: int) -> Iterator[int]:
        descriptor = self._open(flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, flags: int) -> int:
        try:
            with place_of(self.path) as place:
                kind = place.kind()
                if kind is None:
                    return place.open(flags)
        except FileRefused as error:
            raise self._refused(error.why) from None
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._refused(
                f"{self.path} cannot be opened: {error.strerror}; let user {os.geteuid()} read it"
            ) from None
        raise self._refused(f"{self.path} is {kind}; name a regular file")

    def _content(self, descriptor: int) -> bytes:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise self._refused(f"{self.path} is larger than {_LARGEST} bytes")
        return content

    def _examine(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise self._refused(f"{self.path} is not a regular file; name one")
        if not is_trusted(status.st_uid):
            raise self._refused(
                f"{self.path} belongs to user {status.st_uid}, and this process runs as user"
                f" {os.geteuid()}; `chown {os.geteuid()} {self._quoted}` once its content is known"
                " to be right"
            )
        mode, others = stat.S_IMODE(status.st_mode), others_bits(status)
        if mode & others & WRITE:
            self._close_planted(descriptor, status)
        if status.st_uid == os.geteuid() and not mode & stat.S_IRUSR:
            raise self._planted()
        will_be_closed = self._secret and mode & others & _READ
        if not will_be_closed and mode & (WRITE | _READ if self._secret else WRITE):
            verb = "write" if mode & stat.S_IWGRP else "read"
            self._tell(f"group {status.st_gid}, which this process is in, may {verb} it")

    def _close_planted(self, descriptor: int, status: os.stat_result) -> None:
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid == os.geteuid():
            # Without its owner's permission to read it, it stays marked as not to be believed.
            closed = mode & ~stat.S_IRUSR & ~(EVERYBODY_ELSE if self._secret else WRITE)
            try:
                os.fchmod(descriptor, closed)
            except OSError:
                pass  # a file system that is read-only, or has no modes
            else:
                raise self._planted()
        raise self._refused(
            f"other users may write {self.path}; `chmod go-w {self._quoted}` once its content is"
            " known to be right"
        )

    def _planted(self) -> FilePlanted:
        cure = f"`chmod {'600' if self._secret else '644'} {self._quoted}`"
        return FilePlanted(
            f"other users could write {self.path}, so it was closed and is not believed;"
            f" {cure} once its content is known to be right, or remove it",
            self._setting,
        )

    def _keep_private(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if not (self._secret and status.st_mode & others_bits(status) & _READ):
            return
        try:
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~EVERYBODY_ELSE)
        except OSError:
            self._tell(f"other users may read it; `chmod go-rwx {self._quoted}`")
        else:
            self._tell("other users could read it until now; a secret in it may be known to them")

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            logger.warning("%s: %s: %s", self._setting, self.path, what)

    def _refused(self, why: str) -> FileRefused:
        return FileRefused(why, self._setting)

    @property
    def _quoted(self) -> str:
        return shlex.quote(str(self.path))
