"""One tree of exceptions; those that answer a request know their HTTP status and RFC 6750 code.

    NmosAuthError               everything that this package raises on purpose
      ConfigurationError        a setting is wrong, by its name
        MissingExtra            a package of an extra is not installed
      AuthorizationError        a request is refused: what a handler may raise
        MalformedTarget         400
        InvalidRequest          400 invalid_request
        UnfitResource           400, of a Registry
        MissingCredentials      401
        InvalidToken            401 invalid_token
        InsufficientScope       403 insufficient_scope
        KeysUnavailable         503 with Retry-After
        OwnersUnavailable       503 with Retry-After, of a Registry
      TrustError                an Authorization Server did not give what it should
        FetchError              a document could not be fetched
        MetadataError           metadata that must not be used
        KeySetError             not a JSON Web Key Set
        DiscoveryError          discovery.dns_sd: DNS gave no answer
        AdvertisementError      discovery.dns_sd: an advertisement without a usable server
      FileRefused               servers.private_files: a file must not be used
        FilePlanted             its content may come from another user
      ClientError               client.errors: no token, registration or login
        ServerUnavailable       no answer, or "later"
        UnusableAnswer          success, but not what the RFC requires
        ServerMetadataError     metadata without what a Client needs; a MetadataError too
        CredentialsMissing      no secret or key to authenticate with
        OAuthError              a server refused
          TokenRefused          at the token endpoint
          RegistrationRefused   at the registration endpoint
          AuthorizationRefused  at the authorization endpoint
          RevocationRefused     at the revocation endpoint
        ServersFailed           all servers failed
        LoginRequired           a user has to log in
        CallbackError           a redirect that does not belong to a request of this Client
        GrantNotPermitted       a scope that this grant must not be used for
        ScopeNotGranted         a token for less than was requested
        StoreError              the store cannot be read or written
        ClientClosed            closed before or during a call
      ServingError              authority.serving: the development server cannot start

If a room is named, the class and those below it are defined there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

import msgspec

if TYPE_CHECKING:
    from nmos_auth.rules.access_token import AccessToken

__all__ = [
    "AuthorizationError",
    "ConfigurationError",
    "Detail",
    "FetchError",
    "InsufficientScope",
    "InvalidRequest",
    "InvalidToken",
    "KeySetError",
    "KeysUnavailable",
    "MalformedTarget",
    "MetadataError",
    "MissingCredentials",
    "MissingExtra",
    "NmosAuthError",
    "OwnersUnavailable",
    "Reason",
    "TrustError",
    "UnfitResource",
]


class Reason(StrEnum):
    """Why a request was authorized or rejected; only the audit log says it."""

    # Enum's own hash is Python code, and every audit line looks its reason up.
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
    FULL = "client has too many resources"
    OWNERS = "owners cannot be looked up"


class NmosAuthError(Exception):
    """Everything that this package raises on purpose."""


class ConfigurationError(NmosAuthError, ValueError):
    """A setting is wrong; the message names it and says what to do."""


class MissingExtra(ModuleNotFoundError, ConfigurationError):
    """A package of an extra is not installed."""

    @classmethod
    @contextlib.contextmanager
    def named(cls, extra: str, *packages: str) -> Iterator[None]:
        """Say which extra to install, if an import in the block fails because it is missing.

        Args:
            extra: the name of the extra in pyproject.toml.
            packages: its packages, by the names under which they are imported.

        Raises:
            MissingExtra: one of them is not installed.
        """
        try:
            yield
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in packages:
                raise
            told = f"{missing} is not installed: pip install 'asgi-nmos-auth[{extra}]'"
            raise cls(told, name=missing) from None


class TrustError(NmosAuthError):
    """An Authorization Server did not answer as it should."""


class FetchError(TrustError):
    """A document could not be fetched: connection, TLS, time, size, status or content.

    Attributes:
        status: the HTTP status of the answer, or None without an answer.
        retry_after: seconds to wait as the server asks, or None.
        location: the `Location` of the answer, as the server wrote it, or None.
        sent: whether the request may have reached the server.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        location: str | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.location = location
        self.sent = sent


class MetadataError(TrustError):
    """Authorization Server metadata must not be used, by RFC 8414 Section 3.3."""


class KeySetError(TrustError):
    """A document is not a JSON Web Key Set (RFC 7517 Section 5)."""


