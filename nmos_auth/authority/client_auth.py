"""How Clients authenticate: private_key_jwt, client_secret_basic, or none for public Clients."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Collection
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import OAuth2Request
from pydantic import SecretStr

from nmos_auth.authority.adapters import OAuthRequest, RegisteredClient
from nmos_auth.authority.assertions import AssertionRefused, check_claims, parse_assertion
from nmos_auth.authority.clients import Client, secret_digest
from nmos_auth.authority.database import Database

__all__ = ["ClientAuthenticator", "FindClient"]

FindClient = Callable[[str], RegisteredClient | None]

logger = logging.getLogger("nmos_auth.authority")


class ClientAuthenticator:
    """The three methods, in the form in which Authlib calls them.

    Args:
        find_client: the client with an id, or None.
        database: remembers assertions until they expire.
        audiences: the names of this server that an assertion may have.
        clock: seconds since 1970 UTC.
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
        """RFC 7523 Sections 2.2 and 3, with keys that were fetched before."""
        oauth_request = OAuthRequest.of(request)
        assertion = parse_assertion(oauth_request.payload.data)
        client = None if assertion is None else self._find_client(assertion.subject)
        if assertion is None or client is None:
            return None
        client_id = oauth_request.known_client_id = client.get_client_id()
        try:
            if not any(key.verifies(assertion) for key in oauth_request.assertion_keys):
                raise AssertionRefused("none of the client's keys verifies it")  # noqa: TRY301
            remembered_until = check_claims(
                assertion.claims, client_id=client_id, audiences=self._audiences, now=self._clock()
            )
            self._use_up(f"{client_id}\n{assertion.claims['jti']}", remembered_until)
        except AssertionRefused as reason:
            logger.warning("client assertion refused: %s client_id=%r", reason, client_id)
            return None
        return client

    def _use_up(self, name: str, until: float) -> None:
        """Refuse an assertion that was used before.

        RFC 7523 Section 3 point 7: "ensure that JWTs are not replayed by maintaining the set of
        used "jti" values".

        Raises:
            AssertionRefused: it was used before.
        """
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM assertion WHERE expires_at < ?", (self._clock(),))
            added = connection.execute(
                "INSERT OR IGNORE INTO assertion (digest, expires_at) VALUES (?, ?)",
                (secret_digest(name), until),
            ).rowcount
        if not added:
            raise AssertionRefused("its jti was used before")


def _basic_credentials(authorization: str | None) -> tuple[str, SecretStr] | None:
    """Read `client_secret_basic`, whose two parts are form-encoded (RFC 6749 Section 2.3.1)."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    client_id, colon, secret = decoded.partition(":")
    return (unquote_plus(client_id), SecretStr(unquote_plus(secret))) if colon else None
