"""What can go wrong for a Client; each error says whether another attempt may succeed later.

No message contains a secret: what a server says about a request is quoted only after everything
secret in that request, and everything else that looks like a token, was removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import ClassVar, Self
from urllib.parse import quote, quote_plus

from nmos_auth.errors import MetadataError, NmosAuthError
from nmos_auth.servers.strict_json import JsonObject

__all__ = [
    "AuthorizationRefused",
    "CallbackError",
    "ClientClosed",
    "ClientError",
    "CredentialsMissing",
    "GrantNotPermitted",
    "LoginRequired",
    "OAuthError",
    "RegistrationRefused",
    "RevocationRefused",
    "ScopeNotGranted",
    "ServerMetadataError",
    "ServerUnavailable",
    "ServersFailed",
    "StoreError",
    "TokenRefused",
    "UnusableAnswer",
    "error_members",
    "quoted",
    "unexpected",
]

_LONGEST_QUOTE = 300
# RFC 6749 Section 5.2: error = 1*NQSCHAR; the codes in use are names and URIs.
_CODE = re.compile(r"[A-Za-z0-9_.:/-]{1,80}")
_HIDDEN = "[secret]"
# Removing shorter strings would remove ordinary words.
_SHORTEST_SECRET = 6
# Long text that may be a secret the server knows: neither a name of the RFCs nor a URL without a
# query.
_RANDOM = re.compile(r"[^\s\"'`,;()<>]{24,}")
_PLAIN = re.compile(r"[a-z_.:-]+|https?://[^?#@]*")


def quoted(text: object, secrets: Iterable[str] = ()) -> str | None:
    """Return what a server said, short, printable, and without `secrets` or what looks like one."""
    if not isinstance(text, str):
        return None
    for secret in sorted(_spellings(secrets), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    text = _RANDOM.sub(lambda run: run[0] if _PLAIN.fullmatch(run[0]) else _HIDDEN, text)
    shown = "".join(each if each.isprintable() else " " for each in text)
    return shown if len(shown) <= _LONGEST_QUOTE else f"{shown[:_LONGEST_QUOTE]}…"


def _spellings(secrets: Iterable[str]) -> set[str]:
    """Return each secret as it is, and as it is written in a form or a URL."""
    return {
        spelling
        for secret in secrets
        if len(secret) >= _SHORTEST_SECRET
        for spelling in (secret, quote_plus(secret), quote(secret, safe=""))
    }


class ClientError(NmosAuthError):
    """A token, a registration or a login could not be obtained.

    Attributes:
        temporary: the same may succeed later without any change.
        code: the server's own `error` code, or None.
        retry_after: the least number of seconds to wait before the next attempt, or None.
        setting: the variable that it concerns, or None.
        advice: what to do, or None; it is the end of the error's text.
    """

    temporary: bool = False
    code: str | None = None
    retry_after: float | None = None
    setting: str | None = None
    advice: str | None = None

    def advise(self, advice: str, *, setting: str | None = None) -> Self:
        """Add what to do about it, and return the error.

        Args:
            advice: what to do, in a clause.
            setting: the variable that it concerns.
        """
        self.advice = advice
        self.setting = setting or self.setting
        return self

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}; {self.advice}" if self.advice else message


class ClientClosed(ClientError, RuntimeError):
    """The Client or its token source is closed, or was closed during the call."""


class ServerUnavailable(ClientError):
    """A server gave no answer, or one that says "later": 429 or 5xx.

    Attributes:
        status: the HTTP status, or None without an answer.
    """

    temporary = True

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class ServerMetadataError(ClientError, MetadataError):
    """Metadata must not be used by RFC 8414, or lacks what a Client needs."""


class CredentialsMissing(ClientError):
    """The Client lacks the secret or the key that its registration requires."""


class UnusableAnswer(ClientError):
    """A server answered with success, but not with what the RFC requires."""


class OAuthError(ClientError):
    """An Authorization Server refused.

    Attributes:
        code: RFC 6749 Sections 4.1.2.1 and 5.2, RFC 7591 Section 3.2.2.
        description: its `error_description`, shortened and without secrets, or None.
        status: the HTTP status, or None for an answer that came through the browser.
    """

    what: ClassVar[str] = "the request"

    def __init__(
        self,
        where: str,
        *,
        code: str | None = None,
        description: str | None = None,
        status: int | None = None,
    ) -> None:
        reason = code or (
            "no error code" if status is None else f"status {status}, without an error code"
        )
        super().__init__(
            f"{where} refused {self.what}: {reason}" + (f" ({description})" if description else "")
        )
        self.code = code
        self.description = description
        self.status = status

    @property
    def rejects_client(self) -> bool:
        """Whether the server did not authenticate the Client (RFC 6749 Section 5.2).

        The code for that is `invalid_client`. Keycloak and Auth0 use other codes for a wrong
        secret, with the status 401, which the RFC has for this error only.
        """
        return self.code == "invalid_client" or (
            self.status == 401 and self.code in {"unauthorized_client", "access_denied"}
        )

    @classmethod
    def of(
        cls, where: str, status: int, document: JsonObject | None, secrets: Iterable[str] = ()
    ) -> OAuthError:
        """Read a refusal; the body that RFC 6749 requires may be missing."""
        code, description = error_members(document, secrets)
        return cls(where, code=code, description=description, status=status)


class TokenRefused(OAuthError):
    """The token endpoint refused (RFC 6749 Section 5.2)."""

    what = "a token"


class RegistrationRefused(OAuthError):
    """The registration or client configuration endpoint refused (RFC 7591 Section 3.2.2)."""

    what = "the registration"


class AuthorizationRefused(OAuthError):
    """The user or the server refused at the authorization endpoint (RFC 6749 Section 4.1.2.1)."""

    what = "the authorization"


class RevocationRefused(OAuthError):
    """The revocation endpoint refused (RFC 7009 Section 2.2.1)."""

    what = "the revocation"


class CallbackError(ClientError):
    """A redirect from an Authorization Server does not belong to a request of this Client."""


class LoginRequired(ClientError):
    """A user has to log in, for the first time or because the refresh token has ended."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class GrantNotPermitted(ClientError):
    """This grant may not be used for the scope (BCP-003-02 "Authorization Grant Constraints")."""


