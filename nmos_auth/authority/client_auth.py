"""How Clients prove who they are: private_key_jwt, client_secret_basic, or none if public."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import OAuth2Request
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from nmos_auth.authority.adapters import OAuthRequest, RegisteredClient
from nmos_auth.authority.clients import Client, secret_digest
from nmos_auth.authority.database import Database
from nmos_auth.authority.keys import ALGORITHM
from nmos_auth.servers.strict_json import JsonObject, parse_object

__all__ = [
    "ASSERTION_TYPE",
    "ClientAuthenticator",
    "FindClient",
    "peek_assertion",
]

# RFC 7523 Section 2.2.
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# Seconds. An assertion serves one request; who asks for more has mistaken what it is.
_LONGEST_ASSERTION = 600
_LEEWAY = 30
_LONGEST_JTI = 256
_LONGEST_TEXT = 8 * 1024

FindClient = Callable[[str], RegisteredClient | None]


def peek_assertion(parameters: dict[str, str]) -> tuple[str, str | None] | None:
    """Give the client and the `kid` that an assertion claims, or None; nothing is verified."""
    parsed = _parse(parameters)
    if parsed is None:
        return None
    header, claims = parsed
    subject, kid = claims.get("sub"), header.get("kid")
    if not isinstance(subject, str):
        return None
    return subject, kid if isinstance(kid, str) else None


class ClientAuthenticator:
    """The three methods, in the form that Authlib calls them.

    Args:
        find_client: the client with an id, or None.
        database: remembers assertions until they expire.
        audiences: how an assertion may name this server.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        find_client: FindClient,
        database: Database,
        *,
        audiences: Collection[str],
        clock: Callable[[], float],
    ) -> None:
        self._find_client = find_client
        self._database = database
        self._audiences = frozenset(audiences)
        self._clock = clock
        self._unknown = RegisteredClient.of_configured(Client.throwaway())

    def basic(self, _: object, request: OAuth2Request) -> RegisteredClient | None:
        """RFC 6749 Section 2.3.1."""
        credentials = _basic_credentials((request.headers or {}).get("Authorization"))
        if credentials is None:
            return None
        client_id, secret = credentials
        client = self._find_client(client_id)
        # An unknown client costs the same comparison as a known one.
        authentic = (client or self._unknown).check_client_secret(secret.get_secret_value())
        if client is None:
            return None
        OAuthRequest.of(request).known_client_id = client.get_client_id()
        return client if authentic else None

    def public(self, _: object, request: OAuth2Request) -> RegisteredClient | None:
        """RFC 6749 Section 3.2.1: a public client names itself.

        IS-10: "Authorization Servers MUST NOT accept client credentials as valid authentication
        for a public client".
        """
        oauth_request = OAuthRequest.of(request)
        parameters = oauth_request.payload.data
        credentials = {"client_secret", "client_assertion", "client_assertion_type"}
        if "Authorization" in (request.headers or {}) or parameters.keys() & credentials:
            return None
        client = self._find_client(parameters.get("client_id", ""))
        if client is not None:
            oauth_request.known_client_id = client.get_client_id()
        return client

    def assertion(self, _: object, request: OAuth2Request) -> RegisteredClient | None:
        """RFC 7523 Sections 2.2 and 3, by keys that were fetched before."""
        oauth_request = OAuthRequest.of(request)
        parameters = oauth_request.payload.data
        parsed = _parse(parameters)
        if parsed is None:
            return None
        _, claims = parsed
        client = self._find_client(str(claims.get("sub")))
        if client is None:
            return None
        client_id = client.get_client_id()
        oauth_request.known_client_id = client_id
        text = parameters["client_assertion"]
        if not any(_verifies(text, key) for key in oauth_request.assertion_keys):
            return None
        expires_at = self._accepted_until(claims, client_id)
        if expires_at is None:
            return None
        # RFC 7523 Section 3 point 7: "ensure that JWTs are not replayed by maintaining the set of
        # used "jti" values".
        digest = secret_digest(f"{client_id}\n{claims['jti']}")
        is_new = self._database.change(
            "INSERT OR IGNORE INTO assertion (digest, expires_at) VALUES (?, ?)",
            digest,
            expires_at + _LEEWAY,
        )
        return client if is_new else None

    def _accepted_until(self, claims: JsonObject, client_id: str) -> float | None:
        """Give when an assertion expires, where its claims are in order."""
        now = self._clock()
        if claims.get("iss") != client_id or claims.get("sub") != client_id:
            return None
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        # An assertion that another server takes as well is one that this server could replay there.
        if not audiences or not all(
            isinstance(each, str) and each in self._audiences for each in audiences
        ):
            return None
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 1 <= len(jti) <= _LONGEST_JTI:
            return None
        expires_at = _date(claims, "exp")
        if expires_at is None or not now < expires_at <= now + _LONGEST_ASSERTION + _LEEWAY:
            return None
        for name in ("iat", "nbf"):
            if name in claims:
                begins_at = _date(claims, name)
                if begins_at is None or begins_at > now + _LEEWAY:
                    return None
        return expires_at


def _date(claims: JsonObject, name: str) -> float | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 2**53:
        return None
    return float(value)


def _parse(parameters: dict[str, str]) -> tuple[JsonObject, JsonObject] | None:
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
    return header, claims


def _verifies(text: str, key: RSAKey) -> bool:
    try:
        jws.deserialize_compact(text, key, algorithms=[ALGORITHM])
    except (JoseError, ValueError):
        return False
    return True


def _basic_credentials(authorization: str | None) -> tuple[str, SecretStr] | None:
    """Read `client_secret_basic`: RFC 6749 Section 2.3.1 has both parts form-encoded."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    client_id, colon, secret = decoded.partition(":")
    return (unquote_plus(client_id), SecretStr(unquote_plus(secret))) if colon else None
