"""Where a request carries its access token (RFC 6750 Section 2). Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from urllib.parse import unquote_to_bytes

from nmos_auth.errors import Detail, InvalidRequest, MissingCredentials, Reason
from nmos_auth.rules.tokens import LONGEST_TOKEN, TokenText

__all__ = ["authorization_fields", "bearer_token", "query_tokens", "strike_tokens"]

Headers = Iterable[tuple[bytes, bytes]]

# RFC 6750 Section 2.1: credentials = "Bearer" 1*SP b64token; RFC 9110 Section 11.1: a scheme is a
# token, blind to case.
_B64TOKEN = rb"[A-Za-z0-9._~+/-]+=*"
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +(" + _B64TOKEN + rb")")
_SCHEME = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: |\Z)")
# Of IANA's "HTTP Authentication Schemes".
_SCHEMES = frozenset({"basic", "digest", "dpop", "hoba", "mutual", "negotiate", "ntlm", "oauth"})
_UNPADDED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/-"
_QUERY_TOKEN = re.compile(_B64TOKEN)


# White space around the value of a header field is not part of it (RFC 9110 Section 5.5); not every
# server removes it.
_WHITE_SPACE = b" \t"


def authorization_fields(headers: Headers) -> list[bytes]:
    """Return the values of the `Authorization` fields among a scope's headers."""
    return [value for name, value in headers if name == b"authorization"]


def bearer_token(fields: Sequence[bytes], in_query: Sequence[bytes] = ()) -> TokenText:
    """Return the one access token of a request.

    Args:
        fields: the values of its `Authorization` fields.
        in_query: the values of `access_token` in the query of a WebSocket handshake.

    Raises:
        MissingCredentials: there is no token, or there are credentials of another scheme.
        InvalidRequest: the token is malformed, or there is more than one: "uses more than one
            method for including an access token" (RFC 6750 Section 3.1).
    """
    if len(fields) > 1:
        detail = Detail.of("the request has {} Authorization fields", len(fields))
        raise InvalidRequest(Reason.REPEATED_CREDENTIALS, detail=detail)
    field = fields[0].strip(_WHITE_SPACE) if fields else None
    if len(in_query) > 1:
        detail = Detail.of("the query has more than one token")
        raise InvalidRequest(Reason.REPEATED_CREDENTIALS, detail=detail)
    from_header = None if field is None else _from_header(field)
    if not in_query:
        if field is None:
            raise MissingCredentials(Reason.NO_CREDENTIALS)
        if from_header is None:
            raise MissingCredentials(Reason.OTHER_SCHEME, detail=_other_scheme(field))
        return from_header
    if from_header is not None:
        detail = Detail.of("there is one token in the Authorization field and one in the query")
        raise InvalidRequest(Reason.REPEATED_CREDENTIALS, detail=detail)
    if not _QUERY_TOKEN.fullmatch(in_query[0]):
        detail = Detail.of("the token in the query has a character that no token has, or is empty")
        raise InvalidRequest(Reason.MALFORMED_CREDENTIALS, detail=detail)
    return TokenText(in_query[0])


def _from_header(value: bytes) -> TokenText | None:
    if value[:7] == b"Bearer ":
        token = TokenText(value[7:])
        if token and not token.translate(None, _UNPADDED):
            return token
    bearer = _BEARER.fullmatch(value)
    if bearer:
        return TokenText(bearer[1])
    scheme = _SCHEME.match(value)
    if scheme and scheme[1].lower() != b"bearer":
        return None
    detail = Detail.of("what follows Bearer is not one token without spaces, quotes or commas")
    raise InvalidRequest(Reason.MALFORMED_CREDENTIALS, detail=detail)


def _other_scheme(field: bytes) -> Detail | None:
    """Say which scheme the field is for, if it surely names a scheme and not a credential."""
    scheme = field.partition(b" ")[0].decode("latin-1")
    if scheme.lower() not in _SCHEMES:
        return None
    return Detail.of("the Authorization field is for the scheme {}, and must be for Bearer", scheme)


def _spelt(name: str, spellings: Callable[[str], Iterable[str]]) -> bytes:
    """Write a pattern for a parameter's name, each character as it is or percent-encoded."""
    characters = [
        "(?:"
        + "|".join(f"{re.escape(each)}|%(?i:{ord(each):02x})" for each in spellings(one))
        + ")"
        for one in name
    ]
    return "".join(characters).encode()


_SPACES = rb"(?:[ \t\n\r\x0b\x0c+]++|%20|%0[9A-Da-d])*+"
_IN_ANY_CASE = _spelt("access_token", lambda one: sorted({one, one.upper()}))
_IN_ITS_CASE = _spelt("access_token", lambda one: [one])
# Most parameters do not begin like this, and are skipped here.
_MAYBE = rb"(?=[aA%+ \t\n\r\x0b\x0c])"
_NAMED = re.compile(_IN_ANY_CASE)
_PIECE = _MAYBE + _SPACES + _IN_ANY_CASE + _SPACES + rb"(?:=[^&;]*+)?(?=[&;]|\Z)"
# One separator is removed with each token, so that the parameters next to it do not change.
_BEFORE_A_SEMICOLON = re.compile(_MAYBE + rb"(?:(?<=&)|\A)(?:" + _PIECE + rb";)++")
_BEHIND_A_SEPARATOR = re.compile(rb"[&;]" + _PIECE)
_FIRST = re.compile(_PIECE + rb"&?")
_VALUE = re.compile(
    rb"(?:\A|&)" + _MAYBE + _SPACES + _IN_ITS_CASE + _SPACES + rb"(?:=(?P<value>[^&]*+))?+(?=&|\Z)"
)


def strike_tokens(query: bytes) -> bytes:
    """Remove every `access_token` from a query string, however its name is escaped or cased.

    A token between semicolons is removed as well, since some parsers read semicolons as separators.
    Everything else stays as it is, byte for byte. The time is linear in the length of the query,
    and no Python code runs for each parameter: 64 KiB cost a few milliseconds at most.
    """
    if not _NAMED.search(query):
        return query
    if b";" in query:
        query = _BEFORE_A_SEMICOLON.sub(b"", query)
    query = _BEHIND_A_SEPARATOR.sub(b"", query)
    first = _FIRST.match(query)
    return query[first.end() :] if first else query


def query_tokens(query: bytes) -> list[TokenText]:
    """Return the decoded values of a query's parameters named exactly `access_token`.

    At most two are returned, since a second one is already an error.
    """
    if not _NAMED.search(query):
        return []
    return [_decoded(each["value"] or b"") for each in islice(_VALUE.finditer(query), 2)]


def _decoded(value: bytes) -> TokenText:
    # A longer value is not a token, and decoding it would cost milliseconds.
    return TokenText(value if len(value) > LONGEST_TOKEN else unquote_to_bytes(value))
