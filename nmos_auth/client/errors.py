"""What can go wrong for a Client; each error knows whether trying again later can help.

No message holds a secret: what a server says about a request is quoted only after everything
secret in that request, and whatever else looks like a token, has been struck from it.
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
    """Return what a server said, short, printable, and without `secrets` or what may be others."""
    if not isinstance(text, str):
        return None
    for secret in sorted(_spellings(secrets), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    text = _RANDOM.sub(lambda run: run[0] if _PLAIN.fullmatch(run[0]) else _HIDDEN, text)
    shown = "".join(each if each.isprintable() else " " for each in text)
    return shown if len(shown) <= _LONGEST_QUOTE else f"{shown[:_LONGEST_QUOTE]}…"


def _spellings(secrets: Iterable[str]) -> set[str]:
    """Return each secret as it is, and as a form or a URL has it."""
    return {
        spelling
        for secret in secrets
        if len(secret) >= _SHORTEST_SECRET
        for spelling in (secret, quote_plus(secret), quote(secret, safe=""))
    }


class ClientError(NmosAuthError):
    """A token, a registration or a login could not be obtained.

    Attributes:
        temporary: the same may succeed later without anybody changing anything.
        code: the server's own `error` code, or None where it gave none.
        retry_after: the least number of seconds to wait before the next attempt, or None.
        setting: the variable that it concerns, or None.
        advice: what to do, or None; the text of the error ends with it.
    """

    temporary: bool = False
    code: str | None = None
    retry_after: float | None = None
    setting: str | None = None
    advice: str | None = None

    def advise(self, advice: str, *, setting: str | None = None) -> Self:
        """Say what to do about it, and return the error.

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
    """The Client or its token source is closed, or was closed while somebody waited for it."""


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


class ServerMetadataError(ClientError, MetadataError):
    """Metadata that RFC 8414 forbids to use, or that lacks what a Client needs."""


class CredentialsMissing(ClientError):
    """The Client has no secret, or no key, to authenticate with as its registration says."""


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
        """Whether the server did not believe who the Client is (RFC 6749 Section 5.2).

        That has a code of its own. Keycloak and Auth0 have other words for a wrong secret, with the
        status 401 that the RFC knows for this one error.
        """
        return self.code == "invalid_client" or (
            self.status == 401 and self.code in {"unauthorized_client", "access_denied"}
        )

    @classmethod
    def of(
        cls, where: str, status: int, document: JsonObject | None, secrets: Iterable[str] = ()
    ) -> OAuthError:
        """Read a refusal; the body that RFC 6749 asks for may be missing."""
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
    """A redirect from an Authorization Server that does not answer a request of this Client."""


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
    """The store cannot be read or written; what it holds has not been touched.

    It is temporary where the system refuses: a disk may have room again in a minute. What is
    damaged stays so until somebody mends it.
    """

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


class ServersFailed(ClientError):
    """Every Authorization Server failed.

    Attributes:
        failures: what happened at each issuer; empty where there was none to ask.
    """

    def __init__(self, failures: Mapping[str, ClientError]) -> None:
        super().__init__(
            "; ".join(map(str, failures.values())) or "no Authorization Server is known"
        )
        if not failures:
            self.advise(
                "set NMOS_AUTH_SERVERS, or have NMOS_AUTH_DISCOVERY find one in"
                " NMOS_AUTH_DNS_DOMAIN",
                setting="NMOS_AUTH_SERVERS",
            )
        self.failures = dict(failures)
        passing = [each for each in failures.values() if each.temporary]
        self.temporary = not failures or bool(passing)
        waits = [each.retry_after for each in passing if each.retry_after is not None]
        # Whoever did not ask to wait may be asked before.
        self.retry_after = min(waits) if waits and len(waits) == len(passing) else None


def unexpected(error: Exception) -> ClientError:
    """Return what to raise for an exception that was not foreseen.

    It says where that came from and not what it said, which may be a secret.
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
    """Return `error` and `error_description` of an answer, where it has them."""
    members = document or {}
    hidden = tuple(secrets)
    code = quoted(members.get("error"), hidden)
    if code is not None and not _CODE.fullmatch(code):
        code = None
    return code, quoted(members.get("error_description"), hidden)
