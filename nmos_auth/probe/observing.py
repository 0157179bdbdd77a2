"""What is checked in every answer of a run. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.rows import Force, Source, Suite, is_04, is_10, practice, rfc
from nmos_auth.probe.sentences import ACCESSING, CORS, PUBLIC_KEYS
from nmos_auth.probe.wire import Reply, parsed

__all__ = ["OBSERVATIONS", "Observation", "Observed", "observe"]

_SLOW = 1.0
_REDIRECTS = {301, 302, 303, 307, 308}
_TRACES = (
    b"Traceback (most recent",
    b'File "/',
    b"at java.",
    b"at com.",
    b"goroutine ",
    b"Exception in thread",
    b"std::",
    b".cpp:",
    b"node_modules/",
)


@dataclass(frozen=True, slots=True)
class Observed:
    """One exchange of a run.

    Attributes:
        sent: the request line.
        reply: the answer.
        token: what was presented, or None.
        api: whether the target is below an API.
        error: whether a refusal must name an RFC 6750 error; None if either is right.
    """

    sent: str
    reply: Reply
    token: str | None
    api: bool
    error: bool | None = None

    @property
    def refused(self) -> bool:
        """Whether an API answered 401 or 403."""
        return self.api and self.reply.status in {401, 403}

    @property
    def challenge(self) -> str:
        """What WWW-Authenticate says."""
        return self.reply.header("www-authenticate") or ""


@dataclass(frozen=True, slots=True)
class Observation:
    """A fault that no answer may have.

    Attributes:
        id: its name in reports, which never changes.
        title: what is right.
        source: the sentence that the device is checked against.
        meaning: what a fault means for the operator.
        is_fault: tells whether an answer has it.
        suite: the group it belongs to.
        verdict: the verdict of a run with such an answer.
    """

    id: str
    title: str
    source: Source
    meaning: str
    is_fault: Callable[[Observed], bool]
    suite: Suite = Suite.ANSWERS
    verdict: Verdict = Verdict.FAIL


def _misnamed(each: Observed) -> bool:
    code = "invalid_token" if each.reply.status == 401 else "insufficient_scope"
    return each.refused and each.error is True and code not in each.challenge


def _is_error_object(reply: Reply) -> bool:
    if not (reply.header("content-type") or "").lower().startswith("application/json"):
        return False
    document = parsed(reply.body)
    return isinstance(document, dict) and {"code", "error", "debug"} <= document.keys()


def _repeats(each: Observed) -> bool:
    token = each.token or ""
    telling = token[-40:] if len(token) > 80 else token
    if len(telling) < 16:
        return False
    reply = each.reply
    shown = reply.body.decode("latin-1") + "".join(value for _, value in reply.headers)
    return telling in shown


OBSERVATIONS = (
    Observation(
        "answers-challenge",
        "401 and 403 have a Bearer challenge",
        is_10(ACCESSING, "a rejected request gets WWW-Authenticate with the scheme Bearer"),
        "Clients cannot tell what is wrong, and do not request another token.",
        lambda each: each.refused and not each.challenge.lower().startswith("bearer "),
    ),
    Observation(
        "answers-no-code",
        "a request without credentials gets no error code",
        rfc(6750, "3.1", "a request that lacks credentials gets no error code", Force.SHOULD),
        "Clients mistake a missing token for one that is not valid.",
        lambda each: each.refused and each.error is False and "error=" in each.challenge,
    ),
    Observation(
        "answers-code",
        "refusals name invalid_token or insufficient_scope",
        rfc(6750, "3", "if a token is rejected, the challenge says so in `error`", Force.SHOULD),
        "Clients cannot tell a token that is not valid from one that does not permit the request.",
        _misnamed,
    ),
    Observation(
        "answers-json",
        "errors are JSON with code, error and debug",
        is_04("APIs, Error Codes & Responses", "a code of 400 or more has a JSON body"),
        "Clients cannot show what is wrong.",
        lambda each: each.refused and each.reply.body != b"" and not _is_error_object(each.reply),
    ),
    Observation(
        "answers-cors",
        "errors may be read by a web page",
        is_04(CORS, "all responses have CORS headers"),
        "Controllers in a browser cannot read why a request was refused.",
        lambda each: each.refused and each.reply.header("access-control-allow-origin") is None,
    ),
    Observation(
        "answers-no-token",
        "no answer repeats a token",
        practice("a token is never written into an answer"),
        "Tokens end up in logs and on screens, where others find them.",
        _repeats,
    ),
    Observation(
        "answers-no-trace",
        "no answer shows internals of the server",
        practice("an error names no file, line or stack"),
        "Strangers learn how the server is made.",
        lambda each: (
            each.reply.status >= 400 and any(trace in each.reply.body for trace in _TRACES)
        ),
    ),
    Observation(
        "answers-no-redirect",
        "no request with a token is redirected",
        is_10(ACCESSING, "redirects are avoided where a token is required", Force.SHOULD),
        "Clients send the token on to another place, which may require other permissions.",
        lambda each: each.api and each.token is not None and each.reply.status in _REDIRECTS,
    ),
    Observation(
        "answers-prompt",
        "every answer comes within a second",
        practice("no request waits for another server"),
        "Clients give up, and Controllers stop responding.",
        lambda each: each.reply.seconds > _SLOW,
        verdict=Verdict.WARNING,
    ),
    Observation(
        "answers-retry-after",
        "503 has an integer Retry-After",
        is_10(PUBLIC_KEYS, "503 includes Retry-After", Force.SHOULD),
        "Clients do not know when to try again.",
        lambda each: each.reply.status == 503 and each.reply.retry_after is None,
    ),
)


def observe(exchanges: Iterable[Observed]) -> Iterator[Result]:
    """Yield a result for each observation, over all answers of a run."""
    listed = list(exchanges)
    for observation in OBSERVATIONS:
        faults = [each for each in listed if observation.is_fault(each)]
        if not faults:
            yield Result.of(observation, Verdict.PASS, came=f"{len(listed)} answers")
            continue
        first, more = faults[0], len(faults) - 1
        came = f"{first.reply.status}{f', and {more} more like it' if more else ''}"
        yield replace(Result.of(observation, observation.verdict, sent=first.sent), came=came)
