"""Initial access tokens: the holder of one may register a Client (RFC 7591 Section 3).

IS-10 prefers "an initial JSON Web Token (JWT)": the server signs these itself. Others are opaque
tokens that the operator configures.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from hmac import compare_digest

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import SecretStr

from nmos_auth.authority.clients import secret_digest
from nmos_auth.authority.keys import ALGORITHM, SigningKeys

__all__ = ["InitialAccessTokens"]

# These differ from Access Tokens in type and audience, so that neither is accepted as the other.
_TYPE = "initial-access+jwt"


class InitialAccessTokens:
    """Makes and checks initial access tokens.

    Args:
        keys: sign them; a token is valid only while its key is published.
        issuer: this server.
        endpoint: the registration endpoint, their audience.
        configured: opaque tokens of the operator.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        keys: SigningKeys,
        *,
        issuer: str,
        endpoint: str,
        configured: Collection[SecretStr],
        clock: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._endpoint = endpoint
        self._configured = [secret_digest(each.get_secret_value()) for each in configured]
        self._clock = clock

    def issue(self, *, lifetime: int, subject: str = "operator") -> SecretStr:
        """Sign a token.

        Args:
            lifetime: seconds in which it can be used for any number of registrations.
            subject: who is responsible, for the log.
        """
        key = self._keys.current
        now = int(self._clock())
        claims: dict[str, object] = {
            "iss": self._issuer,
            "sub": subject,
            "aud": self._endpoint,
            "iat": now,
            "exp": now + lifetime,
            "jti": secrets.token_urlsafe(16),
        }
        header = {"typ": _TYPE, "alg": ALGORITHM, "kid": key.kid or key.thumbprint()}
        return SecretStr(jwt.encode(header, claims, key, algorithms=[ALGORITHM]))

    def accept(self, token: str) -> str | None:
        """Return who is responsible for a token, for the log; None if it is not valid."""
        digest = secret_digest(token)
        if any(compare_digest(digest, each) for each in self._configured):
            return "configured initial access token"
        try:
            published = KeySet.import_key_set(
                {"keys": [{**key} for key in self._keys.jwks()["keys"]]}
            )
            decoded = jwt.decode(token, published, algorithms=[ALGORITHM])
        except (JoseError, ValueError, TypeError):
            return None
        claims = decoded.claims
        if decoded.header.get("typ") != _TYPE or claims.get("iss") != self._issuer:
            return None
        if claims.get("aud") != self._endpoint or not self._clock() < claims.get("exp", 0):
            return None
        return f"initial access token of {claims.get('sub')} {claims.get('jti')}"
