"""Tokens for the table: honest ones, and every dishonest one it takes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.support.tokens import SigningKey, b64url, claims_of

__all__ = ["Mint"]


@dataclass(frozen=True)
class Mint:
    """Makes tokens.

    Attributes:
        issuer: the trusted issuer.
        key: the key that issuer signs with.
        second: another key that issuer publishes.
        stranger: a key that nobody publishes.
        listener: a port of this host where nothing must ever connect.
    """

    issuer: str
    key: SigningKey
    second: SigningKey
    stranger: SigningKey
    listener: int

    @property
    def now(self) -> int:
        """The time in whole seconds."""
        return int(time.time())

    def claims(self, **changes: object) -> dict[str, object]:
        """Return good claims with changes; `...` leaves a claim out and None makes it null.

        They were issued an hour ago: of such a token it is known at once whether its key is public.
        """
        named = {
            name.replace("_", "-") if name.startswith("x_nmos_") else name: value
            for name, value in changes.items()
        }
        merged: dict[str, object] = {**claims_of(self.issuer), "iat": self.now - 3600, **named}
        return {name: value for name, value in merged.items() if value is not ...}

    def header(self, **changes: object) -> dict[str, object]:
        """Return the usual header with changes, as `claims` does."""
        merged: dict[str, object] = {"typ": "JWT", "alg": "RS512", "kid": self.key.kid, **changes}
        return {name: value for name, value in merged.items() if value is not ...}

    def token(self, **changes: object) -> str:
        """Sign good claims with changes."""
        return self.signed(self.claims(**changes))

    def expired(self) -> str:
        """Sign good claims that ended a minute ago."""
        return self.token(exp=self.now - 60)

    def only(self, **claims: object) -> str:
        """Sign claims that grant nothing but what is given."""
        nothing: dict[str, object] = {"scope": ..., "x_nmos_node": ..., "x_nmos_connection": ...}
        return self.token(**{**nothing, **claims})

    def signed(
        self,
        payload: Mapping[str, object] | str | bytes,
        header: Mapping[str, object] | str | bytes | None = None,
        *,
        key: SigningKey | None = None,
    ) -> str:
        """Sign a payload and a header, written as given where they are text."""
        return (key or self.key).sign_bytes(
            _octets(self.header() if header is None else header), _octets(payload)
        )

    def signed_text(self, header: str, payload: str) -> str:
        """Sign two segments just as they stand, whatever they encode."""
        signature = self.key.private.sign(
            f"{header}.{payload}".encode("latin-1"), padding.PKCS1v15(), hashes.SHA512()
        )
        return f"{header}.{payload}.{b64url(signature)}"

    def payload(self, extra: str = "", **changes: object) -> str:
        """Write a payload as JSON text, with `extra` written in as further members."""
        text = json.dumps(self.claims(**changes))
        return f"{text[:-1]}, {extra}}}" if extra else text


def _octets(value: Mapping[str, object] | str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()
