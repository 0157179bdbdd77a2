"""A JSON Web Key Set → the keys that may verify access tokens (RFC 7517). Pure functions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA512
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import RSAKey

from nmos_auth.errors import KeySetError
from nmos_auth.rules.tokens import ALGORITHM, SignedToken

__all__ = ["MOST_KEYS", "KeySet", "VerificationKey", "parse_jwk", "parse_jwks"]

MOST_KEYS = 64
# In bits. FIPS 186-5 allows larger exponents, which cost a verifier much and gain nothing; Go's
# limit is lower. The cryptography library refuses those that are even or below 3.
_SMALLEST_KEY = 2048
_LARGEST_KEY = 8192
_LARGEST_EXPONENT_BITS = 32
# Characters of base64url; zero bytes in front of a number are a common fault.
_LONGEST_MODULUS = _LARGEST_KEY // 6 + 8
_LONGEST_EXPONENT = 12
# RFC 7518 Section 6.3.2.
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})

# RFC 7518 Section 3.3: RSASSA-PKCS1-v1_5 using SHA-512.
_PADDING = PKCS1v15()
_HASH = Prehashed(SHA512())


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public RSA key of an Authorization Server.

    Two are equal when modulus and exponent are: a key keeps its identity under another `kid`.

    Attributes:
        n: the modulus, as the JWK has it.
        e: the exponent, as the JWK has it.
        kid: the server's name for the key: a hint, never a reason to refuse.
        bits: the size of the modulus.
    """

    n: str
    e: str
    kid: str | None = field(compare=False)
    bits: int = field(compare=False)
    _public: RSAPublicKey = field(repr=False, compare=False)

    def verifies(self, signed: SignedToken) -> bool:
        """Tell whether this key made the token's signature (RFC 7518 Section 3.3).

        The prepared key is asked directly: joserfc's `verify` costs 3 % more, and hashes a token of
        16 KB again for each of several keys.
        """
        try:
            self._public.verify(signed.signature, signed.digest, _PADDING, _HASH)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of a set that can verify access tokens.

    Attributes:
        keys: the usable keys, in the order of the set.
        passed_over: why other entries cannot be used, in words for a log.
    """

    keys: tuple[VerificationKey, ...]
    passed_over: tuple[str, ...] = ()


def parse_jwks(document: object) -> KeySet:
    """Read a key set; a key that is not usable does not affect the others.

    Raises:
        KeySetError: the document is not a JWK Set.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise KeySetError("the document has no array `keys`, so it is not a JWK Set")
    usable: dict[VerificationKey, None] = {}
    passed_over: list[str] = []
    for position, entry in enumerate(entries[:MOST_KEYS]):
        try:
            usable.setdefault(parse_jwk(entry))
        except KeySetError as error:
            passed_over.append(f"{_name(position, entry)} {error}")
    if len(entries) > MOST_KEYS:
        passed_over.append(f"{len(entries) - MOST_KEYS} keys after the first {MOST_KEYS}")
    return KeySet(tuple(usable), tuple(passed_over))


def _name(position: int, entry: object) -> str:
    kid = entry.get("kid") if isinstance(entry, dict) else None
    return f"key {kid!r:.60}" if isinstance(kid, str) else f"key number {position + 1}"


def parse_jwk(entry: object) -> VerificationKey:
    """Read one JWK.

    Raises:
        KeySetError: it is not an RSA key of 2048 to 8192 bits, holds a private key, or is meant
            for anything other than verifying RS512 (RFC 7517 Sections 4.2 to 4.4).
    """
    if not isinstance(entry, dict) or entry.get("kty") != "RSA":
        raise KeySetError("is not an RSA key")
    if not _PRIVATE_MEMBERS.isdisjoint(entry):
        raise KeySetError("is published with its private part")
    # Null is a member that was left out, as some servers write it.
    entry = {name: value for name, value in entry.items() if value is not None}
    if (use := entry.get("use", "sig")) != "sig":
        raise KeySetError(f"is meant for use {use!r:.20}, not for signatures")
    if (alg := entry.get("alg", ALGORITHM)) != ALGORITHM:
        raise KeySetError(f"is meant for {alg!r:.20}; access tokens are signed with {ALGORITHM}")
    operations = entry.get("key_ops", "verify")
    if "verify" not in (operations if isinstance(operations, list) else [operations]):
        raise KeySetError(f"is meant for key_ops {operations!r:.60}, not for verifying")
    n, e, kid = entry.get("n"), entry.get("e"), entry.get("kid")
    if not isinstance(n, str) or not isinstance(e, str):
        raise KeySetError("has no modulus or no exponent")
    key = _rsa_key(n, e)
    return VerificationKey(n, e, kid if isinstance(kid, str) else None, key.key_size, key)


def _rsa_key(n: str, e: str) -> RSAPublicKey:
    if len(n) > _LONGEST_MODULUS:
        raise KeySetError(f"has more than {_LARGEST_KEY} bits")
    if len(e) > _LONGEST_EXPONENT:
        raise KeySetError("has an exponent above 2^32")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            key = RSAKey.import_key({"kty": "RSA", "n": n, "e": e}).public_key
            numbers = key.public_numbers()
    except (JoseError, ValueError, TypeError, OverflowError):
        raise KeySetError("has a modulus or an exponent that is not valid") from None
    bits = numbers.n.bit_length()
    if not _SMALLEST_KEY <= bits <= _LARGEST_KEY:
        raise KeySetError(f"has {bits} bits, not {_SMALLEST_KEY} to {_LARGEST_KEY}")
    if numbers.n % 2 == 0:
        raise KeySetError("has an even modulus")
    if numbers.e.bit_length() > _LARGEST_EXPONENT_BITS:
        raise KeySetError("has an exponent above 2^32")
    return key
