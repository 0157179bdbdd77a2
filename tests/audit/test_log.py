"""The audit log: what its lines say, and that they are written whatever the process does."""

from __future__ import annotations

import contextlib
import enum
import hashlib
import http
import json
import logging
import os
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.audit.log import AuditLog
from nmos_auth.audit.records import NO_TOKEN, Decision, Outcome, Subject, subject_fragment
from nmos_auth.errors import ConfigurationError, Detail
from tests.support.audit import paths_in, record
from tests.support.clocks import Clock
from tests.support.waiting import eventually

# All code points, lone surrogates included, and those that end or begin something more often.
ANY_TEXT = st.text(st.characters() | st.sampled_from('"\\\n\r\t\0\x7f\x85\u2028\u2029\ud800\udfff'))

FRAGMENT = subject_fragment(
    verified=True,
    digest="0123456789abcdef" * 4,
    iss="https://as.example.com",
    sub="user@example.com",
    client_id="controller",
    scope="connection node",
    jti="8f0c",
)


def subject_of(fragment: str) -> Subject:
    """Make a subject of what is said of a token."""
    return Subject(len(fragment), '"verified":true' in fragment, fragment)


SUBJECT = subject_of(FRAGMENT)


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextlib.contextmanager
def _logger_with(*handlers: logging.Handler, level: int) -> Iterator[None]:
    logger = logging.getLogger("nmos_auth.audit")
    before = logger.level, logger.propagate, logger.handlers
    logger.setLevel(level)
    logger.propagate, logger.handlers = False, list(handlers)
    try:
        yield
    finally:
        logger.setLevel(before[0])
        logger.propagate, logger.handlers = before[1:]


def _logged(fill: Callable[[AuditLog], None], now: float = 1.0) -> list[logging.LogRecord]:
    """Return what an audit log passes on to its logger."""
    handler = _Messages()
    with _logger_with(handler, level=logging.INFO):
        log = AuditLog("logging", clock=lambda: now)
        log.start()
        fill(log)
        log.close()
    return handler.records


def _line(
    *,
    now: float = 1.0,
    outcome: Outcome = Outcome.AUTHORIZED,
    status: int | None = 200,
    reason: str = "permitted",
    method: str = "GET",
    path: str = "/x-nmos/node/v1.3/self",
    client: Sequence[object] | None = ("192.0.2.1", 50000),
    subject: Subject = SUBJECT,
) -> str:
    """Return the one line that a record makes."""
    decision = Decision.on(outcome, reason, method, path, subject)
    records = _logged(lambda log: log.record(decision, status, client), now)
    assert [entry.levelno for entry in records] == [logging.INFO]
    return records[0].getMessage()


def _shown(value: str, limit: int = 256) -> str:
    """Say what a line makes of `value`."""
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in value[:limit])


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, timeout=30, check=True
    )


def test_a_line_says_when_what_who_and_why() -> None:
    """A line holds time, outcome, status, reason, request, peer and token, in this order."""
    assert _line(now=1795391171.123456) == (
        '{"time":"2026-11-22T23:46:11.123456Z","outcome":"authorized","status":200,'
        '"reason":"permitted","method":"GET","path":"/x-nmos/node/v1.3/self",'
        '"peer":"192.0.2.1:50000","detail":null,"verified":true,"iss":"https://as.example.com",'
        '"sub":"user@example.com","client_id":"controller","scope":"connection node","jti":"8f0c"}'
    )


def test_a_line_says_what_exactly_was_wrong() -> None:
    """The detail is cut after 256 characters, and breaks no line."""
    decision = Decision.on(Outcome.REJECTED, "audience", "GET", "/", SUBJECT)
    details = [Detail.of("aud is {}", "a\n"), Detail.of("{}", ("\ud800" * 200,) * 9), None]

    def fill(log: AuditLog) -> None:
        for detail in details:
            log.record(decision, 403, None, detail)

    written = [json.loads(each.getMessage())["detail"] for each in _logged(fill)]
    assert written[0] == r"aud is 'a\n'"
    assert len(written[1]) == 256
    assert written[2] is None


