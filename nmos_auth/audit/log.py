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
A token without `jti` has `"token":"sha256:…"` instead, the start of its digest. Everything that a
client can choose is escaped and cut, so that it cannot break or forge a line. If lines were lost
because they could not be written for a long time, a line of its own says how many:
`{"time":"…","outcome":"lost","lines":12}`. When requests without a verified token would fill the
disk, their refusals are only counted, in a line once a second with `"outcome":"limited"`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from nmos_auth.audit.counts import AuditStatus, Label, Tally
from nmos_auth.audit.records import MAX_TEXT, Decision, quote
from nmos_auth.audit.sinks import FileSink, StreamSink
from nmos_auth.audit.writer import LineWriter
from nmos_auth.errors import ConfigurationError, Detail
from nmos_auth.servers.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LOGGING",
    "OFF",
    "AuditLog",
]

OFF: Final = "off"
"""The destination of a log that is not written."""

LOGGING: Final = "logging"
"""The destination of a log that becomes messages of a logger."""

_STREAMS = {"stdout": 1, "stderr": 2}
# Bytes that a detail may need, before it is text.
_DETAIL = 1000
# A minute's worth of lines may come at once.
_BURST = 60
_MOST_PEERS = 1024
# Added before cutting, so that the nearest microsecond is written: a float seldom is exact.
_HALF_MICRO = 5e-7
_DIGITS = tuple(f"{each:03}" for each in range(1000))

audit_logger = logging.getLogger("nmos_auth.audit")
logger = logging.getLogger("nmos_auth")


Peer = tuple[object, ...]
_Record = tuple[float, int | None, Peer | None, Decision, Detail | None]


class AuditLog:
    """Writes the decisions about requests to a file, a standard stream or a logger.

    Lines for a file or a stream are handed to a thread of their own, so that neither a disk nor a
    pipe holds up a request; `nmos_auth.audit.writer` tells what happens while they cannot be
    written. Only its owner may read a new file. Several processes may write a file at once, and it
    may be rotated by renaming as well as by copying and truncating.
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
            destination: the path of a file, or `stderr`, `stdout`, `off`, or `logging`: a message
                for the logger `nmos_auth.audit` at level INFO.
            clock: seconds since 1970 UTC.
            monotonic: seconds of a clock that never goes back, by which lines are limited.
            limit: lines a second for refusals of requests without a verified token, after a
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
        """Start writing. Otherwise the first record does, and only the logger reports a bad path.

        Raises:
            ConfigurationError: the destination cannot be written to.
        """
        if self._destination == OFF:
            logger.warning("NMOS_AUTH_AUDIT_LOG is off: no decision is recorded")
        if self._destination == LOGGING and not _is_heard(audit_logger):
            logger.warning(
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
        """Record one decision. This does not wait for a disk or a pipe, and does not fail for them.

        Args:
            decision: what was decided.
            status: the status answered, or None where the application has yet to choose it.
            client: address and port of the client, where known.
            detail: what exactly was wrong, or None.
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
        """Return the decisions since the start, and what became of their lines."""
        writer = self._writer
        return AuditStatus(
            destination=self._destination,
            decisions={label: tally.number for label, tally in tuple(self._tallies.items())},
            waiting=0 if writer is None else writer.waiting,
            lost=0 if writer is None else writer.lost,
            limited=self._all_limited,
        )

    def _tally_of(self, decision: Decision) -> Tally:
        label = decision.label
        tally = self._tallies.get(label) or self._tallies.setdefault(label, Tally())
        decision.tally = tally
        return tally

    def _leaves_out(self, decision: Decision, now: float) -> bool:
        """Count a decision beyond the limit, instead of writing a line for it."""
        if self._limited and not 0 <= now - self._limited_since < 1:
            self._count_limited()
        allowance = self._allowance
        if not decision.by_a_stranger or allowance is None or allowance.take(self._monotonic()):
            return False
        self._limited += 1
        self._all_limited += 1
        self._limited_since = self._limited_since or now
        return True

    def _count_limited(self) -> None:
        lines, self._limited, self._limited_since = self._limited, 0, 0.0
        counted = self._counting_line("limited", lines)
        self._put(counted, len(counted))

    def close(self) -> None:
        """Write all lines that wait, and stop, within a few seconds.

        `start` or `record` begin again. The end of the interpreter closes what is open.
        """
        if self._limited:
            self._count_limited()
        if self._writer is not None:
            self._writer.close()

    def _lines(self, records: Iterable[_Record | str]) -> str:
        # One loop over pieces that are there already costs 0.6 of what a call and a text for each
        # line cost: half a microsecond of every request.
        cached, prefix = self._second
        pieces: list[str] = []
        for record in records:
            if isinstance(record, str):
                pieces.append(record)
                continue
            now, status, peer, decision, detail = record
            second = int(now + _HALF_MICRO)
            if second != cached:
                cached = second
                prefix = time.strftime('{"time":"%Y-%m-%dT%H:%M:%S.', time.gmtime(second))
            micros = int((now - second + _HALF_MICRO) * 1e6)
            rendered = decision.rendered
            if rendered is None or rendered[0] != status:
                rendered = decision.render(status)
            _, before, after = rendered
            client = "null" if peer is None else self._peers.get(peer) or self._quote_peer(peer)
            about = "null" if detail is None else quote(str(detail))
            milli, micro = _DIGITS[micros // 1000], _DIGITS[micros % 1000]
            pieces += prefix, milli, micro, before, client, ',"detail":', about, after
        self._second = cached, prefix
        return "".join(pieces)

    def _quote_peer(self, peer: Peer) -> str:
        """Render a peer; recent short ones are remembered, so that memory is bounded."""
        text = ":".join(map(str, peer))
        quoted = quote(text)
        if len(text) <= MAX_TEXT:
            if len(self._peers) >= _MOST_PEERS:
                self._peers.clear()
            self._peers[peer] = quoted
        return quoted

    def _log(self, record: _Record | str, size: int) -> None:  # noqa: ARG002 - in place of the writer
        if audit_logger.isEnabledFor(logging.INFO):
            audit_logger.info("%s", self._lines((record,)).rstrip())

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
