"""Dynamic registration and its management (RFC 7591, RFC 7592; IS-10 "Client Registration")."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pydantic import SecretStr

from nmos_auth.client.authentication import signing_algorithm
from nmos_auth.client.errors import RegistrationRefused, StoreError, UnusableAnswer
from nmos_auth.client.grants import raise_refusal
from nmos_auth.client.http import Answer, Exchange, HttpRequest
from nmos_auth.client.metadata import ServerMetadata, ServerMetadataError
from nmos_auth.client.settings import SERVER_PLACEHOLDER, AuthMethod, ClientSettings, Grant
from nmos_auth.client.store import Record
from nmos_auth.settings import is_issuer_url
from nmos_auth.strict_json import JsonObject

__all__ = [
    "Registration",
    "delete_registration",
    "fingerprint_of",
    "read_registration",
    "redirect_uri_at",
    "register",
    "registration_request",
    "server_tag",
    "update_registration",
]

# Seconds before a secret ends at which it no longer counts.
_EXPIRY_MARGIN = 60.0
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Registration:
    """What one Authorization Server knows this Client by.

    Attributes:
        issuer: the server.
        client_id: the client id.
        auth_method: how it authenticates there.
        redirect_uri: where the server sends users back to, or None.
        secret: the client secret, or None.
        secret_expires_at: seconds since the epoch at which the secret ends; 0 for never.
        configuration_uri: `registration_client_uri` (RFC 7592 Section 3), or None.
        configuration_token: `registration_access_token`, or None.
        fingerprint: of the request it answered; "" for credentials arranged by hand.
    """

    issuer: str
    client_id: str
    auth_method: AuthMethod
    redirect_uri: str | None = None
    secret: SecretStr | None = None
    secret_expires_at: float = 0
    configuration_uri: str | None = None
    configuration_token: SecretStr | None = field(default=None, repr=False)
    fingerprint: str = ""

    @property
    def manual(self) -> bool:
        """Whether it was arranged by hand, and cannot be made anew."""
        return not self.fingerprint

    @property
    def managed(self) -> bool:
        """Whether the server offers RFC 7592 for it."""
        return self.configuration_uri is not None and self.configuration_token is not None

    def expired(self, now: float) -> bool:
        """Tell whether the secret has ended, or is about to."""
        return self.secret_expires_at > 0 and now >= self.secret_expires_at - _EXPIRY_MARGIN

    def to_record(self) -> Record:
        """Give what is stored."""
        return Record(
            {
                "client_id": self.client_id,
                "auth_method": self.auth_method.value,
                "redirect_uri": self.redirect_uri,
                "secret_expires_at": self.secret_expires_at,
                "configuration_uri": self.configuration_uri,
                "fingerprint": self.fingerprint,
            },
            {
                "client_secret": _revealed(self.secret),
                "configuration_token": _revealed(self.configuration_token),
            },
        )

    @classmethod
    def from_record(cls, issuer: str, record: Record) -> Registration:
        """Read what was stored.

        Raises:
            StoreError: it is not what `to_record` gives.
        """
        public, secret = record.public, record.secret
        try:
            return cls(
                issuer=issuer,
                client_id=_text(public["client_id"]),
                auth_method=AuthMethod(_text(public["auth_method"])),
                redirect_uri=_optional(public["redirect_uri"]),
                secret=_hidden(secret["client_secret"]),
                secret_expires_at=_moment(public["secret_expires_at"]),
                configuration_uri=_optional(public["configuration_uri"]),
                configuration_token=_hidden(secret["configuration_token"]),
                fingerprint=_text(public["fingerprint"]),
            )
        except (KeyError, ValueError):
            raise StoreError(f"the stored registration with {issuer} is damaged") from None


def server_tag(issuer: str) -> str:
    """Give the short name of a server that stands for `{server}` in a redirect URI."""
    return hashlib.sha256(issuer.encode()).hexdigest()[:12]


def redirect_uri_at(settings: ClientSettings, issuer: str) -> str:
    """Give the redirect URI that is registered with a server.

    Raises:
        ConfigurationError: there is none in the settings.
    """
    uri = settings.demand("redirect_uri", "the authorization_code grant takes it")
    return uri.replace(SERVER_PLACEHOLDER, server_tag(issuer))


def registration_request(settings: ClientSettings, issuer: str) -> JsonObject:
    """Make the client metadata to register with a server (RFC 7591 Section 2).

    Raises:
        ConfigurationError: a setting is missing that this takes.
    """
    # IS-10 "Client Registration": "Clients MUST include populated `client_name` and `scope`".
    request: JsonObject = {
        "client_name": settings.demand("name", "every registration takes a unique client_name"),
        "scope": " ".join(settings.scope) or settings.demand("scope", "a registration takes it"),
        "token_endpoint_auth_method": settings.auth_method.value,
    }
    if settings.grant is Grant.CLIENT_CREDENTIALS:
        # Empty, since by default a client would use "code" (RFC 7591 Section 2).
        request |= {"grant_types": [settings.grant.value], "response_types": []}
    else:
        request |= {
            "grant_types": [settings.grant.value, "refresh_token"],
            "response_types": ["code"],
        }
    if settings.redirect_uri is not None or settings.grant is Grant.AUTHORIZATION_CODE:
        # Without need for one, where it is set all the same: the BBC's server makes the audience
        # of tokens of it.
        redirect_uri = redirect_uri_at(settings, issuer)
        request["redirect_uris"] = [redirect_uri]
        if not redirect_uri.startswith("https://"):
            # OpenID Connect Dynamic Client Registration Section 2: a "web" client, which is the
            # default, has https redirect URIs only. Other servers ignore it.
            request["application_type"] = "native"
    if settings.auth_method is AuthMethod.PRIVATE_KEY_JWT:
        request["jwks_uri"] = settings.demand(
            "jwks_uri", "private_key_jwt takes a URL at which servers fetch our public keys"
        )
    return request


def fingerprint_of(request: JsonObject) -> str:
    """Give what changes when the client metadata does."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


