"""OAuth 2.0 by Authlib's grant classes: what the token endpoint accepts, grants and refuses.

Every answer leaves a line on the logger `nmos_auth.authority` (IS-10 "Audit Requirements"): who,
what for, with which outcome, and no secret. Error descriptions are fixed texts, so that nothing
a request contains, a misplaced secret for one, comes back in an answer or gets into a log.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import cast
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    OAuth2Request,
    UnsupportedGrantTypeError,
    grants,
)
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response
from typing_extensions import override

from nmos_auth.authority.adapters import RegisteredClient, TokenRequest, TokenResponse
from nmos_auth.authority.clients import Client
from nmos_auth.authority.tokens import TokenIssuer

__all__ = ["CLIENT_AUTHENTICATION_METHODS", "OAuthServer"]

CLIENT_AUTHENTICATION_METHODS = ("client_secret_basic",)

# RFC 6749 Section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

_log = logging.getLogger("nmos_auth.authority")


class ClientAuthenticationFailed(InvalidClientError):
    """One answer for every failure, so that none tells which client ids exist.

    RFC 6749 Section 5.2 has 401 with a challenge where Basic was tried; RFC 7617 has the realm.
    """

    status_code = 401
    description = "Client authentication failed"

    @override
    def get_headers(self) -> list[tuple[str, str]]:
        """Give the headers of the answer, the challenge included."""
        headers: list[tuple[str, str]] = OAuth2Error.get_headers(self)
        return [*headers, ("WWW-Authenticate", 'Basic realm="nmos-auth", charset="UTF-8"')]


class GrantNotOffered(UnsupportedGrantTypeError):
    """A grant type that is not served; the answer does not repeat what was asked for."""

    description = "The authorization server does not offer this grant type"

    @override
    def get_error_description(self) -> str:
        """Give the fixed description."""
        return self.description


class GrantNotPermitted(OAuth2Error):
    """RFC 6749 Section 5.2 `unauthorized_client`."""

    error = "unauthorized_client"
    description = "The client may not use this grant type"


class ClientCredentialsGrant(grants.ClientCredentialsGrant):
    """RFC 6749 Section 4.4, within the scopes that BCP-003-02 or the configuration permits."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTHENTICATION_METHODS

    @override
    def validate_token_request(self) -> None:
        """Authenticate the client and settle the scope.

        Raises:
            OAuth2Error: as RFC 6749 Section 5.2 says.
        """
        registered = self.authenticate_token_endpoint_client()
        if not registered.check_grant_type(self.GRANT_TYPE):
            raise GrantNotPermitted
        self.request.client = registered
        self.validate_requested_scope()

    @override
    def validate_requested_scope(self) -> None:
        """Put what is granted in the place of what was requested."""
        client = RegisteredClient.of(self.request.client).client
        payload = TokenRequest.of(self.request).payload
        payload.data["scope"] = " ".join(
            _settle_scope(payload.data.get("scope"), client, client.machine_scopes)
        )


def _settle_scope(
    requested: str | None, client: Client, permitted: Collection[str]
) -> tuple[str, ...]:
    """Decide which scopes a client gets: what it asks for, whole, or nothing."""
    if requested is None:
        # RFC 6749 Section 3.3: "either process the request using a pre-defined default value or
        # fail the request indicating an invalid scope".
        if not client.default_scopes:
            raise InvalidScopeError("The scope parameter is missing")
        scopes = client.default_scopes
    else:
        scopes = tuple(dict.fromkeys(requested.split(" ")))
        if not all(map(_SCOPE_TOKEN.fullmatch, scopes)):
            raise InvalidScopeError("The scope is malformed")
    if not set(scopes) <= set(client.scopes):
        raise InvalidScopeError("The scope exceeds what the client may ask for")
    if not set(scopes) <= set(permitted):
        raise InvalidScopeError("The scope exceeds what this grant type may give the client")
    return scopes


