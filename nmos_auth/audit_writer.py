"""Lines on their way to a file or a stream, in a thread that may wait where a request may not.

What holds, whatever happens to the destination:

- `LineWriter.put` never waits for it and never fails because of it.
- A line that was taken is written whole and once, as soon as writing works again. At most some
  64 MiB wait; what comes beyond is dropped, counted, and told in a line of its own.
- A failure is told to the logger `nmos_auth` at once, and again at most once a minute.
- Every batch goes into the file under an exclusive `flock`, so that processes share a file. A
  process that shares it without that lock, or a file system without locks, is not provided for.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import logging
import os
import select
import stat
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Batch", "FileSink", "LineWriter", "Sink", "StreamSink"]

_GATHER = 0.05
_RETRY = 0.25
_TELL = 60.0
_CLOSE = 5.0
_LOCK = 2.0
_BLOCKED = 0.2
_CAPACITY = 64 * 1024 * 1024
_BATCH_LINES = 16384

# macOS has no fdatasync.
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)

_logger = logging.getLogger("nmos_auth")


class Batch:
    """Whole lines to be written, and how many of their bytes were.

    Attributes:
        data: The lines, each ended by a newline.
        sent: Bytes written; less than before where a sink took back a part of a line.
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
    """Standard output or error, by descriptor; what else writes there is not asked to share locks.

    A pipe takes up to PIPE_BUF bytes (4096 on Linux) at once or not at all (POSIX `write`), so that
    no line of usual length is torn by another process.
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
    """A file by its path, opened anew once the path leads to another; or a FIFO, or a device.

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
            # A lock that is taken is no fault; one that the file system does not offer is.
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
            raise TimeoutError(errno.ETIMEDOUT, "nobody reads from it") from error
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
        # Reading serves _mend; without O_NONBLOCK a FIFO could hold up whoever starts.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        try:
            return os.open(self._path, flags, 0o600)
        except ValueError as error:  # a null character, or one that no file name can hold
            raise OSError(errno.EINVAL, str(error)) from error

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
        """Take the beginning of a line off the end of the file, so that nobody writes after it."""
        torn = batch.sent - batch.line_start
        # A file that was truncated meanwhile must not be made longer again.
        with contextlib.suppress(OSError):
            if torn and os.fstat(descriptor).st_size == end:
                os.ftruncate(descriptor, end - torn)
                batch.sent -= torn


