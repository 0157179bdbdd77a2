"""Whose files are believed, by what links they may be reached, and how they are replaced."""

from __future__ import annotations

import contextlib
import errno
import logging
import multiprocessing
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmos_auth.servers.file_places import place_of
from nmos_auth.servers.private_files import FilePlanted, FileRefused, PrivateFile
from tests.support.other_users import GROUP, STRANGER, USER, acting_as, as_root

SETTING = "NMOS_AUTH_SOME_FILE"


@pytest.fixture
def place() -> Iterator[Path]:
    """Yield a directory that every user may search, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


def write(path: Path, owner: int | None = None, mode: int = 0o600, group: int = -1) -> Path:
    """Write a file that belongs to `owner`, or to this user."""
    path.write_bytes(b"content")
    if owner is not None:
        os.chown(path, owner, group if group >= 0 else owner)
    elif group >= 0:
        os.chown(path, -1, group)
    path.chmod(mode)
    return path


def directory(path: Path, mode: int, owner: int = 0, group: int = 0) -> Path:
    """Make a directory that belongs to `owner`."""
    path.mkdir()
    os.chown(path, owner, group)
    path.chmod(mode)
    return path


def link(path: Path, target: str | Path, owner: int = 0) -> Path:
    """Make a link that belongs to `owner`."""
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)
    return path


def read(path: Path, *, secret: bool = True) -> bytes:
    """Read a file as the package does, and find its content right."""
    file = PrivateFile(path, setting=SETTING, secret=secret)
    content = file.read()
    file.keep_private()
    return content


def mode_of(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def refusal(path: Path, *, secret: bool = True) -> str:
    """Read a file that is refused, and return what is said: the setting, the file and more."""
    with pytest.raises(FileRefused) as caught:
        read(path, secret=secret)
    assert str(caught.value).startswith(f"{SETTING}: ")
    assert str(path) in str(caught.value)
    return str(caught.value)


# Owners and modes


def test_a_file_of_this_user_is_read_in_silence(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As this package writes it."""
    assert read(write(place / "file")) == b"content"
    assert caplog.records == []


def test_a_file_that_is_missing_is_said_to_be(place: Path) -> None:
    """Callers decide whether one has to be there."""
    for path in (place / "file", place / "nowhere" / "file"):
        with pytest.raises(FileNotFoundError):
            read(path)


@as_root
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o444, 0o666])
@pytest.mark.parametrize("reader", [0, USER])
def test_a_file_of_another_user_is_refused(place: Path, mode: int, reader: int) -> None:
    """A bind mount of another user's file, or one planted in a shared directory: with the cure."""
    path = write(place / "file", STRANGER, mode)
    with acting_as(reader):
        said = refusal(path)
    if reader == 0 or mode != 0o600:
        assert f"chown {reader}" in said
    assert mode_of(path) == mode


@as_root
def test_a_file_of_root_is_believed_by_everybody(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """That others may read a public one is nobody's business."""
    path = write(place / "file", 0, 0o644)
    with acting_as(USER):
        assert read(path, secret=False) == b"content"
        assert caplog.records == []
        assert read(path) == b"content"
    assert f"chmod go-rwx {path}" in caplog.text
    assert mode_of(path) == 0o644


@as_root
@pytest.mark.parametrize("mode", [0o646, 0o664])
def test_a_file_of_root_that_others_may_write_is_refused(place: Path, mode: int) -> None:
    """This user cannot close it."""
    path = write(place / "file", 0, mode, GROUP)
    with acting_as(USER):
        assert f"chmod go-w {path}" in refusal(path)
    assert mode_of(path) == mode


@pytest.mark.parametrize("secret", [True, False])
@pytest.mark.parametrize("mode", [0o606, 0o602, 0o622, 0o666, 0o777])
def test_what_others_could_write_is_closed_and_not_believed(
    place: Path, mode: int, *, secret: bool
) -> None:
    """Not after a restart either, until somebody has looked at it and says so."""
    path = write(place / "file", mode=mode)
    for _ in range(2):
        with pytest.raises(FilePlanted, match="chmod 6"):
            read(path, secret=secret)
        assert mode_of(path) & 0o022 == 0
        assert mode_of(path) & 0o044 == 0 or not secret
    path.chmod(0o600)
    assert read(path, secret=secret) == b"content"


@as_root
def test_what_a_foreign_group_could_write_is_closed(place: Path) -> None:
    """A group is others, unless this process is in it."""
    path = write(place / "file", USER, 0o660, GROUP)
    with acting_as(USER), pytest.raises(FilePlanted):
        read(path)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o605])
