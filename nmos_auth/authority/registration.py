"""Clients that register by themselves (RFC 7591) and manage their registration (RFC 7592)."""

from __future__ import annotations

import base64
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hmac import compare_digest

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import ValidationError

from nmos_auth.authority.adapters import Reach, RegisteredClient
from nmos_auth.authority.client_metadata import ClientMetadata
from nmos_auth.authority.clients import secret_digest
from nmos_auth.authority.database import Database, Row
from nmos_auth.authority.errors import (
    InvalidClientMetadata,
    InvalidRegistrationToken,
    RegistrationTokenMissing,
    TooManyClients,
)
from nmos_auth.authority.initial_tokens import InitialAccessTokens
from nmos_auth.authority.policy import RegistrationPolicy
from nmos_auth.servers.redirect_uris import is_loopback
from nmos_auth.servers.strict_json import JsonObject

__all__ = ["Registrations"]

# RFC 7592 Section 2.2 keeps these out of an update.
_NOT_THE_CLIENTS_OWN = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)

# Seconds.
_MINUTE = 60
# Seconds after which a registration that no user has authorized may make room for another.
_PATIENCE = 600

logger = logging.getLogger("nmos_auth.authority")


@dataclass(frozen=True)
class _Registration:
    client_id: str
    metadata: ClientMetadata
    secret_digest: bytes | None
    secret: str | None = field(repr=False)
    trusted: bool
    issued_at: int
    reach: Reach


