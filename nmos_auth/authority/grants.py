"""The grants of the token endpoint, based on Authlib's, and the revocation of their tokens."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from typing import Protocol

from authlib.oauth2.rfc6749 import (
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Request,
    grants,
)
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from typing_extensions import override

from nmos_auth.authority.adapters import OAuthRequest, RegisteredClient
from nmos_auth.authority.authorizations import (
    Authorization,
    Authorizations,
    Code,
    RefreshToken,
    Use,
)
from nmos_auth.authority.clients import CLIENT_AUTHENTICATION_METHODS, KnownClient
from nmos_auth.authority.errors import GrantVoid, TokenNotRevocable, UnauthorizedClient
from nmos_auth.authority.users import User

__all__ = [
    "AuthorizationCodeGrant",
    "ClientCredentialsGrant",
    "ProofKey",
    "RefreshTokenGrant",
    "Revocation",
]

# RFC 6749 Section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

logger = logging.getLogger("nmos_auth.authority")


class _Server(Protocol):
    """What the grants need of their server."""

    @property
    def authorizations(self) -> Authorizations:
        """Codes and refresh tokens."""
        ...

    def find_user(self, name: str) -> User | None:
        """Find a user by name."""
        ...


class ClientCredentialsGrant(grants.ClientCredentialsGrant):
    """RFC 6749 Section 4.4, within the scopes that BCP-003-02 or the configuration permits."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTHENTICATION_METHODS

    @override
    def validate_token_request(self) -> None:
        """Authenticate the client and decide on the scope.

        Raises:
            OAuth2Error: an error of RFC 6749 Section 5.2.
        """
        registered = self.authenticate_token_endpoint_client()
        if not registered.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClient
        self.request.client = registered
        self.validate_requested_scope()

    @override
    def validate_requested_scope(self) -> None:
        """Put what is granted in the place of what was requested."""
        client = RegisteredClient.of(self.request.client).client
        payload = OAuthRequest.of(self.request).payload
        payload.data["scope"] = " ".join(
            _settle_scope(payload.data.get("scope"), client, client.machine_scopes)
        )


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):
    """RFC 6749 Section 4.1: the first request of its client uses up a code, even if it fails.

    So an attacker who has stolen a code has only one guess at the other parameters.
    """

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTHENTICATION_METHODS
    server: _Server

    @override
    def validate_requested_scope(self) -> None:
        """Put what is granted in the place of what was requested."""
        client = RegisteredClient.of(self.request.client).client
        payload = OAuthRequest.of(self.request).payload
        payload.data["scope"] = " ".join(
            _settle_scope(payload.data.get("scope"), client, client.scopes)
        )

    @override
    def query_authorization_code(self, code: str, client: RegisteredClient) -> Code | None:  # type: ignore[override]
        """Use up a code."""
        client_id = client.get_client_id()
        found, revoked = self.server.authorizations.take_code(code, client_id)
        if revoked is not None:
            logger.warning(
                "authorization revoked: a code was used twice client_id=%r user=%r",
                client_id,
                revoked.user,
            )
        # RFC 6749 Section 4.1.3: "if included ensure that their values are identical". Without one
        # in the authorization request, the code went to the only one that is registered.
        named = OAuthRequest.of(self.request).payload.data.get("redirect_uri")
        if found and named and named != (found.redirect_uri or client.redirect_uri(None)):
            return None
        return found

    @override
    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Do nothing: the code or token is used up, and kept to recognise its reuse."""

    @override
    def authenticate_user(self, authorization_code: Code) -> Authorization | None:
        """Return what the user authorized, if that user still exists."""
        authorization = authorization_code.authorization
        return authorization if self.server.find_user(authorization.user) else None


class ProofKey(CodeChallenge):
    """RFC 7636. IS-10: "Authorization Servers MUST support both the "S256" and "plain"".

    With a challenge the verifier is required; without one it is refused (RFC 9700 Section 4.8.2).
    A public client must send a challenge.
    """

    @override
    def validate_code_challenge(
        self, grant: AuthorizationCodeGrant, redirect_uri: str | None
    ) -> None:
        """Check the parameters of an authorization request."""
        request = OAuthRequest.of(grant.request)
        if (
            RegisteredClient.of(request.client).client.is_public
            and "code_challenge" not in request.payload.data
        ):
            raise InvalidRequestError("A public client has to send a code_challenge")
        super().validate_code_challenge(grant, redirect_uri)


class RefreshTokenGrant(grants.RefreshTokenGrant):
    """RFC 6749 Section 6 with rotation: each refresh token is replaced by its use.

    The one that was last replaced is valid for 30 seconds more. A later request with it, or one
    with an older token, revokes the whole family (RFC 9700 Section 4.14.2).
    """

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTHENTICATION_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True
    server: _Server

    @override
    def validate_token_request(self) -> None:
        """Authenticate the client and use up its refresh token.

        Raises:
            OAuth2Error: an error of RFC 6749 Section 5.2.
        """
        super().validate_token_request()
        client = RegisteredClient.of(self.request.client).client
        token = self.request.refresh_token
        if not isinstance(token, RefreshToken):
            raise GrantVoid
        # IS-10 "Refresh Tokens": for Browser-Based Clients the server "MUST NOT extend the
        # lifetime". It cannot be told which public clients those are.
        use = self.server.authorizations.use_refresh_token(token, extend=not client.is_public)
        if use is Use.REUSE:
            self._refuse_reuse(token)
        if use is Use.AGAIN:
            logger.warning(
                "a refresh token that was just replaced is accepted once more client_id=%r user=%r",
                token.authorization.client_id,
                token.authorization.user,
            )

    @override
    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken:
        """Find a refresh token of this client in a family that is not revoked."""
        token = self.server.authorizations.find_refresh_token(refresh_token)
        if token is None or token.authorization.revoked:
            raise GrantVoid
        if not token.check_client(RegisteredClient.of(self.request.client)):
            raise GrantVoid
        return token

    def _refuse_reuse(self, token: RefreshToken) -> None:
        self.server.authorizations.revoke(token.authorization)
        logger.warning(
            "authorization revoked: a refresh token was used twice client_id=%r user=%r",
            token.authorization.client_id,
            token.authorization.user,
        )
        raise GrantVoid

    @override
    def authenticate_user(self, refresh_token: RefreshToken) -> Authorization:
        """Return what the user authorized, if that user still exists."""
        if self.server.find_user(refresh_token.authorization.user) is None:
            raise GrantVoid
        return refresh_token.authorization

    @override
    def revoke_old_credential(self, refresh_token: object) -> None:
        """Do nothing: the code or token is used up, and kept to recognise its reuse."""


class Revocation(RevocationEndpoint):
    """RFC 7009, for refresh tokens: all tokens of the same authorization are revoked with one."""

    CLIENT_AUTH_METHODS = CLIENT_AUTHENTICATION_METHODS
    server: _Server

    @override
    def authenticate_token(
        self, request: OAuth2Request, client: RegisteredClient
    ) -> RefreshToken | None:
        """Find the token of a request, whatever the hint says.

        Raises:
            OAuth2Error: an error of RFC 7009 Section 2.2.1.
        """
        text = OAuthRequest.of(request).payload.data.get("token")
        if text is None:
            raise InvalidRequestError("The token parameter is missing")
        token = self.server.authorizations.find_refresh_token(text)
        if token is None:
            if text.count(".") == 2:
                raise TokenNotRevocable
            return None
        if not token.check_client(client):
            raise InvalidGrantError("The token was issued to another client")
        return token

    @override
    def revoke_token(self, token: RefreshToken, request: OAuth2Request) -> None:
        """Revoke it."""
        self.server.authorizations.revoke(token.authorization)
        logger.info(
            "authorization revoked: by its client client_id=%r user=%r peer=%s",
            token.authorization.client_id,
            token.authorization.user,
            OAuthRequest.of(request).peer,
        )


def _settle_scope(
    requested: str | None, client: KnownClient, permitted: Collection[str]
) -> tuple[str, ...]:
    """Return the scopes that a client gets: all that it requests, or an error."""
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
