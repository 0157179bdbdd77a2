"""Strict parsing of a compact JWS and its claims → AccessToken. Pure functions without a clock."""

from __future__ import annotations

import functools
import hashlib
from typing import Annotated, NoReturn, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from nmos_auth.errors import Detail, InvalidToken, Reason
from nmos_auth.rules.access_token import AccessToken
from nmos_auth.rules.permissions import json_type
from nmos_auth.servers.strict_json import JsonObject, parse_object

__all__ = [
    "ALGORITHM",
    "FARTHEST_DATE",
    "LONGEST_TOKEN",
    "ReadableClaims",
    "SignedToken",
    "TokenText",
    "parse_token",
    "readable_claims",
]

ALGORITHM = "RS512"

# Twice the 8 KiB of header that servers commonly accept (IS-10 "Behaviour: Access Tokens", Size
# Considerations).
LONGEST_TOKEN = 16 * 1024

FARTHEST_DATE = 2**53
"""Seconds before or after 1970: beyond it, a float has no second of its own, or no value."""

# RFC 8725 Section 3.11: a token of another type, such as a logout token, is refused.
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})

_ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_OTHERS = bytes(set(range(256)).difference(_ALPHANUMERIC + b"-_."))
# From base64url to base64. Every byte that is neither base64url nor a dot becomes "!", which is not
# base64, and does not end a JSON string.
_TO_BASE64 = bytes.maketrans(b"-_" + _OTHERS, b"+/" + b"!" * len(_OTHERS))
# Objects and arrays in a header or in claims.
_MOST_NESTED = 512
_SEGMENTS = 3
_PADDING = (b"", None, b"==", b"=")
# Unused bits of the last character must be zero, or one token would have several spellings.
_LAST = (None, None, b"AQgw", b"AEIMQUYcgkosw048")
# It reads base64 in a JSON string.
_BASE64_DECODER = msgspec.json.Decoder(bytes)


_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Date = (
    Annotated[int, msgspec.Meta(ge=-FARTHEST_DATE, le=FARTHEST_DATE)]
    | Annotated[float, msgspec.Meta(ge=-FARTHEST_DATE, le=FARTHEST_DATE)]
)


class _Claims(msgspec.Struct, frozen=True, gc=False):
    """The JSON types of the claims that IS-10 names ("Behaviour: Access Tokens")."""

    client_id: _Text
    iss: _Text
    sub: _Text
    aud: str | tuple[str, ...]
    exp: _Date
    iat: _Date | UnsetType = UNSET
    nbf: _Date | UnsetType = UNSET
    scope: str = ""
    jti: str = ""


# In words, where a claim is not a string.
_OTHER_TYPES = {
    "aud": "a string or an array of strings",
    "exp": "a number",
    "iat": "a number",
    "nbf": "a number",
}


class TokenText(bytes):
    """The text of an access token, a credential that no representation shows.

    Crash reporters write down the local variables of every function that an error has passed.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a text without the token."""
        return f"{type(self).__name__}({len(self)} bytes)"

    __str__ = __repr__


class SignedToken(msgspec.Struct, frozen=True, gc=False):
    """An access token whose signature has not been checked yet.

    Attributes:
        token: its claims.
        kid: the server's name for the key, or None.
        digest: SHA-512 of header and payload, which RS512 signs (RFC 7518 Section 3.3): one for
            all the keys that are tried.
        signature: to be verified.
    """

    token: AccessToken
    kid: str | None
    digest: bytes
    signature: bytes

    def __repr__(self) -> str:
        """Return a text from which the token cannot be made."""
        return f"SignedToken(token={self.token!r}, kid={self.kid!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show the same to crash reporters."""
        return [("token", self.token), ("kid", self.kid)]


def parse_token(text: bytes) -> SignedToken:
    """Parse a JWS in compact serialisation and the claims it carries.

    Header parameters that name keys or URLs (jku, jwk, x5u, x5c) are ignored: keys come from
    the issuer. `crit` and `b64` are refused, because extensions are not supported (RFC 7515 Section
    4.1.11, RFC 7797).

    Raises:
        InvalidToken: it is not three segments of strict base64url, its header is not one of RS512,
            or a claim that IS-10 requires is missing or has another JSON type.
    """
    if len(text) > LONGEST_TOKEN:
        _refuse(
            Reason.STRUCTURE,
            "it has {} bytes, and at most {} are accepted",
            len(text),
            LONGEST_TOKEN,
        )
    segments = text.translate(_TO_BASE64).split(b".")
    if len(segments) != _SEGMENTS:
        _refuse(Reason.STRUCTURE, "it has {} segments, and a signed JWT has three", len(segments))
    header, payload, signature = segments
    try:
        raw_payload, raw_signature = _decode(payload), _decode(signature)
    except ValueError:
        _refuse_structure()
    kid = _check_header(header)
    digest = hashlib.sha512(text[: -len(signature) - 1]).digest()
    return SignedToken(_access_token(raw_payload), kid, digest, raw_signature)


class ReadableClaims(TypedDict):
    """The claims that the audit log shows; each is None if it is absent or not a string."""

    iss: str | None
    sub: str | None
    client_id: str | None
    scope: str | None
    jti: str | None


