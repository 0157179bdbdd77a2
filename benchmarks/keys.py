"""Keys of Authorization Servers: ones that sign in no time, and ones that sign nothing."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import secrets
from collections.abc import Iterator, Mapping

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.tokens import Mint, SigningKey, public_jwk

__all__ = ["AUDIENCE", "ISSUER", "decoy_jwk", "mint_of", "pem_of", "quick_key", "token_of"]

# Nothing answers there: keys come from a keys file, so that nothing runs but what is measured.
ISSUER = "https://127.0.0.1:1"
AUDIENCE = "node1.example.com"

_BITS = 2048
# RFC 8017 Section 9.2, note 1: DigestInfo of SHA-512.
_DIGEST_INFO = bytes.fromhex("3051300d060960864801650304020305000440")


def mint_of(key: SigningKey) -> Mint:
    """Return what makes tokens that end in an hour, when every benchmark is over."""
    return Mint(ISSUER, key, lifetime=3600)


def token_of(key: SigningKey, **changes: object) -> bytes:
    """Sign the claims of such a token, with changes as `claims_of` makes them."""
    return mint_of(key).token(**changes).encode()


def pem_of(key: SigningKey) -> bytes:
    """Write the public key as PEM."""
    return key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class _QuickKey(SigningKey):
    """A key that signs a hundred thousand tokens in seconds, and is worth nothing.

    Its modulus is a product of primes p with p - 1 dividing one small number, so that exponents
    count modulo that number, and signing takes the third power. Anyone could work that out, which
    does not concern those who verify: to them it is a key of 2048 bits like others, but for an
    exponent of 34 bits that makes verifying take twice as long. It has no private key.
    """

    def __init__(self, kid: str) -> None:
        self.kid = kid
        factors = {2: 6, 5: 2, 7: 1, 11: 1, 13: 1, 17: 1, 19: 1, 23: 1}
        self._modulus = 1
        for prime in sorted(_primes_above_divisors(factors), reverse=True):
            if (self._modulus * prime).bit_length() <= _BITS:
                self._modulus *= prime
        if self._modulus.bit_length() != _BITS:
            raise ArithmeticError("the primes found make no modulus of the size wanted")
        order = math.prod(prime**power for prime, power in factors.items())
        self._public = rsa.RSAPublicNumbers(pow(3, -1, order), self._modulus).public_key()

    @property
    def public(self) -> rsa.RSAPublicKey:
        """The public part."""
        return self._public

    def signature(self, data: bytes) -> bytes:
        """Return the RS512 signature of some bytes."""
        size = _BITS // 8
        tail = b"\0" + _DIGEST_INFO + hashlib.sha512(data).digest()
        encoded = b"\0\1" + tail.rjust(size - 2, b"\xff")
        return pow(int.from_bytes(encoded, "big"), 3, self._modulus).to_bytes(size, "big")


@functools.cache
def quick_key() -> SigningKey:
    """Return a key that signs a hundred thousand tokens in seconds."""
    return _QuickKey("key-1")


def _primes_above_divisors(factors: Mapping[int, int]) -> Iterator[int]:
    """Yield the primes p for which p - 1 divides the number with these prime factors."""
    powers = [[prime**power for power in range(most + 1)] for prime, most in factors.items()]
    for chosen in itertools.product(*powers):
        candidate = math.prod(chosen) + 1
        if candidate > 2 and all(candidate % each for each in range(2, math.isqrt(candidate) + 1)):
            yield candidate


def decoy_jwk(kid: str | None, bits: int = _BITS) -> dict[str, object]:
    """Make a key that signed nothing, and refuses no signature before it has done the arithmetic.

    Its modulus is as large as 2048 bits get: a signature that is no smaller fails at once.
    """
    modulus = 2**bits - 1 - 2 * secrets.randbits(bits - 64)
    return public_jwk(rsa.RSAPublicNumbers(65537, modulus), kid=kid)