async def register(
    exchange: Exchange,
    metadata: ServerMetadata,
    request: JsonObject,
    *,
    initial_access_token: SecretStr | None = None,
    allow_http: bool = False,
    clock: Callable[[], float] = time.time,
) -> Registration:
    """Register with a server (RFC 7591 Section 3).

    Args:
        exchange: sends requests.
        metadata: of the server.
        request: as `registration_request` makes it, with whatever a server needs besides.
        initial_access_token: what the server asks for, if anything.
        allow_http: an http `registration_client_uri` counts too.
        clock: seconds since the epoch.

    Raises:
        ServerMetadataError: the server registers nobody.
        RegistrationRefused: it refused.
        ServerUnavailable: it says "later" or nothing.
        UnusableAnswer: it registered nothing that can be used.
    """
    if metadata.registration_endpoint is None:
        raise ServerMetadataError(
            f"{metadata.issuer} offers no registration; set NMOS_AUTH_CLIENT_ID to a client id"
            " arranged there"
        )
    asked = _signed_as_taken(request, metadata)
    http_request = _json_request(
        "POST", metadata.registration_endpoint, initial_access_token, body=asked
    )
    answer = await exchange.send(http_request)
    # RFC 7591 Section 3.2.1 has 201; some servers answer 200.
    if answer.status not in {200, 201}:
        raise_refusal(http_request, answer, RegistrationRefused)
    blank = Registration(
        issuer=metadata.issuer,
        client_id="",
        auth_method=AuthMethod.NONE,
        fingerprint=fingerprint_of(request),
    )
    made = _registered(http_request, answer, asked, blank, allow_http=allow_http)
    if made.expired(clock()):
        raise UnusableAnswer(f"{http_request.url} issued a client secret that had expired")
    return made


async def read_registration(exchange: Exchange, registration: Registration) -> JsonObject:
    """Read what a server has registered (RFC 7592 Section 2.1).

    Raises:
        ServerMetadataError: the server does not offer it for this registration.
        RegistrationRefused: it refused; with 401 the registration is gone (Section 2.1).
        ServerUnavailable: it says "later" or nothing.
        UnusableAnswer: it answered something else.
    """
    request = _managed("GET", registration)
    answer = await exchange.send(request)
    if answer.status != 200:
        raise_refusal(request, answer, RegistrationRefused)
    if answer.document is None or answer.document.get("client_id") != registration.client_id:
        raise UnusableAnswer(f"{request.url} answered with another registration, or none")
    return answer.document


async def update_registration(
    exchange: Exchange,
    metadata: ServerMetadata,
    registration: Registration,
    request: JsonObject,
    *,
    allow_http: bool = False,
) -> Registration:
    """Replace what a server has registered (RFC 7592 Section 2.2).

    Args:
        exchange: sends requests.
        metadata: of the server.
        registration: what is registered.
        request: as `registration_request` makes it.
        allow_http: an http `registration_client_uri` counts too.

    Raises:
        ServerMetadataError: the server does not offer it for this registration.
        RegistrationRefused: it refused.
        ServerUnavailable: it says "later" or nothing.
        UnusableAnswer: it answered something else.
    """
    asked = _signed_as_taken(request, metadata)
    # "The client MUST include its 'client_id' field in the request", and the secret if it has one.
    body: JsonObject = {**asked, "client_id": registration.client_id}
    if registration.secret is not None:
        body["client_secret"] = registration.secret.get_secret_value()
    http_request = _managed("PUT", registration, body)
    answer = await exchange.send(http_request)
    if answer.status != 200:
        raise_refusal(http_request, answer, RegistrationRefused)
    return _registered(
        http_request,
        answer,
        asked,
        replace(registration, fingerprint=fingerprint_of(request)),
        allow_http=allow_http,
    )