def test_strangers_fill_no_disk(tmp_path: Path) -> None:
    """What is beyond the limit is counted, once a second; requests with a good token never are."""
    clock, file = Clock(1000.0), tmp_path / "audit.log"
    log = AuditLog(str(file), clock=clock, monotonic=clock, limit=2)
    good = Decision.on(Outcome.REJECTED, "permission", "GET", "/good", SUBJECT)
    seconds, each_second = 90, 10
    for _ in range(seconds):
        for number in range(each_second):
            record(log, "/stranger")
            if number == 0:
                log.record(good, 403, None)
            clock.now += 0.1
    log.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    counted = [line for line in lines if line["outcome"] == "limited"]
    strangers = [line for line in lines if line.get("path") == "/stranger"]
    assert len([line for line in lines if line.get("path") == "/good"]) == seconds
    # A minute's worth at once, and then so many a second.
    assert 2 * 60 + 2 * seconds - 2 <= len(strangers) <= 2 * 60 + 2 * seconds
    assert len(strangers) + sum(line["lines"] for line in counted) == seconds * each_second
    assert 0 < len(counted) <= seconds + 1


def test_a_clock_that_is_set_back_takes_no_lines_away(tmp_path: Path) -> None:
    """The limit goes by a clock that nobody sets."""
    clock, monotonic, file = Clock(1000.0), Clock(1000.0), tmp_path / "audit.log"
    log = AuditLog(str(file), clock=clock, monotonic=monotonic, limit=1)
    for _ in range(60):
        record(log, "/before")
    clock.now -= 900
    for _ in range(5):
        monotonic.now += 1
        clock.now += 1
        record(log, "/after")
    log.close()
    paths = [json.loads(line).get("path") for line in file.read_text().splitlines()]
    assert paths == ["/before"] * 60 + ["/after"] * 5


def test_what_was_counted_is_told_before_the_end(tmp_path: Path) -> None:
    """Though nothing comes after it."""
    clock, file = Clock(1000.0), tmp_path / "audit.log"
    log = AuditLog(str(file), clock=clock, monotonic=clock, limit=1 / 60)
    for _ in range(5):
        record(log, "/")
    log.close()
    assert [json.loads(line)["outcome"] for line in file.read_text().splitlines()] == [
        "rejected",
        "limited",
    ]


def test_a_log_that_is_off_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And says so at the start; no file is named off."""
    monkeypatch.chdir(tmp_path)
    log = AuditLog("off")
    log.start()
    record(log, "/")
    log.close()
    assert "NMOS_AUTH_AUDIT_LOG is off" in caplog.text
    assert list(tmp_path.iterdir()) == []


def _at(level: int) -> logging.Handler:
    handler = _Messages()
    handler.setLevel(level)
    return handler


@pytest.mark.parametrize(
    ("handlers", "level", "heard"),
    [
        ([], logging.INFO, False),
        ([logging.NullHandler()], logging.INFO, False),
        ([_at(logging.WARNING)], logging.INFO, False),
        ([_at(logging.INFO)], logging.WARNING, False),
        ([_at(logging.INFO)], logging.INFO, True),
        ([_at(logging.NOTSET)], logging.DEBUG, True),
    ],
)
def test_a_logger_that_hears_nothing_is_told_at_the_start(
    handlers: list[logging.Handler],
    level: int,
    caplog: pytest.LogCaptureFixture,
    *,
    heard: bool,
) -> None:
    """As under uvicorn's own configuration, which has no handler for anybody else."""
    with _logger_with(*handlers, level=level):
        AuditLog("logging").start()
    assert ("no decision is recorded" in caplog.text) is not heard


def test_what_is_not_known_is_null() -> None:
    """Status, peer and token are null where there are none."""
    line = json.loads(_line(status=None, client=None, subject=NO_TOKEN))
    absent = ("status", "peer", "iss", "sub", "client_id", "scope", "token")
    assert {name: line[name] for name in absent} == dict.fromkeys(absent)
    assert line["verified"] is False


@pytest.mark.parametrize("jti", [None, ""])
def test_a_token_without_a_name_is_known_by_its_digest(jti: str | None) -> None:
    """Sixteen digits of the digest stand where `jti` is absent or empty."""
    fragment = subject_fragment(
        verified=False,
        digest="0123456789abcdef" * 4,
        iss=None,
        sub=None,
        client_id=None,
        scope=None,
        jti=jti,
    )
    assert fragment == (
        '"verified":false,"iss":null,"sub":null,"client_id":null,"scope":null,'
        '"token":"sha256:0123456789abcdef"'
    )


@pytest.mark.parametrize(
    ("now", "written"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1795391171.0, "2026-11-22T23:46:11.000000Z"),
        (1795391171.000001, "2026-11-22T23:46:11.000001Z"),
        (1795391171.999999, "2026-11-22T23:46:11.999999Z"),
        (1795391171.9999995, "2026-11-22T23:46:12.000000Z"),
        (1795391171.9999998, "2026-11-22T23:46:12.000000Z"),
        (4102444799.5, "2099-12-31T23:59:59.500000Z"),
    ],
)
def test_times_are_utc_with_six_digits(now: float, written: str) -> None:
    """Microseconds always have six digits, and are the nearest."""
    assert json.loads(_line(now=now))["time"] == written