class LineWriter:
    """Takes lines from any thread and gives them to a sink in batches, from a thread of its own."""

    def __init__(
        self,
        sink: Sink,
        *,
        lost_line: Callable[[int], str],
        capacity: int = _CAPACITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; the thread starts with `start` or the first line.

        Args:
            sink: Where lines go; used by one thread at a time.
            lost_line: Makes the line that counts lost ones.
            capacity: Bytes that may wait.
            monotonic: Seconds, for what is told once a minute.
        """
        self._sink = sink
        self._lost_line = lost_line
        self._capacity = capacity
        self._monotonic = monotonic
        self._told_at: float | None = None
        self._failing = False
        self._begin()
        after_fork = weakref.WeakMethod(self._after_fork)

        def child() -> None:
            if (method := after_fork()) is not None:
                method()

        os.register_at_fork(after_in_child=child)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._draining = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._ending = False
        # True from the line that wakes the thread until the thread looks for lines.
        self._awake = False
        self._lines: list[str] = []
        self._held = 0
        self._lost = 0
        self._untold = 0
        self._taken: list[str] = []
        self._batch: Batch | None = None

    def _after_fork(self) -> None:
        # The child has no thread, and the parent writes the lines. A lock on the descriptor that
        # both have would not keep them apart: flock belongs to the open file, not to the process.
        self._begin()
        self._sink.close()

    def put(self, line: str) -> None:
        """Take one line, without its newline; drop and count it where too many wait."""
        with self._lock:
            if self._held < self._capacity:
                self._lines.append(line)
                self._held += len(line) + 1
            else:
                self._lost += 1
            if self._awake:
                return
            self._awake = True
        self._rouse()

    def start(self) -> None:
        """Start the thread; raise OSError where the destination cannot be opened."""
        if self._thread is None:
            self._sink.check()
        with self._lock:
            self._stop.clear()
        self._rouse()

    def close(self) -> None:
        """Write out what waits and end the thread; give up after some seconds."""
        atexit.unregister(self._at_exit)
        thread = self._thread
        if thread is None:
            return
        self._stop.set()
        self._wake.set()
        thread.join(_CLOSE)
        if waiting := self._waiting():
            _logger.error("audit log %s: %d lines are not written", self._sink.name, waiting)

    def _at_exit(self) -> None:
        # What is recorded by functions that run at exit after this one finds no thread to write it.
        self._ending = True
        self.close()

    def _waiting(self) -> int:
        batch = self._batch
        rest = 0 if batch is None else batch.data.count(b"\n", batch.sent)
        return len(self._lines) + len(self._taken) + rest

    def _rouse(self) -> None:
        with self._lock:
            if self._thread is None and not self._ending:
                self._stop.clear()
                thread = threading.Thread(target=self._run, name="nmos-auth-audit", daemon=True)
                # No thread to be had, as at the end of the interpreter: written by the caller.
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
                    atexit.register(self._at_exit)
            threaded = self._thread is not None
        if threaded:
            self._wake.set()
        else:
            self._drain()

    def _run(self) -> None:
        ended = False
        try:
            while not ended:
                self._wake.wait()
                self._stop.wait(_GATHER)
                written = self._drain()
                ended = self._stop.is_set() and self._end(failed=not written)
                if not (written or ended):
                    self._stop.wait(_RETRY)
                    self._wake.set()
        finally:
            if not ended:  # an error that nobody foresaw; the next line begins anew
                with self._lock:
                    self._leave()

    def _end(self, *, failed: bool) -> bool:
        """End the thread, unless it is to go on or could still write something."""
        with self._lock:
            if not self._stop.is_set() or (self._lines and not failed):
                return False
            self._leave()
            return True

    def _leave(self) -> None:
        self._sink.close()
        self._thread = None
        self._awake = False

    def _drain(self) -> bool:
        """Write the lines that wait now; return whether that went well."""
        with self._draining:
            self._wake.clear()
            with self._lock:
                self._awake = False
                lines, self._lines = self._lines, []
            self._taken += lines
            try:
                while (batch := self._next_batch()) is not None:
                    self._write(batch)
                self._sink.sync()
            except BlockingIOError:
                return False
            except OSError as error:
                self._tell_failure(error)
                return False
            self._tell_recovery()
            return True

    def _next_batch(self) -> Batch | None:
        if self._batch is None and self._taken:
            text = "\n".join([*self._taken[:_BATCH_LINES], ""])
            self._batch = Batch(text.encode("ascii", "replace"))
            del self._taken[:_BATCH_LINES]
        return self._batch

    def _write(self, batch: Batch) -> None:
        before = batch.sent
        try:
            self._sink.append(batch)
        finally:
            if batch.sent == len(batch.data):
                self._batch = None
            self._release(batch.sent - before)

    def _release(self, written: int) -> None:
        with self._lock:
            self._held -= written
            # Lost lines are counted where they are missing: after all that was kept before them.
            if written > 0 and self._lost:
                line = self._lost_line(self._lost)
                self._lines.append(line)
                self._held += len(line) + 1
                self._untold += self._lost
                self._lost = 0
                self._awake = True
                self._wake.set()

    def _tell_failure(self, error: OSError) -> None:
        now = self._monotonic()
        if self._told_at is not None and now - self._told_at < _TELL:
            return
        self._told_at = now
        self._failing = True
        _logger.error(
            "audit log %s cannot be written: %s; requests go on, %d lines wait, %d are lost",
            self._sink.name,
            error.strerror or error,
            self._waiting(),
            self._lost,
        )

    def _tell_recovery(self) -> None:
        if self._untold:
            _logger.error(
                "audit log %s is written again; %d lines were lost", self._sink.name, self._untold
            )
        elif self._failing:
            _logger.warning("audit log %s is written again; no line was lost", self._sink.name)
        self._untold = 0
        self._failing = False


def _lock(descriptor: int) -> None:
    """Lock the file for this process alone; raise TimeoutError where another never lets go."""
    deadline = time.monotonic() + _LOCK
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
    """Write no more than a pipe takes at once; raise BlockingIOError where it takes nothing."""
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    while batch.sent < len(batch.data):
        end = batch.sent + select.PIPE_BUF
        if end < len(batch.data):
            end = batch.data.rfind(b"\n", batch.sent, end) + 1 or end
        if not poller.poll(_BLOCKED * 1000):
            raise BlockingIOError(errno.EAGAIN, "nobody reads from it")
        batch.sent += os.write(descriptor, batch.data[batch.sent : end])
