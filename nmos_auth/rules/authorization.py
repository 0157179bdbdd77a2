"""What a request requires, and whether a token permits it (IS-10 "Behaviour: Resource Servers")."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nmos_auth.errors import Detail, InsufficientScope, Reason
from nmos_auth.rules.access_token import AccessToken
from nmos_auth.rules.paths import ApiPath
from nmos_auth.rules.permissions import Verb, verb_for
from nmos_auth.rules.resources import COLLECTIONS, is_resource_id

__all__ = [
    "allowed_sources",
    "check_handshake",
    "check_request",
    "check_subscription",
    "is_public",
]

EVENTS = "events"
QUERY = "query"

# One segment of a canonical path; to look at a message of 16 MB would take a fifth of a second.
_SEGMENT = re.compile(r"(?!\.\.?\Z)[^/\\\x00-\x1f\x7f-\x9f]{1,2048}")


def is_public(method: str, path: str, target: ApiPath | None) -> bool:
    """Tell whether IS-10 permits a request to everybody.

    Path Validation, `/` and `/x-nmos`: "Always allow 'read' permission with no authorization
    checks". A wrong token does not change that.
    """
    return method in {"GET", "HEAD"} and (path == "/" if target is None else target.is_root)


def check_request(method: str, target: ApiPath, token: AccessToken) -> None:
    """Check an HTTP request under `/x-nmos` against the token's permissions.

    Raises:
        InsufficientScope: the token does not permit it.
    """
    verb = verb_for(method)
    if verb is None:
        detail = Detail.of("{} is neither a method that reads nor one that writes", method)
        raise InsufficientScope(Reason.METHOD, token=token, detail=detail)
    _demand(token, target.api, verb, target.rest)


def check_handshake(target: ApiPath, token: AccessToken) -> None:
    """Check a WebSocket handshake under `/x-nmos` against the token's permissions.

    BCP-003-02, IS-07 WebSocket Authorization: paths are not matched under `events`; each
    subscription command decides which sources a client may see.

    BCP-003-02, Registry WebSocket Authorization: a handshake with a list resource of a Query API,
    such as `receivers`, makes a subscription, which requires write on `subscriptions`, and connects
    to it at once. Any other path under `query` is a `ws_href`, which "MUST NOT be validated against
    the token claims"; its handler calls `check_subscription` for what the subscription may return.

    Raises:
        InsufficientScope: the token does not permit it.
    """
    rest = target.rest
    if rest is not None and target.api in {EVENTS, QUERY}:
        if target.api == QUERY and rest.partition("/")[0] in COLLECTIONS:
            _demand(token, QUERY, "write", "subscriptions")
            check_subscription(token, rest)
        rest = ""
    _demand(token, target.api, "read", rest)


def _demand(token: AccessToken, api: str, verb: Verb, rest: str | None) -> None:
    if rest is None:
        detail = Detail.of("no version such as v1.3 follows {} in the path", api)
        raise InsufficientScope(Reason.PERMISSION, token=token, detail=detail)
    if not token.permits(api, verb, rest):
        detail = token.lack(api, verb, rest)
        raise InsufficientScope(Reason.PERMISSION, token=token, detail=detail)


def check_subscription(token: AccessToken, resource_path: object) -> None:
    """Check that a token permits a connection to a WebSocket subscription of an IS-04 Query API.

    Args:
        token: the token of the handshake.
        resource_path: the `resource_path` of the subscription, such as "/receivers". "" and "/" are
            all resources of a Query API, "/receivers/<id>" is one; anything else is refused.

    Raises:
        InsufficientScope: the subscription may return resources that the token may not read.

    Source: BCP-003-02 "Registry WebSocket Authorization": "a read claim matching all data which may
    be returned according to the subscription's `resource_path` configuration".

        >>> check_subscription(token, subscription.resource_path)  # doctest: +SKIP
    """
    patterns = _patterns(resource_path)
    if not patterns:
        detail = Detail.of("the subscription's resource_path is not one that the Query API has")
        raise InsufficientScope(Reason.PERMISSION, token=token, detail=detail)
    for each in patterns:
        if not token.covers(QUERY, "read", each):
            detail = token.lack(QUERY, "read", each)
            raise InsufficientScope(Reason.PERMISSION, token=token, detail=detail)


def _patterns(resource_path: object) -> list[str]:
    """Return the patterns of the paths that a subscription may return; [] if it is not valid."""
    if not isinstance(resource_path, str):
        return []
    path = resource_path.removeprefix("/").removesuffix("/")
    if not path:
        return [f"{each}/*" for each in COLLECTIONS]
    collection, slash, resource_id = path.partition("/")
    if collection not in COLLECTIONS:
        return []
    if not slash:
        return [f"{collection}/*"]
    return [path] if is_resource_id(resource_id) else []


def allowed_sources(token: AccessToken, sources: Iterable[object]) -> tuple[str, ...]:
    """Return the sources of a subscription command that the token permits its client to see.

    BCP-003-02, IS-07 WebSocket Authorization: "a read claim matching all Source data which may be
    returned by the WebSocket. These Source paths match those used by the IS-07 Events API."

    Args:
        token: the token of the WebSocket.
        sources: the command's `sources`, as they came; an entry that is not a string of one path
            segment, of 2,048 characters at most, is ignored.
    """
    return tuple(
        source
        for source in sources
        if isinstance(source, str)
        and _SEGMENT.fullmatch(source)
        and token.permits(EVENTS, "read", f"sources/{source}")
    )