class _Status(int, enum.Enum):
    CREATED = 201


def test_a_status_is_a_number_whatever_the_app_calls_it() -> None:
    """Apps name statuses by enumerations of their own, and send one of several on one decision."""
    decision = Decision.on(Outcome.AUTHORIZED, 'a "reason"\n', "GET", '/\n"', NO_TOKEN)
    detail = Detail.of("it is {}\n", 'a "text"\n')
    statuses = [_Status.CREATED, http.HTTPStatus.OK, None, 201, None, 200]

    def fill(log: AuditLog) -> None:
        for status in statuses:
            log.record(decision, status, ("::1", 1), detail)

    lines = [json.loads(each.getMessage()) for each in _logged(fill)]
    assert [line["status"] for line in lines] == [201, 200, None, 201, None, 200]
    assert {line["detail"] for line in lines} == {str(detail)}
    assert {line["path"] for line in lines} == {'/\n"'}


def test_every_record_has_its_own_time() -> None:
    """Seconds go forward and back with the clock."""
    ticks = [5.25, 5.5, 6.0, 4.75, 4.75]
    clock = iter(ticks)
    handler = _Messages()
    with _logger_with(handler, level=logging.INFO):
        log = AuditLog("logging", clock=lambda: next(clock))
        for _ in ticks:
            record(log, "/")
    seconds = [json.loads(entry.getMessage())["time"][17:23] for entry in handler.records]
    assert seconds == ["05.250", "05.500", "06.000", "04.750", "04.750"]


@given(
    method=ANY_TEXT,
    path=ANY_TEXT | ANY_TEXT.map(lambda text: text * 500),
    peer=st.none() | ANY_TEXT,
    reason=ANY_TEXT,
)
def test_no_request_breaks_or_forges_a_line(
    method: str, path: str, peer: str | None, reason: str
) -> None:
    """Whatever a client sends makes one line of ASCII, which gives back what was sent, cut."""
    client = None if peer is None else [peer]
    line = _line(method=method, path=path, client=client, reason=reason)
    assert line.isascii()
    assert line.isprintable() or "\x7f" in line
    parsed = json.loads(line)
    assert parsed["method"] == _shown(method)
    assert parsed["path"] == _shown(path, 2048)
    assert parsed["peer"] == (None if peer is None else _shown(peer))
    assert parsed["reason"] == _shown(reason)
    assert parsed["outcome"] == "authorized"
    assert list(parsed) == [
        *("time", "outcome", "status", "reason", "method", "path", "peer"),
        *("detail", "verified", "iss", "sub", "client_id", "scope", "jti"),
    ]


@given(
    claims=st.fixed_dictionaries(
        {
            name: st.none() | ANY_TEXT | ANY_TEXT.map(lambda text: text * 100)
            for name in ("iss", "sub", "client_id", "scope", "jti")
        }
    ),
    verified=st.booleans(),
)
def test_no_claim_breaks_or_forges_a_line(claims: dict[str, str | None], verified: bool) -> None:  # noqa: FBT001
    """Whatever a token claims makes one line of ASCII, which gives back what it claims, cut."""
    fragment = subject_fragment(
        verified=verified,
        digest="f" * 64,
        iss=claims["iss"],
        sub=claims["sub"],
        client_id=claims["client_id"],
        scope=claims["scope"],
        jti=claims["jti"],
    )
    line = _line(subject=subject_of(fragment))
    assert line.isascii()
    assert "\n" not in line
    parsed = json.loads(line)
    assert parsed["verified"] is verified
    for name in ("iss", "sub", "client_id", "scope"):
        value = claims[name]
        assert parsed[name] == (None if value is None else _shown(value))
    if claims["jti"]:
        assert parsed["jti"] == _shown(claims["jti"])
        assert "token" not in parsed
    else:
        assert parsed["token"] == "sha256:ffffffffffffffff"
        assert "jti" not in parsed


def test_lines_hold_no_lone_surrogates() -> None:
    r"""Parsers that refuse `\ud800`, as most outside Python do, read every line."""
    line = _line(path="/\ud800x\udfff\U0001f600")
    assert r'"path":"/\ufffdx\ufffd\ud83d\ude00"' in line


