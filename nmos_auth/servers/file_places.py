"""Where a file is: only links that this user or root have made are followed.

The members of a group are other users, unless this process is in the group, as it is for a volume
that Kubernetes mounts with `fsGroup`. Kubernetes' own links are followed; another user's link in a
shared directory is not. Nothing here waits: a pipe instead of a file is reported, and not opened.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from nmos_auth.errors import NmosAuthError

__all__ = [
    "EVERYBODY_ELSE",
    "SOCKET",
    "WRITE",
    "FilePlace",
    "FileRefused",
    "is_trusted",
    "others_bits",
    "place_of",
]

SOCKET = "a socket"
WRITE = stat.S_IWGRP | stat.S_IWOTH
EVERYBODY_ELSE = stat.S_IRWXG | stat.S_IRWXO
_ROOT = 0
_MOST_LINKS = 40
_LONGEST_WRITE = 3600.0
# macOS has no O_PATH; there a directory on the way has to be readable.
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe would wait until another process writes into it.
_NEVER_WAIT = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# What file systems say that cannot sync a directory; Linux' manual page of fsync has EINVAL.
_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, SOCKET),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FileRefused(NmosAuthError, OSError):
    """A file may not be used.

    Attributes:
        why: what is wrong with which file, and what to do.
    """

    def __init__(self, why: str, setting: str | None = None) -> None:
        super().__init__(errno.EPERM, why)
        self.why = why
        self._setting = setting

    def __str__(self) -> str:
        """Return why, with the setting that names the file."""
        return self.why if self._setting is None else f"{self._setting}: {self.why}"


class FilePlace:
    """Where a file is, or will be: a directory that is held open, and a name in it.

    Attributes:
        name: the name in the directory; not a link, except for the kernel's own links in /proc.
    """

    def __init__(self, directory: int, name: str, *, of_kernel: bool) -> None:
        self._directory = directory
        self.name = name
        self._no_follow = 0 if of_kernel else os.O_NOFOLLOW

    def open(self, flags: int) -> int:
        """Open the file without waiting; if `flags` create it, its mode is 0600."""
        flags |= self._no_follow | _NEVER_WAIT
        if flags & os.O_CREAT:
            # In directories where others may create files, Linux refuses O_CREAT for their files.
            with contextlib.suppress(FileNotFoundError):
                return os.open(self.name, flags & ~os.O_CREAT, dir_fd=self._directory)
        return os.open(self.name, flags, 0o600, dir_fd=self._directory)

    def kind(self) -> str | None:
        """Say what is there if it is not a regular file: opening other kinds has consequences."""
        follow = not self._no_follow
        try:
            mode = os.stat(self.name, dir_fd=self._directory, follow_symlinks=follow).st_mode
        except OSError:
            return None
        return next((kind for test, kind in _KINDS if test(mode)), None)

    def replace(self, content: bytes, *, replace: bool = True) -> None:
        """Write the file with mode 0600; after a crash it is complete, or as it was before.

        What a process that was killed has left beside it is removed after an hour: with the next
        file that is written, or as soon as the disk is full, since it may be what fills it.

        Raises:
            FileExistsError: it is there, and `replace` is False.
            OSError: it cannot be written, or might not outlast a failure of power.
        """
        try:
            self._replace(content, replace=replace)
        except OSError as error:
            if error.errno not in _FULL or not self._remove_left_over():
                raise
            self._replace(content, replace=replace)
        self._remove_left_over()

    def _replace(self, content: bytes, *, replace: bool) -> None:
        here, new = self._directory, f"{self.name}.{secrets.token_hex(8)}"
        try:
            self._make(new, content)
            if replace:
                os.replace(new, self.name, src_dir_fd=here, dst_dir_fd=here)
            else:
                self._link(new, content)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new, dir_fd=here)
        with self._listed() as directory:
            if directory is not None:
                _sync_directory(directory)

    def _make(self, name: str, content: bytes) -> None:
        descriptor = os.open(name, _MAKE, 0o600, dir_fd=self._directory)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(content)
            file.flush()
            os.fsync(descriptor)

    def _link(self, new: str, content: bytes) -> None:
        here = self._directory
        try:
            os.link(new, self.name, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:
            # Some file systems have no hard links: vfat, and some network file systems.
            self._make(self.name, content)

    @contextlib.contextmanager
    def _listed(self) -> Iterator[int | None]:
        """Open the directory to list it; None if this user may only search it and write to it."""
        try:
            descriptor = os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        except PermissionError:
            yield None
            return
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _remove_left_over(self) -> int:
        """Remove files of `replace` whose process was killed, and return how many there were.

        A file whose name is longer by a suffix, such as the key of a store, is written rarely or
        once. What was left beside that one is removed too.
        """
        left_over = re.compile(re.escape(self.name) + r"(\.[a-z]+)?\.[0-9a-f]{16}")
        removed = 0
        with contextlib.suppress(OSError), self._listed() as directory:
            if directory is None:
                return 0
            mode = self._mode_here()
            # The time by the clock of the file system, for a file was just made here.
            now = os.fstat(directory).st_mtime
            for name in filter(left_over.fullmatch, os.listdir(directory)):  # noqa: PTH208 - a descriptor
                with contextlib.suppress(FileNotFoundError):  # another process removes it too
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                    # Until then, another process may still be writing it.
                    old = now - status.st_mtime > _LONGEST_WRITE
                    if old and (status.st_uid, status.st_mode) == (os.geteuid(), mode):
                        os.unlink(name, dir_fd=directory)
                        removed += 1
        return removed

    def _mode_here(self) -> int:
        """Return the mode of a file that was written here; some file systems have their own."""
        try:
            return os.stat(self.name, dir_fd=self._directory, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return stat.S_IFREG | 0o600


class _Walk:
    """Goes to a file directory by directory, and checks who could have led it elsewhere."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending = _reversed_parts(str(path.absolute()))
        self._links = 0
        self._link: str | None = None
        self._shared: str | None = None
        self.directory = -1
        self._enter("/", where="/")

    def close(self) -> None:
        os.close(self.directory)

    def place(self) -> FilePlace:
        while True:
            name = self._pending.pop() if self._pending else "."
            status = None
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self.directory, follow_symlinks=False)
            if status is not None and stat.S_ISLNK(status.st_mode):
                if not self._pending and self._is_of_kernel():
                    self._check()
                    return FilePlace(self.directory, name, of_kernel=True)
                self._follow(name, status.st_uid)
            elif self._pending:
                self._enter(name, where=os.path.join(self._where, name))  # noqa: PTH118 - no links
            else:
                self._check()
                return FilePlace(self.directory, name, of_kernel=False)

    def _enter(self, name: str, *, where: str) -> None:
        held = self.directory
        self.directory = os.open(name, _DIRECTORY, dir_fd=None if held < 0 else held)
        if held >= 0:
            os.close(held)
        self._where = where
        if self._shared is None and _is_shared(self.directory) and not self._is_of_kernel():
            self._shared = where

    def _follow(self, name: str, owner: int) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not self._is_of_kernel():
            link = os.path.join(self._where, name)  # noqa: PTH118 - no links
            if not is_trusted(owner):
                raise FileRefused(
                    f"{self._path} leads through the link {link}, which belongs to user {owner};"
                    " name the file itself"
                )
            self._link = self._link or link
        target = os.readlink(name, dir_fd=self.directory)
        if target.startswith("/"):
            self._enter("/", where="/")
        self._pending += _reversed_parts(target)

    def _check(self) -> None:
        if self._link is not None and self._shared is not None:
            raise FileRefused(
                f"{self._path} leads through the link {self._link}, and other users may change the"
                f" directory {self._shared}; name the file itself, or let only user"
                f" {os.geteuid()} or root write there"
            )

    def _is_of_kernel(self) -> bool:
        """Tell whether this is a directory of /proc, whose links no user can make."""
        try:
            return os.fstat(self.directory).st_dev == os.stat("/proc/self").st_dev  # noqa: PTH116
        except OSError:
            return False


