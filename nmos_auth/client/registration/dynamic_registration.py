"""Dynamic registration and its management: the requests of RFC 7591 and RFC 7592."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from pydantic import SecretStr

from nmos_auth.client.errors import (
    ClientError,
    RegistrationRefused,
    ServerMetadataError,
    UnusableAnswer,
)
from nmos_auth.client.grants.authentication import ALGORITHMS, signing_algorithm
from nmos_auth.client.grants.grants import raise_refusal
from nmos_auth.client.http import Answer, HttpRequest, Transport
from nmos_auth.client.metadata import ServerMetadata
from nmos_auth.client.registration.registrations import Registration, fingerprint_of
from nmos_auth.client.settings import AuthMethod
from nmos_auth.servers.members import hidden, optional, quoted_moment, text
from nmos_auth.servers.strict_json import JsonObject
from nmos_auth.servers.urls import EndpointUrl

__all__ = ["delete_registration", "read_registration", "register", "renewed", "update_registration"]

logger = logging.getLogger("nmos_auth")

_JSON = "application/json"


async def register(
    transport: Transport,
    metadata: ServerMetadata,
    request: JsonObject,
    *,
    initial_access_token: SecretStr | None = None,
    allow_http: bool = False,
    clock: Callable[[], float] = time.time,
) -> Registration:
    """Register with a server (RFC 7591 Section 3).

    Args:
        transport: sends requests.
        metadata: the server's metadata.
        request: what `registration_request` returns, with other members that a server needs.
        initial_access_token: the token that the server requires, or None.
        allow_http: accept an http `registration_client_uri` too.
        clock: seconds since 1970 UTC.

    Raises:
        ServerMetadataError: the server does not register clients.
        RegistrationRefused: the server refused.
        ServerUnavailable: the server says "later", or nothing.
        UnusableAnswer: the server registered something that cannot be used.
    """
    if metadata.registration_endpoint is None:
        raise ServerMetadataError(
            f"{metadata.issuer} does not register clients; set NMOS_AUTH_CLIENT_ID to a client id"
            " that was assigned there"
        )
    asked = _signed_as_taken(request, metadata)
    http_request = _json_request(
        "POST", metadata.registration_endpoint, initial_access_token, body=asked
    )
    answer = await transport.send(http_request)
    # RFC 7591 Section 3.2.1 has 201; some servers answer 200.
    if answer.status not in {200, 201}:
        try:
            raise_refusal(http_request, answer, RegistrationRefused)
        except RegistrationRefused as refusal:
            # RFC 7591 Section 3: whether a token is required is the server's to decide.
            if answer.status in {401, 403}:
                setting = "NMOS_AUTH_CLIENT_INITIAL_ACCESS_TOKEN"
                verb = "set" if initial_access_token is None else "replace"
                refusal.advise(
                    f"{verb} {setting}, which the server's operator has", setting=setting
                )
            raise
    blank = Registration(
        issuer=metadata.issuer,
        client_id="",
        auth_method=AuthMethod.NONE,
        fingerprint=fingerprint_of(request),
    )
    try:
        made = _registered(http_request, answer, asked, blank, allow_http=allow_http)
    except UnusableAnswer:
        await _undo(transport, answer, blank, allow_http=allow_http)
        raise
    if made.expired(clock()):
        await _undo(transport, answer, blank, allow_http=allow_http)
        raise UnusableAnswer(f"{http_request.url} issued a client secret that has already expired")
    return made


async def _undo(
    transport: Transport, answer: Answer, blank: Registration, *, allow_http: bool
) -> None:
    """Delete a registration that cannot be used, so that repeated attempts do not leave many."""
    document = answer.document or {}
    try:
        uri = EndpointUrl.parse(document.get("registration_client_uri"), allow_http=allow_http).text
        token = hidden(document.get("registration_access_token"))
        made = replace(blank, configuration_uri=uri, configuration_token=token)
        await delete_registration(transport, made)
    except (ValueError, ClientError) as error:
        logger.info("a registration that cannot be used stays at %s: %s", blank.issuer, error)


async def read_registration(transport: Transport, registration: Registration) -> JsonObject:
    """Read what a server has registered (RFC 7592 Section 2.1).

    Raises:
        ServerMetadataError: the server does not offer it for this registration.
        RegistrationRefused: it refused; with 401 the registration is gone (Section 2.1).
        ServerUnavailable: it says "later" or nothing.
        UnusableAnswer: it answered something else.
    """
    request = _managed("GET", registration)
    answer = await transport.send(request)
    if answer.status != 200:
        raise_refusal(request, answer, RegistrationRefused)
    if answer.document is None or answer.document.get("client_id") != registration.client_id:
        raise UnusableAnswer(f"{request.url} answered with another registration, or none")
    return answer.document


def renewed(registration: Registration, document: JsonObject) -> Registration:
    """Return a registration with the credentials that the server has issued instead.

    RFC 7592 Section 2.1: every reading may bring another client secret and another registration
    access token, and then "the client MUST immediately discard" the former ones.

    Args:
        registration: the registration as it is known.
        document: what `read_registration` returned.

    Raises:
        UnusableAnswer: a member has the wrong type.
    """
    try:
        secret = hidden(document.get("client_secret"))
        token = hidden(document.get("registration_access_token"))
        expires = quoted_moment(document.get("client_secret_expires_at") or 0)
    except ValueError:
        raise UnusableAnswer(
            f"{registration.issuer} answered with a member of the wrong type"
        ) from None
    current = replace(registration, configuration_token=token or registration.configuration_token)
    if secret is None or registration.auth_method is not AuthMethod.CLIENT_SECRET_BASIC:
        return current
    return replace(current, secret=secret, secret_expires_at=expires)


async def update_registration(
    transport: Transport,
    metadata: ServerMetadata,
    registration: Registration,
    request: JsonObject,
    *,
    allow_http: bool,
) -> Registration:
    """Replace what a server has registered (RFC 7592 Section 2.2).

    Args:
        transport: sends requests.
        metadata: the server's metadata.
        registration: what is registered.
        request: what `registration_request` returns.
        allow_http: accept an http `registration_client_uri` too.

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
    answer = await transport.send(http_request)
    if answer.status not in {200, 204}:
        raise_refusal(http_request, answer, RegistrationRefused)
    known = replace(registration, fingerprint=fingerprint_of(request))
    if answer.status == 204 or answer.empty:
        # A success that does not follow RFC 7592 Section 2.2: what was requested is registered.
        answer = replace(answer, document={})
    return _registered(http_request, answer, asked, known, allow_http=allow_http)


