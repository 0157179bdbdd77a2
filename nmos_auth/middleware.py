"""The ASGI edge: HTTP, WebSocket, lifespan."""

from __future__ import annotations

import logging
import sys
import time
from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from nmos_auth.dependencies import describe_security, root_path_of
from nmos_auth.errors import ConfigurationError
from nmos_auth.request.answering import answer_preflight, refuse
from nmos_auth.request.credentials import query_tokens, strike_tokens
from nmos_auth.request.decision_cache import ruling_on
from nmos_auth.request.handling import (
    SCOPE_TOKEN,
    STATE_TOKEN,
    Handling,
    handling_in,
    put_token,
    token_in,
)
from nmos_auth.request.routes import unguarded_routes
from nmos_auth.rules.access_token import AccessToken
from nmos_auth.rules.paths import api_path

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nmos_auth.request.decision import Ruling
    from nmos_auth.request.resource_server import ResourceServer
    from nmos_auth.settings import Settings

__all__ = ["NmosAuthMiddleware"]

# Routes that one warning names.
_MOST_NAMED = 5
_PROTECTED = frozenset({"http", "websocket"})

logger = logging.getLogger("nmos_auth")


class NmosAuthMiddleware:
    """Enforces IS-10 on every HTTP request and WebSocket handshake under `/x-nmos`.

    Args:
        app: what is protected.
        settings: used instead of the NMOS_AUTH_* variables of the environment.
        clock: seconds since 1970 UTC.

    Raises:
        ConfigurationError: a setting is wrong. If an event loop already runs, as when FastAPI makes
            its middleware, the server is told through the lifespan protocol instead: many servers
            take an exception there for an app without lifespan, and would go on.

        >>> app = FastAPI()  # doctest: +SKIP
        >>> app.add_middleware(NmosAuthMiddleware)  # doctest: +SKIP
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self._server: ResourceServer | None = None
        self._wrong: ConfigurationError | None = None
        self._described = False
        # This imports httpx, joserfc and pydantic-settings, which lasts half as long as importing
        # FastAPI. Who only imports the class may not run a server.
        from nmos_auth.request.resource_server import ResourceServer  # noqa: PLC0415
        from nmos_auth.settings import Settings, describe_unknown, unknown_variables  # noqa: PLC0415

        try:
            settings = settings or Settings()
            if settings.enabled:
                _require_server_root(app)
                self._server = ResourceServer(settings, clock)
        except ConfigurationError as error:
            if _get_running_loop() is None:
                raise
            self._wrong = error
            return
        if unknown := unknown_variables():
            logger.warning("these are not settings, and are ignored: %s", describe_unknown(unknown))
        if self._server is None:
            logger.warning("NMOS_AUTH_ENABLED is false: every request passes, even without a token")

    @property
    def resource_server(self) -> ResourceServer | None:
        """The resource server behind it; None while NMOS_AUTH_ENABLED is false."""
        return self._server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        kind, server = scope["type"], self._server
        if server is None or kind not in _PROTECTED:
            await self._serve_unguarded(scope, receive, send)
            return
        in_query = _strike_query_tokens(scope) if scope.get("query_string") else ()
        loop = _get_running_loop()
        if loop is None or server.loop is not loop:
            self._describe(scope)
            server.start()
        ruling = ruling_on(server, scope, in_query)
        verified, line = ruling.verified, ruling.line
        if ruling.place is not None:
            scope["path"], scope["raw_path"], scope["root_path"] = ruling.place
        state = scope.setdefault("state", {})
        if (
            kind != "http"
            or ruling.refusal is not None
            or verified is None
            or line is None
            or state.get(STATE_TOKEN, verified.token) is not verified.token
        ):
            await self._serve_otherwise(server, ruling, in_query, scope, receive, send)
            return
        # `Handling` can do all of what follows, and says why. It takes over as soon as the app does
        # anything but begin an answer below 500 while no error is handled. Over an open FastAPI
        # app, a remembered request costs 6.4 microseconds this way, 7.1 with a coroutine of its
        # own, and 8 with `Handling`.
        scope[SCOPE_TOKEN] = state[STATE_TOKEN] = verified.token
        answered = False
        handling: Handling | None = None

        def watch(message: Message) -> Awaitable[None]:
            nonlocal answered, handling
            if not answered:
                if (
                    handling is not None
                    or message["type"] != "http.response.start"
                    or (status := message["status"]) >= 500
                    or sys.exception() is not None
                ):
                    handling = handling or Handling(server, scope, send, ruling)
                    return handling.watch(message)
                answered = True
                server.audit.record(line, status, scope.get("client"))
            return send(message)

        try:
            await self.app(scope, receive, watch)
        except BaseException as error:  # noqa: BLE001 - raised again where it is not a refusal
            handling = handling or Handling(server, scope, send, ruling, answered=answered)
            await handling.fail(error)
            return
        if not answered:
            await (handling or Handling(server, scope, send, ruling)).end_unanswered()

    async def _serve_otherwise(
        self,
        server: ResourceServer,
        ruling: Ruling,
        in_query: Sequence[bytes],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Serve all but an HTTP request that a token permits and whose state has no other token."""
        if ruling.refusal is not None:
            await refuse(server, scope, send, ruling.refusal, ruling.line)
        elif ruling.preflight:
            await answer_preflight(server, scope, send, ruling.line)
        else:
            handling = Handling(server, scope, send, ruling, in_query=in_query)
            await handling.serve(self.app, receive)

    async def _serve_unguarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._describe(scope)
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if self._wrong is not None:
            raise self._wrong
        if scope["type"] in _PROTECTED:
            _strike_query_tokens(scope)
            if _decides(scope):
                put_token(scope, AccessToken.unrestricted())
        await self.app(scope, receive, send)

    def _describe(self, scope: Scope) -> None:
        if self._described:
            return
        self._described = True
        app = scope.get("app", self.app)
        describe_security(app)
        unguarded = list(unguarded_routes(app, _has_its_own))
        if unguarded and self._server is not None:
            logger.warning(
                "not guarded, since their paths do not begin with /x-nmos: %s%s;"
                " NmosAuthMiddleware guards /x-nmos of the app that it is added to: drop the prefix"
                " and have the server set root_path, or mount an app with a middleware of its own",
                " ".join(unguarded[:_MOST_NAMED]),
                " ..." if len(unguarded) > _MOST_NAMED else "",
            )

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if self._wrong is not None:
                raise self._wrong
            if self._server is not None:
                self._server.start()
        except ConfigurationError as error:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise

        async def stop_before_the_end(message: Message) -> None:
            # A server may end the event loop as soon as it receives this message.
            if message["type"].startswith("lifespan.shutdown."):
                await self._stop()
            await send(message)

        try:
            await self.app(scope, receive, stop_before_the_end)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        if self._server is not None:
            await self._server.stop()


