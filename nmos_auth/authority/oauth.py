"""OAuth 2.0 by Authlib's grant classes: what the endpoints accept, grant and refuse.

The logger `nmos_auth.authority` gets a line for every answer (IS-10 "Audit Requirements"): who
asked for what, with which outcome, without secrets. Error descriptions are fixed texts, so that no
input, such as a misplaced secret, comes back in an answer or gets into a log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import cast

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidClientError,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Request,
    UnsupportedGrantTypeError,
    grants,
)
from starlette.responses import JSONResponse, Response
from typing_extensions import override

from nmos_auth.authority.adapters import OAuthRequest, RegisteredClient, TokenResponse
from nmos_auth.authority.authorizations import Authorization, Authorizations
from nmos_auth.authority.client_auth import ClientAuthenticator, FindClient
from nmos_auth.authority.errors import ClientAuthenticationFailed, GrantNotOffered, GrantVoid
from nmos_auth.authority.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    ProofKey,
    RefreshTokenGrant,
    Revocation,
)
from nmos_auth.authority.tokens import TokenIssuer
from nmos_auth.authority.users import User

__all__ = ["OAuthServer"]

_CREDENTIALS = ("client_secret", "client_assertion")

logger = logging.getLogger("nmos_auth.authority")


class OAuthServer(AuthorizationServer):
    """Authlib's server with this server's clients, tokens and responses.

    Any thread may call it.

    Args:
        find_client: the client with an id, or None.
        find_user: the user with a name, or None.
        authenticator: how clients authenticate.
        authorizations: codes and refresh tokens.
        tokens: makes the Access Tokens.
    """

    def __init__(
        self,
        *,
        find_client: FindClient,
        find_user: Callable[[str], User | None],
        authenticator: ClientAuthenticator,
        authorizations: Authorizations,
        tokens: TokenIssuer,
    ) -> None:
        super().__init__()
        self._find_client = find_client
        self._find_user = find_user
        self._tokens = tokens
        self.authorizations = authorizations
        self.register_client_auth_method("client_secret_basic", authenticator.basic)
        self.register_client_auth_method("private_key_jwt", authenticator.assertion)
        self.register_client_auth_method("none", authenticator.public)
        self.register_grant(ClientCredentialsGrant)
        self.register_grant(AuthorizationCodeGrant, [ProofKey(required=True)])
        self.register_grant(RefreshTokenGrant)
        self.register_endpoint(Revocation)

    # The stub has no None, which tells Authlib that a client is not known.
    @override
    def query_client(self, client_id: str) -> RegisteredClient | None:  # type: ignore[override]
        """Find a client for Authlib."""
        return self._find_client(client_id)

    def find_user(self, name: str) -> User | None:
        """Find a user by name."""
        return self._find_user(name)

    @override
    def create_oauth2_request(self, request: OAuthRequest) -> OAuthRequest:
        """Return the request as it is: it was read before, since Authlib cannot await its body."""
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
        """Do nothing: Authlib's signals have no subscribers here."""

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
            ClientAuthenticationFailed: the client is not authenticated.
            InvalidRequestError: the request uses two mechanisms, or two client ids.
        """
        parameters = OAuthRequest.of(request).payload.data
        mechanisms = [name for name in _CREDENTIALS if name in parameters]
        if len(mechanisms) + ("Authorization" in (request.headers or {})) > 1:
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
        user: Authorization | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> TokenResponse:
        """Issue the token that a grant has decided on; the issuer sets the lifetime."""
        known = RegisteredClient.of(client).client
        # A client may be permitted less by now than when a user authorized it.
        scopes = [each for each in dict.fromkeys((scope or "").split()) if each in known.scopes]
        if not scopes:
            raise GrantVoid
        if user is None:
            return TokenResponse(self._tokens.issue(known, scopes))
        owner = self.find_user(user.user)
        if owner is None:
            raise GrantVoid
        issued = self._tokens.issue(owner.with_client(known), scopes, subject=owner.name)
        return TokenResponse(issued, self.authorizations.new_refresh_token(user))

    @override
    def save_token(self, token: dict[str, str | int], request: OAuth2Request) -> None:
        """Log that a token was issued; a signed token is not stored."""
        issued = TokenResponse.of(token).issued
        claims = issued.claims
        token_request = OAuthRequest.of(request)
        logger.info(
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
    def create_token_response(self, request: OAuthRequest) -> Response:  # type: ignore[override]
        """Answer a token request."""
        return cast("Response", super().create_token_response(request))

    def create_revocation_response(self, request: OAuthRequest) -> Response:
        """Answer a revocation request (RFC 7009)."""
        respond: Callable[[str, OAuthRequest], Response] = self.create_endpoint_response
        return respond("revocation", request)

    def check_authorization_request(self, request: OAuthRequest) -> None:
        """Decide on the scope of an authorization request and check its PKCE parameters.

        Raises:
            OAuth2Error: an error of RFC 6749 Section 4.1.2.1.
        """
        check: Callable[[OAuthRequest], grants.BaseGrant] = self.get_consent_grant
        check(request)

    @override
    def handle_error_response(self, request: OAuth2Request, error: OAuth2Error) -> Response:
        """Answer an error that a grant raised."""
        refused = OAuthRequest.of(request)
        what = "token" if "grant_type" in refused.payload.data else "revocation"
        return self.refuse(error, what, peer=refused.peer, client_id=refused.known_client_id)

    def refuse(
        self, error: OAuth2Error, what: str, *, peer: str, client_id: str | None = None
    ) -> Response:
        """Log that a request was refused, and answer it as RFC 6749 Section 5.2 requires."""
        logger.warning(
            "%s refused: error=%s description=%r client_id=%r peer=%s",
            what,
            error.error,
            error.description,
            client_id,
            peer,
        )
        return self.handle_response(*error())
