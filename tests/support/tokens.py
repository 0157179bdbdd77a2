"""Keys and access tokens, honest and otherwise, made without the package under test."""

from __future__ import annotations

import base64
import functools
import itertools
import json
import time
from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["SigningKey", "b64url", "claims_of", "signing_key"]

Json = Mapping[str, object]

_numbers = itertools.count(1)


def b64url(data: bytes) -> str:
    """Encode as RFC 7515 Section 2 has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _integer(value: int) -> str:
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class SigningKey:
    """An RSA key of an Authorization Server."""

    def __init__(self, kid: str | None = None, bits: int = 2048) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)

    def jwk(self, **changes: object) -> dict[str, object]:
        """Return the public key as a JWK; members given as None are left out."""
        numbers = self.private.public_key().public_numbers()
        members = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS512",
            "kid": self.kid,
            "n": _integer(numbers.n),
            "e": _integer(numbers.e),
            **changes,
        }
        return {name: value for name, value in members.items() if value is not None}

    def sign_bytes(self, header: bytes, payload: bytes) -> str:
        """Sign whatever stands in the two segments, JSON or not."""
        signing_input = f"{b64url(header)}.{b64url(payload)}"
        signature = self.private.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA512())
        return f"{signing_input}.{b64url(signature)}"

    def sign(self, claims: Json, header: Json | None = None) -> str:
        """Sign claims; `header` replaces members of the usual header."""
        members = {"typ": "JWT", "alg": "RS512", "kid": self.kid, **(header or {})}
        present = {name: value for name, value in members.items() if value is not None}
        return self.sign_bytes(json.dumps(present).encode(), json.dumps(claims).encode())


@functools.cache
def signing_key(number: int = 0) -> SigningKey:
    """Return the same key for the same number, since making one takes long."""
    return SigningKey(kid=f"key-{number}")


def claims_of(issuer: str, **changes: object) -> dict[str, object]:
    """Return good claims for node1.example.com; claims given as None are left out.

    The API's claims may be given as `x_nmos_connection={...}`.
    """
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": issuer,
        "sub": "operator@example.com",
        "aud": ["https://node1.example.com"],
        "iat": now,
        "exp": now + 300,
        "scope": "node connection",
        "client_id": "controller-0123456789",
        "jti": f"token-{next(_numbers)}",
        "x-nmos-node": {"read": ["*"]},
        "x-nmos-connection": {"read": ["*"], "write": ["single/*"]},
    }
    for name, value in changes.items():
        claims[name.replace("_", "-") if name.startswith("x_nmos_") else name] = value
    return {name: value for name, value in claims.items() if value is not None}
