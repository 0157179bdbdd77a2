"""What authentic tokens were found to permit or not, remembered for requests that come again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nmos_auth.request.decision import Verdict, decide
from nmos_auth.trust.memory import Memory

if TYPE_CHECKING:
    from starlette.types import Scope

    from nmos_auth.request.resource_server import ResourceServer
    from nmos_auth.trust.verifier import Verifier

__all__ = ["DecisionCache", "RequestKey", "verdict_on"]

# Characters and bytes of a request; a longer one uses the room of several.
_USUAL_SIZE = 4096

RequestKey = tuple[str, str, bytes | None, str, bytes]
"""All that decides an HTTP request, as it came: method, path, raw path, root path, credentials."""


def verdict_on(server: ResourceServer, scope: Scope, in_query: Sequence[bytes]) -> Verdict:
    """Return the verdict on a request or a handshake: remembered, or decided now.

    Verdicts on requests with exactly one `Authorization` field are remembered.

    Args:
        server: verifies tokens and remembers.
        scope: the request's.
        in_query: the tokens in the query of a handshake.
    """
    fields = []
    for name, value in scope["headers"]:
        if name == b"authorization":
            fields.append(value)
    if len(fields) != 1 or scope["type"] != "http":
        return decide(server, scope, fields, in_query)
    key: RequestKey = (
        scope["method"],
        scope["path"],
        scope.get("raw_path"),
        scope.get("root_path", ""),
        fields[0],
    )
    verdict = server.decisions.find(key)
    if verdict is None:
        verdict = decide(server, scope, fields, ())
        if verdict.verified is not None:
            server.decisions.add(key, verdict)
    return verdict


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
        if verdict is None:
            return None
        verified = verdict.verified
        if verified is not None and self._verifier.is_valid(verified):
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
