"""Token requests as they come over HTTP: one small, strict form (RFC 6749 Section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import InvalidRequestError
from starlette.requests import ClientDisconnect, Request
from typing_extensions import override

from nmos_auth.authority.adapters import TokenRequest

__all__ = ["peer_address", "read_token_request"]

# A token request takes some hundred octets, one with a signed assertion a few thousand.
_LONGEST_BODY = 32 * 1024
_MOST_PARAMETERS = 32


class _RequestTooLarge(InvalidRequestError):
    status_code = 413
    description = "The request body is too large"

    @override
    def get_headers(self) -> list[tuple[str, str]]:
        # What is left of the body is not read, so nothing can follow it on this connection.
        headers: list[tuple[str, str]] = super().get_headers()
        return [*headers, ("Connection", "close")]


async def read_token_request(request: Request, endpoint: str) -> TokenRequest:
    """Read the form of a token request.

    Raises:
        OAuth2Error: `invalid_request` for what is no such form.
    """
    authorization = request.headers.getlist("authorization")
    if len(authorization) > 1:
        raise InvalidRequestError("The Authorization header is repeated")
    if request.url.query:
        # RFC 6749 Section 2.3.1: "MUST NOT be included in the request URI".
        raise InvalidRequestError("Parameters belong into the request body")
    content_type = Message()
    content_type["Content-Type"] = request.headers.get("content-type", "")
    if content_type.get_content_type() != "application/x-www-form-urlencoded":
        raise InvalidRequestError("The request must be application/x-www-form-urlencoded")
    parameters = _parse_form(await _read_body(request))
    if "grant_type" not in parameters:
        raise InvalidRequestError("The grant_type parameter is missing")
    return TokenRequest(
        endpoint=endpoint,
        authorization=authorization[0] if authorization else None,
        parameters=parameters,
        peer=peer_address(request),
    )


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST_BODY:
                raise _RequestTooLarge
    except ClientDisconnect:
        raise InvalidRequestError("The request ended before its body did") from None
    return bytes(body)


def _parse_form(body: bytes) -> Mapping[str, str]:
    if not body:
        return {}
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:
        raise InvalidRequestError("The request body is malformed") from None
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        # RFC 6749 Section 3.2: "parameters MUST NOT be included more than once".
        raise InvalidRequestError("A parameter is repeated")
    # Same section: "Parameters sent without a value MUST be treated as if they were omitted".
    return {name: value for name, value in pairs if value}


def peer_address(request: Request) -> str:
    """Give the address that a request came from."""
    return request.client.host if request.client else "unknown"
