"""What an audit line says of a decision and of a token: text that is made once for many lines."""

from __future__ import annotations

import re
from enum import StrEnum
from json.encoder import encode_basestring_ascii
from typing import Final

import msgspec

from nmos_auth.audit.counts import Label, Tally, label_of

__all__ = [
    "MAX_TEXT",
    "NO_TOKEN",
    "Decision",
    "Outcome",
    "Subject",
    "quote",
    "subject_fragment",
]

MAX_TEXT = 256
"""Characters of a text that a client chose, after which it is cut."""

_MAX_PATH = 2048
# The other members of a line, before it is text: an upper bound of their length.
_LACKING = 300
# Two surrogates for a character beyond the first 65,536.
_LONGEST_ESCAPE = 12
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Outcome(StrEnum):
    """What became of a request."""

    # Enum's own is Python code, and every decision looks its label up.
    __hash__ = str.__hash__

    AUTHORIZED = "authorized"
    REJECTED = "rejected"


class Subject(msgspec.Struct, eq=False, gc=False):
    """What audit lines say of a token; it becomes text when the first line is written.

    Thousands of subjects and decisions may wait for that. The garbage collector would look through
    all of them again and again, which costs 6 microseconds of a refusal; they are in no cycle.

    Attributes:
        size: the approximate length of the text, or of what it is made from.
        verified: whether the token is authentic.
    """

    size: int
    verified: bool
    _text: str = ""

    def __str__(self) -> str:
        """Return the members of an audit line that describe the token."""
        text = self._text
        if not text:
            self._text = text = self.render()
        return text

    def render(self) -> str:
        """Return the text; a thread that no request waits for calls this once."""
        return self._text

    def __repr__(self) -> str:
        """Return a text without what is known of the token."""
        return f"Subject(verified={self.verified})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show the same to crash reporters."""
        return [("verified", self.verified)]


NO_TOKEN: Final = Subject(
    100,
    False,  # noqa: FBT003 - not verified
    '"verified":false,"iss":null,"sub":null,"client_id":null,"scope":null,"token":null',
)
"""The subject of a request that passed no token."""


class Decision(msgspec.Struct, eq=False, gc=False):
    """What an audit line says of a decision, except the time, the status, the peer and the detail.

    It becomes text when its first line is written, in a thread that no request waits for, and keeps
    that text for the next lines. One log records and counts it.

    Attributes:
        size: the approximate length of a line.
        by_a_stranger: whether a request without a verified token was refused.
        label: the label by which the decision is counted.
        tally: the log's count for the label, kept here once the log has recorded the decision,
            because a look-up would cost 0.4 microseconds for each request.
        rendered: the status of the last line, and its text from the time to the peer and after the
            detail.
    """

    _method: str
    _path: str
    _subject: Subject
    size: int
    by_a_stranger: bool
    label: Label
    tally: Tally | None = None
    rendered: tuple[int | None, str, str] | None = None

    @classmethod
    def on(
        cls,
        outcome: Outcome,
        reason: str,
        method: str,
        path: str,
        subject: Subject,
        api: str | None = None,
    ) -> Decision:
        """Return what the log says about one decision, or about many decisions of the same kind.

        Args:
            outcome: what became of the request.
            reason: why, in a few fixed words.
            method: the method, as the client sent it.
            path: the canonical path, without the query, which may hold a token.
            subject: what the log says about the token; `NO_TOKEN` without one.
            api: the NMOS API's name in the path, where that is known already.
        """
        path = path[:_MAX_PATH]
        return cls(
            method,
            path,
            subject,
            size=_LACKING + len(method) + _quoted_size(path) + subject.size,
            by_a_stranger=outcome is Outcome.REJECTED and not subject.verified,
            label=label_of(outcome, reason, method, path, api),
        )

    def __repr__(self) -> str:
        """Return the label: a log must not show the token or the peer."""
        return f"Decision({self.label})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show the same to crash reporters."""
        return [("label", self.label)]

    def render(self, status: int | None) -> tuple[int | None, str, str]:
        """Return what `rendered` is for a status, and keep it there."""
        label = self.label
        before = (
            f'Z","outcome":"{label.outcome}","status":{"null" if status is None else int(status)},'
            f'"reason":{quote(label.reason)},"method":{quote(self._method)},'
            f'"path":{quote(self._path, _MAX_PATH)},"peer":'
        )
        self.rendered = status, before, f",{self._subject}}}\n"
        return self.rendered


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
        verified: whether the signature was verified; otherwise the claims are not to be believed.
        digest: the SHA-256 digest of the token, hexadecimal; it identifies a token without `jti`,
            and is not read otherwise.
        iss: the claim of this name, or None where it is absent.
        sub: the claim of this name, or None.
        client_id: `client_id`, or `azp` in its place.
        scope: scopes separated by spaces.
        jti: the claim of this name, or None; it identifies the token unless it is empty.

    Returns:
        Members of a JSON object without the braces, each string cut after 256 characters.
    """
    token = f'"jti":{quote(jti)}' if jti else f'"token":{quote(f"sha256:{digest[:16]}")}'
    return (
        f'"verified":{"true" if verified else "false"},"iss":{quote(iss)},"sub":{quote(sub)},'
        f'"client_id":{quote(client_id)},"scope":{quote(scope)},{token}'
    )


def _quoted_size(text: str) -> int:
    """Return an upper bound for the length of a text as a JSON string."""
    if text.isascii() and text.isprintable():
        return len(text) + text.count('"')
    return len(text) * _LONGEST_ESCAPE


def quote(value: str | None, limit: int = MAX_TEXT) -> str:
    """Return the start of `value` as a JSON string, or null."""
    if value is None:
        return "null"
    value = value[:limit]
    if not value.isascii():
        # The escape of a lone surrogate makes strict JSON parsers refuse the whole line.
        value = _SURROGATE.sub("\ufffd", value)
    return encode_basestring_ascii(value)
