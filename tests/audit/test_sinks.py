"""Where audit lines go: what is taken for a log, and what is refused."""

from __future__ import annotations

import json
import logging
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmos_auth.audit.log import AuditLog
from nmos_auth.errors import ConfigurationError
from tests.support.audit import paths_in, record
from tests.support.other_users import GROUP, STRANGER, USER, acting_as, as_root


@pytest.fixture
def place() -> Iterator[Path]:
    """Yield a directory that every user may search, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


def log_one(path: Path) -> None:
    """Start a log, write a line and close it."""
    log = AuditLog(str(path))
    log.start()
    record(log, "/")
    log.close()


@pytest.mark.parametrize(
    ("before", "after"),
    [(0o666, 0o644), (0o602, 0o600), (0o644, 0o644), (0o640, 0o640), (0o660, 0o660)],
)
def test_others_lose_their_permission_to_write(place: Path, before: int, after: int) -> None:
    """And nothing else changes: who reads the log is the operator's decision."""
    path = place / "audit.log"
    path.touch()
    path.chmod(before)
    log_one(path)
    assert stat.S_IMODE(path.stat().st_mode) == after
    assert paths_in(path) == ["/"]


@as_root
def test_a_log_of_another_user_is_closed_where_that_can_be_done(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it cannot, it is said, and requests are logged all the same."""
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    path = shared / "audit.log"
    path.touch()
    os.chown(path, STRANGER, STRANGER)
    path.chmod(0o666)
    with acting_as(USER):
        log_one(path)
    assert "other users may write the file" in caplog.text
    log_one(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert paths_in(path) == ["/", "/"]


@as_root
@pytest.mark.parametrize("there", [True, False])
def test_a_planted_link_is_not_followed(place: Path, *, there: bool) -> None:
    """In a shared directory, whether or not it leads to a file."""
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    target = place / "target"
    if there:
        target.write_bytes(b"")
    path = shared / "audit.log"
    path.symlink_to(target)
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(ConfigurationError, match=r"^NMOS_AUTH_AUDIT_LOG: .*link"):
        log_one(path)
    assert target.exists() is there
    assert not there or target.read_bytes() == b""


@as_root
def test_a_link_of_ones_own_is_followed(place: Path) -> None:
    """As operators make them."""
    (place / "audit.log").symlink_to("elsewhere.log")
    log_one(place / "audit.log")
    assert paths_in(place / "elsewhere.log") == ["/"]


@as_root
def test_a_group_that_this_process_is_in_may_write(place: Path) -> None:
    """So several services may write one log."""
    path = place / "audit.log"
    path.touch()
    os.chown(path, 0, GROUP)
    path.chmod(0o660)
    with acting_as(USER, GROUP):
        log_one(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert paths_in(path) == ["/"]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/full"])
def test_a_device_is_taken_as_it_is(device: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither its owner nor its mode is asked, nor changed."""
    before = Path(device).stat().st_mode
    log_one(Path(device))
    assert Path(device).stat().st_mode == before
    assert not [each for each in caplog.records if "other users" in each.getMessage()]


@as_root
@pytest.mark.parametrize("mode", [0o666, 0o600])
def test_a_pipe_is_taken_as_it_is(place: Path, mode: int) -> None:
    """Of whatever owner."""
    path = place / "pipe"
    os.mkfifo(path)
    os.chown(path, STRANGER, STRANGER)
    path.chmod(mode)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        log_one(path)
        assert json.loads(os.read(reader, 4096))["path"] == "/"
    finally:
        os.close(reader)
    assert stat.S_IMODE(path.stat().st_mode) == mode


WRITES = """
import sys
from pathlib import Path
from tests.audit.test_sinks import log_one
log_one(Path("/dev/stdout"))
"""


@pytest.mark.parametrize("to", ["pipe", "file"])
def test_a_containers_standard_output_is_taken(place: Path, to: str) -> None:
    """`/dev/stdout` leads by links of the kernel to whatever stands behind it."""
    path = place / "output"
    if to == "pipe":
        done = subprocess.run([sys.executable, "-c", WRITES], capture_output=True, check=True)
        path.write_bytes(done.stdout)
    else:
        with path.open("wb") as file:
            subprocess.run([sys.executable, "-c", WRITES], stdout=file, check=True)
    assert paths_in(path) == ["/"]


def test_a_socket_is_refused_with_the_way_out(place: Path) -> None:
    """Nobody can open one: systemd connects standard output to one."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "socket"))
        with pytest.raises(ConfigurationError, match="AUDIT_LOG=stdout"):
            log_one(place / "socket")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-c", WRITES],
            stdout=ours.fileno(),
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode != 0
    assert b"AUDIT_LOG=stdout" in done.stderr


@as_root
def test_a_link_that_is_planted_later_is_not_followed_either(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log is opened again once its path leads elsewhere."""
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    path = shared / "audit.log"
    log = AuditLog(str(path))
    record(log, "/before")
    log.close()
    path.unlink()
    path.symlink_to(place / "target")
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    with caplog.at_level(logging.ERROR):
        record(log, "/after")
        log.close()
    assert not (place / "target").exists()
    assert "link" in caplog.text
