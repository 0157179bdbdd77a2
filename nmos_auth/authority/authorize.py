"""The authorization endpoint: a user logs in and decides (RFC 6749 Section 3.1, RFC 9207)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.rfc6749 import (
    AccessDeniedError,
    InvalidRequestError,
    OAuth2Error,
    UnsupportedResponseTypeError,
)
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from nmos_auth.authority.adapters import OAuthRequest, RegisteredClient
from nmos_auth.authority.clients import KnownClient
from nmos_auth.authority.errors import (
    PasswordGuessing,
    RequestObjectNotSupported,
    RequestUriNotSupported,
)
from nmos_auth.authority.forms import parse_parameters, peer_address, read_form
from nmos_auth.authority.guessing import GuessLimit
from nmos_auth.authority.oauth import OAuthServer
from nmos_auth.authority.pages import consent_page, error_page, login_page
from nmos_auth.authority.redirect_uris import answer_uri
from nmos_auth.authority.sessions import Session, Sessions
from nmos_auth.authority.settings import AuthoritySettings
from nmos_auth.authority.users import PasswordChecker

__all__ = ["AuthorizationEndpoint"]

logger = logging.getLogger("nmos_auth.authority")


class _NotForTheClient(Exception):
    """The client or its redirect URI is not known: only the user may be told."""


@dataclass(frozen=True)
class _Wish:
    """A valid authorization request."""

    client: KnownClient
    redirect_uri: str
    scope: str
    parameters: Mapping[str, str]


class AuthorizationEndpoint:
    """Shows the login and consent pages, and answers the client by a redirect.

    Args:
        settings: the server's settings.
        oauth: the clients and grants.
        sessions: the sessions of browsers.
        passwords: checks the passwords of users.
        guesses: limits how often passwords are tried.
    """

    def __init__(
        self,
        settings: AuthoritySettings,
        oauth: OAuthServer,
        sessions: Sessions,
        passwords: PasswordChecker,
        guesses: GuessLimit,
    ) -> None:
        self._settings = settings
        self._oauth = oauth
        self._sessions = sessions
        self._passwords = passwords
        self._guesses = guesses
        self._one_at_a_time = asyncio.Lock()
        self._is_secure = settings.issuer.startswith("https:")
        # Cookies are shared by the ports of a host, so servers on one host need different names.
        # __Host- binds a cookie to this host and to TLS (RFC 6265bis Section 4.1.3.2).
        name = "nmos-auth-" + hashlib.sha256(settings.issuer.encode()).hexdigest()[:12]
        self._cookie = f"__Host-{name}" if self._is_secure else name

    async def show(self, request: Request) -> Response:
        """Answer GET with a page, or with a redirect if the request cannot be granted."""
        return await run_in_threadpool(self._show, request)

    async def decide(self, request: Request) -> Response:
        """Answer POST: what the user entered on a page."""
        form = await read_form(request)
        # Checking a password is slow: a client that guesses waits here, and does not occupy a
        # thread that the token endpoint needs.
        async with self._one_at_a_time:
            return await run_in_threadpool(self._decide, request, form)

    def _show(self, request: Request) -> Response:
        wish = self._read(request)
        if isinstance(wish, Response):
            return wish
        session = self._session(request)
        if session is None and request.method == "HEAD":
            # HEAD is safe (RFC 9110 Section 9.2.1), so it does not begin a session.
            return login_page(action="", csrf="")
        return self._page(request, wish, session or self._sessions.begin())

    def _decide(self, request: Request, form: Mapping[str, str]) -> Response:
        wish = self._read(request)
        if isinstance(wish, Response):
            return wish
        session = self._session(request)
        csrf = form.get("csrf", "")
        if session is None or not compare_digest(csrf.encode(), session.csrf.encode()):
            logger.warning(
                "form refused: not from a page of this session peer=%s", peer_address(request)
            )
            return error_page(
                "This form is not from a page of your present session: you may have logged in or"
                " out in another tab since.",
                status=403,
                again=self._path(request),
            )
        return self._act(request, wish, session, form)

    def _act(
        self, request: Request, wish: _Wish, session: Session, form: Mapping[str, str]
    ) -> Response:
        match form.get("action"):
            case "login":
                return self._log_in(request, wish, session, form)
            case "logout":
                self._sessions.end(session)
                return self._page(request, wish, self._sessions.begin())
            case "approve" if session.user is not None:
                return self._approve(request, wish, session.user)
            case "deny" if session.user is not None:
                logger.info(
                    "authorization refused: user=%r client_id=%r scope=%r peer=%s",
                    session.user,
                    wish.client.client_id,
                    wish.scope,
                    peer_address(request),
                )
                return self._refuse(AccessDeniedError(), wish.redirect_uri, wish.parameters)
        return error_page("The form is incomplete.")

    def _log_in(
        self, request: Request, wish: _Wish, session: Session, form: Mapping[str, str]
    ) -> Response:
        name, peer = form.get("username", ""), peer_address(request)
        try:
            self._guesses.check(name, peer)
        except PasswordGuessing as refusal:
            logger.warning("login refused: too many wrong passwords peer=%s", peer)
            page = self._page(
                request, wish, session, problem=refusal.description, status=refusal.status_code
            )
            page.headers["Retry-After"] = str(refusal.retry_after)
            return page
        user = self._passwords.check(name, form.get("password", ""))
        if user is None:
            self._guesses.count_failure(name, peer)
            # The name is not logged, because people enter passwords in the wrong field.
            logger.warning("login refused: peer=%s", peer)
            return self._page(request, wish, session, problem="Name or password is wrong.")
        logger.info("user logged in: user=%r peer=%s", user.name, peer)
        # The cookie is a new one, so that an attacker who set the former one gets no session.
        self._sessions.end(session)
        return self._page(request, wish, self._sessions.begin(user.name))

    def _approve(self, request: Request, wish: _Wish, user: str) -> Response:
        code = self._oauth.authorizations.grant_code(
            client_id=wish.client.client_id,
            user=user,
            scope=wish.scope,
            redirect_uri=wish.parameters.get("redirect_uri"),
            code_challenge=wish.parameters.get("code_challenge"),
            code_challenge_method=wish.parameters.get("code_challenge_method"),
        )
        logger.info(
            "authorization granted: user=%r client_id=%r scope=%r peer=%s",
            user,
            wish.client.client_id,
            wish.scope,
            peer_address(request),
        )
        return self._answer(wish.redirect_uri, {"code": code}, wish.parameters)

    def _read(self, request: Request) -> _Wish | Response:
        """Check an authorization request (RFC 6749 Section 4.1.1).

        Returns:
            The request if it is valid, else the answer: a page for the user if the client or its
            redirect URI is in doubt, otherwise an error for the client (RFC 6749 Section 4.1.2.1).
        """
        try:
            return self._checked(request)
        except _NotForTheClient as problem:
            logger.warning("authorization refused: %s peer=%s", problem, peer_address(request))
            return error_page(str(problem))

    def _checked(self, request: Request) -> _Wish | Response:
        try:
            parameters, repeated = parse_parameters(request.url.query.encode())
        except OAuth2Error:
            raise _NotForTheClient("The request is malformed.") from None
        if repeated & {"client_id", "redirect_uri"}:
            raise _NotForTheClient("The request names more than one client or redirect URI.")
        known = self._oauth.query_client(parameters.get("client_id", ""))
        if known is None:
            raise _NotForTheClient("The client is not known here.")
        redirect_uri = known.redirect_uri(parameters.get("redirect_uri"))
        if redirect_uri is None:
            raise _NotForTheClient("The redirect URI is not one that the client registered.")
        try:
            if repeated:
                raise InvalidRequestError("A parameter is repeated")
            _check_kind(parameters)
            return self._granted(known, redirect_uri, parameters, peer_address(request))
        except OAuth2Error as error:
            logger.warning(
                "authorization refused: error=%s description=%r client_id=%r peer=%s",
                error.error,
                error.description,
                known.get_client_id(),
                peer_address(request),
            )
            return self._refuse(error, redirect_uri, parameters)

    def _granted(
        self, known: RegisteredClient, redirect_uri: str, parameters: Mapping[str, str], peer: str
    ) -> _Wish:
        oauth_request = OAuthRequest(
            method="GET",
            endpoint=self._settings.url("/authorize"),
            authorization=None,
            parameters=parameters,
            peer=peer,
        )
        # The grant decides on scope and PKCE.
        self._oauth.check_authorization_request(oauth_request)
        return _Wish(known.client, redirect_uri, oauth_request.scope, parameters)

    def _refuse(
        self, error: OAuth2Error, redirect_uri: str, parameters: Mapping[str, str]
    ) -> Response:
        answer = {"error": str(error.error)}
        if error.description:
            answer["error_description"] = str(error.description)
        return self._answer(redirect_uri, answer, parameters)

    def _answer(
        self, redirect_uri: str, answer: Mapping[str, str], parameters: Mapping[str, str]
    ) -> Response:
        """Redirect with 302: "MUST NOT use the 307 HTTP status code" (IS-10 "Redirections")."""
        state = {"state": parameters["state"]} if "state" in parameters else {}
        query = urlencode({**answer, **state, "iss": self._settings.issuer})
        return Response(
            status_code=302,
            headers={
                "Location": answer_uri(redirect_uri, query),
                "Cache-Control": "no-store",
                "Pragma": "no-cache",
                "Referrer-Policy": "no-referrer",
            },
        )

    def _session(self, request: Request) -> Session | None:
        session = self._sessions.find(request.cookies.get(self._cookie))
        if session is None or session.user is None:
            return session
        return session if self._oauth.find_user(session.user) else None

    def _path(self, request: Request) -> str:
        """Return where this request is made again."""
        return f"{urlsplit(self._settings.url('/authorize')).path}?{request.url.query}"

    def _page(
        self,
        request: Request,
        wish: _Wish,
        session: Session,
        *,
        problem: str | None = None,
        status: int = 200,
    ) -> Response:
        action = self._path(request)
        if session.user is None:
            page: Response = login_page(
                action=action, csrf=session.csrf, problem=problem, status=status
            )
        else:
            user = self._oauth.find_user(session.user)
            page = consent_page(
                action=action,
                csrf=session.csrf,
                user=session.user,
                client=wish.client if user is None else user.with_client(wish.client),
                is_configured=wish.client.client_id in self._settings.configured_ids,
                scopes=wish.scope.split(),
                redirect_uri=wish.redirect_uri,
            )
        if session.is_new:
            page.set_cookie(
                self._cookie,
                session.cookie,
                max_age=session.max_age,
                path="/",
                secure=self._is_secure,
                httponly=True,
                # It is Lax because the client sends the browser here from its own site.
                samesite="lax",
            )
        return page


def _check_kind(parameters: Mapping[str, str]) -> None:
    """Check that a request asks for a kind of answer that this server supports.

    Raises:
        OAuth2Error: it does not.
    """
    if "request_uri" in parameters:
        raise RequestUriNotSupported
    if "request" in parameters:
        raise RequestObjectNotSupported
    if "response_type" not in parameters:
        raise InvalidRequestError("The response_type parameter is missing")
    if parameters["response_type"] != "code":
        raise UnsupportedResponseTypeError("")
    if parameters.get("response_mode", "query") != "query":
        raise InvalidRequestError("The response_mode is not supported: answers come in the query")