async def delete_registration(transport: Transport, registration: Registration) -> None:
    """Delete a registration at its server (RFC 7592 Section 2.3).

    Raises:
        ServerMetadataError: the server does not offer it for this registration.
        RegistrationRefused: it refused.
        ServerUnavailable: it says "later" or nothing.
    """
    request = _managed("DELETE", registration)
    answer = await transport.send(request)
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
    secrets: list[str] = []
    if bearer is not None:
        headers["authorization"] = f"Bearer {bearer.get_secret_value()}"
        secrets.append(bearer.get_secret_value())
    secret = (body or {}).get("client_secret")
    if isinstance(secret, str):
        secrets.append(secret)
    content = b"" if body is None else json.dumps(body).encode()
    return HttpRequest(method, url, headers=headers, content=content, secrets=tuple(secrets))


def _management(
    where: str, document: JsonObject, known: Registration, *, allow_http: bool
) -> tuple[str | None, SecretStr | None]:
    """Return the management URL and its token, or None for both where they cannot be used.

    The registration can still be used, like one at a server without management.
    """
    try:
        uri = optional(document.get("registration_client_uri")) or known.configuration_uri
        token = hidden(document.get("registration_access_token")) or known.configuration_token
        if uri is not None:
            EndpointUrl.parse(uri, allow_http=allow_http)
    except ValueError as error:
        logger.warning("%s: the registration cannot be managed: %s", where, error)
        return None, None
    return uri, token


def _registered(
    request: HttpRequest,
    answer: Answer,
    asked: JsonObject,
    known: Registration,
    *,
    allow_http: bool,
) -> Registration:
    """Return a registration, changed by a client information response (RFC 7591 Section 3.2.1)."""
    where = request.url.partition("?")[0]
    if answer.document is None:
        raise UnusableAnswer(f"{where} answered {answer.status} without a JSON object")
    document = answer.document
    try:
        client_id = text(document.get("client_id", known.client_id))
        secret = hidden(document.get("client_secret")) or known.secret
        expires = quoted_moment(
            document.get("client_secret_expires_at", known.secret_expires_at) or 0
        )
        method_name = optional(document.get("token_endpoint_auth_method"))
        algorithm = optional(document.get("token_endpoint_auth_signing_alg"))
        redirect_uris = asked.get("redirect_uris")
    except ValueError:
        raise UnusableAnswer(f"{where} answered with a member of the wrong type") from None
    if not client_id or not client_id.isprintable():
        raise UnusableAnswer(f"{where} answered without a client_id")
    if known.client_id and client_id != known.client_id:
        raise UnusableAnswer(f"{where} answered with another client_id")
    uri, token = _management(where, document, known, allow_http=allow_http)
    method = _agreed_method(where, text(asked["token_endpoint_auth_method"]), method_name, secret)
    return replace(
        known,
        client_id=client_id,
        auth_method=method,
        redirect_uri=text(redirect_uris[0]) if isinstance(redirect_uris, list) else None,
        secret=secret if method is AuthMethod.CLIENT_SECRET_BASIC else None,
        secret_expires_at=expires if method is AuthMethod.CLIENT_SECRET_BASIC else 0,
        configuration_uri=uri,
        configuration_token=token,
        signing_algorithm=algorithm if algorithm in ALGORITHMS else None,
    )


def _agreed_method(
    where: str, asked: str, answered: str | None, secret: SecretStr | None
) -> AuthMethod:
    # RFC 7591 Section 3.2.1: the server "MAY reject or replace any of the client's requested
    # metadata values". But a confidential client must not become a public one.
    name = answered or asked
    if name == "client_secret_post":
        # RFC 6749 Section 2.3.1: a server "MUST support the HTTP Basic authentication scheme" for
        # clients that have a password.
        name = AuthMethod.CLIENT_SECRET_BASIC.value
    usable = name == asked or (name == AuthMethod.CLIENT_SECRET_BASIC and asked != AuthMethod.NONE)
    if not usable or (name == AuthMethod.CLIENT_SECRET_BASIC and secret is None):
        raise UnusableAnswer(
            f"{where} registered {name!r:.80} instead of {asked}"
            if name != asked
            else f"{where} answered without a client_secret"
        )
    return AuthMethod(name)
