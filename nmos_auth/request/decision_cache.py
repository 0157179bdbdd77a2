"""What tokens were found to permit, remembered for requests that come again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from starlette.types import Scope

from nmos_auth.audit.log import Decision
from nmos_auth.trust.verifier import VerifiedToken, Verifier

__all__ = ["Permit", "Permits", "Question", "question_of"]

_MOST_PERMITS = 2048
# Of all parts of a question together: what is longer is decided anew each time.
_LONGEST_QUESTION = 4096

Question = tuple[str, str, bytes | None, str, bytes]
"""All that decides an HTTP request, as it came: method, path, raw path, root path, credentials."""


@dataclass(frozen=True, slots=True)
class Permit:
    """That a token permits a request.

    Attributes:
        path: of the request, canonical.
        raw_path: the same, as `scope["raw_path"]` has it.
        verified: the token.
        decision: what audit lines say.
    """

    path: str
    raw_path: bytes
    verified: VerifiedToken
    decision: Decision


def question_of(scope: Scope) -> Question | None:
    """Tell what decides an HTTP request; None where it has not exactly one `Authorization`."""
    credentials = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if credentials is not None:
                return None
            credentials = value
    if credentials is None:
        return None
    return (
        scope["method"],
        scope["path"],
        scope.get("raw_path"),
        scope.get("root_path", ""),
        credentials,
    )


class Permits:
    """The permits given last: a bounded number, with the text of their tokens, shown to nobody.

    A permit is for the very same question, byte for byte, and only while its token counts. Neither
    refusals nor what needs no token are remembered.
    """

    __slots__ = ("_permits", "_verifier")

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._permits: OrderedDict[Question, Permit] = OrderedDict()

    def find(self, question: Question) -> Permit | None:
        """Give the permit for a question, if there is one that still counts."""
        permit = self._permits.get(question)
        if permit is None or self._verifier.counts(permit.verified):
            return permit
        self._permits.pop(question, None)
        return None

    def add(self, question: Question, permit: Permit) -> None:
        """Remember a permit, in place of the oldest where there are many."""
        method, path, raw_path, root_path, credentials = question
        texts = len(method) + len(path) + len(root_path)
        if texts + len(raw_path or b"") + len(credentials) > _LONGEST_QUESTION:
            return
        if len(self._permits) >= _MOST_PERMITS:
            self._permits.popitem(last=False)
        self._permits[question] = permit
