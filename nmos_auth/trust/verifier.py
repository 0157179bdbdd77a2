"""Token text → AccessToken, with a bounded cache of what was verified."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cachetools import LRUCache

from nmos_auth.audit.log import subject_fragment
from nmos_auth.errors import InvalidToken
from nmos_auth.rules.audience import names_everything, names_server
from nmos_auth.rules.tokens import (
    AccessToken,
    SignedToken,
    check_times,
    parse_token,
    readable_claims,
    valid_from,
)
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.trials import Trials, first_of

__all__ = ["VerifiedToken", "Verifier", "describe_hearsay", "describe_token"]

logger = logging.getLogger("nmos_auth")

MOST_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """An authentic token.

    Attributes:
        token: its claims.
        names_this_server: whether its audience does.
        subject: what audit lines say of it.
        withdrawals: how often a key had been withdrawn when it was verified.
        valid_from: before when it is not valid, in seconds since 1970 UTC, leeway included.
    """

    token: AccessToken
    names_this_server: bool
    subject: str
    withdrawals: int
    valid_from: float


class _VerifiedTokens(LRUCache[bytes, VerifiedToken | None]):
    """The verified tokens seen last, by digest."""

    def __missing__(self, key: bytes) -> None:
        """Give None, which costs less than an exception."""


def describe_token(digest: bytes, token: AccessToken | None, *, verified: bool) -> str:
    """Render what audit lines say of a token: its claims where it has any, and its digest.

    Args:
        digest: SHA-256 of the token's text, which stands for it where the text must not.
        token: its claims, where they could be read.
        verified: whether its signature was.
    """
    return subject_fragment(
        verified=verified,
        digest=digest.hex(),
        iss=token.iss if token else None,
        sub=token.sub if token else None,
        client_id=token.client_id if token else None,
        scope=token.scope if token else None,
        jti=token.jti if token else None,
    )


def describe_hearsay(text: bytes, token: AccessToken | None) -> str:
    """Render what audit lines say of a token that was not verified: what can be read of it.

    Args:
        text: the token.
        token: its claims, where all that have to be there are.
    """
    digest = sha256(text).digest()
    if token is not None:
        return describe_token(digest, token, verified=False)
    return subject_fragment(verified=False, digest=digest.hex(), **readable_claims(text))


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
        self._trials = Trials()
        self._verified = _VerifiedTokens(MOST_TOKENS)

    def verify(self, text: bytes, peer: str = "") -> VerifiedToken:
        """Verify a token, from memory if it was verified before and is valid still.

        Args:
            text: the token.
            peer: the address that it came from: unknown issuers are asked by turns among these.

        Raises:
            InvalidToken: malformed, out of its time, untrusted or not authentic.
            KeysUnavailable: the key that may have signed it is not here yet.
        """
        digest = sha256(text).digest()
        known = self._verified[digest]
        if known is None or not self.counts(known):
            known = self._verified[digest] = self._verify(text, digest, peer)
        return known

    def counts(self, verified: VerifiedToken) -> bool:
        """Tell whether a token is valid still: in its time, until any key is withdrawn.

        A clock may have been set back since.
        """
        return (
            verified.valid_from <= self._clock() < verified.token.exp
            and verified.withdrawals == self._keys.withdrawals
        )

    def _verify(self, text: bytes, digest: bytes, peer: str) -> VerifiedToken:
        signed = parse_token(text)
        token = signed.token
        try:
            check_times(token, self._clock(), self._leeway)
        except InvalidToken as error:
            error.detail = self._keys.with_clock(error.detail, token.iss)
            raise
        if not self._is_authentic(signed, digest):
            self._keys.refuse(signed, digest, peer)
        return VerifiedToken(
            token,
            self._names_this_server(token),
            describe_token(digest, token, verified=True),
            self._keys.withdrawals,
            valid_from(token, self._leeway),
        )

    def _is_authentic(self, signed: SignedToken, digest: bytes) -> bool:
        keys = self._keys.candidates(signed.token.iss, signed.kid)
        at_once = first_of(keys)
        if any(key.verifies(signed) for key in keys[:at_once]):
            return True
        return at_once < len(keys) and self._trials.verify(digest, signed, keys[at_once:])

    async def stop(self) -> None:
        """End what goes on in the background."""
        await self._trials.stop()

    def _names_this_server(self, token: AccessToken) -> bool:
        if names_everything(token.aud):
            logger.warning("a token of client %.100r is for every server: aud *", token.client_id)
        return names_server(token.aud, self._audience)
