"""What an Authorization Server says about itself (RFC 8414), checked before anything is used."""

from __future__ import annotations

from dataclasses import dataclass

from nmos_auth.client.errors import ClientError, ServerUnavailable, error_members
from nmos_auth.client.http import Answer, Exchange, HttpRequest
from nmos_auth.servers.strict_json import JsonObject
from nmos_auth.servers.urls import EndpointUrl, IssuerUrl

__all__ = [
    "ServerMetadata",
    "ServerMetadataError",
    "fetch_metadata",
    "get_document",
    "parse_metadata",
]


class ServerMetadataError(ClientError):
    """Metadata that RFC 8414 forbids to use, or that lacks what is needed."""


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """An Authorization Server's endpoints and what it supports.

    A list that the server leaves out is None.

    Attributes:
        issuer: its issuer identifier.
        token_endpoint: RFC 6749 Section 3.2.
        authorization_endpoint: RFC 6749 Section 3.1, or None.
        registration_endpoint: RFC 7591 Section 3, or None.
        revocation_endpoint: RFC 7009 Section 2, or None.
        grant_types: `grant_types_supported`, RFC 8414 Section 2.
        auth_methods: `token_endpoint_auth_methods_supported`.
        auth_signing_algorithms: `token_endpoint_auth_signing_alg_values_supported`.
        code_challenge_methods: `code_challenge_methods_supported`.
        iss_in_answers: it promises `iss` in every authorization answer (RFC 9207 Section 3).
    """

    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    grant_types: tuple[str, ...] | None = None
    auth_methods: tuple[str, ...] | None = None
    auth_signing_algorithms: tuple[str, ...] | None = None
    code_challenge_methods: tuple[str, ...] | None = None
    iss_in_answers: bool = False


def parse_metadata(
    document: JsonObject, issuer: str, *, allow_http: bool = False
) -> ServerMetadata:
    """Read the metadata of `issuer`.

    Raises:
        ServerMetadataError: `issuer` is not identical ("the data contained in the response MUST
            NOT be used", RFC 8414 Section 3.3), an endpoint is not https, or there is no token
            endpoint.
    """
    named = document.get("issuer")
    if named != issuer:
        raise ServerMetadataError(f"the metadata of {issuer} names another issuer: {named!r:.200}")

    def endpoint(name: str) -> str | None:
        return _endpoint(document, name, issuer, allow_http=allow_http)

    def supported(name: str) -> tuple[str, ...] | None:
        return _strings(document, f"{name}_supported", issuer)

    token_endpoint = endpoint("token_endpoint")
    if token_endpoint is None:
        raise ServerMetadataError(f"the metadata of {issuer} has no token_endpoint")
    return ServerMetadata(
        issuer=issuer,
        token_endpoint=token_endpoint,
        authorization_endpoint=endpoint("authorization_endpoint"),
        registration_endpoint=endpoint("registration_endpoint"),
        revocation_endpoint=endpoint("revocation_endpoint"),
        grant_types=supported("grant_types"),
        auth_methods=supported("token_endpoint_auth_methods"),
        auth_signing_algorithms=supported("token_endpoint_auth_signing_alg_values"),
        code_challenge_methods=supported("code_challenge_methods"),
        iss_in_answers=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(document: JsonObject, name: str, issuer: str, *, allow_http: bool) -> str | None:
    url = document.get(name)
    if url is None:
        return None
    try:
        return EndpointUrl.parse(url, allow_http=allow_http).text
    except ValueError as error:
        raise ServerMetadataError(
            f"the metadata of {issuer} has a {name} that cannot be used: {url!r:.200}: {error}"
        ) from None


def _strings(document: JsonObject, name: str, issuer: str) -> tuple[str, ...] | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ServerMetadataError(f"the metadata of {issuer} has no list of strings in {name}")
    return tuple(value)


async def get_document(exchange: Exchange, url: str) -> Answer:
    """Ask for a metadata document, and at the URL with a slash where it has moved for good.

    No redirect is followed. The BBC's server, like others made with Flask, has its metadata behind
    a slash that RFC 8414 Section 3 does not put there.

    Raises:
        ServerUnavailable: there was no answer.
    """
    answer = await exchange.send(HttpRequest("GET", url))
    if answer.status in {301, 308}:
        answer = await exchange.send(HttpRequest("GET", f"{url}/"))
    return answer


async def fetch_metadata(
    exchange: Exchange, issuer: str, *, allow_http: bool = False
) -> ServerMetadata:
    """Fetch and check the metadata of `issuer`.

    Where the RFC 8414 document is not there, `openid-configuration` will do (RFC 8414 Section 5);
    its issuer has to be identical all the same.

    Raises:
        ServerUnavailable: it could not be had.
        ServerMetadataError: it may not be used.
    """
    try:
        places = IssuerUrl.parse(issuer, allow_http=allow_http)
    except ValueError as error:
        raise ServerMetadataError(f"{issuer!r:.200} is not an issuer URL: {error}") from None
    url = places.metadata_url
    answer = await get_document(exchange, url)
    if 400 <= answer.status < 500 and answer.status != 429:
        url = places.openid_metadata_url
        answer = await get_document(exchange, url)
    if answer.status != 200 or answer.document is None:
        raise ServerUnavailable(
            f"{url} answered {answer.status}"
            + ("" if answer.status != 200 else " and no JSON object"),
            status=answer.status,
            code=error_members(answer.document)[0],
            retry_after=answer.retry_after,
        )
    return parse_metadata(answer.document, issuer, allow_http=allow_http)
