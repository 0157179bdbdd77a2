"""The audit log's way to the disk: several processes, rotation, full disks, stuck readers."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from nmos_auth.audit.log import AuditLog
from nmos_auth.audit.sinks import Batch, FileSink, Sink, StreamSink
from nmos_auth.audit.writer import LineWriter
from tests.support.audit import paths_in, record
from tests.support.waiting import eventually


def _writer(
    sink: Sink, *, capacity: int = 1024 * 1024, monotonic: Callable[[], float] = time.monotonic
) -> LineWriter[str]:
    """Make a writer whose entries are lines already."""
    return LineWriter(
        sink,
        render="".join,
        lost_entry="lost {}\n".format,
        capacity=capacity,
        monotonic=monotonic,
    )


def _put(writer: LineWriter[str], line: str) -> None:
    writer.put(f"{line}\n", len(line) + 1)


def _told(caplog: pytest.LogCaptureFixture, level: int = logging.ERROR) -> list[str]:
    return [
        entry.getMessage()
        for entry in caplog.records
        if entry.name == "nmos_auth" and entry.levelno == level
    ]


@contextlib.contextmanager
def _closing(log: AuditLog | LineWriter[str]) -> Iterator[None]:
    try:
        yield
    finally:
        log.close()


class _Load:
    """Records as fast as a busy server until told to stop."""

    def __init__(self, log: AuditLog) -> None:
        self.count = 0
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.001):
            for _ in range(20):
                record(self._log, f"/{self.count}")
                self.count += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._log.close()

    def goes_on(self) -> None:
        """Wait until more was recorded."""
        seen = self.count
        eventually(lambda: self.count > seen + 200)


WRITER = """
import sys, time
from nmos_auth.audit.log import AuditLog
from tests.support.audit import record

log = AuditLog(sys.argv[1])
for number in range(2000):
    record(log, f'/{sys.argv[2]}/{number}/' + 'x' * (number % 2000))
    if number % 20 == 0:
        time.sleep(0.01)
"""


def _writers(file: Path, count: int) -> list[subprocess.Popen[bytes]]:
    return [
        subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(number)])
        for number in range(count)
    ]


def _assert_all_written(paths: list[str], writers: int) -> None:
    assert len(paths) == 2000 * writers
    for writer in range(writers):
        assert [path for path in paths if path.startswith(f"/{writer}/")] == [
            f"/{writer}/{number}/" + "x" * (number % 2000) for number in range(2000)
        ]


def test_several_processes_write_one_file(tmp_path: Path) -> None:
    """No line is lost, torn or out of its process's order, however long the lines are."""
    file = tmp_path / "audit.log"
    writers = _writers(file, 3)
    assert [writer.wait(timeout=40) for writer in writers] == [0] * 3
    _assert_all_written(paths_in(file), 3)


def test_several_processes_follow_a_rotation(tmp_path: Path) -> None:
    """Renaming the file loses nothing: every process goes on in the file that has its name."""
    file = tmp_path / "audit.log"
    writers = _writers(file, 2)
    rotated: list[Path] = []
    while any(writer.poll() is None for writer in writers):
        if file.exists() and file.stat().st_size:
            rotated.append(file.rename(tmp_path / f"audit.log.{len(rotated)}"))
        with contextlib.suppress(subprocess.TimeoutExpired):
            writers[0].wait(timeout=0.03)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(rotated) > 2
    paths = [path for part in [*rotated, file] for path in paths_in(part)]
    _assert_all_written(paths, 2)


def test_a_renamed_file_is_left_for_a_new_one(tmp_path: Path) -> None:
    """Under load, each line is in one of the files, and the files are in order."""
    file = tmp_path / "audit.log"
    rotated = []
    with _Load(AuditLog(str(file))) as load:
        for number in range(8):
            load.goes_on()
            eventually(file.exists)
            rotated.append(file.rename(tmp_path / f"audit.log.{number}"))
    paths = [path for part in [*rotated, file] for path in paths_in(part)]
    assert paths == [f"/{number}" for number in range(load.count)]


def test_a_removed_file_is_made_again(tmp_path: Path) -> None:
    """What is recorded after the removal is in a file by the same name, readable by its owner."""
    file = tmp_path / "audit.log"
    log = AuditLog(str(file))
    with _closing(log):
        record(log, "/before")
        eventually(lambda: paths_in(file) == ["/before"])
        file.unlink()
        record(log, "/after")
        eventually(lambda: paths_in(file) == ["/after"])
    assert file.stat().st_mode & 0o777 == 0o600


