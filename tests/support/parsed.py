"""Access tokens as handlers see them, without the trouble of signing them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from nmos_auth import AccessToken, InvalidToken
from nmos_auth.rules.tokens import SignedToken, parse_token
from tests.support import tokens
from tests.support.tokens import claims_of

__all__ = [
    "GOOD",
    "GOOD_HEADER",
    "GOOD_PAYLOAD",
    "HEADER",
    "ISSUER",
    "access_token_of",
    "compact",
    "parsed",
    "refused",
]

ISSUER = "https://auth.example.com"
HEADER: Mapping[str, object] = {"typ": "JWT", "alg": "RS512", "kid": "key-0"}


def compact(header: bytes, payload: bytes) -> bytes:
    """Put a header, a payload and some signature together: parsing verifies none."""
    return tokens.compact(header, payload).encode()


GOOD_HEADER = json.dumps(HEADER).encode()
GOOD_PAYLOAD = json.dumps(claims_of(ISSUER)).encode()
GOOD = compact(GOOD_HEADER, GOOD_PAYLOAD)


def parsed(claims: Mapping[str, object], header: Mapping[str, object] = HEADER) -> SignedToken:
    """Parse a token with these claims and this header."""
    return parse_token(compact(json.dumps(header).encode(), json.dumps(claims).encode()))


def refused(text: bytes) -> bool:
    """Tell whether a token is refused, by the one error there is for that."""
    try:
        parse_token(text)
    except InvalidToken:
        return True
    return False


def access_token_of(**changes: object) -> AccessToken:
    """Return an access token with good claims and changes to them, as `claims_of` takes them."""
    return parsed(claims_of(ISSUER, **changes)).token
