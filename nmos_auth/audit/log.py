"""The audit log: one line for every request that is authorized or rejected.

IS-10 "Behaviour: Resource Servers", Audit Requirements: "Resource Servers MUST securely provide a
log of each request which they authorize or reject. Logs MUST include an accurate timestamp and
details of the token passed to them in the request. Logs MUST NOT contain sensitive information
such as secrets."

A line is one JSON object in ASCII (wrapped here for reading):

    {"time":"2026-11-22T23:46:11.123456Z","outcome":"rejected","status":401,"reason":"expired",
     "method":"GET","path":"/x-nmos/node/v1.3/self","peer":"192.0.2.1:50000",
     "detail":"exp was 12.5 s ago","verified":false,"iss":"https://as.example.com","sub":"user",
     "client_id":"controller","scope":"node","jti":"8f0c"}

`reason` is one of `nmos_auth.errors.Reason`, and `detail` says what exactly was wrong, or is null.
`jti` gives way to `"token":"sha256:…"`, the start of the token's digest, for tokens that have none.
All that a client can choose is escaped and cut, so that nothing it sends breaks or forges a line.
Where lines were lost because they could not be written for long, a line of its own says how many:
`{"time":"…","outcome":"lost","lines":12}`. Where strangers would fill the disk, refusals of
requests without a verified token are only counted, in a line once a second: `"outcome":"limited"`.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final

from nmos_auth.audit.counts import AuditStatus, Label, Tally, label_of
from nmos_auth.audit.sinks import FileSink, StreamSink
from nmos_auth.audit.writer import LineWriter
from nmos_auth.errors import ConfigurationError, Detail
from nmos_auth.servers.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LOGGING",
    "NO_TOKEN",
    "OFF",
    "AuditLog",
    "Decision",
    "Outcome",
    "Subject",
    "subject_fragment",
]

OFF: Final = "off"
"""The destination of a log that is not written."""

LOGGING: Final = "logging"
"""The destination of a log that becomes messages of a logger."""

_MAX_PATH = 2048
_MAX_TEXT = 256
_STREAMS = {"stdout": 1, "stderr": 2}
# What else there is in a line, and no less than its length before it is one.
_LACKING = 300
# Two surrogates for a character beyond the first 65,536.
_LONGEST_ESCAPE = 12
# A detail before it is text.
_DETAIL = 1000
# A minute's worth of lines may come at once.
_BURST = 60
_MOST_PEERS = 1024
# Added before cutting, so that the nearest microsecond is written: few are a float exactly.
_HALF_MICRO = 5e-7
_SURROGATE = re.compile(r"[\ud800-\udfff]")

_logger = logging.getLogger("nmos_auth.audit")
_package_logger = logging.getLogger("nmos_auth")


class Outcome(StrEnum):
    """What became of a request."""

    AUTHORIZED = "authorized"
    REJECTED = "rejected"


class Subject:
    """What audit lines say of a token: text when the first of them is written.

    Args:
        render: Calls `subject_fragment`, in a thread that no request waits for.
        size: About how long the text is, or what it is made of while it is not.
        verified: Whether the token is authentic.
    """

    __slots__ = ("_render", "_text", "size", "verified")

    def __init__(self, render: Callable[[], str], size: int, *, verified: bool) -> None:
        self._render: Callable[[], str] | None = render
        self._text = ""
        self.size = size
        self.verified = verified

    def __str__(self) -> str:
        """Return the members of an audit line that describe the token."""
        if (render := self._render) is not None:
            self._text = render()
            self._render = None
        return self._text


NO_TOKEN: Final = Subject(
    lambda: '"verified":false,"iss":null,"sub":null,"client_id":null,"scope":null,"token":null',
    100,
    verified=False,
)
"""The subject of a request that passed no token."""


class Decision:
    """What an audit line says of a decision, but for its time, its status and the peer.

    It becomes text when the first line of it is written, in a thread that no request waits for,
    and keeps that text for the next. It is recorded by one log, which counts it.

    Attributes:
        size: About how long a line is.
        by_a_stranger: Whether a request was refused that passed no verified token.
        label: What the decision is counted by.
        tally: The log's count for the label, once the log has recorded the decision: to look it
            up costs 0.4 microseconds for each request.
    """

    __slots__ = (
        "_method",
        "_parts",
        "_path",
        "_subject",
        "by_a_stranger",
        "label",
        "size",
        "tally",
    )

    @classmethod
    def on(
        cls, outcome: Outcome, reason: str, method: str, path: str, subject: Subject
    ) -> Decision:
        """Record one decision, or many of one kind.

        Args:
            outcome: What became of the request.
            reason: Why, in a few fixed words.
            method: As the client sent it.
            path: The canonical path, without the query, which may hold a token.
            subject: What is said of the token, or `NO_TOKEN`.
        """
        decision = cls()
        decision._method = method
        decision._path = path[:_MAX_PATH]
        decision._subject = subject
        decision._parts = None
        decision.size = _LACKING + len(method) + _quoted_size(decision._path) + subject.size
        decision.by_a_stranger = outcome is Outcome.REJECTED and not subject.verified
        decision.label = label_of(str(outcome), str(reason), method, path)
        decision.tally = None
        return decision

    _method: str
    _path: str
    _subject: Subject
    _parts: tuple[str, str, str] | None
    size: int
    by_a_stranger: bool
    label: Label
    tally: Tally | None

    def __repr__(self) -> str:
        """Name the decision, and nobody whom it is about."""
        return f"{type(self).__name__}({self.label})"

    def parts(self) -> tuple[str, str, str]:
        """Return the members before the status, those between it and the peer, and the rest."""
        if self._parts is None:
            label = self.label
            middle = (
                f',"reason":{_quote(label.reason)},"method":{_quote(self._method)},'
                f'"path":{_quote(self._path, _MAX_PATH)},"peer":'
            )
            head = f'Z","outcome":"{label.outcome}","status":'
            self._parts = head, middle, f",{self._subject}}}\n"
        return self._parts


Peer = tuple[object, ...]
_Record = tuple[float, int | None, Peer | None, Decision, Detail | None]


def subject_fragment(
    *,
    verified: bool,
    digest: str,
    iss: str | None,
    sub: str | None,
    client_id: str | None,
    scope: str | None,
    jti: str | None,
) -> str:
    """Render the members of an audit line that describe the token, once for every token.

    Args:
        verified: Whether the signature was verified; the claims of other tokens are hearsay.
        digest: The SHA-256 digest of the token, hexadecimal; it stands for tokens without `jti`.
        iss: The claim of this name, or None where it is absent; so are the others.
        sub: Likewise.
        client_id: `client_id`, or `azp` in its place.
        scope: Scopes separated by spaces.
        jti: Names the token, where it has one that is not empty.

    Returns:
        Members of a JSON object without the braces, each string cut after 256 characters.
    """
    token = f'"jti":{_quote(jti)}' if jti else f'"token":{_quote(f"sha256:{digest[:16]}")}'
    return (
        f'"verified":{"true" if verified else "false"},"iss":{_quote(iss)},"sub":{_quote(sub)},'
        f'"client_id":{_quote(client_id)},"scope":{_quote(scope)},{token}'
    )


def _quoted_size(text: str) -> int:
    """Return how long a text is at most as a JSON string."""
    if text.isascii() and text.isprintable():
        return len(text) + text.count('"')
    return len(text) * _LONGEST_ESCAPE


def _quote(value: str | None, limit: int = _MAX_TEXT) -> str:
    """Return the start of `value` as a JSON string, or null."""
    if value is None:
        return "null"
    value = value[:limit]
    if not value.isascii():
        # Escaped as it stands, a lone surrogate makes strict JSON parsers refuse the whole line.
        value = _SURROGATE.sub("\ufffd", value)
    return encode_basestring_ascii(value)


class AuditLog:
    """Writes the decisions about requests to a file, a standard stream or a logger.

    Lines for a file or a stream are handed to a thread of their own, so that neither a disk nor a
    pipe holds up a request; `nmos_auth.audit.writer` tells what happens while they cannot be
    written. A file is made readable for its owner only, may be written by several processes at
    once, and may be rotated by renaming as well as by copying and truncating.
    """

    def __init__(
        self,
        destination: str,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        limit: float | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            destination: The path of a file, or `stderr`, `stdout`, `off`, or `logging`: a message
                for the logger `nmos_auth.audit` at level INFO.
            clock: seconds since 1970 UTC.
            monotonic: seconds of a clock that never goes back, by which lines are limited.
            limit: Lines a second for refusals of requests without a verified token, after a
                burst of a minute's worth; None for no limit.
        """
        self._destination = destination
        self._clock = clock
        self._monotonic = monotonic
        self._second = (-1, "")
        self._peers: dict[Peer, str] = {}
        self._writer: LineWriter[_Record | str] | None = None
        self._put: Callable[[_Record | str, int], None] = self._log
        self._allowance = None if limit is None else _allowance(limit)
        self._limited = 0
        self._all_limited = 0
        self._tallies: dict[Label, Tally] = {}
        self._limited_since = 0.0
        if destination == OFF:
            self._put = _drop
        elif destination != LOGGING:
            stream = _STREAMS.get(destination)
            sink = FileSink(destination) if stream is None else StreamSink(destination, stream)
            self._writer = LineWriter(sink, render=self._lines, lost_entry=self._lost_line)
            self._put = self._writer.put

    def start(self) -> None:
        """Start writing; without it the first record does, and only the logger tells of a bad path.

        Raises:
            ConfigurationError: The destination cannot be written to.
        """
        if self._destination == OFF:
            _package_logger.warning("NMOS_AUTH_AUDIT_LOG is off: no decision is recorded")
        if self._destination == LOGGING and not _is_heard(_logger):
            _package_logger.warning(
                "NMOS_AUTH_AUDIT_LOG is logging, and no handler shows messages of the logger"
                " nmos_auth.audit at level INFO: no decision is recorded until one does"
            )
        if self._writer is None:
            return
        try:
            self._writer.start()
        except OSError as error:
            raise ConfigurationError(
                f"NMOS_AUTH_AUDIT_LOG: cannot write to {self._destination!r}: "
                f"{error.strerror or error}; name a file that this process may read and write, in "
                "a directory that exists, or one of stderr, stdout, logging and off"
            ) from error

    def record(
        self,
        decision: Decision,
        status: int | None,
        client: Iterable[object] | None,
        detail: Detail | None = None,
    ) -> None:
        """Record one decision; waits for no disk and no pipe, and never fails for them.

        Args:
            decision: What was decided.
            status: The status answered, or None where the application has yet to choose it.
            client: Address and port of the client, where known.
            detail: What exactly was wrong, or None.
        """
        tally = decision.tally or self._tally_of(decision)
        tally.number += 1
        now = self._clock()
        if (self._limited or decision.by_a_stranger) and self._leaves_out(decision, now):
            return
        peer = None if client is None else tuple(client)
        size = decision.size if detail is None else decision.size + _DETAIL
        self._put((now, status, peer, decision, detail), size)

    def status(self) -> AuditStatus:
        """Return what was decided since the start, and what became of the lines."""
        writer = self._writer
        return AuditStatus(
            destination=self._destination,
            decisions={label: tally.number for label, tally in tuple(self._tallies.items())},
            waiting=0 if writer is None else writer.waiting,
            lost=0 if writer is None else writer.lost,
            limited=self._all_limited,
        )

    def _tally_of(self, decision: Decision) -> Tally:
        decision.tally = tally = self._tallies.setdefault(decision.label, Tally())
        return tally

    def _leaves_out(self, decision: Decision, now: float) -> bool:
        """Count a decision beyond the limit in place of a line of its own."""
        if self._limited and not 0 <= now - self._limited_since < 1:
            self._count_limited()
        if not (decision.by_a_stranger and self._is_limited()):
            return False
        self._limited += 1
        self._all_limited += 1
        self._limited_since = self._limited_since or now
        return True

    def _is_limited(self) -> bool:
        return self._allowance is not None and not self._allowance.take(self._monotonic())

    def _count_limited(self) -> None:
        lines, self._limited, self._limited_since = self._limited, 0, 0.0
        counted = self._counting_line("limited", lines)
        self._put(counted, len(counted))

    def close(self) -> None:
        """Write everything out and stop, waiting a few seconds at most.

        `start` or `record` begin again. The end of the interpreter closes what is open.
        """
        if self._limited:
            self._count_limited()
        if self._writer is not None:
            self._writer.close()

    def _lines(self, records: Iterable[_Record | str]) -> str:
        return "".join(map(self._line, records))

    def _line(self, record: _Record | str) -> str:
        if isinstance(record, str):
            return record
        now, status, peer, decision, detail = record
        second = int(now + _HALF_MICRO)
        cached, prefix = self._second
        if second != cached:
            prefix = time.strftime('{"time":"%Y-%m-%dT%H:%M:%S.', time.gmtime(second))
            self._second = (second, prefix)
        micros = str(int((now - second + 1 + _HALF_MICRO) * 1e6))[1:]
        answer = "null" if status is None else status
        client = "null" if peer is None else self._peers.get(peer) or self._quote_peer(peer)
        about = "null" if detail is None else _quote(str(detail))
        head, middle, tail = decision.parts()
        return f'{prefix}{micros}{head}{answer}{middle}{client},"detail":{about}{tail}'

    def _quote_peer(self, peer: Peer) -> str:
        """Render a peer; recent short ones are remembered, so that memory is bounded."""
        text = ":".join(map(str, peer))
        quoted = _quote(text)
        if len(text) <= _MAX_TEXT:
            if len(self._peers) >= _MOST_PEERS:
                self._peers.clear()
            self._peers[peer] = quoted
        return quoted

    def _log(self, record: _Record | str, size: int) -> None:  # noqa: ARG002 - in place of the writer
        if _logger.isEnabledFor(logging.INFO):
            _logger.info("%s", self._line(record).rstrip())

    def _lost_line(self, lines: int) -> str:
        return self._counting_line("lost", lines)

    def _counting_line(self, outcome: str, lines: int) -> str:
        now = datetime.fromtimestamp(self._clock(), tz=UTC)
        return f'{{"time":"{now:%Y-%m-%dT%H:%M:%S.%fZ}","outcome":"{outcome}","lines":{lines}}}\n'


def _allowance(limit: float) -> TokenBucket:
    return TokenBucket(1 / limit, max(1, math.ceil(_BURST * limit)))


def _drop(record: _Record | str, size: int) -> None:
    """Discard the record."""


def _is_heard(logger: logging.Logger) -> bool:
    """Tell whether a handler shows messages of level INFO."""
    if not logger.isEnabledFor(logging.INFO):
        return False
    each: logging.Logger | None = logger
    while each is not None:
        for handler in each.handlers:
            if handler.level <= logging.INFO and not isinstance(handler, logging.NullHandler):
                return True
        each = each.parent if each.propagate else None
    return False