def test_copying_and_truncating_breaks_no_line(tmp_path: Path) -> None:
    """After logrotate's `copytruncate` lines begin at the start of the file again.

    What is written between the copy and the truncation is lost by the method itself; a rotation
    that takes the lock, as here, loses nothing.
    """
    file = tmp_path / "audit.log"
    copies = []
    with _Load(AuditLog(str(file))) as load:
        for number in range(8):
            load.goes_on()
            eventually(file.exists)
            with file.open("r+b") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX)
                copies.append(Path(shutil.copy(file, tmp_path / f"copy.{number}")))
                opened.truncate(0)
    paths = [path for part in [*copies, file] for path in paths_in(part)]
    assert paths == [f"/{number}" for number in range(load.count)]


def test_a_line_that_a_killed_process_left_torn_spoils_no_other(tmp_path: Path) -> None:
    """The torn line is ended before the next one."""
    file = tmp_path / "audit.log"
    file.write_bytes(b'{"time":"2026')
    log = AuditLog(str(file))
    with _closing(log):
        record(log, "/whole")
    torn, whole = file.read_bytes().splitlines()
    assert torn == b'{"time":"2026'
    assert json.loads(whole)["path"] == "/whole"


def test_a_full_disk_stops_no_request_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines wait while the disk is full, are written once it is not, and both is logged, once."""
    file = tmp_path / "audit.log"
    target = tmp_path / "disk"
    file.symlink_to("/dev/full")
    log = AuditLog(str(file))
    log.start()
    with _closing(log):
        for number in range(1000):
            record(log, f"/{number}")
        eventually(lambda: bool(_told(caplog)))
        record(log, "/1000")
        (tmp_path / "other").symlink_to(target)
        (tmp_path / "other").replace(file)
        eventually(lambda: bool(_told(caplog, logging.WARNING)))
    assert paths_in(target) == [f"/{number}" for number in range(1001)]
    [failure] = _told(caplog)
    assert failure.startswith(f"audit log {file} cannot be written: No space left on device; ")
    assert "1000 lines wait" in failure
    assert _told(caplog, logging.WARNING) == [f"audit log {file} is written again"]


def test_a_failure_that_lasts_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """However often lines are tried, a minute passes between complaints; the end has its own."""
    now = 0.0
    tried = set[float]()

    def monotonic() -> float:
        tried.add(now)
        return now

    writer = _writer(FileSink("/dev/full"), monotonic=monotonic)
    with _closing(writer):
        _put(writer, "line")
        for now in (0.0, 59.9, 60.0, 119.9):
            eventually(functools.partial(tried.issuperset, {now}))
    assert len([told for told in _told(caplog) if "cannot be written" in told]) == 2
    assert _told(caplog)[-1] == "audit log /dev/full: 1 lines are not written"


def test_lines_beyond_what_memory_is_for_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest are dropped; a line where they are missing, and the logger, tell how many."""
    file = tmp_path / "audit.log"
    file.symlink_to("/dev/full")
    writer = _writer(FileSink(str(file)), capacity=1000)
    with _closing(writer):
        for number in range(150):
            _put(writer, f"line {number:04d}")
        eventually(lambda: bool(_told(caplog)))
        (tmp_path / "other").symlink_to(tmp_path / "disk")
        (tmp_path / "other").replace(file)
        eventually(lambda: len(_told(caplog)) == 2)
        _put(writer, "later")
    written = (tmp_path / "disk").read_text().splitlines()
    assert written == [*(f"line {number:04d}" for number in range(100)), "lost 50", "later"]
    assert "50 are lost" in _told(caplog)[0]
    assert _told(caplog)[1] == f"audit log {file} is written again; 50 lines were lost"


