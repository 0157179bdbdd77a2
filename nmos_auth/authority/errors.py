"""The errors of the endpoints. Each description is a fixed text, which repeats no input."""

from __future__ import annotations

import math

from authlib.oauth2.rfc6749 import (
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Error,
    UnsupportedGrantTypeError,
)
from typing_extensions import override

__all__ = [
    "ClientAuthenticationFailed",
    "GrantNotOffered",
    "GrantVoid",
    "InvalidClientMetadata",
    "InvalidRedirectUri",
    "InvalidRegistrationToken",
    "PasswordGuessing",
    "RegistrationTokenMissing",
    "RequestObjectNotSupported",
    "RequestTooLarge",
    "RequestUriNotSupported",
    "TokenNotRevocable",
    "TooManyClients",
    "UnauthorizedClient",
]


class ClientAuthenticationFailed(InvalidClientError):
    """The answer is the same for every failure, so that it does not tell which client ids exist.

    RFC 6749 Section 5.2 requires 401 with a challenge after Basic; RFC 7617 requires the realm.
    """

    status_code = 401
    description = "Client authentication failed"

    @override
    def get_headers(self) -> list[tuple[str, str]]:
        """Return the headers of the answer, the challenge included."""
        headers: list[tuple[str, str]] = OAuth2Error.get_headers(self)
        return [*headers, ("WWW-Authenticate", 'Basic realm="nmos-auth", charset="UTF-8"')]


class GrantNotOffered(UnsupportedGrantTypeError):
    """The grant type is not supported; the answer does not repeat it."""

    description = "The authorization server does not offer this grant type"

    @override
    def get_error_description(self) -> str:
        """Return the fixed description."""
        return self.description


class UnauthorizedClient(OAuth2Error):
    """RFC 6749 Section 5.2 `unauthorized_client`."""

    error = "unauthorized_client"
    description = "The client may not use this grant type"


class GrantVoid(InvalidGrantError):
    """The answer is the same for every code and refresh token that is not valid."""

    description = "The code or refresh token is invalid or expired or was used before"


class TokenNotRevocable(OAuth2Error):
    """RFC 7009 Section 2.2.1: Access Tokens are valid until they expire, which is soon."""

    error = "unsupported_token_type"
    description = "Access Tokens cannot be revoked: revoke the refresh token"


class RequestTooLarge(InvalidRequestError):
    """The body is larger than any valid one."""

    status_code = 413
    description = "The request body is too large"

    @override
    def get_headers(self) -> list[tuple[str, str]]:
        """Return the headers of the answer."""
        # The rest of the body is not read, so no request can follow it on this connection.
        headers: list[tuple[str, str]] = super().get_headers()
        return [*headers, ("Connection", "close")]


class RequestUriNotSupported(OAuth2Error):
    """The request refers to its parameters (RFC 9101 Section 5.2)."""

    error = "request_uri_not_supported"
    description = "The request_uri parameter is not supported"


class RequestObjectNotSupported(OAuth2Error):
    """The parameters of the request are in a JWT (RFC 9101 Section 5.1)."""

    error = "request_not_supported"
    description = "The request parameter is not supported"


class InvalidClientMetadata(OAuth2Error):
    """RFC 7591 Section 3.2.2."""

    error = "invalid_client_metadata"


class InvalidRedirectUri(OAuth2Error):
    """RFC 7591 Section 3.2.2."""

    error = "invalid_redirect_uri"


class InvalidRegistrationToken(OAuth2Error):
    """RFC 6750 Section 3.1, for initial and registration access tokens."""

    error = "invalid_token"
    status_code = 401
    description = "The access token for registration is invalid"

    @override
    def get_headers(self) -> list[tuple[str, str]]:
        """Return the headers of the answer, the challenge included."""
        headers: list[tuple[str, str]] = super().get_headers()
        return [*headers, ("WWW-Authenticate", 'Bearer realm="nmos-auth",error=invalid_token')]


class RegistrationTokenMissing(OAuth2Error):
    """A token is required, and the request has none.

    RFC 6750 Section 3.1: the challenge for a request without any authentication information
    "SHOULD NOT include an error code or other error information". The body is that of RFC 7591.
    """

    error = "invalid_token"
    status_code = 401
    description = "An initial or registration access token is required"

    @override
    def get_headers(self) -> list[tuple[str, str]]:
        """Return the headers of the answer, the challenge included."""
        headers: list[tuple[str, str]] = super().get_headers()
        return [*headers, ("WWW-Authenticate", 'Bearer realm="nmos-auth"')]


class _Later(OAuth2Error):
    """The request may be sent again after some time.

    Args:
        retry_after: seconds.
    """

    error = "temporarily_unavailable"
    status_code = 503

    def __init__(self, *, retry_after: float) -> None:
        super().__init__()
        self.retry_after = max(1, math.ceil(retry_after))

    @override
    def get_headers(self) -> list[tuple[str, str]]:
        """Return the headers of the answer."""
        headers: list[tuple[str, str]] = super().get_headers()
        return [*headers, ("Retry-After", str(self.retry_after))]


class TooManyClients(_Later):
    """The limit of open registration is reached."""

    description = "Too many clients have registered"


class PasswordGuessing(_Later):
    """Too many wrong passwords came from one address, or for one name."""

    status_code = 429
    description = "Too many wrong passwords. Wait a little and try again."
