"""Whether a request is let through or refused, and what the audit log says about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from nmos_auth.audit.records import NO_TOKEN, Decision, Outcome, Subject
from nmos_auth.errors import (
    AuthorizationError,
    Detail,
    InsufficientScope,
    MalformedTarget,
    Reason,
)
from nmos_auth.request.credentials import bearer_token
from nmos_auth.request.refusals import without_frames
from nmos_auth.rules.authorization import check_handshake, check_request, is_public
from nmos_auth.rules.paths import ApiPath, locate
from nmos_auth.rules.permissions import verb_for
from nmos_auth.rules.tokens import TokenText
from nmos_auth.trust.verifier import VerifiedToken, describe_hearsay

if TYPE_CHECKING:
    from starlette.types import Scope

    from nmos_auth.request.resource_server import ResourceServer

__all__ = ["Presented", "Ruling", "decide", "look_at", "method_of"]


class Ruling(msgspec.Struct, frozen=True, eq=False):
    """What was decided about a request.

    Attributes:
        place: the canonical path, raw path and root path; None if they stay as they came.
        guarded: whether the request is for an NMOS API.
        verified: the token that decided about it, if the token is authentic.
        subject: what audit lines say about the token.
        refusal: why the request is refused; None if it is not.
        line: what the audit log says about the request; None if it says nothing.
        preflight: whether the request is a CORS preflight that the middleware answers.
    """

    place: tuple[str, bytes, str] | None
    guarded: bool
    verified: VerifiedToken | None = None
    subject: Subject = msgspec.field(default_factory=lambda: NO_TOKEN)
    refusal: AuthorizationError | None = None
    line: Decision | None = None
    preflight: bool = False


Presented = tuple[VerifiedToken | None, Subject, AuthorizationError | None]
"""A token that a request presents: the token if it is authentic, what audit lines say about it, and
why it is not valid here (None if it is valid)."""


def method_of(scope: Scope) -> str:
    """Return the method of a request; a WebSocket handshake is a GET request (RFC 6455)."""
    method: str = scope.get("method", "GET")
    return method


def look_at(
    server: ResourceServer, scope: Scope, text: TokenText, field: bytes | None = None
) -> Presented:
    """Verify the token of a request, and find out whether it is for this server.

    Args:
        server: verifies it.
        scope: the scope of the request.
        text: the token.
        field: the `Authorization` field that it came in, if `Verifier.recall` does not know it.
    """
    client = scope.get("client")
    try:
        verified = server.verifier.verify(text, client[0] if client else "", field=field)
    except AuthorizationError as error:
        return None, describe_hearsay(text, error.token), without_frames(error)
    return _addressed(server, verified)


def _addressed(server: ResourceServer, verified: VerifiedToken) -> Presented:
    """Find out whether an authentic token is for this server."""
    if verified.names_this_server:
        return verified, verified.subject, None
    token = verified.token
    detail = Detail.of("aud is {}, and this server is known as {}", token.aud, server.audience)
    refusal = InsufficientScope(Reason.AUDIENCE, token=token, detail=detail)
    return verified, verified.subject, refusal


def decide(
    server: ResourceServer, scope: Scope, fields: Sequence[bytes], in_query: Sequence[bytes]
) -> Ruling:
    """Decide about a request or a handshake.

    Args:
        server: verifies tokens.
        scope: the scope of the request.
        fields: its `Authorization` fields.
        in_query: the tokens in the query of a handshake.
    """
    method = method_of(scope)
    if method == "OPTIONS" and scope["path"] == "*":
        return Ruling(None, guarded=False)
    try:
        path, root_path, target = locate(
            scope["path"], scope.get("raw_path"), scope.get("root_path", "")
        )
    except MalformedTarget as error:
        line = Decision.on(Outcome.REJECTED, error.reason, method, scope["path"], NO_TOKEN)
        return Ruling(None, guarded=True, refusal=error, line=line)
    place: tuple[str, bytes, str] | None = path.text, path.raw, root_path
    if place == (scope["path"], scope.get("raw_path"), scope.get("root_path", "")):
        place = None
    is_handshake = scope["type"] == "websocket"
    preflight = False
    if not is_handshake and is_public(method, path.text, target):
        reason = Reason.PUBLIC
    elif target is None:
        return Ruling(place, guarded=False)
    elif method == "OPTIONS":
        preflight = _asks_as_preflight(scope)
        reason = Reason.PREFLIGHT if preflight else Reason.OPTIONS
    else:
        verified, subject, refusal = _check(server, scope, method, target, fields, in_query)
        outcome, reason = Outcome.AUTHORIZED, Reason.PERMITTED
        if refusal is not None:
            outcome, reason = Outcome.REJECTED, refusal.reason
        line = Decision.on(outcome, reason, method, path.text, subject, target.api)
        return Ruling(place, True, verified, subject, refusal, line)  # noqa: FBT003 - guarded
    line = Decision.on(Outcome.AUTHORIZED, reason, method, path.text, NO_TOKEN)
    guarded = target is not None
    return Ruling(place, guarded, line=line, preflight=preflight)


def _asks_as_preflight(scope: Scope) -> bool:
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])


def _check(
    server: ResourceServer,
    scope: Scope,
    method: str,
    target: ApiPath,
    fields: Sequence[bytes],
    in_query: Sequence[bytes],
) -> Presented:
    verb = verb_for(method)
    field = fields[0] if len(fields) == 1 and not in_query else None
    known = server.verifier.recall(field) if field is not None and verb is not None else None
    if known is not None:
        verified, subject, invalid = _addressed(server, known)
    else:
        try:
            text = bearer_token(fields, in_query)
        except AuthorizationError as error:
            return None, NO_TOKEN, without_frames(error)
        if verb is None:
            detail = Detail.of("{} is neither a method that reads nor one that writes", method)
            refusal = InsufficientScope(Reason.METHOD, detail=detail)
            return None, describe_hearsay(text, None), refusal
        verified, subject, invalid = look_at(server, scope, text, field)
    if verified is None or invalid is not None:
        return verified, subject, invalid
    try:
        if scope["type"] == "websocket":
            check_handshake(target, verified.token)
        else:
            check_request(method, target, verified.token)
    except InsufficientScope as error:
        return verified, subject, without_frames(error)
    return verified, subject, None
