"""The Authorization Server as a Starlette application: metadata, JWKS and token endpoint.

The metadata lists what is served and nothing else. The IS-10 schema for it also asks for
`authorization_endpoint`, `registration_endpoint` and `code_challenge_methods_supported`; they
come with the Authorization Code grant and dynamic registration. Until then no response type is
supported either: RFC 8414 Section 2 and the schema require the list, so it is there and empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authlib.oauth2.rfc6749 import OAuth2Error
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmos_auth.authority.forms import peer_address, read_token_request
from nmos_auth.authority.keys import SigningKeys, new_signing_key
from nmos_auth.authority.oauth import CLIENT_AUTHENTICATION_METHODS, OAuthServer
from nmos_auth.authority.settings import AuthoritySettings
from nmos_auth.authority.tokens import TokenIssuer

__all__ = ["NOT_FOR_PRODUCTION", "Authority", "create_authority"]

NOT_FOR_PRODUCTION = (
    "This Authorization Server is a tool for development. It is NOT FOR PRODUCTION:\n"
    "it keeps its signing keys in memory, asks no user anything, and limits no guessing.\n"
)

# Seconds for which a former key outlives its last token, for Resource Servers whose clock is late.
_CLOCK_MARGIN = 60

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
# A key that is withdrawn must not live on in a cache on the way.
_REVALIDATE = {"Cache-Control": "no-cache"}


@dataclass(frozen=True)
class Authority:
    """An Authorization Server ready to be served.

    Attributes:
        settings: what it was made from.
        keys: rotate or replace them at any time.
        tokens: issues tokens without asking anybody.
        app: the ASGI application.
    """

    settings: AuthoritySettings
    keys: SigningKeys
    tokens: TokenIssuer
    app: Starlette


def create_authority(
    settings: AuthoritySettings,
    *,
    clock: Callable[[], float] = time.time,
    new_key: Callable[[], RSAKey] = new_signing_key,
) -> Authority:
    """Make an Authorization Server.

    Args:
        settings: its issuer, its clients, the lifetime of its tokens.
        clock: seconds since the epoch.
        new_key: makes the signing keys, two at once and one with every change.
    """
    keys = SigningKeys(
        retention=settings.token_lifetime + _CLOCK_MARGIN, clock=clock, new_key=new_key
    )
    tokens = TokenIssuer(settings.issuer, keys, lifetime=settings.token_lifetime, clock=clock)
    clients = {client.client_id: client for client in settings.clients}
    endpoints = _Endpoints(settings, keys, OAuthServer(clients.get, tokens))
    return Authority(settings=settings, keys=keys, tokens=tokens, app=endpoints.app())


class _Endpoints:
    def __init__(self, settings: AuthoritySettings, keys: SigningKeys, oauth: OAuthServer) -> None:
        self._settings = settings
        self._keys = keys
        self._oauth = oauth

    def app(self) -> Starlette:
        base = self._settings.path
        methods = {
            self._settings.metadata_path: ("GET", self._metadata),
            f"{base}/jwks": ("GET", self._jwks),
            f"{base}/token": ("POST", self._token),
            f"{base}/about": ("GET", self._about),
        }
        app = Starlette(
            routes=[
                Route(path, endpoint, methods=[method])
                for path, (method, endpoint) in methods.items()
            ],
            middleware=[
                Middleware(
                    _CrossOrigin, methods={path: method for path, (method, _) in methods.items()}
                )
            ],
            exception_handlers={HTTPException: _http_error},
        )
        # IS-10 "Redirections": "MUST NOT use the 307 HTTP status code for redirection".
        app.router.redirect_slashes = False
        return app

    async def _metadata(self, _: Request) -> Response:
        scopes = {scope for client in self._settings.clients for scope in client.scopes}
        metadata = {
            "issuer": self._settings.issuer,
            "token_endpoint": self._settings.url("/token"),
            "jwks_uri": self._settings.url("/jwks"),
            "scopes_supported": sorted(scopes),
            "response_types_supported": [],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": list(CLIENT_AUTHENTICATION_METHODS),
            "service_documentation": self._settings.url("/about"),
        }
        return JSONResponse(metadata, headers=_REVALIDATE)

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse(self._keys.jwks(), headers=_REVALIDATE)

    async def _about(self, _: Request) -> Response:
        return PlainTextResponse(NOT_FOR_PRODUCTION)

    async def _token(self, request: Request) -> Response:
        try:
            token_request = await read_token_request(request, self._settings.url("/token"))
        except OAuth2Error as error:
            return self._oauth.refuse(error, peer=peer_address(request))
        return self._oauth.create_token_response(token_request)


async def _http_error(_: Request, error: Exception) -> Response:
    """Answer what the router refuses in the form that the token endpoint uses for errors."""
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse(
        {"error": "invalid_request", "error_description": error.detail},
        status_code=error.status_code,
        headers={**_NO_STORE, **(error.headers or {})},
    )


class _CrossOrigin:
    """CORS for browser-based Controllers, on errors too; OPTIONS needs no authorization.

    IS-10 "OPTIONS Requests" has every OPTIONS request answered, "explicitly permitting the use
    of the `Authorization` header", also one that is no preflight and names no origin.
    """

    def __init__(self, app: ASGIApp, methods: Mapping[str, str]) -> None:
        self._app = app
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = self._methods.get(scope["path"]) if scope["type"] == "http" else None
        if method is None:
            await self._app(scope, receive, send)
            return
        allowed = f"{method}, HEAD, OPTIONS" if method == "GET" else f"{method}, OPTIONS"
        if scope["method"] == "OPTIONS":
            response = Response(
                headers={
                    "Allow": allowed,
                    "Access-Control-Allow-Origin": "*",
                    "Access-Control-Allow-Methods": allowed,
                    "Access-Control-Allow-Headers": "Authorization, Content-Type",
                    "Access-Control-Max-Age": "3600",
                }
            )
            await response(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = "*"
                headers["Access-Control-Expose-Headers"] = "WWW-Authenticate"
            await send(message)

        await self._app(scope, receive, send_with_headers)
