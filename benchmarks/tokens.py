"""Keys and access tokens: ordinary ones, and ones that are signed in no time."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = [
    "AUDIENCE",
    "ISSUER",
    "SigningKey",
    "claims_of",
    "decoy_jwk",
    "ordinary_key",
    "quick_key",
]

# Nothing answers there: keys come from a keys file, so that nothing runs but what is measured.
ISSUER = "https://127.0.0.1:1"
AUDIENCE = "node1.example.com"

_BITS = 2048
# RFC 8017 Section 9.2, note 1: DigestInfo of SHA-512.
_DIGEST_INFO = bytes.fromhex("3051300d060960864801650304020305000440")

_numbers = itertools.count(1)


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _integer(value: int) -> str:
    return _b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _jwk(modulus: int, exponent: int, kid: str | None) -> dict[str, str]:
    named = {} if kid is None else {"kid": kid}
    return {"kty": "RSA", "n": _integer(modulus), "e": _integer(exponent), **named}


@dataclass(frozen=True)
class SigningKey:
    """A key of an Authorization Server, with or without a name.

    Attributes:
        public: its public part.
        kid: its name.
        sign: makes the RS512 signature of some bytes.
    """

    public: rsa.RSAPublicKey
    kid: str | None
    sign: Callable[[bytes], bytes] = field(repr=False)

    def jwk(self) -> dict[str, str]:
        """Return the public key as a JWK."""
        numbers = self.public.public_numbers()
        return _jwk(numbers.n, numbers.e, self.kid)

    def token(self, **changes: object) -> bytes:
        """Sign the claims of `claims_of`."""
        named = {} if self.kid is None else {"kid": self.kid}
        header = _compact({"typ": "JWT", "alg": "RS512", **named})
        signing_input = f"{_b64url(header)}.{_b64url(_compact(claims_of(**changes)))}".encode()
        return signing_input + b"." + _b64url(self.sign(signing_input)).encode()


def _compact(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def claims_of(**changes: object) -> dict[str, object]:
    """Return the claims of a new token, as a Controller of one user would carry it.

    Claims given as None are left out; `x_nmos_node={...}` stands for `x-nmos-node`.
    """
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": ISSUER,
        "sub": "operator@example.com",
        "aud": [f"https://{AUDIENCE}"],
        "iat": now,
        "exp": now + 3600,
        "scope": "node connection",
        "client_id": "controller-0123456789",
        "jti": f"token-{next(_numbers)}",
        "x-nmos-node": {"read": ["*"]},
        "x-nmos-connection": {"read": ["*"], "write": ["single/*"]},
    }
    for name, value in changes.items():
        claims[name.replace("_", "-") if name.startswith("x_nmos_") else name] = value
    return {name: value for name, value in claims.items() if value is not None}


@functools.cache
def ordinary_key(kid: str | None = "key-1") -> SigningKey:
    """Make a key as every server has it: 2048 bits, exponent 65537; once for each `kid`."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)

    def sign(data: bytes) -> bytes:
        return private.sign(data, padding.PKCS1v15(), hashes.SHA512())

    return SigningKey(private.public_key(), kid, sign)


@functools.cache
def quick_key(kid: str | None = "key-1") -> SigningKey:
    """Make a key that signs a hundred thousand tokens in seconds, and is worth nothing.

    Its modulus is a product of primes p with p - 1 dividing one small number, so that exponents
    count modulo that number, and signing takes the third power. Anyone could work that out, which
    is no concern of those who verify: to them it is a key of 2048 bits like others, but for an
    exponent of 34 bits that makes verifying take twice as long.
    """
    factors = {2: 6, 5: 2, 7: 1, 11: 1, 13: 1, 17: 1, 19: 1, 23: 1}
    order = math.prod(prime**power for prime, power in factors.items())
    modulus = 1
    for prime in sorted(_primes_above_divisors(factors), reverse=True):
        if (modulus * prime).bit_length() <= _BITS:
            modulus *= prime
    if modulus.bit_length() != _BITS:
        raise ArithmeticError("the primes found make no modulus of the size wanted")
    size = _BITS // 8

    def sign(data: bytes) -> bytes:
        tail = b"\0" + _DIGEST_INFO + hashlib.sha512(data).digest()
        encoded = b"\0\1" + tail.rjust(size - 2, b"\xff")
        return pow(int.from_bytes(encoded, "big"), 3, modulus).to_bytes(size, "big")

    public = rsa.RSAPublicNumbers(pow(3, -1, order), modulus).public_key()
    return SigningKey(public, kid, sign)


def _primes_above_divisors(factors: Mapping[int, int]) -> Iterator[int]:
    """Yield the primes p for which p - 1 divides the number with these prime factors."""
    powers = [[prime**power for power in range(most + 1)] for prime, most in factors.items()]
    for chosen in itertools.product(*powers):
        candidate = math.prod(chosen) + 1
        if candidate > 2 and all(candidate % each for each in range(2, math.isqrt(candidate) + 1)):
            yield candidate


def decoy_jwk(kid: str | None, bits: int = _BITS) -> dict[str, str]:
    """Make a key that signed nothing, and refuses no signature before it has done the arithmetic.

    Its modulus is as large as 2048 bits get: a signature that is no smaller fails at once.
    """
    return _jwk(2**bits - 1 - 2 * secrets.randbits(bits - 64), 65537, kid)
