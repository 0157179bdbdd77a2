"""What one server knows a Client by, and what a Client says of itself. Pure functions.

Sources: RFC 7591 Section 2, IS-10 "Client Registration".
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from pydantic import SecretStr

from nmos_auth.client.errors import StoreError
from nmos_auth.client.settings import SERVER_PLACEHOLDER, AuthMethod, ClientSettings, Grant
from nmos_auth.client.store.stores import Record
from nmos_auth.servers.members import hidden, moment, optional, text
from nmos_auth.servers.strict_json import JsonObject

__all__ = [
    "Registration",
    "fingerprint_of",
    "redirect_uri_at",
    "registration_request",
    "server_tag",
]

# Seconds before a secret ends at which it no longer counts.
_EXPIRY_MARGIN = 60.0


@dataclass(frozen=True, slots=True)
class Registration:
    """What one Authorization Server knows this Client by.

    Attributes:
        issuer: the server.
        client_id: the client id.
        auth_method: how it authenticates there.
        redirect_uri: where the server sends users back to, or None.
        secret: the client secret, or None.
        secret_expires_at: seconds since the epoch at which the secret ends; 0 for never.
        configuration_uri: `registration_client_uri` (RFC 7592 Section 3), or None.
        configuration_token: `registration_access_token`, or None.
        fingerprint: of the request it answered; "" for credentials arranged by hand.
    """

    issuer: str
    client_id: str
    auth_method: AuthMethod
    redirect_uri: str | None = None
    secret: SecretStr | None = None
    secret_expires_at: float = 0
    configuration_uri: str | None = None
    configuration_token: SecretStr | None = field(default=None, repr=False)
    fingerprint: str = ""

    @property
    def manual(self) -> bool:
        """Whether it was arranged by hand, and cannot be made anew."""
        return not self.fingerprint

    @property
    def managed(self) -> bool:
        """Whether the server offers RFC 7592 for it."""
        return self.configuration_uri is not None and self.configuration_token is not None

    def expired(self, now: float) -> bool:
        """Tell whether the secret has ended, or is about to."""
        return self.secret_expires_at > 0 and now >= self.secret_expires_at - _EXPIRY_MARGIN

    def to_record(self) -> Record:
        """Give what is stored."""
        return Record(
            {
                "client_id": self.client_id,
                "auth_method": self.auth_method.value,
                "redirect_uri": self.redirect_uri,
                "secret_expires_at": self.secret_expires_at,
                "configuration_uri": self.configuration_uri,
                "fingerprint": self.fingerprint,
            },
            {
                "client_secret": _revealed(self.secret),
                "configuration_token": _revealed(self.configuration_token),
            },
        )

    @classmethod
    def from_record(cls, issuer: str, record: Record) -> Registration:
        """Read what was stored.

        Raises:
            StoreError: it is not what `to_record` gives.
        """
        public, secret = record.public, record.secret
        try:
            return cls(
                issuer=issuer,
                client_id=text(public["client_id"]),
                auth_method=AuthMethod(text(public["auth_method"])),
                redirect_uri=optional(public["redirect_uri"]),
                secret=hidden(secret["client_secret"]),
                secret_expires_at=moment(public["secret_expires_at"]),
                configuration_uri=optional(public["configuration_uri"]),
                configuration_token=hidden(secret["configuration_token"]),
                fingerprint=text(public["fingerprint"]),
            )
        except (KeyError, ValueError):
            raise StoreError(f"the stored registration with {issuer} is damaged") from None


def server_tag(issuer: str) -> str:
    """Give the short name of a server that stands for `{server}` in a redirect URI."""
    return hashlib.sha256(issuer.encode()).hexdigest()[:12]


def redirect_uri_at(settings: ClientSettings, issuer: str) -> str:
    """Give the redirect URI that is registered with a server.

    Raises:
        ConfigurationError: there is none in the settings.
    """
    uri = settings.demand("redirect_uri", "the authorization_code grant takes it")
    return uri.replace(SERVER_PLACEHOLDER, server_tag(issuer))


def registration_request(settings: ClientSettings, issuer: str) -> JsonObject:
    """Make the client metadata to register with a server (RFC 7591 Section 2).

    Raises:
        ConfigurationError: a setting is missing that this takes.
    """
    # IS-10 "Client Registration": "Clients MUST include populated `client_name` and `scope`".
    request: JsonObject = {
        "client_name": settings.demand("name", "every registration takes a unique client_name"),
        "scope": " ".join(settings.scope) or settings.demand("scope", "a registration takes it"),
        "token_endpoint_auth_method": settings.auth_method.value,
    }
    if settings.grant is Grant.CLIENT_CREDENTIALS:
        # Empty, since by default a client would use "code" (RFC 7591 Section 2).
        request |= {"grant_types": [settings.grant.value], "response_types": []}
    else:
        request |= {
            "grant_types": [settings.grant.value, "refresh_token"],
            "response_types": ["code"],
        }
    if settings.redirect_uri is not None or settings.grant is Grant.AUTHORIZATION_CODE:
        # Without need for one, where it is set all the same: the BBC's server makes the audience
        # of tokens of it.
        redirect_uri = redirect_uri_at(settings, issuer)
        request["redirect_uris"] = [redirect_uri]
        if not redirect_uri.startswith("https://"):
            # OpenID Connect Dynamic Client Registration Section 2: a "web" client, which is the
            # default, has https redirect URIs only. Other servers ignore it.
            request["application_type"] = "native"
    if settings.auth_method is AuthMethod.PRIVATE_KEY_JWT:
        request["jwks_uri"] = settings.demand(
            "jwks_uri", "private_key_jwt takes a URL at which servers fetch our public keys"
        )
    return request


def fingerprint_of(request: JsonObject) -> str:
    """Give what changes when the client metadata does."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
