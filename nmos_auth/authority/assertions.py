"""Client assertions: JWTs with which Clients authenticate (RFC 7523). Pure functions."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import RSAKey

from nmos_auth.servers.strict_json import JsonObject, parse_object

__all__ = [
    "ASSERTION_TYPE",
    "SIGNING_ALGORITHMS",
    "Assertion",
    "AssertionKey",
    "AssertionRefused",
    "check_claims",
    "parse_assertion",
    "parse_client_key",
    "parse_client_keys",
]

# RFC 7523 Section 2.2.
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# RFC 7523 Section 5: RS256 "is a mandatory-to-implement JSON Web Signature algorithm for this
# profile". IS-10 requires RS512 for Access Tokens, but not for assertions.
SIGNING_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")

# Seconds. An assertion is for one request, so a longer lifetime is a mistake.
_LONGEST_LIFE = 600
LEEWAY = 30
_LONGEST_JTI = 256
_LONGEST_TEXT = 8 * 1024
_LATEST_DATE = 2**53

_MOST_KEYS = 32
_KEY_BITS = (2048, 8192)
# RFC 7518 Section 6.3.2.
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


class AssertionRefused(Exception):
    """An assertion does not authenticate its Client; the message is for the log only."""


@dataclass(frozen=True)
class Assertion:
    """An assertion whose form is valid, but which is not verified.

    Attributes:
        text: the compact JWS.
        algorithm: its `alg`, one of `SIGNING_ALGORITHMS`.
        kid: the key that it names, or None.
        claims: its claims.
    """

    text: str = field(repr=False)
    algorithm: str
    kid: str | None
    claims: JsonObject = field(repr=False)

    @property
    def subject(self) -> str:
        """The Client that it is about; "" if that is not a string."""
        subject = self.claims.get("sub")
        return subject if isinstance(subject, str) else ""


@dataclass(frozen=True)
class AssertionKey:
    """A public RSA key of a Client.

    Attributes:
        kid: the Client's name for it, or None.
        algorithm: the only one that it verifies, or None for all.
    """

    kid: str | None
    algorithm: str | None
    _key: RSAKey = field(repr=False)

    def verifies(self, assertion: Assertion) -> bool:
        """Tell whether this key signed an assertion."""
        if self.algorithm not in {None, assertion.algorithm}:
            return False
        try:
            jws.deserialize_compact(assertion.text, self._key, algorithms=[assertion.algorithm])
        except (JoseError, ValueError, TypeError):
            return False
        return True


def parse_assertion(parameters: Mapping[str, str]) -> Assertion | None:
    """Return the assertion of a request, or None if it has none in a valid form.

    Extensions are not supported, so a header with `crit` is refused (RFC 7515 Section 4.1.11).
    """
    text = parameters.get("client_assertion", "")
    if parameters.get("client_assertion_type") != ASSERTION_TYPE or len(text) > _LONGEST_TEXT:
        return None
    segments = text.split(".")
    if len(segments) != 3:
        return None
    try:
        header, claims = (
            parse_object(base64.b64decode(each + "=" * (-len(each) % 4), b"-_", validate=True))
            for each in segments[:2]
        )
    except ValueError:
        return None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in SIGNING_ALGORITHMS or {"crit", "b64"} & header.keys():
        return None
    return Assertion(text, str(algorithm), kid if isinstance(kid, str) else None, claims)


def check_claims(
    claims: JsonObject, *, client_id: str, audiences: Collection[str], now: float
) -> float:
    """Check the claims of an assertion (RFC 7523 Section 3).

    Args:
        claims: the claims.
        client_id: the Client, which must be its issuer and its subject.
        audiences: the names of this server that it may have.
        now: seconds since 1970 UTC.

    Returns:
        The seconds since 1970 UTC until which it must be remembered.

    Raises:
        AssertionRefused: a claim is wrong; the message names it.
    """
    for name in ("iss", "sub"):
        if claims.get(name) != client_id:
            raise AssertionRefused(f"{name} is not the client_id")
    _check_audience(claims.get("aud"), audiences)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= _LONGEST_JTI:
        raise AssertionRefused(f"jti is not a string of 1 to {_LONGEST_JTI} characters")
    for name in ("iat", "nbf"):
        if name in claims and _date(claims, name) > now + LEEWAY:
            raise AssertionRefused(f"{name} is {_date(claims, name) - now:.0f} s in the future")
    expires_at = _date(claims, "exp")
    if expires_at <= now:
        raise AssertionRefused(f"it expired {now - expires_at:.0f} s ago")
    if expires_at > now + _LONGEST_LIFE + LEEWAY:
        raise AssertionRefused(f"exp is more than {_LONGEST_LIFE} s in the future")
    return expires_at + LEEWAY


def _check_audience(audience: object, accepted: Collection[str]) -> None:
    audiences = audience if isinstance(audience, list) else [audience]
    # An assertion that another server accepts too could be replayed there.
    if not audiences or not all(isinstance(each, str) and each in accepted for each in audiences):
        raise AssertionRefused("aud is not only the issuer or the token endpoint of this server")


def _date(claims: JsonObject, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LATEST_DATE:
        raise AssertionRefused(f"{name} is not a date in seconds")
    return float(value)


def parse_client_keys(document: object) -> tuple[AssertionKey, ...]:
    """Return the usable keys of a JWK Set; a key that is not usable does not affect the others.

    Raises:
        ValueError: the document is not a JWK Set.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("is not a JWK Set: it has no array `keys`")  # noqa: TRY004 - hostile input
    keys = []
    for entry in entries[:_MOST_KEYS]:
        try:
            keys.append(parse_client_key(entry))
        except ValueError:
            continue
    return tuple(keys)


def parse_client_key(entry: object) -> AssertionKey:
    """Return the key of one JWK (RFC 7517 Section 4).

    Raises:
        ValueError: it is not a public RSA key of 2048 to 8192 bits for signatures of
            `SIGNING_ALGORITHMS`.
    """
    if not isinstance(entry, dict) or entry.get("kty") != "RSA":
        raise ValueError("is not an RSA key")
    if not _PRIVATE_MEMBERS.isdisjoint(entry):
        raise ValueError("holds a private key")
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list | str):
        raise ValueError("is not for signatures")
    if "verify" not in ([operations] if isinstance(operations, str) else operations):
        raise ValueError("is not for verifying")
    algorithm, kid = entry.get("alg"), entry.get("kid")
    if algorithm not in {None, *SIGNING_ALGORITHMS}:
        raise ValueError(f"is for another algorithm than {', '.join(SIGNING_ALGORITHMS)}")
    return AssertionKey(
        kid if isinstance(kid, str) else None,
        None if algorithm is None else str(algorithm),
        _rsa_key(entry.get("n"), entry.get("e")),
    )


def _rsa_key(n: object, e: object) -> RSAKey:
    smallest, largest = _KEY_BITS
    if not isinstance(n, str) or not isinstance(e, str) or max(len(n), len(e)) * 6 > largest + 32:
        raise ValueError("has no usable modulus and exponent")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            key = RSAKey.import_key({"kty": "RSA", "n": n, "e": e})
            size = key.public_key.key_size
    except (JoseError, ValueError, TypeError, OverflowError):
        raise ValueError("has no usable modulus and exponent") from None
    if size < smallest:
        raise ValueError(f"has fewer than {smallest} bits")
    return key
