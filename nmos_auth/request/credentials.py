"""Where a request carries its access token (RFC 6750 Section 2). Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote_to_bytes

from nmos_auth.errors import InvalidRequest, MissingCredentials, Reason

__all__ = ["bearer_token", "strike_tokens"]

Headers = Iterable[tuple[bytes, bytes]]

_PARAMETER = b"access_token"

# RFC 6750 Section 2.1: credentials = "Bearer" 1*SP b64token; RFC 9110 Section 11.1: a scheme is a
# token, blind to case.
_B64TOKEN = rb"[A-Za-z0-9._~+/-]+=*"
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +(" + _B64TOKEN + rb")")
_SCHEME = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: |\Z)")
_UNPADDED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/-"
_QUERY_TOKEN = re.compile(_B64TOKEN)


def bearer_token(headers: Headers, query_tokens: Sequence[bytes] = ()) -> bytes:
    """Find the one access token of a request.

    Args:
        headers: an ASGI scope's headers, names in lower case.
        query_tokens: values of `access_token` in the query of a WebSocket handshake.

    Raises:
        MissingCredentials: there is none, or another scheme's credentials are.
        InvalidRequest: malformed, or more than one: "uses more than one method for including an
            access token" (RFC 6750 Section 3.1).
    """
    field = None
    for name, value in headers:
        if name == b"authorization":
            if field is not None:
                raise InvalidRequest(Reason.REPEATED_CREDENTIALS)
            field = value
    if len(query_tokens) > 1:
        raise InvalidRequest(Reason.REPEATED_CREDENTIALS)
    from_header = None if field is None else _from_header(field)
    if not query_tokens:
        if from_header is None:
            raise MissingCredentials(
                Reason.NO_CREDENTIALS if field is None else Reason.OTHER_SCHEME
            )
        return from_header
    if from_header is not None:
        raise InvalidRequest(Reason.REPEATED_CREDENTIALS)
    if not _QUERY_TOKEN.fullmatch(query_tokens[0]):
        raise InvalidRequest(Reason.MALFORMED_CREDENTIALS)
    return query_tokens[0]


def _from_header(value: bytes) -> bytes | None:
    if value[:7] == b"Bearer ":
        token = value[7:]
        if token and not token.translate(None, _UNPADDED):
            return token
    bearer = _BEARER.fullmatch(value)
    if bearer:
        return bearer[1]
    scheme = _SCHEME.match(value)
    if scheme and scheme[1].lower() != b"bearer":
        return None
    raise InvalidRequest(Reason.MALFORMED_CREDENTIALS)


def strike_tokens(query: bytes) -> tuple[bytes, list[bytes]]:
    """Take every `access_token` out of a query string, however its name is escaped or cased.

    Returns:
        What is left, byte for byte, and the values of those spelt exactly so, decoded.
    """
    if b"%" not in query and _PARAMETER not in query.lower():
        return query, []
    tokens: list[bytes] = []
    left: list[bytes] = []
    for parameter in query.split(b"&"):
        if _name(parameter) == _PARAMETER:
            tokens.append(unquote_to_bytes(parameter.partition(b"=")[2]))
        # Some parsers take a semicolon for a separator too; a token that they see is struck too.
        pieces = parameter.split(b";")
        if kept := [each for each in pieces if _name(each).lower() != _PARAMETER]:
            left.append(b";".join(kept))
    return b"&".join(left), tokens


def _name(parameter: bytes) -> bytes:
    return unquote_to_bytes(parameter.partition(b"=")[0].replace(b"+", b" ")).strip()
