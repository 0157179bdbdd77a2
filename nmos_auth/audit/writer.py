"""Writes lines to a sink from a thread of its own, which may wait where a request may not.

- `LineWriter.put` neither waits for the sink nor fails because of it. The thread turns entries into
  lines, hundreds at a time, which costs a third of what it would cost during a request. While the
  sink works, it has the lines within about a tenth of a second; a process that is killed loses
  only those.
- Lines that the sink does not accept wait, up to 64 MiB of them, and are written once it does.
  Further lines are dropped and counted, and a line of its own says how many.
- The logger `nmos_auth` reports a failure at once, and again at most once a minute.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from nmos_auth.audit.sinks import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nmos_auth.audit.sinks import Sink

__all__ = ["LineWriter"]

_GATHER = 0.1
_RETRY = 0.25
_TELL_AGAIN = 60.0
_CLOSE_WAIT = 5.0
_CAPACITY = 64 * 1024 * 1024
_BATCH_LINES = 16384

logger = logging.getLogger("nmos_auth")

Entry = TypeVar("Entry")


class LineWriter(Generic[Entry]):
    """Accepts entries from any thread, and writes their lines in batches from its own thread."""

    def __init__(
        self,
        sink: Sink,
        *,
        render: Callable[[Iterable[Entry]], str],
        lost_entry: Callable[[int], Entry],
        capacity: int = _CAPACITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the writer; its thread starts with `start` or with the first entry.

        Args:
            sink: where lines go; only one thread uses it at a time.
            render: makes the lines of entries, in ASCII, each with its newline; it never raises.
            lost_entry: makes the entry that says how many were lost.
            capacity: bytes that may wait.
            monotonic: seconds of a clock that never goes back, for reports once a minute.
        """
        self._sink = sink
        self._render = render
        self._lost_entry = lost_entry
        self._capacity = capacity
        self._monotonic = monotonic
        self._told_at: float | None = None
        self._failing = False
        # A stream without a reader may be the one that the logger writes to, which would hang too.
        self._blocked = False
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
        # True from the entry that wakes the thread until the thread looks for entries.
        self._awake = False
        self._entries: deque[Entry] = deque()
        self._batches: deque[Batch] = deque()
        # Bytes of entries, which are estimated, and of batches.
        self._held = 0
        self._lost = 0
        self._all_lost = 0
        self._untold = 0

    def _after_fork(self) -> None:
        # The child has no thread, and the parent writes the lines. A lock on the descriptor that
        # both have would not keep them apart: flock belongs to the open file, not to the process.
        self._begin()
        self._sink.close()

    def put(self, entry: Entry, size: int) -> None:
        """Accept one entry of about `size` bytes; drop and count it where too much waits."""
        # There is no lock, which would cost more than everything else. An entry is added before
        # `_awake` is read, and taken after it was cleared, so no entry is left behind. If two
        # threads add to `_held` at the same moment, the next `_take` corrects it.
        if self._held < self._capacity:
            self._entries.append(entry)
            self._held += size
        else:
            self._lose()
        if not self._awake:
            self._awake = True
            self._rouse()

    def _lose(self) -> None:
        with self._lock:
            self._lost += 1
            self._all_lost += 1

    @property
    def waiting(self) -> int:
        """How many lines are not written yet."""
        return self._waiting()

    @property
    def lost(self) -> int:
        """How many entries were dropped since the start, because too much waited."""
        return self._all_lost

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
        thread.join(_CLOSE_WAIT)
        if (waiting := self._waiting()) and not self._blocked:
            logger.error("audit log %s: %d lines are not written", self._sink.name, waiting)

    def _at_exit(self) -> None:
        # Functions that run later at exit find no thread to write what they record.
        self._ending = True
        self.close()

    def _waiting(self) -> int:
        return len(self._entries) + sum(
            batch.data.count(b"\n", batch.sent) for batch in tuple(self._batches)
        )

    def _rouse(self) -> None:
        with self._lock:
            if self._thread is None and not self._ending:
                self._stop.clear()
                thread = threading.Thread(target=self._run, name="nmos-auth-audit", daemon=True)
                # At the end of the interpreter no thread can be started: the caller writes instead.
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
            if not ended:  # an unforeseen error; the next line starts the thread again
                with self._lock:
                    self._leave()

    def _end(self, *, failed: bool) -> bool:
        """End the thread, unless it must go on or can still write something."""
        with self._lock:
            if not self._stop.is_set() or (self._entries and not failed):
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
            self._take()
            try:
                while self._batches:
                    self._write(self._batches[0])
                self._sink.sync()
            except BlockingIOError:
                self._blocked = True
                return False
            except OSError as error:
                self._blocked = False
                self._tell_failure(error)
                return False
            self._blocked = False
            self._tell_recovery()
            return True

    def _take(self) -> None:
        """Make batches of lines out of the entries that wait now."""
        self._awake = False
        estimated = self._held - self._unwritten()
        entries = [self._entries.popleft() for _ in range(len(self._entries))]
        rendered = 0
        for start in range(0, len(entries), _BATCH_LINES):
            lines = self._render(entries[start : start + _BATCH_LINES])
            self._batches.append(Batch(lines.encode("ascii", "replace")))
            rendered += len(lines)
        self._held += rendered - estimated

    def _unwritten(self) -> int:
        return sum(len(batch.data) - batch.sent for batch in self._batches)

    def _write(self, batch: Batch) -> None:
        before = batch.sent
        try:
            self._sink.append(batch)
        finally:
            if batch.sent == len(batch.data):
                self._batches.popleft()
            self._release(batch.sent - before)

    def _release(self, written: int) -> None:
        with self._lock:
            self._held -= written
            # The line with the number of lost lines comes where they are missing.
            if written > 0 and self._lost:
                self._entries.append(self._lost_entry(self._lost))
                self._untold += self._lost
                self._lost = 0
                self._awake = True
                self._wake.set()

    def _tell_failure(self, error: OSError) -> None:
        now = self._monotonic()
        if self._told_at is not None and now - self._told_at < _TELL_AGAIN:
            return
        self._told_at = now
        self._failing = True
        logger.error(
            "audit log %s cannot be written: %s; requests go on, %d lines wait, %d are lost",
            self._sink.name,
            error.strerror or error,
            self._waiting(),
            self._lost,
        )

    def _tell_recovery(self) -> None:
        if self._untold:
            logger.error(
                "audit log %s is written again; %d lines were lost", self._sink.name, self._untold
            )
        elif self._failing:
            logger.warning("audit log %s is written again", self._sink.name)
        self._untold = 0
        self._failing = False