def readable_claims(text: bytes) -> ReadableClaims:
    """Return the claims that can be read in a token that `parse_token` refuses, unverified."""
    claims = _claims_of(text)
    texts = {name: value for name, value in claims.items() if isinstance(value, str)}
    return ReadableClaims(
        iss=texts.get("iss"),
        sub=texts.get("sub"),
        client_id=texts.get("client_id") or texts.get("azp"),
        scope=texts.get("scope"),
        jti=texts.get("jti"),
    )


def _claims_of(text: bytes) -> JsonObject:
    if len(text) > LONGEST_TOKEN or text.count(b".") != 2:
        return {}
    try:
        raw = _decode(text.translate(_TO_BASE64).split(b".")[1])
        return parse_object(raw, most_nested=_MOST_NESTED)
    except ValueError:
        return {}


def _refuse(reason: Reason, words: str, *values: str | float | None) -> NoReturn:
    raise InvalidToken(reason, detail=Detail.of(words, *values)) from None


def _refuse_structure() -> NoReturn:
    _refuse(Reason.STRUCTURE, "a segment is not strict base64url")


def _decode(segment: bytes) -> bytes:
    """Decode a segment that `_TO_BASE64` has translated, strictly as RFC 7515 Section 2 has it."""
    remainder = len(segment) % 4
    padding, last = _PADDING[remainder], _LAST[remainder]
    if not segment or padding is None or (last is not None and segment[-1] not in last):
        raise ValueError("not base64url")
    try:
        # binascii takes three times as long, which is a microsecond of a token.
        return _BASE64_DECODER.decode(b'"' + segment + padding + b'"')
    except msgspec.MsgspecError:
        raise ValueError("not base64url") from None


@functools.lru_cache(64)  # a server signs every token under the same few headers
def _check_header(segment: bytes) -> str | None:
    try:
        raw = _decode(segment)
    except ValueError:
        _refuse_structure()
    try:
        header = parse_object(raw, most_nested=_MOST_NESTED)
    except ValueError:
        _refuse(Reason.HEADER, "the header is not a JSON object with distinct names")
    algorithm = header.get("alg")
    if algorithm != ALGORITHM:
        _refuse(Reason.HEADER, "alg is {}, and must be {}", _said(algorithm), ALGORITHM)
    for extension in ("crit", "b64"):
        if extension in header:
            _refuse(Reason.HEADER, "the header has {}, which is not understood", extension)
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.lower() not in _TYPES:
        _refuse(Reason.HEADER, "typ is {}, and must be JWT or at+jwt", _said(typ))
    kid = header.get("kid", "")
    if not isinstance(kid, str):
        _refuse(Reason.HEADER, "kid is {}, and must be a string", _said(kid))
    return kid or None


def _access_token(raw: bytes) -> AccessToken:
    try:
        claims = parse_object(raw, most_nested=_MOST_NESTED)
    except ValueError:
        _refuse(Reason.CLAIMS, "the claims are not a JSON object with distinct names")
    given = claims
    if "client_id" not in claims and "azp" in claims:
        # "The client_id claim MUST be included in the token, unless the azp claim is present".
        given = {**claims, "client_id": claims["azp"]}
    try:
        known = msgspec.convert(given, _Claims)
    except msgspec.ValidationError:
        raise InvalidToken(Reason.CLAIMS, detail=_wrong_claim(given, claims)) from None
    return AccessToken(
        iss=known.iss,
        sub=known.sub,
        # RFC 7519 Section 4.1.3: "In the special case when the JWT has one audience, the "aud"
        # value MAY be a single case-sensitive string".
        aud=(known.aud,) if isinstance(known.aud, str) else known.aud,
        exp=known.exp,
        iat=None if known.iat is UNSET else known.iat,
        nbf=None if known.nbf is UNSET else known.nbf,
        client_id=known.client_id,
        jti=known.jti or None,
        _claims=claims,
        _permissions={},
    )


def _wrong_claim(given: JsonObject, claims: JsonObject) -> Detail:
    """Return which claim is absent, or does not fit `_Claims`, in words for the audit log.

    Args:
        given: the claims, `azp` also as `client_id` if that is absent.
        claims: the claims as they came.
    """
    for each in msgspec.structs.fields(_Claims):
        must = _OTHER_TYPES.get(each.name, "a string")
        if each.name not in given:
            if each.required:
                return Detail.of(f"claim {{}} is absent, and must be {must}", each.name)
            continue
        value = given[each.name]
        name = each.name if each.name in claims else "azp"
        try:
            msgspec.convert(value, each.type)
        except msgspec.ValidationError:
            if json_type(value) != must:
                return Detail.of(f"claim {{}} is {json_type(value)}, and must be {must}", name)
            return Detail.of(f"claim {{}} is {'beyond any date' if value else 'empty'}", name)
    return Detail("the claims do not have the types that IS-10 requires")


def _said(value: object) -> str | None:
    """Return what a header parameter says, for the audit log."""
    return value if value is None or isinstance(value, str) else json_type(value)
