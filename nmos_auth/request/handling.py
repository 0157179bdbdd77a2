"""A request that the app may answer: how it is answered, and what is recorded."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nmos_auth.audit.reasons import detail_of
from nmos_auth.audit.records import Decision, Outcome
from nmos_auth.errors import AuthorizationError, Detail, Reason
from nmos_auth.request.answering import refuse
from nmos_auth.request.credentials import authorization_fields, bearer_token
from nmos_auth.request.decision import Ruling, look_at, method_of
from nmos_auth.request.held_answer import HeldAnswer
from nmos_auth.request.refusals import refusal_in, without_refusals
from nmos_auth.request.sockets import (
    POLICY_VIOLATION,
    EndingSocket,
    TokenLease,
    close_for_policy,
)
from nmos_auth.rules.access_token import AccessToken
from nmos_auth.rules.permissions import json_type

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nmos_auth.request.resource_server import ResourceServer

__all__ = [
    "SCOPE_TOKEN",
    "STATE_TOKEN",
    "Handling",
    "handling_in",
    "put_token",
    "token_in",
]

SCOPE_TOKEN = "nmos_auth.access_token"  # noqa: S105 - a key of the scope
STATE_TOKEN = "access_token"  # noqa: S105 - a key of scope["state"]
_SCOPE_HANDLING = "nmos_auth.handling"

_SWITCHING_PROTOCOLS = 101


def token_in(scope: Scope) -> AccessToken | None:
    """Return the token with which the middleware let this very request through, if any."""
    token = scope.get(SCOPE_TOKEN)
    return token if isinstance(token, AccessToken) else None


def handling_in(scope: Scope) -> Handling | None:
    """Return the handling of this very request; None if the middleware has none for it."""
    handling = scope.get(_SCOPE_HANDLING)
    return handling if isinstance(handling, Handling) else None


def put_token(scope: Scope, token: AccessToken | None) -> None:
    """Let handlers find the token of this request, and no other.

    A scope belongs to one request, but requests may share a `state`: those of an HTTP/2 connection
    do under hypercorn before 0.18. If another request's token is in it, this one gets a copy.

    Args:
        scope: the scope of the request.
        token: its token; None if it was let through without a look at one.
    """
    state = scope.setdefault("state", {})
    if token is not None:
        scope[SCOPE_TOKEN] = token
        if state.setdefault(STATE_TOKEN, token) is not token:
            scope["state"] = {**state, STATE_TOKEN: token}
        return
    scope.pop(SCOPE_TOKEN, None)
    if isinstance(state.get(STATE_TOKEN), AccessToken):
        scope["state"] = {name: value for name, value in state.items() if name != STATE_TOKEN}


class Handling:
    """One request or handshake, from the decision about it to the end of its answer.

    The app may also refuse, by raising an AuthorizationError. An app inside the app, for example a
    mounted FastAPI app, answers every error with 500 before it passes the error on. Therefore an
    answer of 5xx, and any answer that begins while a refusal is handled, waits until the app has
    returned or raised. If the app raises a refusal, the middleware answers with the refusal. If
    not, the answer is sent as it is: the app has an error of its own, or answers refusals itself.

    Args:
        server: keeps the record.
        scope: the scope of the request.
        send: the `send` of the server.
        ruling: what was decided; not a refusal.
        in_query: the tokens that were removed from the query of a handshake.
        answered: whether an answer has begun and was recorded.
    """

    __slots__ = (
        "_answered",
        "_held",
        "_in_query",
        "_lease",
        "_ruling",
        "_scope",
        "_send",
        "_server",
    )

    def __init__(
        self,
        server: ResourceServer,
        scope: Scope,
        send: Send,
        ruling: Ruling,
        *,
        in_query: Sequence[bytes] = (),
        answered: bool = False,
    ) -> None:
        self._server = server
        self._scope = scope
        self._send = send
        self._ruling = ruling
        self._in_query = in_query
        self._answered = answered
        self._held: HeldAnswer | None = None
        self._lease: TokenLease | None = None

    async def serve(self, app: ASGIApp, receive: Receive) -> None:
        """Let the app answer, and record its answer."""
        scope = self._scope
        app, send = self._hand_over(self._ruling, app)
        try:
            await app(scope, receive, send)
        except BaseException as error:  # noqa: BLE001 - raised again where it is not a refusal
            await self.fail(error)
        else:
            if not self._answered:
                await self.end_unanswered()
        finally:
            # The scope and this object hold each other, which only the garbage collector could end.
            scope.pop(_SCOPE_HANDLING, None)

    @property
    def guards(self) -> bool:
        """Whether the request is for an NMOS API."""
        return self._ruling.guarded

    @property
    def server(self) -> ResourceServer:
        """The resource server whose request this is."""
        return self._server

    def identify(self) -> AccessToken:
        """Return the verified token of a request that was let through without a look at its token.

        Raises:
            AuthorizationError: there is no token, or it is not valid here.
        """
        text = bearer_token(authorization_fields(self._scope["headers"]), self._in_query)
        verified, subject, refusal = look_at(self._server, self._scope, text)
        self._ruling = replace(self._ruling, subject=subject)
        if verified is None or refusal is not None:
            assert refusal is not None  # noqa: S101 - what is not verified is refused
            raise refusal
        if not self._answered:
            line = self._line(Outcome.AUTHORIZED, Reason.IDENTIFIED)
            self._ruling = replace(self._ruling, line=line)
        if self._lease is not None:
            self._lease.begin(text, verified)
        return verified.token

    def record_subscription(self, refused: Sequence[object]) -> None:
        """Record a command that subscribes to sources of events.

        Args:
            refused: the sources in it that are not permitted, as they came.
        """
        if not refused:
            self._record(self._line(Outcome.AUTHORIZED, Reason.SOURCES), None)
            return
        named = tuple(each if isinstance(each, str) else json_type(each) for each in refused)
        detail = Detail.of("read of claim {} does not cover the sources {}", "x-nmos-events", named)
        line = self._line(Outcome.REJECTED, Reason.SOURCES)
        self._server.audit.record(line, None, self._scope.get("client"), detail)

    def _hand_over(self, ruling: Ruling, app: ASGIApp) -> tuple[ASGIApp, Send]:
        """Pass the token, if there is one, and the means to ask for it to the handlers.

        Returns:
            What serves the request, and the `send` that it uses.
        """
        scope = self._scope
        scope[_SCOPE_HANDLING] = self
        # A token from an outer layer, such as a middleware that is switched off, is not used.
        put_token(scope, None if ruling.verified is None else ruling.verified.token)
        if scope["type"] == "http":
            return app, self.watch
        if self._server.closes_sockets:
            self._lease = TokenLease(self._server, self._ended)
            if ruling.verified is not None:
                text = bearer_token(authorization_fields(scope["headers"]), self._in_query)
                self._lease.begin(text, ruling.verified)
            app = EndingSocket(app, self._lease)
        return app, self._watch_socket

    # How the app ended

    async def fail(self, error: BaseException) -> None:
        """Answer and record what the app raised, and raise the rest of it."""
        if (left := await self._settle(error)) is not None:
            raise left from error.__cause__

    async def end_unanswered(self) -> None:
        """Send an answer that was held; if there is none, record that."""
        if self._held is not None:
            await self._held.release()
        self._record_unanswered(None)

    # Answering

    async def _settle(self, error: BaseException) -> BaseException | None:
        """Answer and record what the app raised; return the rest, which is still to be raised."""
        refusal = refusal_in(error)
        if refusal is None and isinstance(error, RuntimeError):
            # Starlette raises this from a refusal for which the app has a handler, if the answer
            # has already begun.
            refusal = refusal_in(error.__cause__) if self._answered else None
        if refusal is None:
            if self._held is not None and isinstance(error, Exception):
                await self._held.release()
            elif self._held is not None:
                # Nobody waits for the answer any more: its time must not come.
                self._held.drop()
            # The server answers with 500. A request that is cancelled gets no answer.
            self._record_unanswered(500 if isinstance(error, Exception) else None)
            return error
        line = self._line(Outcome.REJECTED, refusal.reason)
        if not self._answered and (self._held is None or self._held.drop()):
            self._answered = True
            await refuse(self._server, self._scope, self._send, refusal, line)
            return without_refusals(error)
        if self._scope["type"] == "websocket":
            self._record(line, POLICY_VIOLATION, refusal)
            await close_for_policy(self._send)
            return without_refusals(error)
        self._record(line, None, refusal)
        # The server cuts the answer off. Its log does not need the traceback of the refusal.
        return error.with_traceback(None)

    # Watching the app answer

    def watch(self, message: Message) -> Awaitable[None]:
        """Send a message of the app, or hold it."""
        if self._answered:
            return self._send(message)
        if self._held is not None:
            return self._held.keep(message)
        if message["type"] == "http.response.start":
            status, handled = message["status"], sys.exception()
            if (handled is not None or status >= 500) and self._must_wait(status, handled):
                self._held = HeldAnswer(refusal_in(handled), self._begin_own, self._send)
                return self._held.keep(message)
            self._answered = True
            if (line := self._ruling.line) is not None:
                self._server.audit.record(line, status, self._scope.get("client"))
        return self._send(message)

    @staticmethod
    def _must_wait(status: int, handled: BaseException | None) -> bool:
        # Behind a BaseHTTPMiddleware, the error is handled in another task.
        return (handled is None and status >= 500) or refusal_in(handled) is not None

    def _begin_own(self, status: int) -> None:
        """Record that an answer that was held is the app's own."""
        self._answered = True
        own = None if self._held is None else self._held.refusal
        if own is not None and status >= 400:
            self._record(self._line(Outcome.REJECTED, own.reason), status, own)
        else:
            self._record(self._ruling.line, status)

    def _watch_socket(self, message: Message) -> Awaitable[None]:
        if not self._answered:
            kind = message["type"]
            if kind == "websocket.accept":
                self._answered = True
                self._record(self._ruling.line, _SWITCHING_PROTOCOLS)
            elif kind in {"websocket.close", "websocket.http.response.start"}:
                self._answered = True
                own = refusal_in(sys.exception())
                reason = Reason.HANDLER if own is None else own.reason
                if self._ruling.line is not None or own is not None:
                    line = self._line(Outcome.REJECTED, reason)
                    self._record(line, message.get("status", 403), own)
        return self._send(message)

    # Recording

    def _ended(self, refusal: AuthorizationError) -> None:
        """Record that an open WebSocket is closed for its token, or because the app refuses."""
        self._record(self._line(Outcome.REJECTED, refusal.reason), POLICY_VIOLATION, refusal)

    def _record_unanswered(self, status: int | None) -> None:
        """Record a request that the app did not answer; the server answers it with 500."""
        if not self._answered:
            self._record(self._ruling.line, status)

    def _record(
        self, line: Decision | None, status: int | None, refusal: AuthorizationError | None = None
    ) -> None:
        if line is not None:
            detail = None if refusal is None else detail_of(refusal)
            self._server.audit.record(line, status, self._scope.get("client"), detail)

    def _line(self, outcome: Outcome, reason: Reason) -> Decision:
        scope = self._scope
        return Decision.on(outcome, reason, method_of(scope), scope["path"], self._ruling.subject)