def test_long_values_are_cut() -> None:
    """Paths keep 2048 characters, all else 256, so that no client makes a line huge."""
    line = json.loads(
        _line(method="M" * 9999, path="/" * 9999, client=("p" * 9999, 1), reason="r" * 9999)
    )
    kept = {name: len(line[name]) for name in ("method", "path", "peer", "reason")}
    assert kept == {"method": 256, "path": 2048, "peer": 256, "reason": 256}


def test_what_never_comes_twice_leaves_nothing_in_memory() -> None:
    """Clients that make up methods, from ever new addresses, do not make the process grow."""
    log = AuditLog("logging")
    with _logger_with(logging.NullHandler(), level=logging.INFO):
        record(log, "/")
        tracemalloc.start()
        try:
            for number in range(10_000):
                made_up = Decision.on(Outcome.REJECTED, "method", f"M{number}", "/", NO_TOKEN)
                log.record(made_up, 403, (f"192.0.2.{number}", number))
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert grown < 400_000


def test_no_part_of_a_token_is_written(tmp_path: Path) -> None:
    """A token leaves nothing in the log but its digest's start and its claims."""
    token = "eyJhbGciOiJSUzUxMiJ9.eyJpc3MiOiJodHRwczovL2FzIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
    digest = hashlib.sha256(token.encode()).hexdigest()
    subject = subject_fragment(
        verified=True,
        digest=digest,
        iss="https://as",
        sub=None,
        client_id="c",
        scope="node",
        jti=None,
    )
    file = tmp_path / "audit.log"
    log = AuditLog(str(file))
    decision = Decision.on(
        Outcome.AUTHORIZED, "permitted", "GET", "/x-nmos/node/v1.3", subject_of(subject)
    )
    log.record(decision, 200, None)
    log.close()
    text = file.read_text()
    assert f"sha256:{digest[:16]}" in text
    assert digest[:17] not in text
    assert not [part for part in token.split(".") if part in text]


def test_a_logger_gets_one_message_a_line_from_the_caller() -> None:
    """With `logging` there is no thread, and a percent sign is nothing special."""
    before = threading.enumerate()
    threads: list[threading.Thread] = []

    def fill(log: AuditLog) -> None:
        for number in range(3):
            record(log, f"/{number}%s%d")
        threads.extend(threading.enumerate())

    messages = [json.loads(entry.getMessage())["path"] for entry in _logged(fill)]
    assert messages == ["/0%s%d", "/1%s%d", "/2%s%d"]
    assert threads == before


def test_a_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    """The log is "securely" provided (IS-10, Audit Requirements): nobody else may read it."""
    file = tmp_path / "audit.log"
    log = AuditLog(str(file))
    log.start()
    log.close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("wrong", ["absent/audit.log", ".", "file/audit.log", "null\0", "\ud800"])
def test_a_path_that_cannot_be_written_stops_the_start(wrong: str, tmp_path: Path) -> None:
    """The error names the variable, the path and the way out."""
    (tmp_path / "file").touch()
    log = AuditLog(str(tmp_path / wrong))
    with pytest.raises(ConfigurationError, match=r"^NMOS_AUTH_AUDIT_LOG: cannot write to ") as told:
        log.start()
    assert repr(str(tmp_path / wrong)) in str(told.value)
    assert "directory that exists" in str(told.value)


def test_a_closed_stream_stops_the_start() -> None:
    """A process without standard error learns that it cannot log there."""
    _run(
        "import os, sys\n"
        "from nmos_auth.audit.log import AuditLog\n"
        "os.close(2)\n"
        "try:\n"
        "    AuditLog('stderr').start()\n"
        "except ValueError as error:\n"
        "    sys.exit(0 if 'NMOS_AUTH_AUDIT_LOG' in str(error) else 1)\n"
        "sys.exit(2)\n"
    )


def test_lines_are_in_the_file_within_200_ms(tmp_path: Path) -> None:
    """A line need not wait for others, nor for the end."""
    file = tmp_path / "audit.log"
    log = AuditLog(str(file))
    log.start()
    taken = []
    recorded: list[str] = []
    for number in range(3):
        begun = time.monotonic()
        recorded.append(f"/{number}")
        record(log, recorded[-1])
        eventually(lambda: paths_in(file) == recorded)
        taken.append(time.monotonic() - begun)
    log.close()
    # The machine may be busy with something else once, but not with every line.
    assert min(taken) < 0.2


