"""Token text → AccessToken, with a bounded cache of what was verified."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachetools import TLRUCache

from nmos_auth.audience import ANYTHING, host_pattern, names_server
from nmos_auth.audit import subject_fragment
from nmos_auth.errors import InvalidToken, Reason
from nmos_auth.keys import KeyStore
from nmos_auth.tokens import AccessToken, SignedToken, check_times, parse_token

__all__ = ["VerifiedToken", "Verifier", "describe_token"]

logger = logging.getLogger("nmos_auth")

MOST_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """An authentic token.

    Attributes:
        token: its claims.
        names_this_server: whether its audience does.
        subject: what audit lines say of it.
    """

    token: AccessToken
    names_this_server: bool
    subject: str


def describe_token(text: str, token: AccessToken | None, *, verified: bool) -> str:
    """Render what audit lines say of a token: its claims where it has any, and a digest."""
    return subject_fragment(
        verified=verified,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        iss=token.iss if token else None,
        sub=token.sub if token else None,
        client_id=token.client_id if token else None,
        scope=" ".join(sorted(token.scopes)) if token else None,
        jti=token.jti if token else None,
    )


class Verifier:
    """Verifies tokens without waiting for anything.

    Args:
        keys: where keys come from.
        audience: names of this server, as `audience.server_name` gives them.
        leeway: seconds allowed on iat and nbf.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        keys: KeyStore,
        audience: Sequence[str],
        leeway: float,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._audience = tuple(audience)
        self._leeway = leeway
        self._clock = clock
        self._withdrawals = keys.withdrawals
        self._verified: TLRUCache[bytes, VerifiedToken] = TLRUCache(
            MOST_TOKENS, ttu=lambda _, verified, __: verified.token.exp, timer=clock
        )

    def verify(self, text: str) -> VerifiedToken:
        """Verify a token, from memory if it was verified before.

        What was verified counts until it expires or any key is withdrawn.

        Raises:
            InvalidToken: malformed, out of its time, untrusted or not authentic.
            KeysUnavailable: the key that may have signed it is not here yet.
        """
        if self._withdrawals != self._keys.withdrawals:
            self._withdrawals = self._keys.withdrawals
            self._verified.clear()
        digest = hashlib.sha256(text.encode()).digest()
        known = self._verified.get(digest)
        if known is not None:
            return known
        signed = parse_token(text)
        check_times(signed.token, self._clock(), self._leeway)
        if not self._is_authentic(signed):
            self._keys.refuse(signed)
            raise InvalidToken(Reason.SIGNATURE, token=signed.token)
        verified = VerifiedToken(
            signed.token,
            self._names_this_server(signed.token),
            describe_token(text, signed.token, verified=True),
        )
        self._verified[digest] = verified
        return verified

    def _is_authentic(self, signed: SignedToken) -> bool:
        return any(
            key.verifies(signed) for key in self._keys.candidates(signed.token.iss, signed.kid)
        )

    def _names_this_server(self, token: AccessToken) -> bool:
        if any(host_pattern(entry) == ANYTHING for entry in token.aud):
            logger.warning("a token of client %.100r is for every server: aud *", token.client_id)
        return names_server(token.aud, self._audience)
