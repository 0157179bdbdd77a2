"""Keys and access tokens, honest and otherwise, made without the package under test."""

from __future__ import annotations

import base64
import copy
import functools
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = [
    "NULL",
    "Mint",
    "SigningKey",
    "b64url",
    "claims_of",
    "compact",
    "parts_of",
    "public_jwk",
    "signing_key",
]

Json = Mapping[str, object]

NULL: Final = object()
"""A claim or header member that is null; None leaves one out."""

_numbers = itertools.count(1)


def b64url(data: bytes) -> str:
    """Encode as RFC 7515 Section 2 has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header: bytes, payload: bytes, signature: bytes = b"\x01" * 256) -> str:
    """Join three parts as RFC 7515 Section 3.1 has it, whatever they are."""
    return ".".join(map(b64url, (header, payload, signature)))


def parts_of(token: str) -> tuple[dict[str, object], dict[str, object]]:
    """Read the header and the claims of a JWT, and verify nothing."""
    header, claims = (
        json.loads(base64.urlsafe_b64decode(segment + "==")) for segment in token.split(".")[:2]
    )
    return header, claims


def _integer(value: int) -> str:
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def public_jwk(numbers: rsa.RSAPublicNumbers, **members: object) -> dict[str, object]:
    """Write a public key as a JWK, with these members; what is None is left out."""
    key = {"kty": "RSA", "n": _integer(numbers.n), "e": _integer(numbers.e)}
    return _present({**key, **members})


def _present(members: Json) -> dict[str, object]:
    return {
        name: None if value is NULL else value
        for name, value in members.items()
        if value is not None
    }


class SigningKey:
    """An RSA key of an Authorization Server.

    Attributes:
        kid: its name, if it has one.
        private: the key itself.
    """

    def __init__(self, kid: str | None = None, bits: int = 2048) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)

    @property
    def public(self) -> rsa.RSAPublicKey:
        """The public part."""
        return self.private.public_key()

    def named(self, kid: str | None) -> Self:
        """Return the same key by another name."""
        other = copy.copy(self)
        other.kid = kid
        return other

    def jwk(self, **changes: object) -> dict[str, object]:
        """Return the public key as a JWK; members given as None are left out."""
        members = {"use": "sig", "alg": "RS512", "kid": self.kid, **changes}
        return public_jwk(self.public.public_numbers(), **members)

    def signature(self, data: bytes) -> bytes:
        """Return the RS512 signature of some bytes."""
        return self.private.sign(data, padding.PKCS1v15(), hashes.SHA512())

    def sign_text(self, header: str, payload: str) -> str:
        """Sign two segments as they stand, whatever they encode."""
        signing_input = f"{header}.{payload}"
        return f"{signing_input}.{b64url(self.signature(signing_input.encode('latin-1')))}"

    def sign_bytes(self, header: bytes, payload: bytes) -> str:
        """Sign whatever stands in the two segments, JSON or not."""
        return self.sign_text(b64url(header), b64url(payload))

    def sign(self, claims: Json, header: Json | None = None) -> str:
        """Sign claims; `header` replaces members of the usual header."""
        members = {"typ": "JWT", "alg": "RS512", "kid": self.kid, **(header or {})}
        return self.sign_bytes(json.dumps(_present(members)).encode(), json.dumps(claims).encode())


@functools.cache
def signing_key(number: int = 0) -> SigningKey:
    """Return the same key for the same number, since making one takes long."""
    return SigningKey(kid=f"key-{number}")


def claims_of(issuer: str, **changes: object) -> dict[str, object]:
    """Return good claims for node1.example.com, as a Controller of one user would carry them.

    Args:
        issuer: the claim `iss`.
        changes: in place of claims or beside them. None leaves a claim out, and `NULL` makes it
            null; `x_nmos_connection={...}` stands for `x-nmos-connection`.
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
    return _present(claims)


@dataclass(frozen=True)
class Mint:
    """Makes the tokens of an issuer.

    Attributes:
        issuer: the issuer.
        key: what it signs with.
        age: seconds since its tokens were issued.
        lifetime: seconds until they end.
        clock: seconds since 1970 UTC.
    """

    issuer: str
    key: SigningKey
    age: float = 0
    lifetime: float = 300
    clock: Callable[[], float] = time.time

    @property
    def now(self) -> int:
        """The time in whole seconds."""
        return int(self.clock())

    def claims(self, **changes: object) -> dict[str, object]:
        """Return good claims with changes, as `claims_of` does."""
        now = self.now
        times = {"iat": now - self.age, "exp": now + self.lifetime}
        return claims_of(self.issuer, **{**times, **changes})

    def header(self, **changes: object) -> dict[str, object]:
        """Return the usual header with changes, as `claims` does."""
        return _present({"typ": "JWT", "alg": "RS512", "kid": self.key.kid, **changes})

    def token(self, **changes: object) -> str:
        """Sign good claims with changes."""
        return self.signed(self.claims(**changes))

    def expired(self) -> str:
        """Sign good claims that ended a minute ago."""
        return self.token(exp=self.now - 60)

    def only(self, **claims: object) -> str:
        """Sign claims that grant nothing but what is given."""
        nothing = dict.fromkeys(("scope", "x_nmos_node", "x_nmos_connection"))
        return self.token(**{**nothing, **claims})

    def signed(
        self,
        payload: Json | str | bytes,
        header: Json | str | bytes | None = None,
        *,
        key: SigningKey | None = None,
    ) -> str:
        """Sign a payload and a header, written as given where they are text."""
        return (key or self.key).sign_bytes(
            _octets(self.header() if header is None else header), _octets(payload)
        )

    def payload(self, extra: str = "", /, **changes: object) -> str:
        """Write a payload as JSON text, with `extra` written in as further members."""
        text = json.dumps(self.claims(**changes))
        return f"{text[:-1]}, {extra}}}" if extra else text


def _octets(value: Json | str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()
