"""Token text → AccessToken, with a bounded cache of verified tokens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from nmos_auth.audit.records import Subject, subject_fragment
from nmos_auth.errors import InvalidToken
from nmos_auth.rules.access_token import AccessToken, check_times
from nmos_auth.rules.audience import names_everything, names_server
from nmos_auth.rules.tokens import SignedToken, parse_token, readable_claims
from nmos_auth.trust.many_keys import ManyKeys, first_of
from nmos_auth.trust.memory import Memory

if TYPE_CHECKING:
    from nmos_auth.trust.jwks import VerificationKey
    from nmos_auth.trust.key_store import KeyStore

__all__ = ["VerifiedToken", "Verifier", "describe_hearsay", "describe_token"]

logger = logging.getLogger("nmos_auth")

MOST_TOKENS = 1024
# A field with more bytes than this, which may be spaces, uses the room of several.
_USUAL_SIZE = 4096
_SUBJECT_SIZE = 500


class VerifiedToken(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An authentic token.

    Attributes:
        token: its claims.
        names_this_server: whether its audience does.
        subject: what audit lines say of it.
        withdrawals: how often a key had been withdrawn when it was verified.
        valid_from: the time from which it is valid, in seconds since 1970 UTC, leeway included.
    """

    token: AccessToken
    names_this_server: bool
    subject: Subject
    withdrawals: int
    valid_from: float


class _KnownClaims(Subject, kw_only=True, eq=False, gc=False):
    # Only what is shown: the rest of a token may be large. Its text is needed for a digest.
    text: bytes | None
    iss: str
    sub: str
    client_id: str
    scope: str | None
    jti: str | None

    def render(self) -> str:
        return subject_fragment(
            verified=self.verified,
            digest="" if self.text is None else sha256(self.text).hexdigest(),
            iss=self.iss,
            sub=self.sub,
            client_id=self.client_id,
            scope=self.scope,
            jti=self.jti,
        )


class _UnreadToken(Subject, kw_only=True, eq=False, gc=False):
    text: bytes

    def render(self) -> str:
        digest = sha256(self.text).hexdigest()
        return subject_fragment(verified=False, digest=digest, **readable_claims(self.text))


def describe_token(text: bytes, token: AccessToken, *, verified: bool) -> Subject:
    """Return what audit lines say of a token: its claims, and its digest where it has no `jti`.

    Args:
        text: the token.
        token: its claims.
        verified: whether its signature was.
    """
    return _KnownClaims(
        _SUBJECT_SIZE + len(text),
        verified,
        text=None if token.jti else text,
        iss=token.iss,
        sub=token.sub,
        client_id=token.client_id,
        scope=token.scope,
        jti=token.jti,
    )


def describe_hearsay(text: bytes, token: AccessToken | None) -> Subject:
    """Return what audit lines say of a token that was not verified: what can be read of it.

    Args:
        text: the token.
        token: its claims, or None where a required one is missing.
    """
    if token is not None:
        return describe_token(text, token, verified=False)
    return _UnreadToken(_SUBJECT_SIZE + len(text), False, text=text)  # noqa: FBT003 - not verified


class Verifier:
    """Verifies tokens without waiting for anything.

    Args:
        keys: where keys come from.
        audience: names of this server, as `audience.server_name` returns them.
        leeway: seconds allowed on iat and nbf.
        most: how many tokens of usual length are remembered.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        keys: KeyStore,
        audience: Sequence[str],
        leeway: float,
        *,
        most: int = MOST_TOKENS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._audience = tuple(audience)
        self._leeway = leeway
        self._clock = clock
        self._many_keys = ManyKeys()
        self._verified: Memory[bytes, VerifiedToken] = Memory(most)

    def recall(self, field: bytes) -> VerifiedToken | None:
        """Return the token that was verified before in the same `Authorization` field, if valid.

        To take the field apart and to look for the token itself would take a seventh of the time of
        a request with a known token and a new path.
        """
        known = self._verified.kept.get(field)
        if known is None or self.is_valid(known):
            return known
        self._verified.discard(field)
        return None

    def verify(self, text: bytes, peer: str = "", *, field: bytes | None = None) -> VerifiedToken:
        """Verify a token, from memory if it was verified before and is still valid.

        Args:
            text: the token.
            peer: the address that it came from; unknown issuers are asked by turns among addresses.
            field: the `Authorization` field that it came in, if `recall` does not know it.

        Raises:
            InvalidToken: malformed, out of its time, untrusted or not authentic.
            KeysUnavailable: the key that may have signed it is not held yet.
        """
        # A token by itself is not a key: it is not valid as a field without its scheme.
        key = field or b"Bearer " + text
        known = self.recall(key) if field is None else None
        if known is None:
            known = self._verify(text, peer)
            if self._verified.admits(key):
                self._verified.add(key, known, 1 + len(key) // _USUAL_SIZE)
        return known

    def is_valid(self, verified: VerifiedToken) -> bool:
        """Tell whether a token is still valid: it is in its time, and no key was withdrawn.

        Its `iat` and `nbf` are checked too, since the clock may have been set back.
        """
        return (
            verified.valid_from <= self._clock() < verified.token.exp
            and verified.withdrawals == self._keys.withdrawals
        )

    def _verify(self, text: bytes, peer: str) -> VerifiedToken:
        signed = parse_token(text)
        token = signed.token
        try:
            valid_from = check_times(token, self._clock(), self._leeway)
        except InvalidToken as error:
            error.detail = self._keys.with_clock(error.detail, token.iss)
            raise
        self._try_keys(signed, self._keys.candidates(token.iss, signed.kid), text, peer)
        return VerifiedToken(
            token,
            self._names_this_server(token),
            describe_token(text, token, verified=True),
            self._keys.withdrawals,
            valid_from,
        )

    def _try_keys(
        self, signed: SignedToken, keys: tuple[VerificationKey, ...], text: bytes, peer: str
    ) -> None:
        at_once = first_of(keys)
        for key in keys[:at_once]:
            if key.verifies(signed):
                return
        if at_once == len(keys) or not self._many_keys.verify(text, signed, keys[at_once:]):
            self._keys.refuse(signed, text, peer)

    async def stop(self) -> None:
        """End all background work."""
        await self._many_keys.stop()

    def _names_this_server(self, token: AccessToken) -> bool:
        if names_everything(token.aud):
            logger.warning(
                "the audience of a token of client %.100r is `*`: it names every server",
                token.client_id,
            )
        return names_server(token.aud, self._audience)
