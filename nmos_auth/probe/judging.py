"""From answers to verdicts. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from nmos_auth.probe.rows import Force, Row, Source, Suite, is_10, practice, rfc
from nmos_auth.probe.wire import Reply

__all__ = ["OBSERVATIONS", "Observed", "Result", "Trial", "Verdict", "judge", "observe"]

_SLOW = 1.0
_TRACES = (b"Traceback (most recent", b"at java.", b"goroutine ", b"Exception in thread")


class Verdict(StrEnum):
    """How a row ended."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    WARNING = "warning"
    UNTESTED = "could not test"
    INAPPLICABLE = "not applicable"


class Trial(Protocol):
    """What a result tells of its row, whether that is one request or several."""

    @property
    def id(self) -> str:
        """Return what reports call it."""

    @property
    def suite(self) -> Suite:
        """Return its group."""

    @property
    def title(self) -> str:
        """Return what is tried."""

    @property
    def source(self) -> Source:
        """Return the sentence it holds the device to."""

    @property
    def meaning(self) -> str:
        """Return what a failure means for the operator."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one row on one API.

    Attributes:
        id: the row's.
        suite: its group.
        title: what was tried.
        source: the sentence it holds the device to.
        verdict: how it ended.
        sent: the request line, without any token; "" where nothing was sent.
        came: what came back, in a few words.
        meaning: what that means for the operator; "" where all is well.
    """

    id: str
    suite: str
    title: str
    source: Source
    verdict: Verdict
    sent: str = ""
    came: str = ""
    meaning: str = ""

    @classmethod
    def of(cls, row: Trial, verdict: Verdict, *, sent: str = "", came: str = "") -> Result:
        """Return the result of a row; its meaning stands where it failed or warns."""
        bad = verdict in {Verdict.FAIL, Verdict.WARNING}
        return cls(
            row.id,
            row.suite.value,
            row.title,
            row.source,
            verdict,
            sent,
            came,
            row.meaning if bad else "",
        )


def judge(row: Row, reply: Reply | None, *, sent: str, came: str = "") -> Result:
    """Judge an answer.

    Args:
        row: what was sent.
        reply: the final answer; None where there was none.
        sent: the request line.
        came: why there was no answer.
    """
    if reply is None:
        # A server that hangs up on rubbish refuses it, and says so to nobody.
        refuses = row.passes & {400, 401, 403}
        verdict = Verdict.WARNING if row.forged or (refuses and row.token is None) else Verdict.FAIL
        return Result.of(row, verdict, sent=sent, came=came)
    came = str(reply.status)
    if reply.status in row.passes:
        return Result.of(row, Verdict.PASS, sent=sent, came=came)
    if reply.status in row.warns or (reply.status == 503 and row.forged):
        result = Result.of(row, Verdict.WARNING, sent=sent, came=came)
        wanted = "/".join(map(str, sorted(row.passes)))
        return replace(result, meaning=f"It is answered {came}, and not {wanted}.")
    if row.source.force is Force.SHOULD and 200 <= reply.status < 500:
        return Result.of(row, Verdict.WARNING, sent=sent, came=came)
    result = Result.of(row, Verdict.FAIL, sent=sent, came=came)
    if reply.status >= 500:
        return replace(result, meaning=f"The server fails ({came}). {row.meaning}")
    return result


@dataclass(frozen=True, slots=True)
class Observed:
    """One exchange of a run, for what is looked at in every answer.

    Attributes:
        sent: the request line.
        reply: the answer.
        token: what was presented, or None.
        api: whether the target lies below an API.
        error: the RFC 6750 error code that belongs there; "" for none, None where it is not known.
    """

    sent: str
    reply: Reply
    token: str | None
    api: bool
    error: str | None = None


_ACCESSING = "Behaviour: Resource Servers, Accessing Protected Resources"

