"""The audit log: one line for every request that is authorized or rejected.

IS-10 "Behaviour: Resource Servers", Audit Requirements: "Resource Servers MUST securely provide a
log of each request which they authorize or reject. Logs MUST include an accurate timestamp and
details of the token passed to them in the request. Logs MUST NOT contain sensitive information
such as secrets."

A line is one JSON object in ASCII (wrapped here for reading):

    {"time":"2026-11-22T23:46:11.123456Z","outcome":"rejected","status":401,"reason":"expired",
     "method":"GET","path":"/x-nmos/node/v1.3/self","peer":"192.0.2.1:50000","verified":true,
     "iss":"https://as.example.com","sub":"user","client_id":"controller","scope":"node","jti":"8f0c"}

`jti` gives way to `"token":"sha256:…"`, the start of the token's digest, for tokens that have none.
All that a client can choose is escaped and cut, so that nothing it sends breaks or forges a line.
Where lines were lost because they could not be written for long, a line of its own counts them:
`{"time":"…","outcome":"lost","lines":12}`.
"""

from __future__ import annotations

import logging
import re
import time
from datetime import UTC, datetime
from enum import StrEnum
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final

from nmos_auth.audit_sinks import FileSink, StreamSink
from nmos_auth.audit_writer import LineWriter
from nmos_auth.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NO_TOKEN", "AuditLog", "Outcome", "subject_fragment"]

NO_TOKEN: Final = (
    '"verified":false,"iss":null,"sub":null,"client_id":null,"scope":null,"token":null'  # noqa: S105
)
"""The subject of a request that passed no token."""

_MAX_PATH = 2048
_MAX_TEXT = 256
_STREAMS = {"stdout": 1, "stderr": 2}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MAX_DECISIONS = 1024
_MAX_QUOTED = 2048
# Added before cutting, so that the nearest microsecond is written: few are a float exactly.
_HALF_MICRO = 5e-7
_SURROGATE = re.compile(r"[\ud800-\udfff]")

_logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a request."""

    __hash__ = str.__hash__  # Enum's own is Python code, too slow for every request

    AUTHORIZED = "authorized"
    REJECTED = "rejected"


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
    pipe holds up a request; `nmos_auth.audit_writer` tells what happens while they cannot be
    written. A file is made readable for its owner alone, may be written by several processes at
    once, and may be rotated by renaming as well as by copying and truncating.
    """

    def __init__(self, destination: str, *, clock: Callable[[], float] = time.time) -> None:
        """Prepare; nothing is opened yet.

        Args:
            destination: The path of a file, or `stderr`, `stdout`, or `logging`: a message for
                the logger `nmos_auth.audit` at level INFO.
            clock: Seconds since the epoch, UTC.
        """
        self._destination = destination
        self._clock = clock
        self._second = (-1, "")
        self._decisions: dict[tuple[Outcome, int | None, str, str], str] = {}
        self._quoted: dict[str | None, str] = {}
        self._writer: LineWriter | None = None
        self._put: Callable[[str], None] = _log
        if destination != "logging":
            stream = _STREAMS.get(destination)
            sink = FileSink(destination) if stream is None else StreamSink(destination, stream)
            self._writer = LineWriter(sink, lost_line=self._lost_line)
            self._put = self._writer.put

    def start(self) -> None:
        """Start writing; without it the first record does, and only the logger tells of a bad path.

        Raises:
            ConfigurationError: The destination cannot be written to.
        """
        if self._writer is None:
            return
        try:
            self._writer.start()
        except OSError as error:
            raise ConfigurationError(
                f"NMOS_AUTH_AUDIT_LOG: cannot write to {self._destination!r}: "
                f"{error.strerror or error}; name a file that this process may read and write, in "
                "a directory that exists, or one of stderr, stdout and logging"
            ) from error

    def record(
        self,
        outcome: Outcome,
        status: int | None,
        reason: str,
        method: str,
        path: str,
        peer: str | None,
        subject: str,
    ) -> None:
        """Record one decision; waits for no disk and no pipe, and never fails for them.

        Args:
            outcome: What became of the request.
            status: The status answered, or None where the application has yet to choose it, or
                the close code of a WebSocket that was open.
            reason: Why, in a few fixed words.
            method: As the client sent it.
            path: The canonical path, without the query, which may hold a token.
            peer: Address and port of the client, where known.
            subject: What `subject_fragment` made of the token, or `NO_TOKEN`.
        """
        now = self._clock()
        second = int(now + _HALF_MICRO)
        cached, prefix = self._second
        if second != cached:
            prefix = _prefix(second)
            self._second = (second, prefix)
        # All that follows is written for speed: this runs for every request.
        decision = self._decisions.get((outcome, status, reason, method)) or self._decision(
            outcome, status, reason, method
        )
        quoted = self._quoted
        quoted_path = quoted.get(path) or self._quote(path, _MAX_PATH)
        quoted_peer = quoted.get(peer) or self._quote(peer, _MAX_TEXT)
        micros = str(int((now - second + 1 + _HALF_MICRO) * 1e6))[1:]
        self._put(f'{prefix}{micros}{decision}{quoted_path},"peer":{quoted_peer},{subject}}}')

    def close(self) -> None:
        """Write everything out and stop, waiting a few seconds at most.

        `start` or `record` begin anew. The end of the interpreter closes what is open.
        """
        if self._writer is not None:
            self._writer.close()

    def _quote(self, value: str | None, limit: int) -> str:
        """Render a path or a peer; recent short ones are remembered, so that memory is bounded."""
        rendered = _quote(value, limit)
        if value is None or len(value) <= _MAX_TEXT:
            if len(self._quoted) >= _MAX_QUOTED:
                self._quoted.clear()
            self._quoted[value] = rendered
        return rendered

    def _decision(self, outcome: Outcome, status: int | None, reason: str, method: str) -> str:
        rendered = (
            f'Z","outcome":"{outcome}","status":{"null" if status is None else status},'
            f'"reason":{_quote(reason)},"method":{_quote(method)},"path":'
        )
        # Clients may send any method, and must not fill the memory with them.
        if method in _METHODS and len(self._decisions) < _MAX_DECISIONS:
            self._decisions[outcome, status, reason, method] = rendered
        return rendered

    def _lost_line(self, lines: int) -> str:
        now = datetime.fromtimestamp(self._clock(), tz=UTC)
        return f'{{"time":"{now:%Y-%m-%dT%H:%M:%S.%fZ}","outcome":"lost","lines":{lines}}}'


def _prefix(second: int) -> str:
    return time.strftime('{"time":"%Y-%m-%dT%H:%M:%S.', time.gmtime(second))


def _log(line: str) -> None:
    _logger.info("%s", line)
