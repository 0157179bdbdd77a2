"""One HTTP request or WebSocket handshake, from decision to audit line."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmos_auth.audit.log import NO_TOKEN, Decision, Outcome
from nmos_auth.audit.reasons import detail_of
from nmos_auth.errors import AuthorizationError, Detail, InsufficientScope, Reason
from nmos_auth.request.credentials import bearer_token
from nmos_auth.request.decision_cache import Permit, Question
from nmos_auth.request.resource_server import Guard
from nmos_auth.request.sockets import POLICY_VIOLATION, EndingSocket
from nmos_auth.rules.authorization import check_handshake, check_request, is_public
from nmos_auth.rules.paths import ApiPath, locate
from nmos_auth.rules.permissions import verb_for
from nmos_auth.rules.tokens import AccessToken
from nmos_auth.trust.verifier import VerifiedToken, describe_hearsay

__all__ = ["STATE_EXCHANGE", "STATE_TOKEN", "Exchange", "serve_permitted"]

STATE_TOKEN = "access_token"  # noqa: S105 - a key of scope["state"]
STATE_EXCHANGE = "nmos_auth"

_SWITCHING_PROTOCOLS = 101


class Exchange:
    """Decides one request, lets the app answer or answers in its place, and records which."""

    __slots__ = (
        "_answered",
        "_guard",
        "_lease",
        "_method",
        "_permitted",
        "_query_tokens",
        "_question",
        "_reason",
        "_scope",
        "_subject",
        "_to_record",
        "_websocket",
    )

    def __init__(
        self,
        guard: Guard,
        scope: Scope,
        question: Question | None,
        query_tokens: Sequence[bytes] = (),
    ) -> None:
        self._guard = guard
        self._scope = scope
        self._question = question
        self._websocket = scope["type"] == "websocket"
        self._method: str = "GET" if self._websocket else scope["method"]
        self._query_tokens = query_tokens
        self._lease: tuple[bytes, float, int] | None = None
        self._reason: Reason | None = None
        self._permitted: Decision | None = None
        self._subject = NO_TOKEN
        self._to_record = True
        self._answered = False

    @classmethod
    def begun(cls, guard: Guard, scope: Scope, permit: Permit, *, answered: bool) -> Exchange:
        """Take over where a permit was found, and the app has answered or not."""
        exchange = cls(guard, scope, None)
        exchange._reason = Reason.PERMITTED
        exchange._subject = permit.verified.subject
        exchange._answered = answered
        exchange._to_record = not answered
        return exchange

    async def serve(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        """Handle the request, whoever answers it."""

        def watched(message: Message) -> Awaitable[None]:
            if not self._answered:
                self._watch(message)
            return send(message)

        try:
            if self._decide():
                if self._websocket and self._guard.closes_sockets:
                    await EndingSocket(receive, watched, self).serve(app, self._scope)
                else:
                    await app(self._scope, receive, watched)
            else:
                await self._answer_preflight(watched)
        except BaseException as error:
            if not await self.settle(error, send):
                raise
        else:
            self._record_passed(None)
        finally:
            # It holds the scope that holds it: every request would wait for the garbage collector.
            self._scope.get("state", {}).pop(STATE_EXCHANGE, None)

    async def settle(self, error: BaseException, send: Send) -> bool:
        """Record what the app, or the decision, raised, and answer it; False to have it raised."""
        if not isinstance(error, AuthorizationError):
            # The server answers with 500; a task that is cancelled is answered by nobody.
            self._record_passed(500 if isinstance(error, Exception) else None)
            return False
        if self._answered:
            return await self._hang_up(error, send)
        await self._refuse(error, send)
        return True

    def identify(self) -> AccessToken:
        """Verify the token of a request that the middleware itself lets pass without one.

        Raises:
            AuthorizationError: there is none, or it is none for this server.
        """
        self._to_record = not self._answered
        self._reason = Reason.IDENTIFIED
        text = bearer_token(self._scope["headers"], self._query_tokens)
        token = self._verify(text).token
        self._keep(text, token)
        return token

    # Deciding

    def _decide(self) -> bool:
        """Tell whether the app is to answer.

        Raises:
            AuthorizationError: the request is refused.
        """
        scope, method = self._scope, self._method
        if method == "OPTIONS" and scope["path"] == "*":
            self._to_record = False
            return True
        path, root_path, target = locate(
            scope["path"], scope.get("raw_path"), scope.get("root_path", "")
        )
        scope["path"], scope["raw_path"] = path
        scope["root_path"] = root_path
        if method == "OPTIONS" and target is not None:
            self._reason = Reason.PREFLIGHT if self._is_preflight() else Reason.OPTIONS
            return self._reason is Reason.OPTIONS
        state = scope.setdefault("state", {})
        is_open = not self._websocket and is_public(method, scope["path"], target)
        if target is not None and not is_open:
            verified = self._authorize(target)
            state[STATE_TOKEN] = verified.token
            if self._websocket:
                state[STATE_EXCHANGE] = self
            elif self._question is not None:
                self._permitted = self._decision(Outcome.AUTHORIZED, Reason.PERMITTED)
                permit = Permit(*path, verified, self._permitted)
                self._guard.permits.add(self._question, permit)
            return True
        if is_open:
            self._reason = Reason.PUBLIC
        else:
            self._to_record = False
        # Whatever stands in front, another middleware that is switched off say, has no say here.
        state.pop(STATE_TOKEN, None)
        state[STATE_EXCHANGE] = self
        return True

    def _is_preflight(self) -> bool:
        return any(name == b"access-control-request-method" for name, _ in self._scope["headers"])

    def _authorize(self, target: ApiPath) -> VerifiedToken:
        text = bearer_token(self._scope["headers"], self._query_tokens)
        if verb_for(self._method) is None:
            self._subject = describe_hearsay(text, None)
            raise InsufficientScope(
                Reason.METHOD,
                detail=Detail.of(
                    "{} is neither a method that reads nor one that writes", self._method
                ),
            )
        verified = self._verify(text)
        token = verified.token
        if self._websocket:
            check_handshake(target, token)
            self._keep(text, token)
        else:
            check_request(self._method, target, token)
        self._reason = Reason.PERMITTED
        return verified

    def _verify(self, text: bytes) -> VerifiedToken:
        try:
            verified = self._guard.verifier.verify(text)
        except AuthorizationError as error:
            self._subject = describe_hearsay(text, error.token)
            raise
        self._subject = verified.subject
        if not verified.names_this_server:
            detail = Detail.of(
                "aud is {}, and this server is known as {}",
                verified.token.aud,
                self._guard.audience,
            )
            raise InsufficientScope(
                Reason.AUDIENCE, token=verified.token, verified=True, detail=detail
            )
        return verified

    # While a WebSocket is open

    def _keep(self, text: bytes, token: AccessToken) -> None:
        if self._websocket and self._guard.closes_sockets:
            self._lease = (text, token.exp, self._guard.withdrawals)

    def remaining(self) -> float:
        """Give the seconds for which the token counts, or infinity where there is none.

        Raises:
            AuthorizationError: it has expired, or a key was withdrawn and none verifies it.
        """
        if self._lease is None:
            return math.inf
        text, expiry, withdrawals = self._lease
        now = self._guard.clock()
        if now >= expiry or withdrawals != self._guard.withdrawals:
            self._guard.verifier.verify(text)
            self._lease = (text, expiry, self._guard.withdrawals)
        return expiry - now

    def ended(self, error: AuthorizationError) -> None:
        """Record that the WebSocket is closed: its token counts no more, or the handler refuses."""
        self._write(Outcome.REJECTED, POLICY_VIOLATION, error.reason, detail_of(error))

    def record_subscription(self, *, permitted: bool) -> None:
        """Record a command that subscribes to sources of events; not permitted if one is not."""
        outcome = Outcome.AUTHORIZED if permitted else Outcome.REJECTED
        self._write(outcome, None, Reason.SOURCES)

    # Answering

    async def _refuse(self, error: AuthorizationError, send: Send) -> None:
        self._reason = error.reason
        self._to_record = True
        self._record(Outcome.REJECTED, error.status, detail_of(error))
        if self._websocket and not self._may_deny_with_an_answer():
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        answer = self._guard.answer_to(error)
        headers = [*answer.headers, *self._guard.cross_origin.headers(self._scope["headers"])]
        await self._respond(answer.status, headers, answer.body, send)

    def _may_deny_with_an_answer(self) -> bool:
        return "websocket.http.response" in (self._scope.get("extensions") or {})

    async def _answer_preflight(self, send: Send) -> None:
        headers = self._guard.cross_origin.preflight_headers(self._scope["headers"])
        await self._respond(200, [(b"content-length", b"0"), *headers], b"", send)

    async def _respond(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes, send: Send
    ) -> None:
        kind = "websocket.http.response" if self._websocket else "http.response"
        await send({"type": f"{kind}.start", "status": status, "headers": headers})
        await send({"type": f"{kind}.body", "body": b"" if self._method == "HEAD" else body})

    async def _hang_up(self, error: AuthorizationError, send: Send) -> bool:
        """End an answer that has begun when its handler refuses after all, if that can be done."""
        if self._websocket:
            self.ended(error)
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return True
        return False

    # Recording

    def _watch(self, message: Message) -> None:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            status = message["status"]
        elif kind == "websocket.accept":
            status = _SWITCHING_PROTOCOLS
        elif kind == "websocket.close":
            status = 403
        else:
            return
        self._answered = True
        self._record(Outcome.AUTHORIZED, status)

    def _record_passed(self, status: int | None) -> None:
        """Record a request that the app left unanswered: with 500 the server answers it."""
        if self._to_record and self._reason is not None:
            self._record(Outcome.AUTHORIZED, status)

    def _record(self, outcome: Outcome, status: int | None, detail: Detail | None = None) -> None:
        if not self._to_record:
            return
        self._to_record = False
        self._write(outcome, status, self._reason or Reason.PERMITTED, detail)

    def _write(
        self, outcome: Outcome, status: int | None, reason: Reason, detail: Detail | None = None
    ) -> None:
        decision = self._permitted if outcome is Outcome.AUTHORIZED else None
        if decision is None or reason is not Reason.PERMITTED:
            decision = self._decision(outcome, reason)
        self._guard.audit.record(decision, status, self._scope.get("client"), detail)

    def _decision(self, outcome: Outcome, reason: Reason) -> Decision:
        return Decision.on(outcome, reason, self._method, self._scope["path"], self._subject)


async def serve_permitted(
    guard: Guard, permit: Permit, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Handle an HTTP request as `Exchange` does, for which there is a permit already."""
    scope["path"], scope["raw_path"] = permit.path, permit.raw_path
    scope.setdefault("state", {})[STATE_TOKEN] = permit.verified.token
    answered = False

    def watched(message: Message) -> Awaitable[None]:
        nonlocal answered
        if not answered and message["type"] == "http.response.start":
            answered = True
            guard.audit.record(permit.decision, message["status"], scope.get("client"))
        return send(message)

    try:
        await app(scope, receive, watched)
    except BaseException as error:
        exchange = Exchange.begun(guard, scope, permit, answered=answered)
        if not await exchange.settle(error, send):
            raise
    else:
        if not answered:
            guard.audit.record(permit.decision, None, scope.get("client"))
