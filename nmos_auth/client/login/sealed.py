"""What is written of sessions and of logins under way, and how it is encrypted.

A session is encrypted with a key from its own cookie, of which the store only has a digest: who
reads the store cannot decrypt it. A login under way is in its browser's cookie, encrypted by the
application, so that many begun logins do not fill the memory of a server.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from nmos_auth.client.grants.grants import PendingAuthorization
from nmos_auth.client.tokens.vaults import KeptGrant

__all__ = ["AccessRecord", "LoginUnderWay", "Seal", "SessionRecord", "digest"]

_OF_SESSIONS = b"nmos-auth session"
_OF_LOGINS = b"nmos-auth login"


def digest(value: str) -> str:
    """Return the key by which a secret is looked up: the time of a look-up does not reveal it."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


class Seal:
    """Encrypts JSON objects with a key.

    Args:
        secret: the secret from which the key is derived (RFC 5869).
        purpose: what it is for; objects for one purpose cannot be opened for another.
    """

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        key = HKDF(SHA256(), 32, salt=None, info=purpose).derive(secret)
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    @classmethod
    def of_session(cls, cookie: str) -> Seal:
        """Return the seal of the session to which a cookie belongs."""
        return cls(cookie.encode("utf-8", "surrogatepass"), _OF_SESSIONS)

    @classmethod
    def of_logins(cls, secret: bytes) -> Seal:
        """Return the seal of logins under way at an application."""
        return cls(secret, _OF_LOGINS)

    def close(self, document: dict[str, object], *, now: float = 0) -> bytes:
        """Encrypt a JSON object, with a time in seconds."""
        return self._fernet.encrypt_at_time(json.dumps(document).encode(), int(now))

    def open(
        self, sealed: bytes, *, lifetime: int | None = None, now: float = 0
    ) -> dict[str, object]:
        """Decrypt what `close` returned, if it is not older than `lifetime` seconds.

        Raises:
            ValueError: it is something else, encrypted with another key, or too old.
        """
        try:
            if lifetime is None:
                text = self._fernet.decrypt(sealed)
            else:
                text = self._fernet.decrypt_at_time(sealed, lifetime, int(now))
        except InvalidToken:
            raise ValueError("it was not encrypted here, or is too old") from None
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("it is not an object")  # noqa: TRY004 - like everything else in it
        return document


@dataclass(frozen=True)
class SessionRecord:
    """What is kept of a session.

    Attributes:
        issuer: the Authorization Server the user logged in at.
        scope: what was authorized.
        begun_at: seconds since 1970 UTC.
        ends_at: seconds since 1970 UTC.
        grant: its Refresh Token, or None if the server issued none.
        access: the only Access Token, if the server issued no Refresh Token.
    """

    issuer: str
    scope: frozenset[str]
    begun_at: float
    ends_at: float
    grant: KeptGrant | None = field(default=None, repr=False)
    access: AccessRecord | None = field(default=None, repr=False)

    def document(self) -> dict[str, object]:
        """Return it as a JSON object."""
        grant, access = self.grant, self.access
        return {
            "issuer": self.issuer,
            "scope": sorted(self.scope),
            "begun_at": self.begun_at,
            "ends_at": self.ends_at,
            "grant": None
            if grant is None
            else [grant.refresh_token.get_secret_value(), sorted(grant.scope), grant.client_id],
            "access": None
            if access is None
            else [access.token.get_secret_value(), access.issued_at, access.lifetime],
        }

    @classmethod
    def read(cls, document: dict[str, object]) -> SessionRecord:
        """Read what `document` wrote.

        Raises:
            ValueError: it is something else.
        """
        match document:
            case {
                "issuer": str(issuer),
                "scope": list(scope),
                "begun_at": int() | float() as begun_at,
                "ends_at": int() | float() as ends_at,
                "grant": grant,
                "access": access,
            }:
                return cls(
                    issuer,
                    frozenset(map(str, scope)),
                    begun_at,
                    ends_at,
                    _grant(grant),
                    _access(access),
                )
        raise ValueError("it is not a session")


@dataclass(frozen=True)
class AccessRecord:
    """An Access Token that cannot be renewed.

    Attributes:
        token: the token.
        issued_at: seconds since 1970 UTC.
        lifetime: seconds.
    """

    token: SecretStr
    issued_at: float
    lifetime: float


def _grant(document: object) -> KeptGrant | None:
    match document:
        case None:
            return None
        case [str(token), list(scope), str(client_id)]:
            return KeptGrant(SecretStr(token), frozenset(map(str, scope)), client_id)
    raise ValueError("it is not a grant")


def _access(document: object) -> AccessRecord | None:
    match document:
        case None:
            return None
        case [str(token), int() | float() as issued_at, int() | float() as lifetime]:
            return AccessRecord(SecretStr(token), issued_at, lifetime)
    raise ValueError("it is not an Access Token")


@dataclass(frozen=True)
class LoginUnderWay:
    """A login that a browser has begun.

    Attributes:
        pending: the authorization request.
        target: the path to which the user goes afterwards.
    """

    pending: PendingAuthorization
    target: str

    def document(self) -> dict[str, object]:
        """Return it as a JSON object, without what the answer does not need."""
        pending = self.pending
        return {
            "issuer": pending.issuer,
            "redirect_uri": pending.redirect_uri,
            "scope": sorted(pending.scope),
            "state": pending.state.get_secret_value(),
            "verifier": pending.verifier.get_secret_value(),
            "iss": pending.iss_in_answers,
            "client_id": pending.client_id,
            "target": self.target,
        }

    @classmethod
    def read(cls, document: dict[str, object]) -> LoginUnderWay:
        """Read what `document` wrote.

        Raises:
            ValueError: it is something else.
        """
        match document:
            case {
                "issuer": str(issuer),
                "redirect_uri": str(redirect_uri),
                "scope": list(scope),
                "state": str(state),
                "verifier": str(verifier),
                "iss": bool(iss),
                "client_id": str(client_id),
                "target": str(target),
            }:
                pending = PendingAuthorization(
                    issuer=issuer,
                    url="",
                    redirect_uri=redirect_uri,
                    scope=frozenset(map(str, scope)),
                    state=SecretStr(state),
                    verifier=SecretStr(verifier),
                    iss_in_answers=iss,
                    client_id=client_id,
                )
                return cls(pending, target)
        raise ValueError("it is not a login")
