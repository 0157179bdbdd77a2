"""What an Authorization Server says about itself (RFC 8414), checked before it is used."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass

from nmos_auth.client.errors import ClientError, ServerMetadataError, ServerUnavailable
from nmos_auth.client.http import HttpRequest, Transport
from nmos_auth.errors import FetchError, MetadataError
from nmos_auth.servers import server_metadata as servers
from nmos_auth.servers.answers import Document, GetDocument, document_of
from nmos_auth.servers.server_metadata import find_issuer
from nmos_auth.servers.strict_json import JsonObject
from nmos_auth.servers.urls import EndpointUrl, IssuerUrl

__all__ = [
    "ServerMetadata",
    "fetch_metadata",
    "get_document",
    "parse_metadata",
]

logger = logging.getLogger("nmos_auth")


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """The endpoints of an Authorization Server, and what it supports.

    A list that the server omits is None.

    Attributes:
        issuer: its issuer identifier.
        token_endpoint: RFC 6749 Section 3.2.
        authorization_endpoint: RFC 6749 Section 3.1, or None.
        registration_endpoint: RFC 7591 Section 3, or None.
        revocation_endpoint: RFC 7009 Section 2, or None.
        grant_types: `grant_types_supported`, RFC 8414 Section 2.
        auth_signing_algorithms: `token_endpoint_auth_signing_alg_values_supported`.
        code_challenge_methods: `code_challenge_methods_supported`.
        iss_in_answers: whether every authorization answer has `iss` (RFC 9207 Section 3).
    """

    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None
    registration_endpoint: str | None
    revocation_endpoint: str | None
    grant_types: tuple[str, ...] | None
    auth_signing_algorithms: tuple[str, ...] | None
    code_challenge_methods: tuple[str, ...] | None
    iss_in_answers: bool


def parse_metadata(document: JsonObject, issuer: str, *, allow_http: bool) -> ServerMetadata:
    """Read the metadata of `issuer`.

    Raises:
        ServerMetadataError: `issuer` is not identical ("the data contained in the response MUST
            NOT be used", RFC 8414 Section 3.3), an endpoint is not https, or the token endpoint is
            missing.
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
        auth_signing_algorithms=supported("token_endpoint_auth_signing_alg_values"),
        code_challenge_methods=supported("code_challenge_methods"),
        iss_in_answers=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(document: JsonObject, name: str, issuer: str, *, allow_http: bool) -> str | None:
    url = document.get(name)
    # RFC 8414 Section 2 omits members without a value; some servers leave them empty.
    if url is None or url == "":
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


async def get_document(transport: Transport, url: str) -> Document:
    """Fetch a document.

    Raises:
        FetchError: the answer is not 200 with a JSON object.
        ServerUnavailable: there was no answer.
    """
    try:
        answer = await transport.send(HttpRequest("GET", url))
    except ServerUnavailable as error:
        # A server that says "later" is not asked at another place.
        if error.status is None or error.retry_after is not None:
            raise
        raise FetchError(str(error), status=error.status) from None
    return document_of(url, answer)


async def fetch_metadata(
    transport: Transport, issuer: str, *, allow_http: bool = False
) -> ServerMetadata:
    """Fetch and check the metadata of `issuer`.

    Raises:
        ServerUnavailable: it could not be fetched.
        ServerMetadataError: it must not be used.
    """
    try:
        place = IssuerUrl.parse(issuer, allow_http=allow_http)
    except ValueError as error:
        raise ServerMetadataError(f"{issuer!r:.200} is not an issuer URL: {error}") from None
    get = functools.partial(get_document, transport)
    try:
        return await _of_issuer(get, place, allow_http=allow_http)
    except ServerMetadataError as unusable:
        # A proxy may have the metadata of an issuer with a path at its root.
        try:
            other = await find_issuer(get, place.metadata_url, allow_http=allow_http)
        except (FetchError, MetadataError, ClientError):
            raise unusable from None
        if other == place:
            raise
        logger.warning(
            "%s has the metadata of %s; set NMOS_AUTH_SERVERS to %s", issuer, other, other
        )
        return await _of_issuer(get, other, allow_http=allow_http)


async def _of_issuer(get: GetDocument, issuer: IssuerUrl, *, allow_http: bool) -> ServerMetadata:
    def read(document: Document) -> ServerMetadata:
        return parse_metadata(document.content, issuer.text, allow_http=allow_http)

    try:
        return await servers.fetch_metadata(get, issuer, read, allow_openid=True)
    except FetchError as error:
        raise ServerUnavailable(
            str(error), status=error.status, retry_after=error.retry_after
        ) from None
