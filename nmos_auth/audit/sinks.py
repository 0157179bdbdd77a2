"""Where audit lines go: files that processes share and that are rotated, and standard streams."""

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
        sent: bytes written; less than before where a sink took back a part of a line.
    """

    __slots__ = ("data", "sent")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent = 0

    @property
    def line_start(self) -> int:
        """Where the first line begins of which not everything is written."""
        return self.data.rfind(b"\n", 0, self.sent) + 1


class Sink(Protocol):
    """Where lines go."""

    name: str

    def check(self) -> None:
        """Raise OSError where the destination cannot be opened."""

    def append(self, batch: Batch) -> None:
        """Write what is left of `batch` and keep its count; raise OSError where that fails."""

    def sync(self) -> None:
        """Bring what was written to the disk, where there is one; raise OSError."""

    def close(self) -> None:
        """Let go of the destination; `append` opens it again."""


class StreamSink:
    """Standard output or error, by descriptor.

    Nothing else that writes there uses locks. But a pipe accepts up to PIPE_BUF bytes (4096 on
    Linux) in one piece (POSIX `write`), so that no line of usual length is torn by another process.
    """

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor

    def check(self) -> None:
        """Raise OSError where the descriptor is closed."""
        os.fstat(self._descriptor)

    def append(self, batch: Batch) -> None:
        """Write as long as the reader reads; raise BlockingIOError where it does not."""
        _write_gently(self._descriptor, batch)

    def sync(self) -> None:
        """Do nothing: durability is the business of whoever redirected the stream."""

    def close(self) -> None:
        """Do nothing: the descriptor is the process's."""


class FileSink:
    """A file by its path, opened again once the path leads to another; or a FIFO, or a device.

    Should the disk fill up in the middle of a line, its beginning is taken back before another
    process can append to it; where that is impossible (`chattr +a`), the line goes on where it
    stopped. A line torn by a process that was killed stays, but is ended before the next one.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        # A process that changes its directory keeps its log.
        self._path = Path(path).absolute()
        self._descriptor: int | None = None
        self._identity = (0, 0)
        self._end: int | None = None
        self._unsynced = False

    def check(self) -> None:
        """Open the file, making it where there is none; raise OSError."""
        descriptor = self._open()
        try:
            # A lock that another holds is not a fault; a file system without locks is.
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)

    def append(self, batch: Batch) -> None:
        """Write under the lock; raise OSError, the count standing at a whole line where it can."""
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
        """Have the disk keep what the file has."""
        if self._unsynced and self._descriptor is not None:
            _sync(self._descriptor)
        self._unsynced = False

    def close(self) -> None:
        """Close the file, and with it what lock is held."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):  # sync has told what went wrong
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
            # Asked under the lock: waiting for it may have taken as long as a rotation.
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
        """See to it that what comes next begins a line, or goes on with one; return where."""
        if end == self._end:  # as it was left here
            return end
        batch.sent = batch.line_start
        if end and os.pread(descriptor, 1, end - 1) not in {b"", b"\n"}:
            end += os.write(descriptor, b"\n")
        return end

    def _take_back(self, descriptor: int, batch: Batch, end: int) -> None:
        """Cut half a line off the end of the file, so that nothing is written after it."""
        torn = batch.sent - batch.line_start
        # A file that was truncated meanwhile must not be made longer again.
        with contextlib.suppress(OSError):
            if torn and os.fstat(descriptor).st_size == end:
                os.ftruncate(descriptor, end - torn)
                batch.sent -= torn


def _opened(place: FilePlace) -> int:
    """Open a log, or make it for its owner only; let no other user write a file."""
    if place.kind() == SOCKET:
        raise OSError(
            errno.ENXIO, "it is a socket; set NMOS_AUTH_AUDIT_LOG=stdout to write to stdout"
        )
    # Reading serves _mend.
    descriptor = place.open(os.O_RDWR | os.O_APPEND | os.O_CREAT)
    status = os.fstat(descriptor)
    writable = status.st_mode & others_bits(status) & _WRITE
    if stat.S_ISREG(status.st_mode) and writable:
        try:
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~_WRITE)
        except OSError as error:
            logger.warning("audit log: other users may write it: %s", error.strerror)
    return descriptor


def _lock(descriptor: int) -> None:
    """Lock the file for this process only; raise TimeoutError where another never lets go."""
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
    """Write no more than a pipe accepts at once; raise BlockingIOError where it accepts nothing."""
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    while batch.sent < len(batch.data):
        end = batch.sent + select.PIPE_BUF
        if end < len(batch.data):
            end = batch.data.rfind(b"\n", batch.sent, end) + 1 or end
        if not poller.poll(_READER_WAIT * 1000):
            raise BlockingIOError(errno.EAGAIN, "no process reads from it")
        batch.sent += os.write(descriptor, batch.data[batch.sent : end])
