"""Token requests and their answers (RFC 6749; IS-10 "Token Requests"). Pure functions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import urlencode

from pydantic import SecretStr

from nmos_auth.client.errors import (
    AuthorizationRefused,
    CallbackError,
    OAuthError,
    ScopeNotGranted,
    ServerMetadataError,
    ServerUnavailable,
    TokenRefused,
    UnusableAnswer,
    error_members,
)
from nmos_auth.client.http import Answer, HttpRequest
from nmos_auth.client.metadata import ServerMetadata
from nmos_auth.servers.grammar import B64TOKEN
from nmos_auth.servers.members import quoted_moment
from nmos_auth.servers.strict_json import JsonObject

__all__ = [
    "GrantedTokens",
    "PendingAuthorization",
    "TokenForm",
    "authorization_code_form",
    "begin_authorization",
    "client_credentials_form",
    "code_of",
    "next_refresh_token",
    "parse_token_answer",
    "raise_refusal",
    "refresh_form",
]

# Scopes of OpenID Connect, which some servers require in a request and omit in the answer.
_OFFLINE = "offline_access"
_NOT_OF_APIS = frozenset({"openid", "profile", _OFFLINE})
_LONGEST_LIFETIME = 10 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class TokenForm:
    """The parameters of a token request.

    Attributes:
        parameters: the parameters of RFC 6749; not shown.
        scope: the scopes that are requested.
        hidden: the values that an error must not show.
    """

    parameters: dict[str, str] = field(repr=False)
    scope: frozenset[str]
    hidden: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class GrantedTokens:
    """What a token endpoint issued.

    Attributes:
        access_token: the Access Token.
        lifetime: seconds, from the moment of the request.
        scope: what was granted.
        requested_at: when the request was sent, on the clock of the sender.
        refresh_token: the Refresh Token, or None.
        client_id: the client to which they were issued.
    """

    access_token: SecretStr
    lifetime: float
    scope: frozenset[str]
    requested_at: float
    refresh_token: SecretStr | None = None
    client_id: str = ""

    def require_scope(self, where: str, requested: frozenset[str]) -> None:
        """Check that every requested scope was granted.

        Raises:
            ScopeNotGranted: a scope was not granted.
        """
        requested -= _NOT_OF_APIS
        if not requested <= self.scope:
            raise ScopeNotGranted(where, requested, self.scope)


@dataclass(frozen=True, slots=True)
class PendingAuthorization:
    """An authorization request that is under way, to check the answer against.

    Attributes:
        issuer: the server it was sent to.
        url: the URL to which the user's browser goes.
        redirect_uri: the URL to which it comes back.
        scope: the scopes that were requested.
        state: RFC 6749 Section 10.12.
        verifier: RFC 7636 Section 4.1.
        iss_in_answers: whether the server's answers have `iss`.
        client_id: the client that sent it.
    """

    issuer: str
    url: str = field(repr=False)
    redirect_uri: str
    scope: frozenset[str]
    state: SecretStr
    verifier: SecretStr
    iss_in_answers: bool
    client_id: str


def _joined(scope: Iterable[str]) -> dict[str, str]:
    # IS-10 "Token Requests": "Clients MUST include the `scope` parameter in their token requests".
    return {"scope": " ".join(sorted(scope))}


def client_credentials_form(scope: Iterable[str]) -> TokenForm:
    """Return the form that requests a token in the Client's own name (RFC 6749 Section 4.4.2)."""
    asked = frozenset(scope)
    return TokenForm({"grant_type": "client_credentials", **_joined(asked)}, asked)


def authorization_code_form(
    pending: PendingAuthorization, code: SecretStr, client_id: str
) -> TokenForm:
    """Return the form that exchanges a code (RFC 6749 Section 4.1.3, RFC 7636 Section 4.5).

    It always has `client_id`, because AMWA's own test server requires it.
    """
    verifier = pending.verifier.get_secret_value()
    return TokenForm(
        {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code.get_secret_value(),
            "redirect_uri": pending.redirect_uri,
            "code_verifier": verifier,
            **_joined(pending.scope),
        },
        pending.scope,
        (code.get_secret_value(), verifier),
    )