def test_a_log_that_was_closed_full_begins_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes when memory is full has what waits there tried again."""
    file = tmp_path / "audit.log"
    file.symlink_to("/dev/full")
    writer = _writer(FileSink(str(file)), capacity=10)
    _put(writer, "waiting line")
    writer.close()
    (tmp_path / "other").symlink_to(tmp_path / "disk")
    (tmp_path / "other").replace(file)
    with _closing(writer):
        _put(writer, "too much")
        eventually(lambda: len(_told(caplog)) == 3)
    assert (tmp_path / "disk").read_text().splitlines() == ["waiting line", "lost 1"]


def test_lost_records_are_an_audit_line(tmp_path: Path) -> None:
    """Memory has its bound in bytes, however clients blow up lines; the rest is told as JSON."""
    file = tmp_path / "audit.log"
    disk = tmp_path / "disk"
    file.symlink_to("/dev/full")
    log = AuditLog(str(file), clock=lambda: 1795391171.123456)
    with _closing(log):
        for _ in range(2800):
            record(log, "\U0001f4f7" * 2048)
        (tmp_path / "other").symlink_to(disk)
        (tmp_path / "other").replace(file)
        eventually(lambda: disk.exists() and b'"lost"' in disk.read_bytes()[-100:])
    *kept, last = disk.read_bytes().splitlines()
    assert disk.stat().st_size < 65 * 1024 * 1024
    assert (
        last
        == (
            f'{{"time":"2026-11-22T23:46:11.123456Z","outcome":"lost","lines":{2800 - len(kept)}}}'
        ).encode()
    )


def test_a_log_that_was_not_started_tells_of_a_bad_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests go on, lines wait for the directory, and the logger says so."""
    file = tmp_path / "absent" / "audit.log"
    log = AuditLog(str(file))
    with _closing(log):
        record(log, "/early")
        eventually(lambda: bool(_told(caplog)))
        file.parent.mkdir()
    assert paths_in(file) == ["/early"]
    assert "No such file or directory; requests go on" in _told(caplog)[0]


def test_lines_that_could_not_be_written_at_the_end_wait_for_a_new_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing tells how many are left; starting again writes them."""
    file = tmp_path / "absent" / "audit.log"
    log = AuditLog(str(file))
    record(log, "/early")
    log.close()
    assert _told(caplog)[-1] == f"audit log {file}: 1 lines are not written"
    file.parent.mkdir()
    log.start()
    log.close()
    assert paths_in(file) == ["/early"]


@contextlib.contextmanager
def _limited(size: int) -> Iterator[None]:
    """End a write at this size of the file, in the middle of a line, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _lines(name: str) -> list[str]:
    return [f"{name} {number} {'x' * (number % 90)}" for number in range(50)]


def _batch(name: str) -> Batch:
    return Batch("".join(f"{line}\n" for line in _lines(name)).encode())


def _drip(file: Path) -> list[bool]:
    """Write while the disk gets 37 bytes larger at a time; tell each time if lines are whole."""
    sink, batch, size, whole = FileSink(str(file)), _batch("drip"), 0, []
    while batch.sent < len(batch.data):
        size += 37
        with _limited(size), contextlib.suppress(OSError):
            sink.append(batch)
        whole.append(batch.sent == batch.line_start)
    sink.close()
    return whole


def _beside(file: Path) -> None:
    """Find the disk full in mid-line, and let another process be the first to write again."""
    first, second, batch = FileSink(str(file)), FileSink(str(file)), _batch("first")
    with _limited(1001), pytest.raises(OSError, match="File too large"):
        first.append(batch)
    second.append(_batch("second"))
    first.append(batch)
    first.close()
    second.close()


@pytest.fixture
def append_only(tmp_path: Path) -> Iterator[Path]:
    """Yield a file that root has marked so that it can only grow."""
    file = tmp_path / "append-only.log"
    file.touch()
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+a", file], check=False).returncode:
        pytest.skip("needs root and a file system with the append-only attribute")
    yield file
    subprocess.run([chattr, "-a", file], check=True)


def test_a_disk_that_fills_up_in_a_line_leaves_no_half_line(tmp_path: Path) -> None:
    """What was begun is taken back, and comes whole as soon as there is room for it."""
    file = tmp_path / "audit.log"
    assert all(_drip(file))
    assert file.read_text().splitlines() == _lines("drip")


def test_what_cannot_be_taken_back_goes_on_where_it_stopped(append_only: Path) -> None:
    """A file that can only grow gets the rest of the line, and no byte twice."""
    assert not all(_drip(append_only))
    assert append_only.read_text().splitlines() == _lines("drip")


