"""Starlette routes for a Controller whose users log in: login, callback, logout.

Tokens stay on the server; the browser only has a cookie with a session id (IS-10 "User-Agent-based
/ Browser-based Applications").
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Self
from urllib.parse import quote, urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from nmos_auth.client.client import AuthorizationClient
from nmos_auth.client.errors import CallbackError, ClientError, StoreError
from nmos_auth.client.grants.grants import code_of
from nmos_auth.client.login.browser import (
    CallbackRoute,
    cookie_name,
    is_own_origin,
    local_path,
    root_of,
    whole_path,
)
from nmos_auth.client.login.failure import NO_STORE, LoginFailure, failure_page
from nmos_auth.client.login.keeper import OnEnd, SessionKeeper
from nmos_auth.client.login.sealed import LoginUnderWay, Seal, digest
from nmos_auth.client.login.sessions import MemorySessions, Session, SessionStore
from nmos_auth.client.registration.registrations import redirect_uri_at
from nmos_auth.client.settings import scopes_of

__all__ = ["LoginRoutes", "OnFailure"]

logger = logging.getLogger("nmos_auth")

# Seconds that a user has for a login.
_LOGIN_PATIENCE = 600
# With more logins under way in one browser, its cookies would be larger than proxies accept.
_MOST_LOGINS = 6
_LONGEST_COOKIE = 4096

OnFailure = Callable[[Request, LoginFailure], Response | Awaitable[Response]]
"""Returns the page that says that a login failed."""


class LoginRoutes:
    """Logs users in and out, and finds the sessions of requests.

    `GET login` sends the browser to an Authorization Server; `?next=/path` says where to go
    afterwards. The callback, at the path of the redirect URI, exchanges the code. `POST logout`,
    also with `?next=`, revokes and forgets what was issued. Add `routes` to the application, at its
    root or mounted below a prefix, and call `await current(request)` in handlers. Several logins
    may be under way in one browser.

    Targets of `next` are paths of this origin as the browser sees them; `after_login` and
    `after_logout` are paths of the application, below the prefix at which it is mounted. A logout
    is accepted only from pages of this origin.

    Args:
        client: a Client whose settings have the authorization_code grant and a redirect URI. With
            several Authorization Servers it contains `{server}`, so that each has its own.
        login: the path of the login.
        logout: the path of the logout.
        scope: the scopes to request; those of the settings if empty.
        required: the scopes without which a login is useless; None for all of them. A user who
            authorizes less is told so, and what was issued is revoked.
        after_login: the target after a login without `next`.
        after_logout: the target after a logout without `next`.
        sessions: keeps sessions; None for the memory of this process. Several workers share
            `nmos_auth.client.login.redis.RedisSessions`.
        lifetime: seconds after which every session ends.
        idle_lifetime: seconds after which a session ends that is not used.
        on_end: called once for each session that ends in this process, with the reason.
        on_failure: returns the page for a login that failed; None for a plain page with a link to
            try again.
        name: the beginning of the names of cookies; None to derive it from the redirect URI.
        prefix: what a proxy removes from every path without setting `root_path`, such as
            `/controller`.
        clock: seconds since 1970 UTC.
        monotonic: seconds of a clock that never goes back.

    Raises:
        ConfigurationError: the redirect URI is not set.

        >>> login = LoginRoutes(client, after_login="/routing")  # doctest: +SKIP
        >>> app = Starlette(routes=[*routes, *login.routes])  # doctest: +SKIP
    """

    def __init__(  # noqa: PLR0913 - each has a good default
        self,
        client: AuthorizationClient,
        *,
        login: str = "/login",
        logout: str = "/logout",
        scope: Iterable[str] = (),
        required: Iterable[str] | None = None,
        after_login: str = "/",
        after_logout: str = "/",
        sessions: SessionStore | None = None,
        lifetime: float = 24 * 3600.0,
        idle_lifetime: float = 12 * 3600.0,
        on_end: OnEnd | None = None,
        on_failure: OnFailure | None = None,
        name: str | None = None,
        prefix: str = "",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._scope = client.permitted(scopes_of(scope))
        self._own = client.settings.required("redirect_uri", "users come back to it")
        self._is_secure = self._own.startswith("https://")
        named = cookie_name(self._own, name)
        self._cookie = f"{named}-session"
        self._login_cookie = f"{named}-login"
        self._login = login
        self._after_login = after_login
        self._after_logout = after_logout
        self._on_failure = on_failure
        self._prefix = prefix.rstrip("/")
        self._clock = clock
        self._store = sessions or MemorySessions(monotonic or client.monotonic)
        self._keeper = SessionKeeper(
            client,
            self._store,
            required=None if required is None else scopes_of(required),
            lifetime=lifetime,
            idle_lifetime=idle_lifetime,
            on_end=on_end,
            clock=clock,
            monotonic=monotonic or client.monotonic,
        )
        log_in = Route(login, self._log_in, methods=["GET"], name="nmos_auth_login")
        # HEAD is safe (RFC 9110 Section 9.2.1), so it does not begin a login.
        log_in.methods = {"GET"}
        self.routes = [
            log_in,
            CallbackRoute(
                self._own, self._call_back, prefix=self._prefix, name="nmos_auth_callback"
            ),
            Route(logout, self._log_out, methods=["POST"], name="nmos_auth_logout"),
        ]

    async def current(self, connection: HTTPConnection) -> Session | None:
        """Return the session of a request or WebSocket, or None where no user is logged in.

        Raises:
            StoreError: a shared session store cannot be read now.
        """
        cookie = self._session_cookie(connection)
        return None if cookie is None else await self._keeper.find(cookie)

    def session(self, connection: HTTPConnection) -> Session | None:
        """Do the same as `current` without waiting, for sessions in the memory of this process.

        Raises:
            TypeError: sessions are in a shared store.
        """
        if not isinstance(self._store, MemorySessions):
            raise TypeError("sessions in a shared store are asked for by `await current(request)`")
        cookie = self._session_cookie(connection)
        return None if cookie is None else self._keeper.find_in_memory(cookie, self._store)

    def is_own_origin(self, connection: HTTPConnection) -> bool:
        """Tell whether a request that changes something comes from a page of this application.

        Handlers of other POST requests ask it too: a page of another port of this host is another
        origin, and its requests bring this application's cookies.
        """
        return is_own_origin(connection, self._own)

    async def end(self, session: Session) -> None:
        """End a session as a logout does: its tokens are revoked.

        Raises:
            StoreError: a shared session store still has it.
        """
        await self._keeper.end(session, "logout")

    async def aclose(self) -> None:
        """End the background work of this process; sessions in a shared store continue."""
        await self._keeper.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _log_in(self, request: Request) -> Response:
        target = self._target(request, self._after_login)
        try:
            pending = await self._client.servers.ask(
                lambda server: server.begin_authorization(
                    self._scope, redirect_uri=redirect_uri_at(self._client.settings, server.issuer)
                )
            )
            await self._client.tell_apart(pending)
            seal = await self._seal()
        except ClientError as error:
            return await self._failed(request, error, 502, target)
        answer = RedirectResponse(pending.url, 303, headers=NO_STORE)
        under_way = LoginUnderWay(pending, target)
        # It is in a cookie, so that only this browser can answer, and a user cannot log another one
        # in as himself. Each login has a cookie of its own, so that several can be under way.
        sealed = seal.close(under_way.document(), now=self._clock()).decode()
        self._set(
            answer,
            self._cookie_of_login(pending.state.get_secret_value()),
            sealed,
            _LOGIN_PATIENCE,
        )
        former = [each for each in request.cookies if each.startswith(f"{self._login_cookie}-")]
        for name in former[: max(0, len(former) + 1 - _MOST_LOGINS)]:
            self._unset(answer, name)
        return answer

    async def _call_back(self, request: Request) -> Response:
        state = request.query_params.get("state", "")
        target = self._at_root(request, self._after_login)
        try:
            under_way = await self._under_way(request, state)
            target = under_way.target
            pending = under_way.pending
            if whole_path(request.scope, self._prefix) != urlsplit(pending.redirect_uri).path:
                raise CallbackError("the answer came to the redirect URI of another server")
            code = code_of(pending, request.query_params.multi_items())
            session_id = await self._keeper.begin(pending, code)
        except ClientError as error:
            failed = await self._failed(request, error, 502 if error.temporary else 400, target)
            self._unset(failed, self._cookie_of_login(state))
            return failed
        cookie = self._session_cookie(request)
        if cookie is not None:
            try:
                await self._keeper.end_by_cookie(cookie, "replaced")
            except StoreError as error:
                logger.warning("the former session of this browser continues: %s", error)
        answer = RedirectResponse(target, 303, headers=NO_STORE)
        self._set(answer, self._cookie, session_id, None)
        # A state is valid for one answer.
        self._unset(answer, self._cookie_of_login(state))
        return answer

    async def _log_out(self, request: Request) -> Response:
        if not self.is_own_origin(request):
            logger.warning("a logout was refused: it did not come from a page of this application")
            return Response("This did not come from a page of this application.\n", 403, NO_STORE)
        cookie = self._session_cookie(request)
        try:
            if cookie is not None:
                await self._keeper.end_by_cookie(cookie, "logout")
        except StoreError as error:
            # The cookie stays: it still opens the session, and another attempt can end it.
            logger.warning("a logout failed: %s", error)
            return Response(
                "The logout did not reach the session store. Try again.\n",
                503,
                {**NO_STORE, "Retry-After": "2"},
            )
        answer = RedirectResponse(self._target(request, self._after_logout), 303, headers=NO_STORE)
        self._unset(answer, self._cookie)
        return answer

    async def _under_way(self, request: Request, state: str) -> LoginUnderWay:
        sealed = request.cookies.get(self._cookie_of_login(state))
        if sealed is None:
            raise CallbackError("no login is under way with this state in this browser")
        seal = await self._seal()
        try:
            document = seal.open(sealed.encode(), lifetime=_LOGIN_PATIENCE, now=self._clock())
            return LoginUnderWay.read(document)
        except ValueError:
            raise CallbackError(
                "this login took longer than ten minutes, or this application was restarted"
            ) from None

    async def _seal(self) -> Seal:
        return Seal.of_logins(await self._store.secret())

    def _session_cookie(self, connection: HTTPConnection) -> str | None:
        cookie = connection.cookies.get(self._cookie, "")
        return cookie if 0 < len(cookie) <= _LONGEST_COOKIE else None

    def _cookie_of_login(self, state: str) -> str:
        return f"{self._login_cookie}-{digest(state)[:12]}"

    def _at_root(self, connection: HTTPConnection, path: str) -> str:
        return local_path(root_of(connection.scope, self._prefix) + path, "/")

    def _target(self, request: Request, otherwise: str) -> str:
        at_root = self._at_root(request, otherwise)
        return local_path(request.query_params.get("next", at_root), at_root)

    async def _failed(
        self, request: Request, error: ClientError, status: int, target: str
    ) -> Response:
        logger.warning("login failed: %s", error)
        if isinstance(error, StoreError):
            status = 503
        retry = f"{self._at_root(request, self._login)}?next={quote(target)}"
        failure = LoginFailure(error, status, retry)
        if self._on_failure is None:
            return failure_page(failure)
        page = self._on_failure(request, failure)
        return await page if inspect.isawaitable(page) else page

    def _set(self, answer: Response, name: str, value: str, max_age: int | None) -> None:
        # It is Lax because the browser comes back from another site. A POST from another site does
        # not bring the cookie.
        answer.set_cookie(
            name,
            value,
            max_age=max_age,
            path="/",
            secure=self._is_secure,
            httponly=True,
            samesite="lax",
        )

    def _unset(self, answer: Response, name: str) -> None:
        answer.delete_cookie(name, path="/", secure=self._is_secure, httponly=True, samesite="lax")