# What every answer is looked at for: the finding's id, its sentence, and what a fault means.
OBSERVATIONS: tuple[tuple[str, str, Source, Verdict, str], ...] = (
    (
        "answers-challenge",
        "401 and 403 have a Bearer challenge",
        is_10(_ACCESSING, "a rejected request gets WWW-Authenticate with the scheme Bearer"),
        Verdict.FAIL,
        "Clients cannot tell what is wrong, and do not get another token.",
    ),
    (
        "answers-no-code",
        "a request without credentials gets no error code",
        rfc(6750, "3.1", "a request that lacks credentials gets no error code", Force.SHOULD),
        Verdict.WARNING,
        "Clients take a missing token for a wrong one.",
    ),
    (
        "answers-code",
        "refusals name invalid_token or insufficient_scope",
        rfc(6750, "3.1", "401 is invalid_token, 403 is insufficient_scope", Force.SHOULD),
        Verdict.WARNING,
        "Clients cannot tell a wrong token from one that is not enough.",
    ),
    (
        "answers-json",
        "errors are JSON with code, error and debug",
        Source("IS-04", '"APIs: Error Codes & Responses"', Force.MUST, "errors are JSON objects"),
        Verdict.WARNING,
        "Clients cannot show what is wrong.",
    ),
    (
        "answers-cors",
        "errors may be read by a web page",
        Source("IS-04", '"APIs: Server Side Implementation"', Force.MUST, "APIs allow CORS"),
        Verdict.WARNING,
        "Controllers in a browser cannot read why a request was refused.",
    ),
    (
        "answers-no-token",
        "no answer repeats a token",
        practice("a token is never written into an answer"),
        Verdict.FAIL,
        "Tokens end up in logs and on screens, where others find them.",
    ),
    (
        "answers-no-trace",
        "no answer shows the server's inside",
        practice("an error names no file, line or stack"),
        Verdict.FAIL,
        "Strangers learn how the server is made.",
    ),
    (
        "answers-prompt",
        "every answer comes within a second",
        practice("no request waits for another server"),
        Verdict.WARNING,
        "Clients give up, and Controllers stand still.",
    ),
    (
        "answers-retry-after",
        "503 has an integer Retry-After",
        is_10(
            "Behaviour: Resource Servers, Public keys",
            "503 includes Retry-After",
            Force.SHOULD,
        ),
        Verdict.WARNING,
        "Clients do not know when to come again.",
    ),
)


def observe(exchanges: Iterable[Observed]) -> Iterator[Result]:
    """Look at every answer of a run, and yield a result for each thing looked at."""
    listed = list(exchanges)
    for name, title, source, verdict, meaning in OBSERVATIONS:
        faults = [each for each in listed if _has_fault(name, each)]
        looked = Result(name, "answers", title, source, Verdict.PASS, came=f"{len(listed)} answers")
        if faults:
            first = faults[0]
            came = f"{first.reply.status}, and {len(faults) - 1} more like it"
            looked = replace(looked, verdict=verdict, sent=first.sent, came=came, meaning=meaning)
        yield looked


def _has_fault(name: str, each: Observed) -> bool:  # noqa: PLR0911 - a row a line
    reply = each.reply
    challenge = reply.header("www-authenticate") or ""
    refused = each.api and reply.status in {401, 403}
    match name:
        case "answers-challenge":
            return refused and not challenge.lower().startswith("bearer ")
        case "answers-no-code":
            return refused and each.error == "" and "error=" in challenge
        case "answers-code":
            code = "invalid_token" if reply.status == 401 else "insufficient_scope"
            return refused and bool(each.error) and code not in challenge
        case "answers-json":
            return refused and reply.body != b"" and not _is_error_object(reply)
        case "answers-cors":
            return refused and reply.header("access-control-allow-origin") is None
        case "answers-no-token":
            return each.token is not None and _repeats(each.token, reply)
        case "answers-no-trace":
            return reply.status >= 400 and any(trace in reply.body for trace in _TRACES)
        case "answers-prompt":
            return reply.seconds > _SLOW
        case "answers-retry-after":
            return reply.status == 503 and reply.retry_after is None
        case _:
            return False


def _is_error_object(reply: Reply) -> bool:
    if not (reply.header("content-type") or "").lower().startswith("application/json"):
        return False
    try:
        document = json.loads(reply.body)
    except ValueError:
        return False
    return isinstance(document, dict) and {"code", "error", "debug"} <= document.keys()


def _repeats(token: str, reply: Reply) -> bool:
    telling = token[-40:] if len(token) > 80 else token
    if len(telling) < 16:
        return False
    shown = reply.body.decode("latin-1") + "".join(value for _, value in reply.headers)
    return telling in shown
