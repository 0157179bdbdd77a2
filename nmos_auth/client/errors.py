"""What can go wrong for a Client; each error knows whether trying again later can help.

No message holds a secret: what a server says about a request is quoted only after everything
secret in that request, and whatever else looks like a token, has been struck from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar
from urllib.parse import quote, quote_plus

from nmos_auth.errors import NmosAuthError
from nmos_auth.servers.strict_json import JsonObject

__all__ = [
    "AuthorizationRefused",
    "CallbackError",
    "ClientError",
    "GrantNotPermitted",
    "LoginRequired",
    "OAuthError",
    "RegistrationRefused",
    "RevocationRefused",
    "ScopeNotGranted",
    "ServerUnavailable",
    "ServersFailed",
    "StoreError",
    "TokenRefused",
    "UnusableAnswer",
    "error_members",
    "quoted",
]

_LONGEST_QUOTE = 300
# RFC 6749 Section 5.2: error = 1*NQSCHAR; those in use are names and URIs.
_CODE = re.compile(r"[A-Za-z0-9_.:/-]{1,80}")
_HIDDEN = "[secret]"
# Shorter strings would strike out ordinary words.
_SHORTEST_SECRET = 6
# What may be a secret that the server knows from before: long, and neither a name of the RFCs nor
# a URL without a query.
_RANDOM = re.compile(r"[^\s\"'`,;()<>]{24,}")
_PLAIN = re.compile(r"[a-z_.:-]+|https?://[^?#@]*")


def quoted(text: object, secrets: Iterable[str] = ()) -> str | None:
    """Give what a server said, short, printable, and without `secrets` or what may be others."""
    if not isinstance(text, str):
        return None
    for secret in sorted(_spellings(secrets), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    text = _RANDOM.sub(lambda run: run[0] if _PLAIN.fullmatch(run[0]) else _HIDDEN, text)
    shown = "".join(each if each.isprintable() else " " for each in text)
    return shown if len(shown) <= _LONGEST_QUOTE else f"{shown[:_LONGEST_QUOTE]}…"


def _spellings(secrets: Iterable[str]) -> set[str]:
    """Give each secret as it is, and as a form or a URL has it."""
    return {
        spelling
        for secret in secrets
        if len(secret) >= _SHORTEST_SECRET
        for spelling in (secret, quote_plus(secret), quote(secret, safe=""))
    }


class ClientError(NmosAuthError):
    """A token, a registration or a login could not be had.

    Attributes:
        temporary: the same may succeed later without anybody changing anything.
        code: the server's own `error` code, or None where it gave none.
        retry_after: the least number of seconds a server asked to wait, or None.
    """

    temporary: bool = False
    code: str | None = None
    retry_after: float | None = None


class ServerUnavailable(ClientError):
    """No answer, or one that says "later": connection, TLS, time, 429 or 5xx.

    Attributes:
        status: the HTTP status, or None where there was no answer.
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


class UnusableAnswer(ClientError):
    """A server answered with success and something else than the RFC says."""


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
        reason = code or f"status {status}, without an error code"
        super().__init__(
            f"{where} refused {self.what}: {reason}" + (f" ({description})" if description else "")
        )
        self.code = code
        self.description = description
        self.status = status

    @classmethod
    def of(
        cls, where: str, status: int, document: JsonObject | None, secrets: Iterable[str] = ()
    ) -> OAuthError:
        """Read a refusal; one without the body that RFC 6749 asks for will do."""
        code, description = error_members(document, secrets)
        return cls(where, code=code, description=description, status=status)


class TokenRefused(OAuthError):
    """The token endpoint refused (RFC 6749 Section 5.2)."""

    what = "a token"


class RegistrationRefused(OAuthError):
    """The registration or client configuration endpoint refused (RFC 7591 Section 3.2.2)."""

    what = "the registration"


class AuthorizationRefused(OAuthError):
    """The user or the server said no at the authorization endpoint (RFC 6749 Section 4.1.2.1)."""

    what = "the authorization"


class RevocationRefused(OAuthError):
    """The revocation endpoint refused (RFC 7009 Section 2.2.1)."""

    what = "the revocation"


class CallbackError(ClientError):
    """A redirect back from an Authorization Server that answers no request of ours."""


class LoginRequired(ClientError):
    """A user has to log in: for the first time, or since the refresh token is dead."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class GrantNotPermitted(ClientError):
    """The scope may not be had by this grant (BCP-003-02 "Authorization Grant Constraints")."""


class ScopeNotGranted(ClientError):
    """A token was issued for less than what was asked for (RFC 6749 Section 3.3).

    Attributes:
        requested: the scopes asked for.
        granted: the scopes given.
    """

    def __init__(self, where: str, requested: frozenset[str], granted: frozenset[str]) -> None:
        missing = " ".join(sorted(requested - granted))
        super().__init__(f"{where} issued a token without the scope {missing}")
        self.requested = requested
        self.granted = granted


class StoreError(ClientError):
    """The store cannot be read or written; what it holds has not been touched."""


class ServersFailed(ClientError):
    """Every Authorization Server failed.

    Attributes:
        failures: what happened at each issuer; empty where there was none to ask.
    """

    def __init__(self, failures: Mapping[str, ClientError]) -> None:
        super().__init__(
            "; ".join(map(str, failures.values())) or "no Authorization Server is known"
        )
        self.failures = dict(failures)
        self.temporary = not failures or any(each.temporary for each in failures.values())


def error_members(
    document: JsonObject | None, secrets: Iterable[str] = ()
) -> tuple[str | None, str | None]:
    """Give `error` and `error_description` of an answer, where it has them."""
    members = document or {}
    hidden = tuple(secrets)
    code = quoted(members.get("error"), hidden)
    if code is not None and not _CODE.fullmatch(code):
        code = None
    return code, quoted(members.get("error_description"), hidden)