def _strike_query_tokens(scope: Scope) -> Sequence[bytes]:
    # It is changed in place, because the server's own access log reads this very mapping.
    query = scope.get("query_string") or b""
    scope["query_string"] = strike_tokens(query)
    # IS-10 "Behaviour: Resource Servers", Operation with WebSocket: only WebSockets have it.
    return query_tokens(query) if scope["type"] == "websocket" else ()


def _require_server_root(app: ASGIApp) -> None:
    """Refuse an app that removes a prefix from paths after this middleware has checked them."""
    if root := root_path_of(app):
        raise ConfigurationError(
            f"NmosAuthMiddleware is around FastAPI(root_path={f'/{root}'!r}), which would serve"
            f" /{root}/x-nmos without authorization; use app.add_middleware(NmosAuthMiddleware), or"
            " have the server set root_path"
        )


def _has_its_own(app: object) -> bool:
    """Tell whether an app has an NmosAuthMiddleware."""
    layers = getattr(app, "user_middleware", ())
    return any(each.cls is NmosAuthMiddleware for each in layers)


def _decides(scope: Scope) -> bool:
    """Tell whether a middleware that is switched off would be the one that guards this path.

    Behind one that is switched on, it only decides for an app that is mounted there, below whose
    root the path is that of an NMOS API.
    """
    if token_in(scope) is not None:
        return False
    handling = handling_in(scope)
    if handling is None:
        return True
    return not handling.guards and api_path(scope["path"], scope.get("root_path", "")) is not None
