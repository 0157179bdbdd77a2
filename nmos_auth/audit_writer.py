"""Lines on their way to a sink, through a thread that may wait where a request may not.

- `LineWriter.put` neither waits for the sink nor fails because of it. Lines are at the sink within
  about a tenth of a second while it works; a process that is killed loses no more than that.
- Lines that the sink does not take wait, up to 64 MiB of them, and are written once it does. What
  comes beyond is dropped, counted, and told in a line of its own.
- A failure is told to the logger `nmos_auth` at once, and again at most once a minute.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from nmos_auth.audit_sinks import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmos_auth.audit_sinks import Sink

__all__ = ["LineWriter"]

_GATHER = 0.1
_RETRY = 0.25
_TELL_AGAIN = 60.0
_CLOSE_WAIT = 5.0
_CAPACITY = 64 * 1024 * 1024
_BATCH_LINES = 16384

_logger = logging.getLogger("nmos_auth")


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
        # A stream that nobody reads may be the one that complaints go to: telling would hang too.
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
        thread.join(_CLOSE_WAIT)
        if (waiting := self._waiting()) and not self._blocked:
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
                self._blocked = True
                return False
            except OSError as error:
                self._blocked = False
                self._tell_failure(error)
                return False
            self._blocked = False
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
        if self._told_at is not None and now - self._told_at < _TELL_AGAIN:
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
            _logger.warning("audit log %s is written again", self._sink.name)
        self._untold = 0
        self._failing = False
