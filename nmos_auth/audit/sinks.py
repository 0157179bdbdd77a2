"""Where audit lines go: standard streams, and files that are shared by processes and rotated."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import select
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nmos_auth.servers.file_places import SOCKET, FilePlace, others_bits, place_of
from nmos_auth.servers.private_files import FileRefused

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Batch", "FileSink", "Sink", "StreamSink"]

_LOCK_WAIT = 1.0
_READER_WAIT = 0.2
_WRITE = stat.S_IWGRP | stat.S_IWOTH

logger = logging.getLogger("nmos_auth")

# macOS has no fdatasync.
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Batch:
    """Whole lines to be written, and how many of their bytes were.

    Attributes:
        data: the lines, each ended by a newline.
        sent: how many bytes are written; it becomes smaller if a sink takes back part of a line.
    """

    __slots__ = ("data", "sent")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent = 0

    @property
    def line_start(self) -> int:
        """Where the first line begins that is not completely written."""
        return self.data.rfind(b"\n", 0, self.sent) + 1


class Sink(Protocol):
    """Where lines go."""

    name: str

    def check(self) -> None:
        """Raise OSError where the destination cannot be opened."""

    def append(self, batch: Batch) -> None:
        """Write the rest of `batch` and update `sent`; raise OSError if that fails."""

    def sync(self) -> None:
        """Flush what was written to the disk, if there is one; raise OSError if that fails."""

    def close(self) -> None:
        """Close the destination; `append` opens it again."""


class StreamSink:
    """Standard output or error, by descriptor.

    There is no lock, since nothing else that writes there uses one. A pipe accepts up to PIPE_BUF
    bytes (4096 on Linux) in one piece (POSIX `write`), so another process does not tear a line of
    usual length.
    """

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor

    def check(self) -> None:
        """Raise OSError where the descriptor is closed."""
        os.fstat(self._descriptor)

    def append(self, batch: Batch) -> None:
        """Write while the reader reads; raise BlockingIOError when it does not."""
        _write_gently(self._descriptor, batch)

    def sync(self) -> None:
        """Do nothing: where the stream goes, and whether that is durable, is decided outside."""

    def close(self) -> None:
        """Do nothing: the descriptor belongs to the whole process."""


class FileSink:
    """A file, FIFO or device by its path, opened again when the path leads to another file.

    If the disk is full in the middle of a line, the part that was written is removed before another
    process can append to it; where that is impossible (`chattr +a`), the line is continued later.
    A line that a killed process left incomplete stays, and is ended before the next one begins.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        # The path stays the same if the process changes its working directory.
        self._path = Path(path).absolute()
        self._descriptor: int | None = None
        self._identity = (0, 0)
        self._end: int | None = None
        self._unsynced = False

    def check(self) -> None:
        """Open the file, making it where there is none; raise OSError."""
        descriptor = self._open()
        try:
            # It is not a fault that another process holds the lock; a file system without locks is.
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)

    def append(self, batch: Batch) -> None:
        """Write under the lock; raise OSError, with `sent` at the end of a line if possible."""
        descriptor, status = self._acquire()
        try:
            if stat.S_ISREG(status.st_mode):
                self._append(descriptor, batch, status.st_size)
            else:
                _write_gently(descriptor, batch)
        except BlockingIOError as error:
            raise TimeoutError(errno.ETIMEDOUT, "no process reads from it") from error
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def sync(self) -> None:
        """Flush the file to the disk."""
        if self._unsynced and self._descriptor is not None:
            _sync(self._descriptor)
        self._unsynced = False

    def close(self) -> None:
        """Close the file, which also releases its lock."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):  # sync has reported what went wrong
                os.close(descriptor)

    def _open(self) -> int:
        try:
            with place_of(self._path) as place:
                return _opened(place)
        except FileRefused as error:
            raise OSError(errno.EPERM, error.why) from None

    def _acquire(self) -> tuple[int, os.stat_result]:
        """Return the descriptor of the file that the path names now, locked, and its status."""
        try:
            descriptor = self._open_locked()
            # This is asked under the lock, since the file may be rotated during the wait for it.
            with contextlib.suppress(FileNotFoundError):
                status = self._path.stat()
                if (status.st_dev, status.st_ino) == self._identity:
                    return descriptor, status
            self.sync()
            self.close()
            descriptor = self._open_locked()
            return descriptor, os.fstat(descriptor)
        except OSError:
            self.close()
            raise

    def _open_locked(self) -> int:
        if self._descriptor is None:
            self._descriptor = self._open()
            status = os.fstat(self._descriptor)
            self._identity = (status.st_dev, status.st_ino)
            self._end = None
        _lock(self._descriptor)
        return self._descriptor

    def _append(self, descriptor: int, batch: Batch, end: int) -> None:
        start = self._mend(descriptor, batch, end) - batch.sent
        data = memoryview(batch.data)
        try:
            while batch.sent < len(data):
                batch.sent += os.write(descriptor, data[batch.sent :])
                self._unsynced = True
        except OSError:
            self._take_back(descriptor, batch, start + batch.sent)
            raise
        finally:
            self._end = start + batch.sent

    def _mend(self, descriptor: int, batch: Batch, end: int) -> int:
        """Repair the end of the file, so that `batch` begins or continues a line; return where."""
        if end == self._end:  # nothing has changed since the last write from here
            return end
        batch.sent = batch.line_start
        if end and os.pread(descriptor, 1, end - 1) not in {b"", b"\n"}:
            end += os.write(descriptor, b"\n")
        return end

    def _take_back(self, descriptor: int, batch: Batch, end: int) -> None:
        """Cut an incomplete line off the end of the file, so that nothing is written after it."""
        torn = batch.sent - batch.line_start
        # A file that was truncated in the meantime must not be made longer again.
        with contextlib.suppress(OSError):
            if torn and os.fstat(descriptor).st_size == end:
                os.ftruncate(descriptor, end - torn)
                batch.sent -= torn


def _opened(place: FilePlace) -> int:
    """Open a log, or make one that only its owner may read; deny other users to write it."""
    if place.kind() == SOCKET:
        raise OSError(
            errno.ENXIO, "it is a socket; set NMOS_AUTH_AUDIT_LOG=stdout to write to stdout"
        )
    # It is opened for reading too, because _mend reads it.
    descriptor = place.open(os.O_RDWR | os.O_APPEND | os.O_CREAT)
    status = os.fstat(descriptor)
    writable = status.st_mode & others_bits(status) & _WRITE
    if stat.S_ISREG(status.st_mode) and writable:
        try:
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~_WRITE)
        except OSError as error:
            logger.warning(
                "NMOS_AUTH_AUDIT_LOG: other users may write the file, and that permission cannot be"
                " removed: %s",
                error.strerror,
            )
    return descriptor


def _lock(descriptor: int) -> None:
    """Lock the file for this process only; raise TimeoutError if another keeps it locked."""
    deadline = time.monotonic() + _LOCK_WAIT
    pause = 0.0005
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another process keeps it locked") from None
        else:
            return
        time.sleep(pause)
        pause = min(2 * pause, 0.01)


def _write_gently(descriptor: int, batch: Batch) -> None:
    """Write only what a pipe accepts at once; raise BlockingIOError where it accepts nothing."""
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    while batch.sent < len(batch.data):
        end = batch.sent + select.PIPE_BUF
        if end < len(batch.data):
            end = batch.data.rfind(b"\n", batch.sent, end) + 1 or end
        if not poller.poll(_READER_WAIT * 1000):
            raise BlockingIOError(errno.EAGAIN, "no process reads from it")
        batch.sent += os.write(descriptor, batch.data[batch.sent : end])