def refresh_form(refresh_token: SecretStr, scope: Iterable[str]) -> TokenForm:
    """Return the form that renews with a Refresh Token (RFC 6749 Section 6)."""
    asked = frozenset(scope)
    token = refresh_token.get_secret_value()
    return TokenForm(
        {"grant_type": "refresh_token", "refresh_token": token, **_joined(asked)}, asked, (token,)
    )


def parse_token_answer(
    request: HttpRequest, answer: Answer, form: TokenForm, *, requested_at: float
) -> GrantedTokens:
    """Read the answer of a token endpoint (RFC 6749 Sections 5.1 and 5.2).

    Args:
        request: the request.
        answer: its answer.
        form: the parameters of the request.
        requested_at: when `request` was sent.

    Raises:
        TokenRefused: the server refused.
        ServerUnavailable: the server says "later".
        UnusableAnswer: the answer is neither a token nor a refusal as the RFC defines them.
    """
    where = request.url.partition("?")[0]
    if answer.status != 200:
        raise_refusal(request, answer, TokenRefused)
    if answer.document is None:
        raise UnusableAnswer(f"{where} answered 200 without a JSON object")
    document = answer.document
    if _is_error(document):
        raise TokenRefused.of(where, answer.status, document, request.secrets)
    token_type = document.get("token_type")
    # "MUST be treated as case-insensitive" (IS-10 "Token Requests").
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise UnusableAnswer(f"{where} issued a token whose token_type is not Bearer")
    return GrantedTokens(
        access_token=_token(document.get("access_token"), where),
        lifetime=_lifetime(document.get("expires_in"), where),
        scope=_granted(document.get("scope"), form.scope, where),
        refresh_token=_refresh_token(document.get("refresh_token"), where),
        requested_at=requested_at,
    )


def next_refresh_token(answer: Answer) -> SecretStr | None:
    """Return the Refresh Token in an answer of a token endpoint, whatever else the answer says.

    The token that was sent is spent by then, so this one is kept even if nothing else in the answer
    can be used.
    """
    document = answer.document
    if answer.status != 200 or document is None or _is_error(document):
        return None
    token = document.get("refresh_token")
    return SecretStr(token) if isinstance(token, str) and token else None


def raise_refusal(request: HttpRequest, answer: Answer, refusal: type[OAuthError]) -> NoReturn:
    """Raise the error that an answer without success means.

    Raises:
        OAuthError: a refusal, of the type `refusal`.
        ServerUnavailable: 429, 5xx, or `temporarily_unavailable`.
        UnusableAnswer: neither success nor an error, a redirect for instance.
    """
    where = request.url.partition("?")[0]
    code, description = error_members(answer.document, request.secrets)
    if answer.status >= 500 or answer.status == 429 or code == "temporarily_unavailable":
        said = f" ({code})" if code else ""
        raise ServerUnavailable(
            f"{where} answered {answer.status}{said}",
            status=answer.status,
            code=code,
            retry_after=answer.retry_after,
        )
    if answer.status < 400:
        raise UnusableAnswer(f"{where} answered {answer.status}")
    raise refusal(where, code=code, description=description, status=answer.status)


def _is_error(document: JsonObject) -> bool:
    """Tell whether an answer with 200 is an error: some servers answer errors so."""
    return "error" in document and "access_token" not in document


def _token(value: object, where: str) -> SecretStr:
    if not isinstance(value, str) or not B64TOKEN.fullmatch(value):
        raise UnusableAnswer(f"{where} answered without an access_token that a header can carry")
    return SecretStr(value)


def _refresh_token(value: object, where: str) -> SecretStr | None:
    # Some servers write "" for no refresh token.
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise UnusableAnswer(f"{where} answered with a refresh_token that is not a string")
    return SecretStr(value)


def _lifetime(value: object, where: str) -> float:
    # IS-10 "Token Requests": `expires_in` "MUST be included".
    try:
        seconds = quoted_moment(value)
    except ValueError:
        raise UnusableAnswer(
            f"{where} answered without a number of seconds in expires_in"
        ) from None
    if seconds <= 0:
        raise UnusableAnswer(f"{where} issued a token that has already expired")
    return min(seconds, _LONGEST_LIFETIME)


