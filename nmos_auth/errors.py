"""One tree of exceptions; those that answer a request know their HTTP status and RFC 6750 code."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from nmos_auth.rules.tokens import AccessToken

__all__ = [
    "AuthorizationError",
    "ConfigurationError",
    "FetchError",
    "InsufficientScope",
    "InvalidRequest",
    "InvalidToken",
    "KeySetError",
    "KeysUnavailable",
    "MalformedTarget",
    "MetadataError",
    "MissingCredentials",
    "NmosAuthError",
    "OwnersUnavailable",
    "Reason",
    "TrustError",
    "UnfitResource",
]


class Reason(StrEnum):
    """Why a request was authorized or rejected: told to the audit log and to nobody else."""

    # Enum's own is Python code, and every audit line looks its reason up.
    __hash__ = str.__hash__

    PUBLIC = "public path"
    OPTIONS = "options"
    PREFLIGHT = "preflight"
    PERMITTED = "permitted"
    IDENTIFIED = "identified for the handler"
    HANDLER = "refused by the handler"
    SOURCES = "sources of a subscription"

    TARGET = "target not canonicalisable"
    NO_CREDENTIALS = "no credentials"
    OTHER_SCHEME = "another authentication scheme"
    MALFORMED_CREDENTIALS = "malformed credentials"
    REPEATED_CREDENTIALS = "repeated credentials"

    STRUCTURE = "token structure"
    HEADER = "token header"
    CLAIMS = "token claims"
    EXPIRED = "expired"
    ISSUED_IN_FUTURE = "issued in the future"
    NOT_YET_VALID = "not yet valid"
    UNTRUSTED_ISSUER = "untrusted issuer"
    SIGNATURE = "signature"
    KEYS_PENDING = "keys are being fetched"
    KEYS_NEVER_HAD = "no key of the issuer yet"

    AUDIENCE = "audience"
    METHOD = "method not covered by any permission"
    PERMISSION = "permission"

    OWNER = "owned by another client"
    UNFIT = "resource malformed or out of place"
    OWNERS = "owners cannot be looked up"


class NmosAuthError(Exception):
    """Everything that this package raises on purpose."""


class ConfigurationError(NmosAuthError, ValueError):
    """A setting is wrong; the message names it and says what to do."""


class TrustError(NmosAuthError):
    """An Authorization Server did not give what it should."""


class FetchError(TrustError):
    """A document could not be fetched: connection, TLS, time, size, status or content.

    Attributes:
        status: the HTTP status of the answer, or None where there was no answer.
        retry_after: seconds to wait as the server asks, or None.
        location: where the answer points to, as the server wrote it, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        location: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.location = location


class MetadataError(TrustError):
    """Authorization Server metadata that RFC 8414 Section 3.3 forbids to use."""


class KeySetError(TrustError):
    """A document that is not a JSON Web Key Set (RFC 7517 Section 5)."""


class AuthorizationError(NmosAuthError):
    """A request is refused. A handler may raise one; the middleware answers it.

    Attributes:
        status: HTTP status code.
        code: RFC 6750 Section 3.1 error code, or None.
        description: fixed text for `error_description` and the body; without commas, which
            AMWA's testing tool takes for separators.
        reason: what the audit log says.
        token: the token it is about, where it could be read.
        verified: whether that token's signature was verified.
    """

    status: ClassVar[int]
    code: ClassVar[str | None] = None
    description: ClassVar[str]

    def __init__(
        self,
        reason: Reason = Reason.HANDLER,
        *,
        token: AccessToken | None = None,
        verified: bool = False,
    ) -> None:
        super().__init__(f"{self.status} {self.description}")
        self.reason = reason
        self.token = token
        self.verified = verified


class MalformedTarget(AuthorizationError):
    """The request target has no canonical form (RFC 3986 Section 6)."""

    status = 400
    description = "The request target is malformed"


class InvalidRequest(AuthorizationError):
    """Credentials are malformed or repeated: RFC 6750 Section 3.1 `invalid_request`."""

    status = 400
    code = "invalid_request"
    description = "The credentials are malformed or repeated"


class MissingCredentials(AuthorizationError):
    """No credentials: a challenge without an error code (RFC 6750 Section 3.1, last paragraph)."""

    status = 401
    description = "An access token is required"


class InvalidToken(AuthorizationError):
    """The token is malformed, expired or not authentic: RFC 6750 Section 3.1 `invalid_token`."""

    status = 401
    code = "invalid_token"
    description = "The access token is invalid or has expired"


class InsufficientScope(AuthorizationError):
    """The token is authentic and not enough: RFC 6750 Section 3.1 `insufficient_scope`."""

    status = 403
    code = "insufficient_scope"
    description = "The access token does not permit this request"


class KeysUnavailable(AuthorizationError):
    """The key for the token is not here yet (IS-10 "Behaviour: Resource Servers", Public keys).

    Attributes:
        retry_after: whole seconds after which the client may try again.
    """

    status = 503
    description = "The keys to verify the access token are being fetched"

    def __init__(
        self,
        reason: Reason = Reason.KEYS_PENDING,
        *,
        retry_after: int = 1,
        token: AccessToken | None = None,
    ) -> None:
        super().__init__(reason, token=token)
        self.retry_after = retry_after


class UnfitResource(AuthorizationError):
    """A resource that a Registry cannot take (IS-04 "Behaviour: Registration", HTTP 400).

    Its type or an id is malformed, its parent is not registered, or its id is another type's.
    """

    status = 400
    description = "The resource is malformed or does not fit what is registered"


class OwnersUnavailable(AuthorizationError):
    """Who owns a resource cannot be told now, so that nothing is permitted.

    Attributes:
        retry_after: whole seconds after which the client may try again.
    """

    status = 503
    description = "The owner of the resource cannot be looked up"
    retry_after = 1

    def __init__(
        self,
        reason: Reason = Reason.OWNERS,
        *,
        token: AccessToken | None = None,
        verified: bool = False,
    ) -> None:
        super().__init__(reason, token=token, verified=verified)
