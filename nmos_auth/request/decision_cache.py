"""What authentic tokens were found to permit or not, remembered for requests that come again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmos_auth.request.decision import Verdict
from nmos_auth.trust.memory import Memory

if TYPE_CHECKING:
    from starlette.types import Scope

    from nmos_auth.trust.verifier import Verifier

__all__ = ["DecisionCache", "RequestKey", "request_key"]

# Characters and bytes of a request; a longer one uses the room of several.
_USUAL_SIZE = 4096

RequestKey = tuple[str, str, bytes | None, str, bytes]
"""All that decides an HTTP request, as it came: method, path, raw path, root path, credentials."""


def request_key(scope: Scope) -> RequestKey | None:
    """Return what decides an HTTP request; None where it has not exactly one `Authorization`."""
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


class DecisionCache:
    """Remembers the verdicts on requests that come again, in bounded memory.

    A verdict is for the very same request, byte for byte, and only while its token is valid. Keys
    hold the text of tokens, so no representation shows them. Nothing is remembered of requests
    without an authentic token.

    Args:
        verifier: tells whether a token is valid still.
        most: how many requests of usual length are remembered.
    """

    __slots__ = ("_kept", "_verdicts", "_verifier")

    def __init__(self, verifier: Verifier, most: int) -> None:
        self._verifier = verifier
        self._verdicts: Memory[RequestKey, Verdict] = Memory(most)
        self._kept = self._verdicts.kept

    def find(self, key: RequestKey) -> Verdict | None:
        """Return the verdict on a request, if there is one whose token is still valid."""
        verdict = self._kept.get(key) or self._verdicts.get(key)
        if verdict is None or verdict.verified is None:
            return None
        if self._verifier.is_valid(verdict.verified):
            return verdict
        self._verdicts.discard(key)
        return None

    def add(self, key: RequestKey, verdict: Verdict) -> None:
        """Remember a verdict, in place of those that are asked for least."""
        if verdict.refusal is not None:
            verdict.refusal.__traceback__ = None  # which would keep all that was there
        method, path, raw_path, root_path, credentials = key
        size = len(method) + len(path) + len(raw_path or b"") + len(root_path) + len(credentials)
        self._verdicts.add(key, verdict, 1 + size // _USUAL_SIZE)