def test_what_others_could_read_is_used_and_closed_once_it_is_right(
    place: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Before, the path may be wrong, and the file another program's. A warning is said once."""
    path = write(place / "file", mode=mode)
    file = PrivateFile(path, setting=SETTING, secret=True)
    assert file.read() == file.read() == b"content"
    assert mode_of(path) == mode
    assert caplog.records == []
    for _ in range(2):
        file.keep_private()
    assert mode_of(path) & 0o007 == 0
    (warning,) = [each for each in caplog.records if "other users" in each.getMessage()]
    assert warning.levelno == logging.WARNING
    assert SETTING in warning.getMessage()


@as_root
def test_a_volume_with_fs_group(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file 0660 in a directory 2770 whose group this process is in, links and all."""
    volume = directory(place / "volume", 0o2770, 0, GROUP)
    path = write(volume / "file", 0, 0o660, GROUP)
    link(volume / "link", "file")
    with acting_as(USER, GROUP):
        assert read(path) == read(volume / "link") == b"content"
        assert f"group {GROUP}" in caplog.text
        PrivateFile(path, setting=SETTING, secret=True).write(b"new")
        assert read(path) == b"new"
    with acting_as(USER), pytest.raises(FileRefused):
        read(path)


# Kinds of files


def test_other_kinds_of_files_are_refused_at_once(place: Path) -> None:
    """A pipe does not hang the start, and the message says what stands there."""
    os.mkfifo(place / "pipe", 0o600)
    (place / "directory").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "socket"))
        for name in ("pipe", "directory", "socket"):
            assert f"is a {name}" in refusal(place / name)
    assert "is a device" in refusal(Path("/dev/zero"))
    assert "is a directory" in refusal(Path("/"))


@as_root
def test_a_file_that_may_not_be_read_is_refused(place: Path) -> None:
    """With the user who should be let read it."""
    path = write(place / "file", 0, 0o600)
    with acting_as(USER):
        assert f"let user {USER} read it" in refusal(path)


def test_a_path_that_cannot_be_one_is_refused() -> None:
    """A null character is in no path."""
    with pytest.raises(FileRefused, match="is not a path"):
        read(Path("a\0b"))


# Links


@as_root
@pytest.mark.parametrize("mode", [0o1777, 0o755])
@pytest.mark.parametrize("reader", [0, USER])
def test_a_volume_as_kubernetes_mounts_it(place: Path, mode: int, reader: int) -> None:
    """`file` → `..data/file`, `..data` → a directory by its date, which is replaced at once."""
    volume = directory(place / "volume", mode)
    dated = directory(volume / "..2026_11_30", 0o755)
    write(dated / "file", 0, 0o644)
    link(volume / "..data", "..2026_11_30")
    link(volume / "file", "..data/file")
    with acting_as(reader):
        assert read(volume / "file", secret=False) == b"content"


@as_root
@pytest.mark.parametrize("owner", [STRANGER, USER, 0])
@pytest.mark.parametrize("mode", [0o1777, 0o777, 0o755, 0o775])
@pytest.mark.parametrize("keeper", [STRANGER, USER, 0])
def test_a_link_is_followed_where_only_this_user_or_root_can_have_made_it(
    place: Path, owner: int, mode: int, keeper: int
) -> None:
    """By the link's owner, the directory's owner, and who may write in the directory."""
    target = write(place / "target", USER, 0o600)
    shared = directory(place / "shared", mode, keeper, GROUP)
    path = link(shared / "file", target, owner)
    trusted = STRANGER not in {owner, keeper} and mode in {0o1777, 0o755}
    with acting_as(USER):
        if trusted:
            assert read(path) == b"content"
        else:
            assert "link" in refusal(path)
            with pytest.raises(FileRefused):
                PrivateFile(path, setting=SETTING, secret=True).write(b"new")
    assert target.read_bytes() == b"content"


@as_root
def test_directories_behind_a_link_are_looked_at_as_well(place: Path) -> None:
    """A stranger's directory on the way lets the stranger say where the way leads."""
    foreign = directory(place / "foreign", 0o755, STRANGER, STRANGER)
    write(foreign / "file", 0, 0o644)
    link(place / "file", foreign / "file")
    link(place / "around", foreign / ".." / "foreign" / "file")
    with acting_as(USER):
        assert str(foreign) in refusal(place / "file", secret=False)
        assert str(foreign) in refusal(place / "around", secret=False)
        assert read(foreign / "file", secret=False) == b"content"


@as_root
def test_a_planted_link_that_leads_nowhere_makes_no_file(place: Path) -> None:
    """Neither reading nor writing through it, nor making a file."""
    shared = directory(place / "shared", 0o1777)
    path = link(shared / "file", place / "made", STRANGER)
    file = PrivateFile(path, setting=SETTING, secret=True)
    for use in (file.read, lambda: file.write(b"new"), lambda: file.examine(os.O_CREAT)):
        with pytest.raises(FileRefused, match="link"):
            use()
    assert not (place / "made").exists()


def test_links_of_this_user_are_kept_when_what_they_lead_to_is_replaced(place: Path) -> None:
    """Writing goes where reading went."""
    (place / "real").mkdir()
    (place / "file").symlink_to("real/file")
    file = PrivateFile(place / "file", setting=SETTING, secret=True)
    file.write(b"new")
    assert (place / "file").is_symlink()
    assert file.read() == (place / "real" / "file").read_bytes() == b"new"


def test_links_in_a_circle_end(place: Path) -> None:
    """As they do for the kernel."""
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")
    assert "cannot be opened" in refusal(place / "a")


def test_the_kernels_own_links_are_followed(place: Path) -> None:
    """`/dev/fd/3` and its like lead to what is open, and nobody can make them."""
    path = write(place / "file")
    with path.open("rb") as held:
        assert read(Path(f"/proc/self/fd/{held.fileno()}")) == b"content"


# Writing


def test_what_is_written_is_this_users_alone(place: Path) -> None:
    """Whatever the umask, and whatever stood there."""
    path = write(place / "file", mode=0o644)
    old = os.umask(0)
    try:
        PrivateFile(path, setting=SETTING, secret=True).write(b"new")
    finally:
        os.umask(old)
    assert (path.read_bytes(), mode_of(path)) == (b"new", 0o600)
    assert list(place.iterdir()) == [path]


def test_what_is_there_can_be_left_there(place: Path) -> None:
    """Of two who make a file at once, the second takes the first one's."""
    file = PrivateFile(place / "file", setting=SETTING, secret=True)
    file.write(b"first", replace=False)
    with pytest.raises(FileExistsError):
        file.write(b"second", replace=False)
    assert file.read() == b"first"
    assert list(place.iterdir()) == [file.path]


def _write_for_ever(path: Path) -> None:
    while True:
        PrivateFile(path, setting=SETTING, secret=True).write(b"b" * 100_000)


def test_a_file_system_without_hard_links(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is made there too, of this user only, and one that is there is left there."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    file = PrivateFile(place / "file", setting="SETTING", secret=True)
    file.write(b"first", replace=False)
    with pytest.raises(FileExistsError):
        file.write(b"second", replace=False)
    assert file.read() == b"first"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [each.name for each in place.iterdir()] == ["file"]


def test_a_process_that_is_killed_while_writing_leaves_a_whole_file(place: Path) -> None:
    """At whatever moment: the old content stands until the new one is complete."""
    path = place / "file"
    PrivateFile(path, setting=SETTING, secret=True).write(b"a" * 100_000)
    fork = multiprocessing.get_context("fork")
    for turn in range(6):
        process = fork.Process(target=_write_for_ever, args=(path,))
        process.start()
        process.join(0.003 * turn)
        process.kill()
        process.join()
        process.close()
        assert read(path) in {b"a" * 100_000, b"b" * 100_000}
    for left in place.iterdir():
        os.utime(left, (0, time.time() - 3700))
    PrivateFile(path, setting=SETTING, secret=True).write(b"c")
    assert [*place.iterdir()] == [path]


LEFT = "file.0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "mode", "age"),
    [
        (LEFT, 0o600, 3500),
        (LEFT, 0o600, -3700),
        (LEFT, 0o640, 3700),
        (f"{LEFT}0", 0o600, 3700),
        (LEFT.upper(), 0o600, 3700),
        (f"other-{LEFT}", 0o600, 3700),
        ("file.2026", 0o600, 3700),
        ("file.lock", 0o600, 3700),
    ],
)
def test_files_of_others_stay_beside_it(place: Path, name: str, mode: int, age: int) -> None:
    """Only what has the very form of a file that was left is removed, after an hour."""
    other = write(place / name, mode=mode)
    os.utime(other, (0, time.time() - age))
    PrivateFile(place / "file", setting=SETTING, secret=True).write(b"c")
    assert {each.name for each in place.iterdir()} == {"file", name}


@pytest.mark.parametrize("name", [LEFT, "file.key.0123456789abcdef"])
def test_what_was_left_is_removed_with_the_next_write(place: Path, name: str) -> None:
    """What was left beside the key of a store too, since a key is written only once."""
    os.utime(write(place / name, mode=0o600), (0, time.time() - 3700))
    PrivateFile(place / "file", setting=SETTING, secret=True).write(b"c")
    assert [each.name for each in place.iterdir()] == ["file"]


def test_another_process_may_remove_what_was_left(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that has gone since the directory was read does not end the removing."""
    os.utime(write(place / LEFT, mode=0o600), (0, time.time() - 3700))
    names = os.listdir
    gone = "file.fedcba9876543210"
    monkeypatch.setattr(os, "listdir", lambda directory: [gone, *names(directory)])
    PrivateFile(place / "file", setting=SETTING, secret=True).write(b"c")
    assert names(place) == ["file"]


FULL_DISK = """\
import os, sys, time
from pathlib import Path
from nmos_auth.servers.private_files import PrivateFile
place, age = Path(sys.argv[1]), float(sys.argv[2])
file = PrivateFile(place / "file", setting="A_SETTING", secret=True)
file.write(b"a" * 8_000)
left = place / "file.0123456789abcdef"
descriptor = os.open(left, os.O_CREAT | os.O_WRONLY, 0o600)
try:
    while os.write(descriptor, b"b" * 4096):
        pass
except OSError:
    os.close(descriptor)
    os.utime(left, (0, time.time() - age))
try:
    file.write(b"c" * 8_000)
except OSError as error:
    print(error.strerror)
print(file.read()[:1].decode(), *sorted(each.name for each in place.iterdir()))
"""


@pytest.mark.parametrize(
    ("age", "printed"),
    [
        (3700, "c file\n"),
        (3500, "No space left on device\na file file.0123456789abcdef\n"),
    ],
    ids=["left by a killed process", "being written"],
)
def test_a_disk_that_is_full_of_what_was_left(place: Path, age: int, printed: str) -> None:
    """What killed processes have left gives way to the file; what may be being written does not."""
    unshare = shutil.which("unshare")
    alone = [unshare or "", "--mount", "--map-root-user"]
    if unshare is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("needs unshare, and permission to mount")
    script = 'mount -t tmpfs -o size=256k none "$1" && exec "$0" -c "$3" "$1" "$2"'
    shell = ["sh", "-c", script, sys.executable, str(place), str(age), FULL_DISK]
    done = subprocess.run([*alone, *shell], check=True, capture_output=True, text=True)
    assert done.stdout == printed


@pytest.mark.parametrize(
    ("number", "is_good"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)]
)
def test_a_directory_that_cannot_be_synced(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    is_good: bool,  # noqa: FBT001
) -> None:
    """A file system without that is good enough; a disk that fails is not, and the caller hears it.

    The file is whole in either case.
    """
    sync = os.fsync

    def refuse_directories(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_directories)
    file = PrivateFile(place / "file", setting=SETTING, secret=True)
    with contextlib.nullcontext() if is_good else pytest.raises(OSError, match="error"):
        file.write(b"whole")
    assert read(file.path) == b"whole"
    assert [each.name for each in place.iterdir()] == ["file"]


def test_links_and_directories_stay_beside_it(place: Path) -> None:
    """They are no files that a killed process has left."""
    (place / LEFT).symlink_to(write(place / "elsewhere"))
    (place / LEFT.replace("0", "a")).mkdir(mode=0o600)
    for each in place.iterdir():
        os.utime(each, (0, 0), follow_symlinks=False)
    before = {*place.iterdir()}
    PrivateFile(place / "file", setting=SETTING, secret=True).write(b"c")
    assert {*place.iterdir()} == before | {place / "file"}


def test_nothing_stays_open(place: Path) -> None:
    """Whatever comes of it."""
    write(place / "file")
    (place / "link").symlink_to("nowhere/file")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("file", "link", "missing", "."):
        for use in (read, lambda path: PrivateFile(path, setting=SETTING, secret=True).write(b"")):
            with contextlib.suppress(OSError):
                use(place / name)
    with place_of(place / "file"):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
