"""Starlette routes for a Controller whose users log in: login, callback, logout.

Tokens stay on the server; the browser has a cookie with a session id and nothing else (IS-10
"User-Agent-based / Browser-based Applications").
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cachetools import TTLCache
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from nmos_auth.client.client import AuthorizationClient
from nmos_auth.client.errors import CallbackError, ClientError
from nmos_auth.client.grants.grants import GrantedTokens, PendingAuthorization, code_of
from nmos_auth.client.registration.registrations import redirect_uri_at
from nmos_auth.client.settings import SERVER_PLACEHOLDER
from nmos_auth.client.tokens.authorizations import MemoryVault, UserAuthorization
from nmos_auth.client.tokens.source import TokenSource

__all__ = ["LoginRoutes", "Session"]

logger = logging.getLogger("nmos_auth")

_MOST_SESSIONS = 10_000
# Seconds a user has for a login, and for which a session lives without being used.
_LOGIN_PATIENCE = 600.0
_SESSION_LIFE = 12 * 3600.0
_NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True)
class Session:
    """A user's login.

    Attributes:
        tokens: gives this user's Access Token, fresh.
        issuer: the Authorization Server the user logged in at.
        scope: what was authorized.
    """

    tokens: TokenSource
    issuer: str
    scope: frozenset[str]
    authorization: UserAuthorization = field(repr=False)


@dataclass(frozen=True)
class _Started:
    pending: PendingAuthorization
    target: str
    browser: str


class LoginRoutes:
    """Logs users in and out, and knows who is logged in.

    `GET login` sends the browser to an Authorization Server, `?next=/path` says where to go
    afterwards; the callback, which is the path of the redirect URI, exchanges the code; `POST
    logout` revokes what was issued and forgets it. Add `routes` to the application and ask
    `session(request)` in handlers.

    Sessions are kept in memory: in one process, until it ends.

    Args:
        client: whose settings have the authorization_code grant and a redirect URI.
        login: the path of the login.
        logout: the path of the logout.
        scope: what to ask for; that of the settings if empty.
        elapsed: seconds that only go forward.

    Raises:
        ConfigurationError: there is no redirect URI.
    """

    def __init__(
        self,
        client: AuthorizationClient,
        *,
        login: str = "/login",
        logout: str = "/logout",
        scope: Iterable[str] = (),
        elapsed: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._scope = client.permitted(tuple(scope))
        uri = client.settings.demand("redirect_uri", "users come back to it")
        # `__Host-` cookies take https, and no other host or path can set them (RFC 6265bis).
        self._secure = uri.startswith("https://")
        prefix = "__Host-" if self._secure else ""
        self._cookie = f"{prefix}nmos-auth-session"
        self._login_cookie = f"{prefix}nmos-auth-login"
        timer = elapsed or client.elapsed
        self._started: TTLCache[str, _Started] = TTLCache(_MOST_SESSIONS, _LOGIN_PATIENCE, timer)
        self._sessions: TTLCache[str, Session] = TTLCache(_MOST_SESSIONS, _SESSION_LIFE, timer)
        callback = urlsplit(uri).path or "/"
        self.routes = [
            Route(login, self._log_in, methods=["GET"], name="nmos_auth_login"),
            Route(
                callback.replace(SERVER_PLACEHOLDER, "{server}"),
                self._call_back,
                methods=["GET"],
                name="nmos_auth_callback",
            ),
            Route(logout, self._log_out, methods=["POST"], name="nmos_auth_logout"),
        ]

    def session(self, connection: HTTPConnection) -> Session | None:
        """Give the session of a request or WebSocket, or None where nobody is logged in."""
        cookie = connection.cookies.get(self._cookie)
        if cookie is None:
            return None
        key = _digest(cookie)
        session = self._sessions.get(key)
        if session is not None:
            self._sessions[key] = session
        return session

    async def _log_in(self, request: Request) -> Response:
        target = _local(request.query_params.get("next", "/"))
        try:
            pending = await self._client.servers.ask(
                lambda server: server.begin_authorization(
                    self._scope, redirect_uri=redirect_uri_at(self._client.settings, server.issuer)
                )
            )
            await self._client.tell_apart(pending)
        except ClientError as error:
            return _failed(error, 502)
        # Ties the answer to this browser, so that nobody logs another in as himself.
        browser = secrets.token_urlsafe(32)
        state = pending.state.get_secret_value()
        self._started[_digest(state)] = _Started(pending, target, _digest(browser))
        answer = RedirectResponse(pending.url, 303, headers=_NO_STORE)
        self._set(answer, self._login_cookie, browser, int(_LOGIN_PATIENCE))
        return answer

    async def _call_back(self, request: Request) -> Response:
        try:
            # A state is good for one answer.
            started = self._started.pop(_digest(request.query_params.get("state", "")), None)
            if started is None:
                raise CallbackError("no login is under way with this state")
            if _digest(request.cookies.get(self._login_cookie, "")) != started.browser:
                raise CallbackError("the login was started in another browser")
            if request.url.path != urlsplit(started.pending.redirect_uri).path:
                raise CallbackError("the answer came to another server's redirect URI")
            code = code_of(started.pending, request.query_params.multi_items())
        except ClientError as error:
            return _failed(error, 400)
        server = self._client.servers.at(started.pending.issuer)
        authorization = UserAuthorization(server, MemoryVault())
        try:
            granted = await authorization.complete(started.pending, code)
        except ClientError as error:
            return _failed(error, 502 if error.temporary else 400)
        await self._end(request)
        answer = RedirectResponse(started.target, 303, headers=_NO_STORE)
        # A new id with every login, so that none that somebody knew before counts.
        session_id = secrets.token_urlsafe(32)
        self._sessions[_digest(session_id)] = self._session(authorization, granted)
        self._set(answer, self._cookie, session_id, None)
        self._unset(answer, self._login_cookie)
        return answer

    async def _log_out(self, request: Request) -> Response:
        await self._end(request)
        answer = RedirectResponse("/", 303, headers=_NO_STORE)
        self._unset(answer, self._cookie)
        return answer

    async def _end(self, request: Request) -> None:
        session = self._sessions.pop(_digest(request.cookies.get(self._cookie, "")), None)
        if session is None:
            return
        await session.tokens.aclose()
        try:
            # IS-10 "Token Requests", Revoking: "upon a user ceasing to require authorization".
            await session.authorization.end()
        except ClientError as error:
            logger.warning("logged out, but not at the server: %s", error)

    def _session(self, authorization: UserAuthorization, granted: GrantedTokens) -> Session:
        return Session(
            tokens=self._client.source(authorization.obtain, only_while_used=True),
            issuer=authorization.issuer,
            scope=granted.scope,
            authorization=authorization,
        )

    def _set(self, answer: Response, name: str, value: str, max_age: int | None) -> None:
        # Lax, since the browser comes back from another site; POST from there has no cookie.
        answer.set_cookie(
            name,
            value,
            max_age=max_age,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def _unset(self, answer: Response, name: str) -> None:
        answer.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")


def _digest(value: str) -> str:
    # What is looked up is no secret, so that how long that takes tells nothing.
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _local(target: str) -> str:
    """Give a path of this application; anything else would send users wherever a link says."""
    local = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if local and target.isprintable() and "\\" not in target else "/"


def _failed(error: ClientError, status: int) -> Response:
    logger.warning("login failed: %s", error)
    return PlainTextResponse(f"The login failed: {error}\n", status, headers=_NO_STORE)