def test_the_first_record_starts_a_log_that_nobody_started(tmp_path: Path) -> None:
    """Without a lifespan, and after `close`, records are written all the same."""
    file = tmp_path / "audit.log"
    log = AuditLog(str(file))
    for number in range(3):
        record(log, f"/{number}")
        log.close()
        assert paths_in(file) == [f"/{n}" for n in range(number + 1)]


def test_start_and_close_may_be_repeated(tmp_path: Path) -> None:
    """Two lifespans over one log do no harm, and one thread is all it has."""
    file = tmp_path / "audit.log"
    log = AuditLog(str(file))
    log.close()
    before = threading.active_count()
    for number in range(3):
        log.start()
        log.start()
        assert threading.active_count() == before + 1
        record(log, f"/{number}")
        log.close()
        log.close()
        assert threading.active_count() == before
    assert paths_in(file) == ["/0", "/1", "/2"]


def test_records_of_several_threads_are_all_written(tmp_path: Path) -> None:
    """Event loops in threads may share a log."""
    file = tmp_path / "audit.log"
    log = AuditLog(str(file))

    def work(thread: int) -> None:
        for number in range(2000):
            record(log, f"/{thread}/{number}")

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    written = paths_in(file)
    for number in range(4):
        mine = [path for path in written if path.startswith(f"/{number}/")]
        assert mine == [f"/{number}/{n}" for n in range(2000)]


def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that changes its directory keeps its log."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    log = AuditLog("audit.log")
    monkeypatch.chdir(tmp_path / "elsewhere")
    record(log, "/")
    log.close()
    assert paths_in(tmp_path / "audit.log") == ["/"]


RECORDS = """
import atexit, pathlib, sys
from nmos_auth.audit.log import AuditLog
from tests.support.audit import record
from tests.support.waiting import eventually

log = AuditLog(sys.argv[1])
"""


def test_nothing_is_lost_when_a_process_ends_without_close(tmp_path: Path) -> None:
    """The interpreter's end writes all lines, also those of functions that run at exit."""
    file = tmp_path / "audit.log"
    _run(
        f"{RECORDS}\n"
        "atexit.register(lambda: record(log, '/last'))\n"
        "for number in range(5000):\n"
        "    record(log, f'/{number}')\n"
        "sys.exit(0)\n",
        str(file),
    )
    assert paths_in(file) == [*(f"/{n}" for n in range(5000)), "/last"]


def test_a_forked_process_writes_its_own_lines_and_no_others(tmp_path: Path) -> None:
    """Lines that waited at a fork are written once, and both processes go on."""
    file = tmp_path / "audit.log"
    _run(
        f"{RECORDS}\n"
        "import os\n"
        "for number in range(1000):\n"
        "    record(log, f'/before/{number}')\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "eventually(lambda: file.exists() and file.stat().st_size > 0)\n"
        "record(log, '/before/1000')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    inherited = [entry.resolve() for entry in pathlib.Path('/proc/self/fd').iterdir()]\n"
        "    assert file not in inherited\n"
        "for number in range(1000):\n"
        '    record(log, f\'/{"parent" if child else "child"}/{number}\')\n'
        "if child:\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n",
        str(file),
    )
    written = paths_in(file)
    assert len(written) == 3001
    for who, count in (("before", 1001), ("parent", 1000), ("child", 1000)):
        assert [path for path in written if path.startswith(f"/{who}/")] == [
            f"/{who}/{n}" for n in range(count)
        ]


STREAMED = f"""{RECORDS}
for number in range(5000):
    record(log, f'/{{number}}')
print('recorded', flush=True, file=getattr(sys, sys.argv[2]))
sys.stdin.read()
"""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_nobody_reads_holds_no_request_up(stream: str) -> None:
    """Records return while the pipe is full, and are all there once it is read."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            STREAMED,
            stream,
            "stderr" if stream == "stdout" else "stdout",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        used, other = process.stdout, process.stderr
        if stream == "stderr":
            used, other = other, used
        assert other.readline() == b"recorded\n"
        read = [json.loads(used.readline())["path"] for _ in range(5000)]
        process.stdin.close()
        assert process.wait(timeout=20) == 0
        assert read == [f"/{number}" for number in range(5000)]
        assert used.read() == b""


def test_a_process_ends_although_nobody_reads_its_stream() -> None:
    """The end waits a bounded time for a reader, and tells nobody who would not read it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"\n")
    os.set_blocking(writer, True)
    script = f"{RECORDS}\nfor number in range(1000): record(log, f'/{{number}}')\n"
    with subprocess.Popen([sys.executable, "-c", script, "stderr"], stderr=writer) as process:
        os.close(writer)
        try:
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
    os.close(reader)
