"""A JSON Web Key Set → the keys that may verify access tokens (RFC 7517). Pure functions."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwa import JWS_ALGORITHMS, JWSAlgModel
from joserfc.jwk import RSAKey

from nmos_auth.errors import KeySetError
from nmos_auth.rules.tokens import ALGORITHM, SignedToken

__all__ = ["MOST_KEYS", "VerificationKey", "parse_jwk", "parse_jwks"]

logger = logging.getLogger("nmos_auth")

MOST_KEYS = 64
_SMALLEST_KEY = 2048
_LARGEST_KEY = 8192
# RFC 7518 Section 6.3.2.
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})

_RS512: JWSAlgModel = next(each for each in JWS_ALGORITHMS if each.name == ALGORITHM)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public RSA key of an Authorization Server.

    Two are equal when modulus and exponent are: a key keeps its identity under another `kid`.

    Attributes:
        n: the modulus, as the JWK has it.
        e: the exponent, likewise.
        kid: the server's name for the key: a hint, never a reason to refuse.
    """

    n: str
    e: str
    kid: str | None = field(compare=False)
    _key: RSAKey = field(repr=False, compare=False)

    def verifies(self, signed: SignedToken) -> bool:
        """Tell whether this key made the token's signature (RFC 7518 Section 3.3)."""
        return _RS512.verify(signed.signing_input, signed.signature, self._key)


def parse_jwks(document: object) -> tuple[VerificationKey, ...]:
    """Take the usable keys of a key set; one that is not usable spoils no other.

    Raises:
        KeySetError: the document is no JWK Set.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise KeySetError("the document has no array `keys` and so is no JWK Set")
    if len(entries) > MOST_KEYS:
        logger.warning("a key set has %d keys; the first %d count", len(entries), MOST_KEYS)
    usable: dict[VerificationKey, None] = {}
    for position, entry in enumerate(entries[:MOST_KEYS]):
        try:
            usable.setdefault(parse_jwk(entry))
        except KeySetError as error:
            logger.info("key %d of a key set is passed over: %s", position, error)
    return tuple(usable)


def parse_jwk(entry: object) -> VerificationKey:
    """Make a key of one JWK.

    Raises:
        KeySetError: it is no RSA key of 2048 to 8192 bits, holds a private key, or is meant for
            something else than verifying RS512 (RFC 7517 Sections 4.2 to 4.4).
    """
    if not isinstance(entry, dict) or entry.get("kty") != "RSA":
        raise KeySetError("no RSA key")
    if not _PRIVATE_MEMBERS.isdisjoint(entry):
        raise KeySetError("its private part is public")
    if entry.get("use", "sig") != "sig":
        raise KeySetError("not meant for signatures")
    if entry.get("alg", ALGORITHM) != ALGORITHM:
        raise KeySetError("meant for another algorithm")
    operations = entry.get("key_ops", "verify")
    if "verify" not in (operations if isinstance(operations, list) else [operations]):
        raise KeySetError("not meant for verifying")
    n, e, kid = entry.get("n"), entry.get("e"), entry.get("kid")
    if not isinstance(n, str) or not isinstance(e, str):
        raise KeySetError("modulus or exponent missing")
    return VerificationKey(n, e, kid if isinstance(kid, str) else None, _rsa_key(n, e))


def _rsa_key(n: str, e: str) -> RSAKey:
    if len(n) * 6 > _LARGEST_KEY + 32:
        raise KeySetError("larger than 8192 bits")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            key = RSAKey.import_key({"kty": "RSA", "n": n, "e": e})
            size = key.public_key.key_size
    except (JoseError, ValueError, TypeError, OverflowError):
        raise KeySetError("modulus or exponent unusable") from None
    if size < _SMALLEST_KEY:
        raise KeySetError("smaller than 2048 bits")
    return key