class OAuthServer(AuthorizationServer):
    """Authlib's server over our clients, tokens and responses.

    Args:
        find_client: the client with an id, or None.
        tokens: makes the Access Tokens.
    """

    def __init__(self, find_client: Callable[[str], Client | None], tokens: TokenIssuer) -> None:
        super().__init__()
        self._find_client = find_client
        self._tokens = tokens
        self._unknown = Client.throwaway()
        self.register_client_auth_method("client_secret_basic", self._authenticate_basic)
        self.register_grant(ClientCredentialsGrant)

    # The stub has no None, which is how Authlib is told of an unknown client.
    @override
    def query_client(self, client_id: str) -> RegisteredClient | None:  # type: ignore[override]
        """Find a client for Authlib."""
        client = self._find_client(client_id)
        return None if client is None else RegisteredClient(client)

    @override
    def create_oauth2_request(self, request: TokenRequest) -> TokenRequest:
        """Take the request as it is: reading one takes I/O, which Authlib knows nothing of."""
        return request

    # The stub has a mapping; pairs are what Authlib passes.
    @override
    def handle_response(  # type: ignore[override]
        self, status: int, body: Mapping[str, object], headers: Iterable[tuple[str, str]]
    ) -> Response:
        """Make a response of what a grant or an error returned."""
        return JSONResponse(body, status_code=status, headers=dict(headers))

    @override
    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Do nothing: nobody subscribes to Authlib's signals."""

    @override
    def get_token_grant(self, request: OAuth2Request) -> grants.BaseGrant:
        """Find the grant that a request names."""
        try:
            return super().get_token_grant(request)
        except UnsupportedGrantTypeError as error:
            raise GrantNotOffered(error.grant_type) from None

    @override
    def authenticate_client(
        self, request: OAuth2Request, methods: Collection[str], endpoint: str = "token"
    ) -> RegisteredClient:
        """Authenticate the client of a request by one of `methods`.

        Raises:
            ClientAuthenticationFailed: for whatever reason.
            InvalidRequestError: for more than one mechanism, or two client ids.
        """
        parameters = TokenRequest.of(request).payload.data
        headers = request.headers or {}
        if "Authorization" in headers and parameters.keys() & {"client_secret", "client_assertion"}:
            # RFC 6749 Section 2.3: "The client MUST NOT use more than one authentication method
            # in each request."
            raise InvalidRequestError("More than one client authentication method is used")
        try:
            client = RegisteredClient.of(super().authenticate_client(request, methods, endpoint))
        except InvalidClientError:
            raise ClientAuthenticationFailed from None
        if parameters.get("client_id", client.get_client_id()) != client.get_client_id():
            raise InvalidRequestError("The client_id parameter is not the authenticated client")
        return client

    @override
    def generate_token(
        self,
        grant_type: str,
        client: ClientMixin,
        user: object = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> TokenResponse:
        """Issue the token for what a grant has settled; the lifetime is the issuer's."""
        registered = RegisteredClient.of(client)
        return TokenResponse(self._tokens.issue(registered.client, (scope or "").split()))

    @override
    def save_token(self, token: dict[str, str | int], request: OAuth2Request) -> None:
        """Log that a token was issued; a signed token needs no storing."""
        issued = TokenResponse.of(token).issued
        claims = issued.claims
        token_request = TokenRequest.of(request)
        _log.info(
            "token issued: grant=%s client_id=%r sub=%r scope=%r aud=%s jti=%s kid=%s exp=%s "
            "peer=%s",
            token_request.payload.grant_type,
            claims["client_id"],
            claims["sub"],
            claims["scope"],
            claims["aud"],
            claims["jti"],
            issued.kid,
            claims["exp"],
            token_request.peer,
        )

    # The stub has what a grant returns; the server makes a response of it.
    @override
    def create_token_response(self, request: TokenRequest) -> Response:  # type: ignore[override]
        """Answer a token request."""
        return cast("Response", super().create_token_response(request))

    @override
    def handle_error_response(self, request: OAuth2Request, error: OAuth2Error) -> Response:
        """Answer an error that a grant raised."""
        refused = TokenRequest.of(request)
        return self.refuse(error, peer=refused.peer, client_id=refused.known_client_id)

    def refuse(self, error: OAuth2Error, *, peer: str, client_id: str | None = None) -> Response:
        """Log that a request was refused and answer it as RFC 6749 Section 5.2 says."""
        _log.warning(
            "token refused: error=%s description=%r client_id=%r peer=%s",
            error.error,
            error.description,
            client_id,
            peer,
        )
        return self.handle_response(*error())

    def _authenticate_basic(self, _: object, request: OAuth2Request) -> RegisteredClient | None:
        credentials = _basic_credentials((request.headers or {}).get("Authorization"))
        if credentials is None:
            return None
        client_id, secret = credentials
        client = self._find_client(client_id)
        # An unknown client costs the same comparison as a known one.
        authentic = (client or self._unknown).has_secret(secret.get_secret_value())
        if client is None:
            return None
        TokenRequest.of(request).known_client_id = client.client_id
        return RegisteredClient(client) if authentic else None


def _basic_credentials(authorization: str | None) -> tuple[str, SecretStr] | None:
    """Read `client_secret_basic`: RFC 6749 Section 2.3.1 has both parts form-encoded."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    client_id, colon, secret = decoded.partition(":")
    return (unquote_plus(client_id), SecretStr(unquote_plus(secret))) if colon else None