def test_a_process_that_found_the_disk_full_disturbs_no_other(tmp_path: Path) -> None:
    """Another process that writes first once there is room meets whole lines only."""
    file = tmp_path / "audit.log"
    _beside(file)
    written = file.read_text().splitlines()
    assert sorted(written) == sorted(_lines("first") + _lines("second"))


def test_half_a_line_that_stays_is_ended_by_the_next_process(append_only: Path) -> None:
    """Where nothing can be taken back, the whole line is written again after the other's."""
    _beside(append_only)
    written = append_only.read_text().splitlines()
    whole = _lines("first") + _lines("second")
    assert len([line for line in written if line not in whole]) == 1
    assert sorted(line for line in written if line in whole) == sorted(whole)


GROWING = """
import logging, resource, sys, threading
from nmos_auth.audit.log import AuditLog
from tests.support.audit import record

told = {logging.ERROR: threading.Event(), logging.WARNING: threading.Event()}

class Handler(logging.Handler):
    def emit(self, entry):
        told[entry.levelno].set()

logging.getLogger("nmos_auth").addHandler(Handler())
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
log = AuditLog(sys.argv[1])
for number in range(2000):
    record(log, f"/{number}/" + "x" * (number % 100))
assert told[logging.ERROR].wait(20)
with open(sys.argv[1], "rb") as file:
    print(file.read().endswith(b"\\n"))
for number in range(2000, 4000):
    record(log, f"/{number}/" + "x" * (number % 100))
resource.setrlimit(resource.RLIMIT_FSIZE, before)
assert told[logging.WARNING].wait(20)
"""


def test_a_log_recovers_from_a_full_disk_without_loss(tmp_path: Path) -> None:
    """From the failure in mid-line to the end of the process, each record is there once."""
    file = tmp_path / "audit.log"
    ended = subprocess.run(
        [sys.executable, "-c", GROWING, str(file)], capture_output=True, timeout=30, check=True
    )
    assert ended.stdout == b"True\n"
    assert paths_in(file) == [f"/{number}/" + "x" * (number % 100) for number in range(4000)]


def test_a_lock_that_another_process_holds_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is written meanwhile; a lock that is not let go of for seconds is told."""
    file = tmp_path / "audit.log"
    file.touch()
    log = AuditLog(str(file))
    with file.open() as other, _closing(log):
        fcntl.flock(other, fcntl.LOCK_EX)
        log.start()
        record(log, "/waiting")
        eventually(lambda: bool(_told(caplog)))
        assert not file.stat().st_size
        fcntl.flock(other, fcntl.LOCK_UN)
        eventually(lambda: paths_in(file) == ["/waiting"])
    assert "another process keeps it locked" in _told(caplog)[0]


def test_a_fifo_is_written_as_far_as_it_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing reader stops neither the start nor requests, and is told."""
    fifo = tmp_path / "audit.fifo"
    os.mkfifo(fifo)
    log = AuditLog(str(fifo))
    log.start()
    with _closing(log):
        for number in range(2000):
            record(log, f"/{number}")
        eventually(lambda: bool(_told(caplog)))
        with fifo.open("rb") as reader:
            read = [json.loads(reader.readline())["path"] for _ in range(2000)]
    assert read == [f"/{number}" for number in range(2000)]
    assert "no process reads from it" in _told(caplog)[0]


def test_a_pipe_whose_reader_is_gone_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A broken pipe is a failure like a full disk."""
    reader, descriptor = os.pipe()
    os.close(reader)
    writer = _writer(StreamSink("stdout", descriptor))
    with _closing(writer):
        _put(writer, "line")
        eventually(lambda: bool(_told(caplog)))
    os.close(descriptor)
    assert "audit log stdout cannot be written: Broken pipe" in _told(caplog)[0]


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "non-blocking"])
def test_a_slow_reader_gets_every_line(
    blocking: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Lines of any length come whole through a pipe, and its delay is nobody's concern."""
    lines = [f"{number} {'x' * (number * 997 % 20_000)}" for number in range(100)]
    reader, descriptor = os.pipe()
    os.set_blocking(descriptor, blocking)
    writer = _writer(StreamSink("stderr", descriptor))
    with os.fdopen(reader) as pipe, _closing(writer):
        for line in lines:
            _put(writer, line)
        assert [pipe.readline().rstrip("\n") for _ in lines] == lines
    os.close(descriptor)
    assert not _told(caplog)