class Registrations:
    """The registration endpoint and the client configuration endpoint.

    The database has digests of secrets and tokens. A client secret is also encrypted with the
    registration access token, since RFC 7592 Section 3 has it in every answer: only a client that
    presents that token can have it decrypted.

    Args:
        database: the database.
        policy: what registered Clients may have.
        initial_tokens: checks the tokens for registrations that are not open to all.
        endpoint: the URL of the registration endpoint.
        allow_http: allow http for a `jwks_uri` on loopback.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        database: Database,
        policy: RegistrationPolicy,
        initial_tokens: InitialAccessTokens,
        *,
        endpoint: str,
        allow_http: bool,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._policy = policy
        self._initial_tokens = initial_tokens
        self._endpoint = endpoint
        self._allow_http = allow_http
        self._clock = clock

    def find(self, client_id: str) -> RegisteredClient | None:
        """Return the Client with an id, or None."""
        row = self._database.one(
            "SELECT metadata, secret_digest, reach FROM client WHERE client_id = ?", client_id
        )
        if row is None:
            return None
        try:
            metadata = ClientMetadata.model_validate_json(row["metadata"])
            return RegisteredClient(
                metadata.known_client(client_id, self._policy),
                row["secret_digest"],
                reach=Reach(row["reach"]),
            )
        except ValidationError:
            # The policy has changed since, and permits nothing of it any more.
            return None

    def create(
        self, document: JsonObject, authorization: str | None, *, peer: str, from_page: bool
    ) -> Mapping[str, object]:
        """Register a Client (RFC 7591 Section 3).

        Args:
            document: its metadata.
            authorization: the Authorization header of the request, or None.
            peer: the address that it came from.
            from_page: whether a page in a browser sent it, which may come from anywhere.

        Raises:
            OAuth2Error: an error of RFC 7591 Section 3.2.2.
        """
        by = None if authorization is None else self._initial_tokens.accept(_bearer(authorization))
        if authorization is not None and by is None:
            raise InvalidRegistrationToken
        if by is None and not self._policy.open:
            raise RegistrationTokenMissing
        reach = Reach.ANYWHERE if by is not None else _reach(peer, from_page=from_page)
        metadata = ClientMetadata.read(
            document, self._policy, allow_http=self._allow_http, reach=reach
        )
        if by is None:
            self._check_openness(metadata)
            self._make_room()
        registration = _Registration(
            # IS-10 "Client Registration": "at least 20 characters long".
            client_id=secrets.token_urlsafe(24),
            metadata=metadata,
            secret_digest=None,
            secret=None,
            trusted=by is not None,
            issued_at=int(self._clock()),
            reach=reach,
        )
        token = secrets.token_urlsafe(36)
        registration = _with_secret(registration)
        self._store(registration, token)
        self._log("registered", registration, by=by or "open registration", peer=peer)
        return self._answer(registration, token)

    def read(self, client_id: str, authorization: str | None) -> Mapping[str, object]:
        """Return a registration for its Client (RFC 7592 Section 2.1)."""
        registration, token = self._authenticated(client_id, authorization)
        return self._answer(registration, token)

    def update(
        self, client_id: str, document: JsonObject, authorization: str | None, *, peer: str
    ) -> Mapping[str, object]:
        """Replace the metadata of a Client (RFC 7592 Section 2.2).

        Raises:
            OAuth2Error: an error of RFC 7592 Section 2.2; then nothing has changed.
        """
        registration, token = self._authenticated(client_id, authorization)
        if any(name in document for name in _NOT_THE_CLIENTS_OWN):
            raise InvalidClientMetadata("An update must not hold what the server assigns")
        if document.get("client_id") != client_id:
            raise InvalidClientMetadata("client_id: must be that of this registration")
        secret = document.get("client_secret", registration.secret)
        if secret != registration.secret:
            # RFC 7592: "MUST match the currently issued client secret for that client".
            raise InvalidClientMetadata("client_secret: must be the one that was issued")
        metadata = ClientMetadata.read(
            document, self._policy, allow_http=self._allow_http, reach=registration.reach
        )
        if not registration.trusted and self._requires_token(metadata):
            raise InvalidClientMetadata(
                "grant_types: client_credentials requires an initial access token"
            )
        updated = _with_secret(replace(registration, metadata=metadata))
        self._store(updated, token)
        self._log("updated", updated, by="its client", peer=peer)
        return self._answer(updated, token)

    def delete(self, client_id: str, authorization: str | None, *, peer: str) -> None:
        """Forget a Client and all that it was granted (RFC 7592 Section 2.3)."""
        registration, _ = self._authenticated(client_id, authorization)
        with self._database.transaction() as connection:
            for table in ("client", "authorization"):
                connection.execute(f"DELETE FROM {table} WHERE client_id = ?", (client_id,))  # noqa: S608
        self._log("deleted", registration, by="its client", peer=peer)

    def _check_openness(self, metadata: ClientMetadata) -> None:
        if self._requires_token(metadata):
            raise RegistrationTokenMissing

    def _requires_token(self, metadata: ClientMetadata) -> bool:
        # IS-10 "Client Registration": registrations for client_credentials "MUST be subject to
        # one of the explicit authentication steps".
        is_machine = "client_credentials" in metadata.grant_types
        return is_machine and not self._policy.open_client_credentials

    def _make_room(self) -> None:
        """Limit the registrations of strangers, in a minute and in all.

        Raises:
            TooManyClients: there is no room; the error says when there may be.
        """
        now = self._clock()
        with self._database.transaction() as connection:
            recent, oldest = connection.execute(
                "SELECT count(*), min(issued_at) FROM client WHERE trusted = 0"
                # Those of the future were registered before the clock was set back.
                " AND issued_at > ? AND issued_at <= ?",
                (now - _MINUTE, now),
            ).fetchone()
            if recent >= self._policy.open_registrations_per_minute:
                raise TooManyClients(retry_after=oldest + _MINUTE - now)
            (number,) = connection.execute(
                "SELECT count(*) FROM client WHERE trusted = 0"
            ).fetchone()
            if number < self._policy.most_open_registrations:
                return
            removed = connection.execute(
                "DELETE FROM client WHERE client_id IN (SELECT client_id FROM client"
                " WHERE trusted = 0 AND (issued_at < ? OR issued_at > ?) AND client_id NOT IN"
                " (SELECT client_id FROM authorization) ORDER BY issued_at LIMIT ?)",
                (now - _PATIENCE, now, 1 + number - self._policy.most_open_registrations),
            ).rowcount
        if not removed:
            raise TooManyClients(retry_after=_PATIENCE)
        logger.warning("clients forgotten that no user had authorized: %d", removed)

    def _authenticated(
        self, client_id: str, authorization: str | None
    ) -> tuple[_Registration, str]:
        token = _bearer(authorization)
        row = self._database.one("SELECT * FROM client WHERE client_id = ?", client_id)
        expected = bytes(32) if row is None else row["token_digest"]
        if not compare_digest(secret_digest(token), expected) or row is None:
            raise InvalidRegistrationToken
        return _read(row, token), token

    def _store(self, registration: _Registration, token: str) -> None:
        secret = registration.secret
        self._database.change(
            "INSERT OR REPLACE INTO client (client_id, metadata, secret_digest, sealed_secret,"
            " token_digest, trusted, issued_at, reach) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            registration.client_id,
            registration.metadata.model_dump_json(exclude_none=True),
            registration.secret_digest,
            None if secret is None else _seal(token).encrypt(secret.encode()),
            secret_digest(token),
            int(registration.trusted),
            registration.issued_at,
            int(registration.reach),
        )

    def _answer(self, registration: _Registration, token: str) -> Mapping[str, object]:
        answer: dict[str, object] = {
            "client_id": registration.client_id,
            "client_id_issued_at": registration.issued_at,
            **registration.metadata.registered(),
            "registration_client_uri": f"{self._endpoint}/{registration.client_id}",
            "registration_access_token": token,
        }
        if registration.secret is not None:
            answer["client_secret"] = registration.secret
            answer["client_secret_expires_at"] = 0
        return answer

    @staticmethod
    def _log(what: str, registration: _Registration, *, by: str, peer: str) -> None:
        metadata = registration.metadata
        logger.info(
            "client %s: client_id=%r client_name=%s grant_types=%s scope=%s method=%s "
            "redirect_uris=%s by=%r peer=%s",
            what,
            registration.client_id,
            ascii(metadata.client_name),
            json.dumps(metadata.grant_types),
            ascii(metadata.scope),
            metadata.token_endpoint_auth_method,
            json.dumps(metadata.redirect_uris),
            by,
            peer,
        )


def _reach(peer: str, *, from_page: bool) -> Reach:
    return Reach.KEY_SETS_HERE if is_loopback(peer) and not from_page else Reach.ELSEWHERE


def _bearer(authorization: str | None) -> str:
    if authorization is None:
        raise RegistrationTokenMissing
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidRegistrationToken
    return token.strip()


def _with_secret(registration: _Registration) -> _Registration:
    """Return a registration with the secret of its method; a new one only if it has none.

    IS-10: "Public clients MUST NOT be issued with a client secret".
    """
    method = registration.metadata.token_endpoint_auth_method
    secret = registration.secret if method == "client_secret_basic" else None
    if secret is None and method == "client_secret_basic":
        secret = secrets.token_urlsafe(36)
    digest = None if secret is None else secret_digest(secret)
    return replace(registration, secret=secret, secret_digest=digest)


def _read(row: Row, token: str) -> _Registration:
    sealed = row["sealed_secret"]
    return _Registration(
        client_id=row["client_id"],
        metadata=ClientMetadata.model_validate_json(row["metadata"]),
        secret_digest=row["secret_digest"],
        secret=None if sealed is None else _seal(token).decrypt(sealed).decode(),
        trusted=bool(row["trusted"]),
        issued_at=row["issued_at"],
        reach=Reach(row["reach"]),
    )


def _seal(token: str) -> Fernet:
    key = HKDF(SHA256(), 32, salt=None, info=b"nmos-auth client secret").derive(token.encode())
    return Fernet(base64.urlsafe_b64encode(key))
