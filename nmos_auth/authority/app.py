"""The Authorization Server as a Starlette application: its endpoints and its metadata."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from authlib.oauth2.rfc6749 import OAuth2Error
from joserfc.jwk import RSAKey
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from nmos_auth.authority.adapters import OAuthRequest, RegisteredClient
from nmos_auth.authority.assertions import SIGNING_ALGORITHMS, parse_assertion
from nmos_auth.authority.authorizations import Authorizations
from nmos_auth.authority.authorize import AuthorizationEndpoint
from nmos_auth.authority.client_auth import ClientAuthenticator
from nmos_auth.authority.client_keys import ClientKeys
from nmos_auth.authority.clients import CLIENT_AUTHENTICATION_METHODS
from nmos_auth.authority.cors import SHARED, CrossOrigin, Methods
from nmos_auth.authority.database import Database
from nmos_auth.authority.forms import (
    authorization_header,
    peer_address,
    read_document,
    read_oauth_form,
)
from nmos_auth.authority.guessing import GuessLimit
from nmos_auth.authority.initial_tokens import InitialAccessTokens
from nmos_auth.authority.key_storage import StoredKeys
from nmos_auth.authority.keys import SigningKeys, new_signing_key
from nmos_auth.authority.oauth import OAuthServer
from nmos_auth.authority.pages import error_page
from nmos_auth.authority.registration import Registrations
from nmos_auth.authority.sessions import Sessions
from nmos_auth.authority.settings import AuthoritySettings
from nmos_auth.authority.tokens import TokenIssuer
from nmos_auth.authority.users import PasswordChecker, User

__all__ = ["NOT_FOR_PRODUCTION", "Authority", "create_authority"]

NOT_FOR_PRODUCTION = (
    "This Authorization Server is a tool for development. It is NOT FOR PRODUCTION:\n"
    "it keeps its signing keys in memory or in a file, and serves from one process.\n"
)

# Seconds for which a former key stays after its last token, for Resource Servers with a late clock.
_CLOCK_MARGIN = 60

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
# A withdrawn key must not stay in a cache on the way.
_REVALIDATE = {"Cache-Control": "no-cache"}

_REGISTER = "/register"


@dataclass(frozen=True)
class Authority:
    """An Authorization Server that is ready to be served.

    Attributes:
        settings: its settings.
        keys: its signing keys, which can be rotated or replaced at any time.
        tokens: issues tokens without an authorization.
        app: the ASGI application.
    """

    settings: AuthoritySettings
    keys: SigningKeys
    tokens: TokenIssuer
    app: Starlette
    _initial_tokens: InitialAccessTokens = field(repr=False)
    _database: Database = field(repr=False)

    def initial_access_token(self, *, lifetime: int = 86400) -> SecretStr:
        """Sign an initial access token (RFC 7591 Section 3), with which any Client may register.

        Args:
            lifetime: seconds.
        """
        return self._initial_tokens.issue(lifetime=lifetime)

    def keep_user(self, user: User) -> None:
        """Keep a user in the database, and replace one with the same name."""
        self._database.change(
            "INSERT OR REPLACE INTO user (name, password_hash) VALUES (?, ?)",
            user.name,
            user.password_hash.get_secret_value(),
        )

    def has_users(self) -> bool:
        """Tell whether there is a user who can log in."""
        return bool(self.settings.users) or self._database.one("SELECT 1 FROM user") is not None

    def close(self) -> None:
        """Close the database; the application cannot be used afterwards."""
        self._database.close()


def create_authority(
    settings: AuthoritySettings,
    *,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    new_key: Callable[[], RSAKey] = new_signing_key,
) -> Authority:
    """Make an Authorization Server.

    Args:
        settings: its settings.
        clock: seconds since 1970 UTC.
        monotonic: seconds of a clock that never goes back.
        new_key: makes the signing keys: two at the start, and one with every change.

    Raises:
        ConfigurationError: the database cannot be used.
    """
    database = Database(settings.database)
    keys = SigningKeys(
        retention=settings.token_lifetime + _CLOCK_MARGIN,
        clock=clock,
        new_key=new_key,
        storage=StoredKeys(database),
    )
    tokens = TokenIssuer(settings.issuer, keys, lifetime=settings.token_lifetime, clock=clock)
    initial_tokens = InitialAccessTokens(
        keys,
        issuer=settings.issuer,
        endpoint=settings.url(_REGISTER),
        configured=settings.registration.initial_access_tokens,
        clock=clock,
    )
    registrations = Registrations(
        database,
        settings.registration,
        initial_tokens,
        endpoint=settings.url(_REGISTER),
        allow_http=settings.allow_http,
        clock=clock,
    )
    configured = {
        client.client_id: RegisteredClient.of_configured(client) for client in settings.clients
    }
    users = {user.name: user for user in settings.users}

    def find_client(client_id: str) -> RegisteredClient | None:
        return configured.get(client_id) or registrations.find(client_id)

    def find_user(name: str) -> User | None:
        return users.get(name) or _stored_user(database, name)

    oauth = OAuthServer(
        find_client=find_client,
        find_user=find_user,
        authenticator=ClientAuthenticator(
            find_client, database, audiences=(settings.issuer, settings.url("/token")), clock=clock
        ),
        authorizations=Authorizations(
            database, clock=clock, refresh_lifetime=settings.refresh_lifetime
        ),
        tokens=tokens,
    )
    authorization = AuthorizationEndpoint(
        settings,
        oauth,
        Sessions(database, clock=clock),
        PasswordChecker(find_user),
        GuessLimit(monotonic),
    )
    client_keys = ClientKeys(
        ca_file=settings.ca_file, allow_http=settings.allow_http, monotonic=monotonic
    )
    endpoints = _Endpoints(settings, keys, client_keys, oauth, registrations, authorization)
    return Authority(
        settings=settings,
        keys=keys,
        tokens=tokens,
        app=endpoints.app(),
        _initial_tokens=initial_tokens,
        _database=database,
    )


def _stored_user(database: Database, name: str) -> User | None:
    row = database.one("SELECT password_hash FROM user WHERE name = ?", name)
    return None if row is None else User(name=name, password_hash=row["password_hash"])


class _Endpoints:
    def __init__(
        self,
        settings: AuthoritySettings,
        keys: SigningKeys,
        client_keys: ClientKeys,
        oauth: OAuthServer,
        registrations: Registrations,
        authorization: AuthorizationEndpoint,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._oauth = oauth
        self._registrations = registrations
        self._authorization = authorization
        self._client_keys = client_keys

    def app(self) -> Starlette:
        base = self._settings.path
        register = f"{base}{_REGISTER}"
        routes = [
            Route(self._settings.metadata_path, self._metadata, methods=["GET"]),
            Route(f"{base}/jwks", self._jwks, methods=["GET"]),
            Route(f"{base}/about", self._about, methods=["GET"]),
            Route(f"{base}/token", self._token, methods=["POST"]),
            Route(f"{base}/revoke", self._revoke, methods=["POST"]),
            Route(f"{base}/authorize", self._authorization.show, methods=["GET"]),
            Route(f"{base}/authorize", self._authorization.decide, methods=["POST"]),
            Route(register, self._register, methods=["POST"]),
            Route(f"{register}/{{client_id}}", self._read, methods=["GET"]),
            Route(f"{register}/{{client_id}}", self._update, methods=["PUT"]),
            Route(f"{register}/{{client_id}}", self._delete, methods=["DELETE"]),
        ]
        methods = {
            self._settings.metadata_path: Methods(("GET",)),
            f"{base}/jwks": Methods(("GET",)),
            f"{base}/about": Methods(("GET",)),
            f"{base}/token": Methods(("POST",)),
            f"{base}/revoke": Methods(("POST",)),
            f"{base}/authorize": Methods(("GET", "POST"), is_shared=False),
            register: Methods(("POST",)),
        }
        configuration = Methods(("GET", "PUT", "DELETE"))

        def find(path: str) -> Methods | None:
            return methods.get(path) or (
                configuration if path.startswith(f"{register}/") and path[-1] != "/" else None
            )

        app = Starlette(
            routes=routes,
            middleware=[Middleware(CrossOrigin, find=find)],
            exception_handlers={
                HTTPException: _http_error,
                OAuth2Error: self._refused,
                Exception: _server_error,
            },
        )
        # IS-10 "Redirections": "MUST NOT use the 307 HTTP status code for redirection".
        app.router.redirect_slashes = False
        return app

    async def _metadata(self, _: Request) -> Response:
        url = self._settings.url
        scopes = {scope for client in self._settings.clients for scope in client.scopes}
        methods = list(CLIENT_AUTHENTICATION_METHODS)
        metadata = {
            "issuer": self._settings.issuer,
            "authorization_endpoint": url("/authorize"),
            "token_endpoint": url("/token"),
            "revocation_endpoint": url("/revoke"),
            "registration_endpoint": url(_REGISTER),
            "jwks_uri": url("/jwks"),
            "scopes_supported": sorted(scopes.union(self._settings.registration.permissions)),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
            "revocation_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
            "code_challenge_methods_supported": ["S256", "plain"],
            "authorization_response_iss_parameter_supported": True,
            "service_documentation": url("/about"),
        }
        return JSONResponse(metadata, headers=_REVALIDATE)

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse(self._keys.jwks(), headers=_REVALIDATE)

    async def _about(self, _: Request) -> Response:
        return PlainTextResponse(NOT_FOR_PRODUCTION)

    async def _token(self, request: Request) -> Response:
        oauth_request = await read_oauth_form(
            request, self._settings.url("/token"), required="grant_type"
        )
        await self._fetch_keys(oauth_request)
        return await run_in_threadpool(self._oauth.create_token_response, oauth_request)

    async def _revoke(self, request: Request) -> Response:
        oauth_request = await read_oauth_form(request, self._settings.url("/revoke"))
        await self._fetch_keys(oauth_request)
        return await run_in_threadpool(self._oauth.create_revocation_response, oauth_request)

    async def _fetch_keys(self, request: OAuthRequest) -> None:
        """Fetch the keys for an assertion before Authlib's threads, which do no such I/O."""
        assertion = parse_assertion(request.payload.data)
        if assertion is None:
            return
        known = await run_in_threadpool(self._oauth.query_client, assertion.subject)
        if known is not None and known.client.signs_assertions:
            request.assertion_keys = await self._client_keys.keys_of(known, assertion.kid)

    async def _register(self, request: Request) -> Response:
        answer = await run_in_threadpool(
            self._registrations.create,
            await read_document(request),
            authorization_header(request),
            peer=peer_address(request),
            from_page="origin" in request.headers,
        )
        return JSONResponse(answer, status_code=201, headers=_NO_STORE)

    async def _read(self, request: Request) -> Response:
        answer = await run_in_threadpool(
            self._registrations.read,
            request.path_params["client_id"],
            authorization_header(request),
        )
        return JSONResponse(answer, headers=_NO_STORE)

    async def _update(self, request: Request) -> Response:
        answer = await run_in_threadpool(
            self._registrations.update,
            request.path_params["client_id"],
            await read_document(request),
            authorization_header(request),
            peer=peer_address(request),
        )
        return JSONResponse(answer, headers=_NO_STORE)

    async def _delete(self, request: Request) -> Response:
        await run_in_threadpool(
            self._registrations.delete,
            request.path_params["client_id"],
            authorization_header(request),
            peer=peer_address(request),
        )
        return Response(status_code=204, headers=_NO_STORE)

    async def _refused(self, request: Request, error: Exception) -> Response:
        """Answer an error that an endpoint raised: with a page for a user, else as OAuth does."""
        if not isinstance(error, OAuth2Error):
            raise error
        path = request.scope["path"].removeprefix(self._settings.path)
        if path == "/authorize":
            return error_page(error.get_error_description(), status=error.status_code)
        what = {"/token": "token", "/revoke": "revocation"}.get(path, "registration")
        return self._oauth.refuse(error, what, peer=peer_address(request))


async def _http_error(_: Request, error: Exception) -> Response:
    """Answer what the router refuses, in the form of the token endpoint's errors."""
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse(
        {"error": "invalid_request", "error_description": error.detail},
        status_code=error.status_code,
        headers={**_NO_STORE, **(error.headers or {})},
    )


async def _server_error(_: Request, __: Exception) -> Response:
    """Answer an unexpected error; Starlette raises it again, so that the server logs it."""
    return JSONResponse(
        {"error": "server_error", "error_description": "The server met an unexpected condition"},
        status_code=500,
        headers={**_NO_STORE, **SHARED},
    )
