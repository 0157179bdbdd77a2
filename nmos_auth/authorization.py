"""What a request needs, and whether a token gives it (IS-10 "Behaviour: Resource Servers")."""

from __future__ import annotations

from nmos_auth.errors import InsufficientScope, Reason
from nmos_auth.paths import ApiPath
from nmos_auth.permissions import verb_for
from nmos_auth.tokens import AccessToken

__all__ = ["check_handshake", "check_request", "is_public"]

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
