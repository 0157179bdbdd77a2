"""What a server answers: its JSON, and when the server made it by its own clock."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from nmos_auth.errors import FetchError
from nmos_auth.servers.strict_json import JsonObject
from nmos_auth.servers.urls import without_query

__all__ = [
    "Answer",
    "Document",
    "GetDocument",
    "document_of",
    "made_at",
    "media_type_of",
    "wait_of",
]

_LONGEST_AGE = 10
_LONGEST_WAIT = 86400.0


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object, and what the server's answer says about it.

    Attributes:
        content: the object.
        media_type: its media type, in lower case and without parameters; "" where none is given.
        date: when the server made the answer, by the server's own clock: its `Date` less its
            `Age` (RFC 9110 Section 6.6.1, RFC 9111 Section 5.1), in seconds since 1970 UTC; None
            where it does not say.
        is_fresh: whether no cache on the way kept the answer for a time.
    """

    content: JsonObject
    media_type: str = "application/json"
    date: float | None = None
    is_fresh: bool = True


GetDocument = Callable[[str], Awaitable[Document]]
"""Fetches one document, or raises FetchError; `HttpClient.get_document` is one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request.

    Attributes:
        status: the HTTP status.
        document: the body where it is a strict JSON object, else None.
        retry_after: seconds to wait as the server asks, or None.
        date: when the server made the answer by its own clock, as in `Document`, or None.
        media_type: as in `Document`.
        location: the `Location`, as the server wrote it, or None.
        empty: whether the body is empty or contains only white space.
        flaw: why `document` is None; "" where it is not.
        authorization: the Authorization header of the request as it was sent last; not shown.
        headers: the headers of the answer, with names in lower case; not shown.
        body: the body as it came; not shown.
    """

    status: int
    document: JsonObject | None = field(repr=False)
    retry_after: float | None = None
    date: float | None = None
    media_type: str = "application/json"
    location: str | None = field(default=None, repr=False)
    empty: bool = False
    flaw: str = ""
    authorization: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


def document_of(url: str, answer: Answer) -> Document:
    """Return the document of an answer.

    Raises:
        FetchError: the answer is not 200 with a strict JSON object.
    """
    if answer.status == 200 and answer.document is not None:
        is_fresh = answer.headers.get("age", "0").strip(" \t") == "0"
        return Document(answer.document, answer.media_type, answer.date, is_fresh)
    flaw = answer.status if answer.status != 200 else f"no JSON object: {answer.flaw}"
    raise FetchError(
        f"{without_query(url)} answered {flaw}",
        status=answer.status,
        retry_after=answer.retry_after,
        location=answer.location,
    )


def media_type_of(content_type: str) -> str:
    """Return the media type that a Content-Type names, in lower case, without its parameters.

    RFC 9110 Section 8.3.1: "The type and subtype tokens are case-insensitive".
    """
    return content_type.partition(";")[0].strip(" \t").lower()


def made_at(dates: Iterable[str], ages: Iterable[str]) -> float | None:
    """Return when a server made its answer, by its own clock: `Date` less `Age`.

    A cache on the way may keep the server's `Date` or write its own; once the `Age` is subtracted,
    neither is later than the content. The earliest `Date` and the greatest `Age` are used.

    Args:
        dates: the values of the answer's `Date` fields.
        ages: the values of its `Age` fields.

    Returns:
        Seconds since 1970 UTC, or None where there is no `Date` or any value is malformed.
    """
    try:
        made = min(map(_timestamp, dates), default=None)
        return None if made is None else made - max(map(_age, ages), default=0)
    except (ValueError, OverflowError):
        return None


def _timestamp(date: str) -> float:
    parsed = parsedate_to_datetime(date)
    # RFC 9110 Section 5.6.7: every form is in UTC, but an obsolete form does not say so.
    return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()


def _age(seconds: str) -> int:
    bare = seconds.strip(" \t")
    if not (bare.isascii() and bare.isdecimal() and len(bare) <= _LONGEST_AGE):
        raise ValueError("not a number of seconds")
    return int(bare)


def wait_of(retry_after: str | None, dates: Iterable[str]) -> float | None:
    """Return the seconds that `Retry-After` asks for, or None where it does not say.

    RFC 9110 Section 10.2.3 allows a number of seconds or a date. A date is compared with the
    answer's `Date`, which is by the same server's clock, and not with this machine's clock.
    """
    if retry_after is None:
        return None
    if re.fullmatch(r"[0-9]+", retry_after.strip(" \t")):
        return min(float(retry_after), _LONGEST_WAIT)
    until, now = made_at([retry_after], ()), made_at(dates, ())
    if until is None or now is None:
        return None
    return min(max(until - now, 0.0), _LONGEST_WAIT)