class AuthorizationError(NmosAuthError):
    """A request is refused. A handler may raise one; the middleware answers it.

    Attributes:
        status: HTTP status code.
        code: RFC 6750 Section 3.1 error code, or None.
        description: fixed text for `error_description` and the body; without commas, which
            AMWA's testing tool reads as separators.
        reason: the reason for the audit log.
        token: the token, if it could be read.
        detail: what exactly was wrong, for the audit log, or None.
    """

    status: ClassVar[int]
    code: ClassVar[str | None] = None
    description: ClassVar[str]
    _usual_reason: ClassVar[Reason] = Reason.HANDLER

    def __init__(
        self,
        reason: Reason | None = None,
        *,
        token: AccessToken | None = None,
        detail: Detail | None = None,
    ) -> None:
        super().__init__()
        self.reason = reason or self._usual_reason
        self.token = token
        self.detail = detail

    def __str__(self) -> str:
        """Return the status and the description."""
        return f"{self.status} {self.description}"


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
    """The token is authentic, but not sufficient: RFC 6750 Section 3.1 `insufficient_scope`."""

    status = 403
    code = "insufficient_scope"
    description = "The access token does not permit this request"


class KeysUnavailable(AuthorizationError):
    """The key for the token is not held yet (IS-10 "Behaviour: Resource Servers", Public keys).

    Attributes:
        retry_after: whole seconds after which the client may try again.
    """

    status = 503
    description = "The keys to verify the access token are being fetched"
    _usual_reason = Reason.KEYS_PENDING

    def __init__(
        self,
        reason: Reason | None = None,
        *,
        retry_after: int = 1,
        token: AccessToken | None = None,
        detail: Detail | None = None,
    ) -> None:
        super().__init__(reason, token=token, detail=detail)
        self.retry_after = retry_after


class UnfitResource(AuthorizationError):
    """A Registry cannot accept a resource (IS-04 "Behaviour: Registration", HTTP 400).

    Its type or an id is malformed, its parent is not registered, a resource of another type has its
    id, or its client has as many resources as it may have.
    """

    status = 400
    description = "The resource is malformed or does not fit what is registered"


class OwnersUnavailable(AuthorizationError):
    """The owner of a resource cannot be looked up now, so nothing is permitted.

    Attributes:
        retry_after: whole seconds after which the client may try again.
    """

    status = 503
    description = "The owner of the resource cannot be looked up"
    retry_after = 1
    _usual_reason = Reason.OWNERS


_LONGEST_VALUE = 100
_MOST_VALUES = 8


class _Several(msgspec.Struct, frozen=True, gc=False):
    """The first of several texts, and how many more there are."""

    first: tuple[str, ...]
    more: int


class Detail(msgspec.Struct, frozen=True, gc=False):
    """What exactly was wrong with a request; only the audit log says it, never an answer.

    It becomes text when a line is written, in a thread that no request waits for.

    Attributes:
        words: the text, with `{}` in place of each value.
        values: the values, cut.

        >>> str(Detail.of("alg is {}, and only {} is accepted", "none", "RS512"))
        "alg is 'none', and only 'RS512' is accepted"
    """

    words: str
    values: tuple[str | float | _Several | None, ...] = ()

    @classmethod
    def of(cls, words: str, *values: str | float | tuple[str, ...] | None) -> Detail:
        """Return a detail with values of any length, none of which may be a credential.

        Args:
            words: the text, with `{}` in place of each value.
            values: names and texts of clients' requests and tokens, numbers, or several texts.
        """
        return cls(words, tuple(map(_cut, values)))

    def plus(self, words: str, *values: str | float | tuple[str, ...] | None) -> Detail:
        """Return a detail that says more; the arguments are those of `of`."""
        more = Detail.of(words, *values)
        return Detail(f"{self.words}; {more.words}", self.values + more.values)

    def __str__(self) -> str:
        """Return the text with its values."""
        between = self.words.split("{}")
        return "".join(
            part
            for pair in zip(between, [*map(_shown, self.values), ""], strict=False)
            for part in pair
        )


def _cut(value: str | float | tuple[str, ...] | None) -> str | float | _Several | None:
    if isinstance(value, str):
        return value[: _LONGEST_VALUE + 1]
    if isinstance(value, tuple):
        first = tuple([each[: _LONGEST_VALUE + 1] for each in value[:_MOST_VALUES]])
        return _Several(first, len(value) - len(first))
    return value


def _shown(value: str | float | _Several | None) -> str:
    if value is None:
        return "absent"
    if isinstance(value, str):
        cut = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…"
        return repr(cut)
    if isinstance(value, _Several):
        texts = ", ".join(map(_shown, value.first)) or "nothing"
        return f"{texts} and {value.more} more" if value.more else texts
    return f"{value:.12g}"
