"""How answers become verdicts. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from nmos_auth.probe.rows import Force, Row, Source, Suite
from nmos_auth.probe.wire import Reply

__all__ = ["Judged", "Result", "Verdict", "judge"]


class Verdict(StrEnum):
    """How a row ended."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    WARNING = "warning"
    UNTESTED = "could not test"
    INAPPLICABLE = "not applicable"


class Judged(Protocol):
    """What a result says about its row, which is one request or several."""

    @property
    def id(self) -> str:
        """Return its name in reports."""

    @property
    def suite(self) -> Suite:
        """Return its group."""

    @property
    def title(self) -> str:
        """Return what is tried."""

    @property
    def source(self) -> Source:
        """Return the sentence that the device is checked against."""

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
        source: the sentence that the device is checked against.
        verdict: how it ended.
        sent: the request line, without any token; "" if nothing was sent.
        came: what came back, in a few words.
        meaning: what a failure or warning means for the operator; "" otherwise.
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
    def of(cls, row: Judged, verdict: Verdict, *, sent: str = "", came: str = "") -> Result:
        """Return the result of a row; it has a meaning if it failed or warns.

        A row whose sentence is only a SHOULD warns and does not fail.
        """
        if verdict is Verdict.FAIL and row.source.force is Force.SHOULD:
            verdict = Verdict.WARNING
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


def judge(row: Row, reply: Reply | None, *, sent: str, came: str = "", waited: float = 0) -> Result:
    """Judge an answer.

    Args:
        row: what was sent.
        reply: the final answer; None if there was none.
        sent: the request line.
        came: why there was no answer.
        waited: seconds for which the answer was 503 before.
    """
    if reply is None:
        # A server that closes the connection refuses the request as well, but does not say so.
        refuses = row.passes & {400, 401, 403}
        verdict = Verdict.WARNING if row.forged or (refuses and row.token is None) else Verdict.FAIL
        return Result.of(row, verdict, sent=sent, came=came)
    came = f"{reply.status} after 503 for {waited:.0f} s" if waited else str(reply.status)
    if reply.status in row.passes:
        return _judge_error(row, reply, Result.of(row, Verdict.PASS, sent=sent, came=came))
    if reply.status in row.warns or (reply.status == 503 and row.forged):
        result = Result.of(row, Verdict.WARNING, sent=sent, came=came)
        wanted = "/".join(map(str, sorted(row.passes)))
        # A status that is not a refusal is only tolerated: say what that means.
        told = "" if reply.status >= 400 else f" {row.meaning}"
        return replace(result, meaning=f"The answer is {reply.status} instead of {wanted}.{told}")
    result = Result.of(row, Verdict.FAIL, sent=sent, came=came)
    if reply.status >= 500:
        broken = f"The server fails ({reply.status}): anybody can make it fail with one request."
        return replace(result, verdict=Verdict.FAIL, meaning=broken)
    return result


def _judge_error(row: Row, reply: Reply, result: Result) -> Result:
    if row.error is None or reply.status != 403:
        return result
    challenge = reply.header("www-authenticate") or ""
    if row.error in challenge:
        return result
    told = f"WWW-Authenticate does not name {row.error}: clients cannot tell why they are refused."
    return replace(Result.of(row, Verdict.FAIL, sent=result.sent, came=result.came), meaning=told)