class ScopeNotGranted(ClientError):
    """A token was issued for less than what was requested (RFC 6749 Section 3.3).

    Attributes:
        requested: the scopes that were requested.
        granted: the scopes that were granted.
    """

    def __init__(self, where: str, requested: frozenset[str], granted: frozenset[str]) -> None:
        missing = " ".join(sorted(requested - granted))
        super().__init__(f"{where} issued a token without the scope {missing}")
        self.requested = requested
        self.granted = granted


class StoreError(ClientError):
    """The store cannot be read or written; its content is unchanged.

    The error is temporary if the system refuses: a disk may have room again in a minute. It is not
    temporary if the store is damaged.
    """

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


class ServersFailed(ClientError):
    """Every Authorization Server failed.

    Attributes:
        failures: what happened at each issuer; empty if there was no issuer to ask.
    """

    def __init__(self, failures: Mapping[str, ClientError]) -> None:
        super().__init__(
            "; ".join(map(str, failures.values())) or "no Authorization Server is known"
        )
        if not failures:
            self.advise(
                "set NMOS_AUTH_SERVERS, or advertise a server in NMOS_AUTH_DNS_DOMAIN, where"
                " NMOS_AUTH_DISCOVERY looks",
                setting="NMOS_AUTH_SERVERS",
            )
        self.failures = dict(failures)
        passing = [each for each in failures.values() if each.temporary]
        self.temporary = not failures or bool(passing)
        waits = [each.retry_after for each in passing if each.retry_after is not None]
        # A server that did not ask for a pause may be asked earlier.
        self.retry_after = min(waits) if waits and len(waits) == len(passing) else None


def unexpected(error: Exception) -> ClientError:
    """Return the error to raise for an unforeseen exception.

    It says where the exception came from. It does not contain its text, which may be a secret.
    """
    place = "an unknown place"
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = f"{code.co_name} ({PurePath(code.co_filename).name}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    if isinstance(error, OSError):
        place = f"{error.strerror or 'no reason given'} in {place}"
    return ClientError(f"unexpected {error.__class__.__name__}: {place}")


def error_members(
    document: JsonObject | None, secrets: Iterable[str] = ()
) -> tuple[str | None, str | None]:
    """Return `error` and `error_description` of an answer, if it has them."""
    members = document or {}
    hidden = tuple(secrets)
    code = quoted(members.get("error"), hidden)
    if code is not None and not _CODE.fullmatch(code):
        code = None
    return code, quoted(members.get("error_description"), hidden)
