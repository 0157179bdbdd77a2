"""Tokens for the table: good ones, and every forgery that a row requires. None is a secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["Mint", "ProbeKey"]

Claims = Mapping[str, object]

_LIFETIME = 300
_DIGESTS = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("utf-8")


class ProbeKey:
    """An RSA key in memory.

    Args:
        name: what it is for.
        private: the key; None to make one.
        use: its `use` in the key set.
        kid: its `kid`; None for one that begins with the name and that no other key has, because a
            device may keep keys by `kid`, from an earlier run too.
    """

    def __init__(
        self,
        name: str,
        private: rsa.RSAPrivateKey | None = None,
        *,
        use: str = "sig",
        kid: str | None = None,
    ) -> None:
        self.name = name
        self.kid = kid if kid is not None else f"{name}-{secrets.token_hex(8)}"
        self._private = private or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._use = use

    def jwk(self) -> dict[str, object]:
        """Return the public key as a JWK (RFC 7517)."""
        numbers = self._private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": self._use,
            "alg": "RS512" if self._use == "sig" else "RSA-OAEP",
            "kid": self.kid,
            "n": self.modulus(),
            "e": _b64(numbers.e.to_bytes(3, "big")),
        }

    def modulus(self) -> str:
        """Return the modulus as it is in key sets, where everybody can read it."""
        n = self._private.public_key().public_numbers().n
        return _b64(n.to_bytes((n.bit_length() + 7) // 8, "big"))

    def public_pem(self) -> bytes:
        """Return the public key in PEM, which a faulty server may use as an HMAC secret."""
        return self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Sign with RSA by an algorithm from RS256 to PS512 (RFC 7518 Section 3)."""
        digest = _DIGESTS[algorithm[2:]]
        if algorithm.startswith("PS"):
            scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return self._private.sign(data, scheme, digest)
        return self._private.sign(data, padding.PKCS1v15(), digest)


@dataclass(frozen=True)
class Mint:
    """Makes tokens for one API of one device.

    Attributes:
        issuer: the issuer that the device trusts.
        audience: the device's name.
        places: what the device has: `api` is the API that the tokens are for, `path` and `other`
            are two paths of it.
        key: the key that the issuer publishes.
        stranger: a key that is not published.
        neighbour: the issuer of a server that is never advertised.
        neighbour_key: the key that this server publishes.
        now: seconds since 1970 UTC.
    """

    issuer: str
    audience: str
    places: Mapping[str, str]
    key: ProbeKey
    stranger: ProbeKey
    neighbour: str
    neighbour_key: ProbeKey
    now: Callable[[], float]

    @property
    def api(self) -> str:
        """The API that the tokens are for."""
        return self.places["api"]

    @property
    def path(self) -> str:
        """A path of that API."""
        return self.places["path"]

    @property
    def other(self) -> str:
        """Another path of it, which the device may not have."""
        return self.places["other"] or "nothing"

    def reading(self, *specifiers: object) -> str:
        """Sign a token that may read what these specifiers match, and nothing else.

        Args:
            specifiers: `{path}` and the other places of the device are filled in.
        """
        return self.token(scope=None, x_nmos={"read": [self.filled(each) for each in specifiers]})

    def filled(self, value: object) -> object:
        """Return a text with the device's places filled in, or another value unchanged."""
        if isinstance(value, str):
            for name, place in {**self.places, "other": self.other}.items():
                value = value.replace(f"{{{name}}}", place)
        return value

    def claims(self, **changes: object) -> dict[str, object]:
        """Return the claims of a good token that may read all of the API, with changes.

        Args:
            changes: replace or add claims; None leaves one out. `x_nmos` changes the
                API's access permissions object.

        `iat` is an hour ago, so that a device does not wait for keys that may just have been made.
        """
        now = int(self.now())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": "nmos-auth-probe",
            "aud": [self.audience],
            "iat": now - 3600,
            "exp": now + _LIFETIME,
            "client_id": "nmos-auth-probe",
            "scope": self.api,
            f"x-nmos-{self.api}": {"read": ["*"]},
        }
        if "x_nmos" in changes:
            changes[f"x-nmos-{self.api}"] = changes.pop("x_nmos")
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **changes: object) -> str:
        """Sign a good token, with changes to its claims."""
        return self.signed(self.claims(**changes))

    def signed(
        self,
        claims: Claims | bytes,
        *,
        header: Claims | bytes | None = None,
        key: ProbeKey | None = None,
        algorithm: str = "RS512",
    ) -> str:
        """Sign claims.

        Args:
            claims: the payload, or its bytes.
            header: members that replace or extend the usual ones, or the header's bytes.
            key: what signs; None for the issuer's own key.
            algorithm: the name of the algorithm.
        """
        key = key or self.key
        if not isinstance(header, bytes):
            members = {"typ": "JWT", "alg": algorithm, "kid": key.kid, **(header or {})}
            header = _json({name: value for name, value in members.items() if value is not None})
        payload = claims if isinstance(claims, bytes) else _json(claims)
        signing_input = f"{_b64(header)}.{_b64(payload)}"
        return f"{signing_input}.{_b64(key.sign(signing_input.encode('ascii'), algorithm))}"

    def with_signature(self, algorithm: str, sign: Callable[[bytes], bytes]) -> str:
        """Return a token that names an algorithm, and whose signature `sign` makes."""
        header = {"typ": "JWT", "alg": algorithm, "kid": self.key.kid}
        signing_input = f"{_b64(_json(header))}.{_b64(_json(self.claims()))}"
        return f"{signing_input}.{_b64(sign(signing_input.encode('ascii')))}"

    def unsigned(self, algorithm: str) -> str:
        """Return a token that names an algorithm and has no signature."""
        return self.with_signature(algorithm, lambda _: b"")

    def keyed_by(self, secret: bytes, algorithm: str) -> str:
        """Return a token whose HMAC has a public value as its secret (RFC 8725 Section 2.1)."""
        digest = hashlib.sha256 if algorithm.endswith("256") else hashlib.sha512
        return self.with_signature(algorithm, lambda data: hmac.new(secret, data, digest).digest())

    def with_other_payload(self, **changes: object) -> str:
        """Return a token whose payload was changed after it was signed."""
        header, _, signature = self.token(exp=int(self.now()) + _LIFETIME - 1).split(".")
        return f"{header}.{_b64(_json(self.claims(**changes)))}.{signature}"

    def as_text(self) -> bytes:
        """Return good claims as JSON text within a JSON string."""
        return _json(_json(self.claims()).decode())

    def nested(self) -> bytes:
        """Return claims that are nested too deeply for a parser without a limit."""
        depth = 1500
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        return _json(self.claims())[:-1] + b',"deep":' + deep + b"}"