@contextlib.contextmanager
def place_of(path: Path) -> Iterator[FilePlace]:
    """Find where a file is, following only links that this user or root have made.

    Raises:
        FileRefused: another user could have made a link on the way.
        OSError: a directory on the way is missing or closed to this user.
    """
    try:
        usable = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise FileRefused(f"{str(path)!r} is not a path: a file name cannot have such characters")
    walk = _Walk(path)
    try:
        yield walk.place()
    finally:
        walk.close()


def _sync_directory(directory: int) -> None:
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def others_bits(status: os.stat_result) -> int:
    """Return the permission bits for other users; the bits of a group of this process are not."""
    ours = status.st_gid == os.getegid() or status.st_gid in os.getgroups()
    return stat.S_IRWXO if ours else EVERYBODY_ELSE


def is_trusted(owner: int) -> bool:
    """Tell whether a file of this owner may be believed: it is this user or root."""
    return owner in {_ROOT, os.geteuid()}


def _is_shared(directory: int) -> bool:
    """Tell whether another user can replace a link that belongs to this user or root."""
    status = os.fstat(directory)
    if not is_trusted(status.st_uid):
        return True
    writable = bool(status.st_mode & others_bits(status) & WRITE)
    # In a sticky directory only its owner can change a name. Kubernetes mounts some volumes with
    # mode 0777, but read-only.
    return (
        writable
        and not status.st_mode & stat.S_ISVTX
        and not os.fstatvfs(directory).f_flag & os.ST_RDONLY
    )


def _reversed_parts(path: str) -> list[str]:
    return [part for part in reversed(PurePosixPath(path).parts) if not part.startswith("/")]
