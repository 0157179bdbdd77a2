"""What a request needs, and whether a token gives it (IS-10 "Behaviour: Resource Servers")."""

from __future__ import annotations

from collections.abc import Iterable

from nmos_auth.errors import InsufficientScope, Reason
from nmos_auth.paths import ApiPath
from nmos_auth.permissions import verb_for
from nmos_auth.tokens import AccessToken

__all__ = ["allowed_sources", "check_handshake", "check_request", "is_public"]

EVENTS = "events"


def is_public(method: str, path: str, target: ApiPath | None) -> bool:
    """Tell whether a request is one that IS-10 lets anybody make.

    Path Validation, `/` and `/x-nmos`: "Always allow 'read' permission with no authorization
    checks", which a token, however wrong, does not change.
    """
    return method in {"GET", "HEAD"} and (path == "/" if target is None else target.is_root)


def check_request(method: str, target: ApiPath, token: AccessToken) -> None:
    """Check an HTTP request under `/x-nmos` against the token's permissions.

    Raises:
        InsufficientScope: the token does not permit it.
    """
    verb = verb_for(method)
    if verb is None:
        raise InsufficientScope(Reason.METHOD, token=token, verified=True)
    if target.rest is None or not token.permits(target.api, verb, target.rest):
        raise InsufficientScope(Reason.PERMISSION, token=token, verified=True)


def check_handshake(target: ApiPath, token: AccessToken) -> None:
    """Check a WebSocket handshake under `/x-nmos` against the token's permissions.

    BCP-003-02, IS-07 WebSocket Authorization: no path is matched under `events`; which sources
    a client may see is decided at each of its subscription commands.

    Raises:
        InsufficientScope: the token does not permit it.
    """
    rest = "" if target.api == EVENTS and target.rest is not None else target.rest
    if rest is None or not token.permits(target.api, "read", rest):
        raise InsufficientScope(Reason.PERMISSION, token=token, verified=True)


def allowed_sources(token: AccessToken, sources: Iterable[object]) -> tuple[str, ...]:
    """Give those sources of a subscription command that the token lets its client see.

    BCP-003-02, IS-07 WebSocket Authorization: "a read claim matching all Source data which may be
    returned by the WebSocket. These Source paths match those used by the IS-07 Events API."

    Args:
        token: the token of the WebSocket.
        sources: the command's `sources`, as they came: what is no string, or more than one segment
            of a path, is the id of no source.
    """
    return tuple(
        source
        for source in sources
        if isinstance(source, str)
        and source
        and "/" not in source
        and token.allows(EVENTS, "read", f"sources/{source}")
    )