async def delete_registration(exchange: Exchange, registration: Registration) -> None:
    """Take this Client out of a server's books (RFC 7592 Section 2.3).

    Raises:
        ServerMetadataError: the server does not offer it for this registration.
        RegistrationRefused: it refused.
        ServerUnavailable: it says "later" or nothing.
    """
    request = _managed("DELETE", registration)
    answer = await exchange.send(request)
    if answer.status not in {200, 204}:
        raise_refusal(request, answer, RegistrationRefused)


def _signed_as_taken(request: JsonObject, metadata: ServerMetadata) -> JsonObject:
    if request.get("token_endpoint_auth_method") != AuthMethod.PRIVATE_KEY_JWT:
        return request
    # OpenID Connect Dynamic Client Registration Section 2; other servers ignore it.
    return {**request, "token_endpoint_auth_signing_alg": signing_algorithm(metadata)}


def _managed(
    method: str, registration: Registration, body: JsonObject | None = None
) -> HttpRequest:
    if registration.configuration_uri is None or registration.configuration_token is None:
        raise ServerMetadataError(
            f"{registration.issuer} does not offer to manage this registration (RFC 7592)"
        )
    return _json_request(
        method, registration.configuration_uri, registration.configuration_token, body=body
    )


def _json_request(
    method: str, url: str, bearer: SecretStr | None, *, body: JsonObject | None
) -> HttpRequest:
    headers = {} if body is None else {"content-type": _JSON}
    hidden: list[str] = []
    if bearer is not None:
        headers["authorization"] = f"Bearer {bearer.get_secret_value()}"
        hidden.append(bearer.get_secret_value())
    secret = (body or {}).get("client_secret")
    if isinstance(secret, str):
        hidden.append(secret)
    content = b"" if body is None else json.dumps(body).encode()
    return HttpRequest(method, url, headers=headers, content=content, secrets=tuple(hidden))


def _registered(
    request: HttpRequest,
    answer: Answer,
    asked: JsonObject,
    known: Registration,
    *,
    allow_http: bool,
) -> Registration:
    """Read a client information response (RFC 7591 Section 3.2.1) over what is known already."""
    where = request.url.partition("?")[0]
    if answer.document is None:
        raise UnusableAnswer(f"{where} answered {answer.status} and no JSON object")
    document = answer.document
    try:
        client_id = _text(document.get("client_id", known.client_id))
        secret = _hidden(document.get("client_secret")) or known.secret
        expires = _moment(document.get("client_secret_expires_at", known.secret_expires_at) or 0)
        uri = _optional(document.get("registration_client_uri")) or known.configuration_uri
        token = _hidden(document.get("registration_access_token")) or known.configuration_token
        method_name = _optional(document.get("token_endpoint_auth_method"))
        redirect_uris = asked.get("redirect_uris")
    except ValueError:
        raise UnusableAnswer(f"{where} answered with a member of the wrong type") from None
    if not client_id or not client_id.isprintable():
        raise UnusableAnswer(f"{where} answered without a client_id")
    if known.client_id and client_id != known.client_id:
        raise UnusableAnswer(f"{where} answered with another client_id")
    schemes = ("https", "http") if allow_http else ("https",)
    if uri is not None and not is_issuer_url(uri.replace("?", "/", 1), schemes=schemes):
        raise UnusableAnswer(f"{where} answered with no usable registration_client_uri")
    method = _agreed_method(where, _text(asked["token_endpoint_auth_method"]), method_name, secret)
    return Registration(
        issuer=known.issuer,
        client_id=client_id,
        auth_method=method,
        redirect_uri=_text(redirect_uris[0]) if isinstance(redirect_uris, list) else None,
        secret=secret if method is AuthMethod.CLIENT_SECRET_BASIC else None,
        secret_expires_at=expires if method is AuthMethod.CLIENT_SECRET_BASIC else 0,
        configuration_uri=uri,
        configuration_token=token,
        fingerprint=known.fingerprint,
    )


def _agreed_method(
    where: str, asked: str, answered: str | None, secret: SecretStr | None
) -> AuthMethod:
    # RFC 7591 Section 3.2.1: the server "MAY reject or replace any of the client's requested
    # metadata values"; a confidential client made public would be no longer what it says.
    name = answered or asked
    usable = name == asked or (name == AuthMethod.CLIENT_SECRET_BASIC and asked != AuthMethod.NONE)
    if not usable or (name == AuthMethod.CLIENT_SECRET_BASIC and secret is None):
        raise UnusableAnswer(
            f"{where} registered {name!r:.80} in the place of {asked}"
            if name != asked
            else f"{where} answered without a client_secret"
        )
    return AuthMethod(name)


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("no string")  # noqa: TRY004 - like every other value that is wrong
    return value


def _optional(value: object) -> str | None:
    return None if value is None else _text(value)


def _hidden(value: object) -> SecretStr | None:
    text = _optional(value)
    return SecretStr(text) if text else None


def _moment(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no moment")
    return float(value)
