"""What authentic tokens permit or do not permit, remembered for requests that come again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nmos_auth.request.credentials import authorization_fields
from nmos_auth.request.decision import Ruling, decide

if TYPE_CHECKING:
    from starlette.types import Scope

    from nmos_auth.request.resource_server import ResourceServer

__all__ = ["RequestKey", "ruling_on"]

# Characters and bytes of a request; a longer one uses the space of several.
_USUAL_SIZE = 4096

RequestKey = tuple[str | None, str, bytes | None, str, bytes]
"""All that decides about a request, as it came: method, path, raw path, root path, credentials.

The method of a handshake is None: it is not a GET request, even if a server says that it is.
"""


def ruling_on(server: ResourceServer, scope: Scope, in_query: Sequence[bytes]) -> Ruling:
    """Return the ruling on a request or a handshake: remembered, or decided now.

    A ruling on an authentic token is remembered for exactly the same request, byte for byte, and
    only while the token is valid. Keys hold the text of tokens, so no representation shows them.

    Args:
        server: verifies tokens and remembers.
        scope: the request's.
        in_query: the tokens in the query of a handshake.
    """
    credentials, fields = b"", 0
    for name, value in scope["headers"]:
        if name == b"authorization":
            credentials = value
            fields += 1
    if fields != 1 or in_query:
        return decide(server, scope, authorization_fields(scope["headers"]), in_query)
    key: RequestKey = (
        scope["method"] if scope["type"] == "http" else None,
        scope["path"],
        scope.get("raw_path"),
        scope.get("root_path", ""),
        credentials,
    )
    rulings = server.rulings
    ruling = rulings.kept.get(key)
    if ruling is not None:
        if (verified := ruling.verified) is not None and server.verifier.is_valid(verified):
            return ruling
        rulings.discard(key)
    ruling = decide(server, scope, (credentials,), ())
    if ruling.verified is not None and rulings.admits(key):
        _remember(server, key, ruling)
    return ruling


def _remember(server: ResourceServer, key: RequestKey, ruling: Ruling) -> None:
    method, path, raw_path, root_path, credentials = key
    size = len(method or "") + len(path) + len(raw_path or b"") + len(root_path) + len(credentials)
    server.rulings.add(key, ruling, 1 + size // _USUAL_SIZE)
