"""Access Tokens as IS-10 "Behaviour: Access Tokens" requires them, signed with RS512."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from joserfc import jwt

from nmos_auth.authority.clients import KnownClient
from nmos_auth.authority.keys import ALGORITHM, SigningKeys
from nmos_auth.errors import ConfigurationError

__all__ = ["IssuedToken", "TokenIssuer", "check_lifetime"]

# IS-10 "Access Token Lifetime": "at least 30 seconds", "no more than one hour".
_LIFETIME_BOUNDS = (30, 3600)


def check_lifetime(seconds: int) -> int:
    """Return `seconds`, or raise `ConfigurationError` if IS-10 does not recommend it."""
    shortest, longest = _LIFETIME_BOUNDS
    if not shortest <= seconds <= longest:
        raise ConfigurationError(
            f"token_lifetime: {seconds} is not within {shortest} and {longest} seconds"
        )
    return seconds


@dataclass(frozen=True, kw_only=True)
class IssuedToken:
    """A signed Access Token, and what may be logged of it.

    Attributes:
        text: the compact JWS; a `repr` does not show it.
        claims: its claims.
        kid: the key that signed it.
        lifetime: seconds between `iat` and `exp`.
    """

    text: str = field(repr=False)
    claims: Mapping[str, object]
    kid: str
    lifetime: int


class TokenIssuer:
    """Issues Access Tokens in the name of one issuer.

    Args:
        issuer: the issuer identifier, RFC 8414 Section 2.
        keys: the keys, of which the current one signs.
        lifetime: seconds for which a token is valid, 30 to 3600.
        clock: seconds since 1970 UTC.

    Raises:
        ConfigurationError: the lifetime is outside these bounds.
    """

    def __init__(
        self,
        issuer: str,
        keys: SigningKeys,
        *,
        lifetime: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._lifetime = check_lifetime(lifetime)
        self._clock = clock

    def issue(
        self, client: KnownClient, scopes: Sequence[str], *, subject: str | None = None
    ) -> IssuedToken:
        """Sign a token for `client` with exactly these scopes.

        Args:
            client: the client, whose audience and permissions the token gets.
            scopes: the scopes that were granted, already checked.
            subject: the user who authorized it; None for the client itself, as RFC 9068 Section 2.2
                requires for grants without a resource owner.
        """
        key = self._keys.current
        issued_at = int(self._clock())
        claims: dict[str, object] = {
            "iss": self._issuer,
            "sub": client.client_id if subject is None else subject,
            "aud": list(client.audience),
            "iat": issued_at,
            "exp": issued_at + self._lifetime,
            "client_id": client.client_id,
            "scope": " ".join(scopes),
            "jti": secrets.token_urlsafe(16),
        }
        for api in scopes:
            permissions = client.permissions.get(api)
            granted = permissions.claim() if permissions else None
            # "If no permissions are given for a specific API, the `x-nmos-*` claim relating to
            # that API key MUST be removed".
            if granted:
                claims[f"x-nmos-{api}"] = granted
        kid = key.kid or key.thumbprint()
        header = {"typ": "JWT", "alg": ALGORITHM, "kid": kid}
        text = jwt.encode(header, claims, key, algorithms=[ALGORITHM])
        return IssuedToken(text=text, claims=claims, kid=kid, lifetime=self._lifetime)