def _granted(value: object, requested: frozenset[str], where: str) -> frozenset[str]:
    # RFC 6749 Section 5.1: scope is "OPTIONAL, if identical to the scope requested".
    if value is None:
        return requested
    if not isinstance(value, str):
        raise UnusableAnswer(f"{where} answered with a scope that is not a string")
    return frozenset(value.split())


def begin_authorization(
    metadata: ServerMetadata,
    client_id: str,
    redirect_uri: str,
    scope: Iterable[str],
    *,
    assume_pkce: bool = False,
) -> PendingAuthorization:
    """Make an authorization request with PKCE S256 and a state (RFC 6749 Section 4.1.1).

    Args:
        metadata: the server's metadata.
        client_id: the client id that is registered there.
        redirect_uri: the redirect URI, exactly as it is registered there.
        scope: the scopes to request.
        assume_pkce: assume that a server accepts S256 if it does not say which code challenges it
            accepts.

    Raises:
        ServerMetadataError: the server has no authorization endpoint, or does not support PKCE with
            S256 (RFC 9700 Section 2.1.1: clients "MUST ensure that the authorization server
            supports PKCE").
    """
    if metadata.authorization_endpoint is None:
        raise ServerMetadataError(f"{metadata.issuer} has no authorization endpoint")
    methods = metadata.code_challenge_methods
    if methods is None and not assume_pkce:
        raise ServerMetadataError(
            f"{metadata.issuer} does not say that it supports PKCE with S256"
        ).advise(
            "if its documentation says that it does, set NMOS_AUTH_CLIENT_ASSUME_PKCE=true",
            setting="NMOS_AUTH_CLIENT_ASSUME_PKCE",
        )
    if methods is not None and "S256" not in methods:
        raise ServerMetadataError(f"{metadata.issuer} does not support PKCE with S256")
    # RFC 7636 Section 4.1: a verifier has 43 to 128 unreserved characters.
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    asked = frozenset(scope)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    query = urlencode(
        {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            **_joined(asked),
            "state": state,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            # OpenID Connect Core 1.0 Section 11: without it `offline_access` is ignored.
            **({"prompt": "consent"} if _OFFLINE in asked else {}),
        }
    )
    endpoint = metadata.authorization_endpoint
    return PendingAuthorization(
        issuer=metadata.issuer,
        url=f"{endpoint}{'&' if '?' in endpoint else '?'}{query}",
        redirect_uri=redirect_uri,
        scope=asked,
        state=SecretStr(state),
        verifier=SecretStr(verifier),
        iss_in_answers=metadata.iss_in_answers,
        client_id=client_id,
    )


def code_of(pending: PendingAuthorization, parameters: Iterable[tuple[str, str]]) -> SecretStr:
    """Return the code in a redirect back to the Client.

    Args:
        pending: the request to which `state` belongs.
        parameters: all query parameters of the redirect.

    Raises:
        CallbackError: a parameter is repeated, the state or the issuer is another one (RFC 9207
            Section 2.4), or the code is missing.
        AuthorizationRefused: the answer is an error (RFC 6749 Section 4.1.2.1).
    """
    pairs = list(parameters)
    answer = dict(pairs)
    if len(answer) != len(pairs):
        raise CallbackError("the answer repeats a parameter")
    state = pending.state.get_secret_value()
    if not hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
        raise CallbackError("the state of the answer is not the one of the request")
    issuer = answer.get("iss")
    if issuer is None and pending.iss_in_answers:
        raise CallbackError(
            f"the answer does not name its issuer, although the metadata of {pending.issuer} says"
            " that it does"
        )
    if issuer is not None and issuer != pending.issuer:
        raise CallbackError(
            f"the answer is not from {pending.issuer}, to which the request was sent"
        )
    if "error" in answer:
        code, description = error_members({**answer}, (state, pending.verifier.get_secret_value()))
        raise AuthorizationRefused(pending.issuer, code=code, description=description)
    if not answer.get("code"):
        raise CallbackError("the answer has neither a code nor an error")
    return SecretStr(answer["code"])
