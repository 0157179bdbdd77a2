"""Reads the bodies of requests: small, strict forms and documents (RFC 6749 Section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import InvalidRequestError
from starlette.requests import ClientDisconnect, Request

from nmos_auth.authority.adapters import OAuthRequest
from nmos_auth.authority.errors import InvalidClientMetadata, RequestTooLarge
from nmos_auth.servers.strict_json import JsonObject, parse_object

__all__ = [
    "authorization_header",
    "parse_parameters",
    "peer_address",
    "read_document",
    "read_form",
    "read_oauth_form",
]

# A token request has some hundred octets, one with a signed assertion a few thousand.
_LONGEST_BODY = 32 * 1024
_MOST_PARAMETERS = 32


async def read_oauth_form(request: Request, endpoint: str, *, required: str = "") -> OAuthRequest:
    """Read the form of a request to the token or revocation endpoint.

    Args:
        request: the request.
        endpoint: the URL of the endpoint.
        required: a parameter that is required.

    Raises:
        OAuth2Error: `invalid_request` if the body is not such a form.
    """
    authorization = authorization_header(request)
    if request.url.query:
        # RFC 6749 Section 2.3.1: "MUST NOT be included in the request URI".
        raise InvalidRequestError("Parameters belong in the request body")
    parameters = await read_form(request)
    if required and required not in parameters:
        raise InvalidRequestError(f"The {required} parameter is missing")
    return OAuthRequest(
        method="POST",
        endpoint=endpoint,
        authorization=authorization,
        parameters=parameters,
        peer=peer_address(request),
    )


def authorization_header(request: Request) -> str | None:
    """Return the Authorization header, or None.

    Raises:
        OAuth2Error: `invalid_request` for more than one.
    """
    authorization = request.headers.getlist("authorization")
    if len(authorization) > 1:
        raise InvalidRequestError("The Authorization header is repeated")
    return authorization[0] if authorization else None


async def read_form(request: Request) -> Mapping[str, str]:
    """Read a form; parameters without a value are left out.

    Raises:
        OAuth2Error: `invalid_request` if the body is not a form, or a parameter is repeated.
    """
    if _media_type(request) != "application/x-www-form-urlencoded":
        raise InvalidRequestError("The request must be application/x-www-form-urlencoded")
    parameters, repeated = parse_parameters(await _read_body(request))
    if repeated:
        # RFC 6749 Section 3.2: "parameters MUST NOT be included more than once".
        raise InvalidRequestError("A parameter is repeated")
    return parameters


async def read_document(request: Request) -> JsonObject:
    """Read a JSON object (RFC 7591 Section 3.1).

    Raises:
        OAuth2Error: `invalid_client_metadata` if the body is not a JSON object.
    """
    if _media_type(request) != "application/json":
        raise InvalidClientMetadata("The request must be application/json")
    try:
        return parse_object(await _read_body(request))
    except ValueError:
        raise InvalidClientMetadata("The request body is not a JSON object") from None


def _media_type(request: Request) -> str:
    content_type = Message()
    content_type["Content-Type"] = request.headers.get("content-type", "")
    return content_type.get_content_type()


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST_BODY:
                raise RequestTooLarge
    except ClientDisconnect:
        raise InvalidRequestError("The request ended before its body did") from None
    return bytes(body)


def parse_parameters(encoded: bytes) -> tuple[Mapping[str, str], frozenset[str]]:
    """Parse a form or a query.

    Returns:
        The parameters that have a value, and the names of those that are repeated.

    Raises:
        OAuth2Error: `invalid_request` if it is malformed.
    """
    if not encoded:
        return {}, frozenset()
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:
        raise InvalidRequestError("The request body is malformed") from None
    names = [name for name, _ in pairs]
    repeated = frozenset(name for name in names if names.count(name) > 1)
    # RFC 6749 Section 3.2: "Parameters sent without a value MUST be treated as if they were
    # omitted".
    return {name: value for name, value in pairs if value}, repeated


def peer_address(request: Request) -> str:
    """Return the address that a request came from."""
    return request.client.host if request.client else "unknown"
