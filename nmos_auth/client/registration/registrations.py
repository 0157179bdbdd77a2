"""A registration at a server, and the client metadata that it is made from. Pure functions.

Sources: RFC 7591 Section 2, IS-10 "Client Registration".
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

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

# Seconds before the end of a secret from which it is no longer used.
_EXPIRY_MARGIN = 60.0
_JUST_MADE = 600.0
_WORTH_KEEPING = 86400.0
# Seconds for which a token endpoint refuses a Client before the Client registers once more, where
# the server cannot be asked about the registration; and seconds between two such registrations.
_REFUSED_LONG = 600.0
_ONCE_MORE_AT_MOST = 3600.0
# Seconds after which another refusal is a new trouble, and seconds between refusals that are noted.
_ONE_TROUBLE = 3600.0
_NOTED_AGAIN = 60.0
_MOMENTS = (
    "made_at",
    "accepted_at",
    "refused_since",
    "refused_at",
    "unknown_since",
    "replaced_at",
    "held_until",
)


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration of this Client at one Authorization Server.

    Attributes:
        issuer: the server.
        client_id: the client id.
        auth_method: how it authenticates there.
        redirect_uri: the URL to which the server sends users back, or None.
        secret: the client secret, or None.
        secret_expires_at: seconds since 1970 UTC at which the secret ends; 0 for never.
        configuration_uri: `registration_client_uri` (RFC 7592 Section 3), or None.
        configuration_token: `registration_access_token`, or None.
        fingerprint: the fingerprint of the request; "" for credentials assigned by hand.
        signing_algorithm: the algorithm for assertions that the server has registered, or None.
        made_at: seconds since 1970 UTC at which it was made.
        accepted_at: seconds since 1970 UTC at which the server first accepted it, with a token or
            at its management URL; 0 if it has not yet.
        refused_since: seconds since 1970 UTC since which the token endpoint has refused it with
            `invalid_client`, without issuing a token in between; 0 if it has not.
        refused_at: the time of the last such refusal.
        unknown_since: the time since which its management URL has answered 401; 0 if it has not.
        replaced_at: the time at which another one replaced it; 0 while it is the current one.
        held_until: the time until which sessions in the memory of a process may belong to it.
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
    signing_algorithm: str | None = None
    made_at: float = 0
    accepted_at: float = 0
    refused_since: float = 0
    refused_at: float = 0
    unknown_since: float = 0
    replaced_at: float = 0
    held_until: float = 0

    @property
    def manual(self) -> bool:
        """Whether it was made by hand, and cannot be made again."""
        return not self.fingerprint

    @property
    def credentials(self) -> tuple[str, SecretStr | None]:
        """The credentials for the token endpoint."""
        return self.client_id, self.secret

    @property
    def managed(self) -> bool:
        """Whether the server offers RFC 7592 for it."""
        return self.configuration_uri is not None and self.configuration_token is not None

    def expired(self, now: float) -> bool:
        """Tell whether the secret has ended, or ends soon."""
        return self.secret_expires_at > 0 and now >= self.secret_expires_at - _EXPIRY_MARGIN

    def just_made(self, now: float) -> bool:
        """Tell whether it is new, and the server has not accepted it yet."""
        return not self.accepted_at and 0 <= now - self.made_at < _JUST_MADE

    def accepted(self, now: float) -> Registration:
        """Return it marked as accepted by the server, and no longer in doubt."""
        first = self.accepted_at or now
        return replace(self, accepted_at=first, refused_since=0, refused_at=0, unknown_since=0)

    def doubted(self) -> bool:
        """Tell whether the server has said that it does not know it, and nothing else since."""
        return self.refused_since > 0 or self.unknown_since > 0

    def worth_keeping(self, now: float) -> bool:
        """Tell whether a process with earlier settings may use a former registration again.

        If the server offers deletion, it is deleted; otherwise the server keeps it anyway.
        """
        age = now - self.replaced_at
        return not self.managed and not self.doubted() and 0 <= age < _WORTH_KEEPING

    def unmanaged(self) -> Registration:
        """Return it without its management URL, which cannot be used."""
        return replace(self, configuration_uri=None, configuration_token=None)

    def refused(self, now: float) -> Registration:
        """Return it marked as refused by the token endpoint at this time."""
        since, last = self.refused_since, self.refused_at
        if not (0 < since <= last <= now and now - last < _ONE_TROUBLE):
            since = now
        elif now - last < _NOTED_AGAIN:
            return self
        return replace(self, refused_since=since, refused_at=now)

    def refused_long(self, now: float) -> bool:
        """Tell whether it has been refused for so long that another one should be made.

        That is done at most once an hour.
        """
        troubled = 0 < self.refused_since <= now and now - self.refused_at < _ONE_TROUBLE
        long = troubled and now - self.refused_since >= _REFUSED_LONG
        return long and not 0 <= now - self.made_at < _ONCE_MORE_AT_MOST

    def to_record(self) -> Record:
        """Return what is stored."""
        return Record(
            {
                "client_id": self.client_id,
                "auth_method": self.auth_method.value,
                "redirect_uri": self.redirect_uri,
                "secret_expires_at": self.secret_expires_at,
                "configuration_uri": self.configuration_uri,
                "fingerprint": self.fingerprint,
                "signing_algorithm": self.signing_algorithm,
                **{name: getattr(self, name) for name in _MOMENTS},
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
            StoreError: it is not what `to_record` returns.
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
                # Stores of earlier versions do not have these.
                signing_algorithm=optional(public.get("signing_algorithm")),
                **{name: moment(public.get(name, 0)) for name in _MOMENTS},
            )
        except (KeyError, ValueError):
            raise StoreError(f"the stored registration with {issuer} is damaged") from None


def server_tag(issuer: str) -> str:
    """Return the short name of a server, which replaces `{server}` in a redirect URI."""
    return hashlib.sha256(issuer.encode()).hexdigest()[:12]


def redirect_uri_at(settings: ClientSettings, issuer: str) -> str:
    """Return the redirect URI that is registered with a server.

    Raises:
        ConfigurationError: it is not set.
    """
    uri = settings.required("redirect_uri", "the authorization_code grant requires it")
    return uri.replace(SERVER_PLACEHOLDER, server_tag(issuer))


def registration_request(settings: ClientSettings, issuer: str) -> JsonObject:
    """Make the client metadata to register with a server (RFC 7591 Section 2).

    Raises:
        ConfigurationError: a setting is missing that this requires.
    """
    # IS-10 "Client Registration": "Clients MUST include populated `client_name` and `scope`".
    request: JsonObject = {
        "client_name": settings.required("name", "a registration requires a unique client_name"),
        "scope": " ".join(settings.scope)
        or settings.required("scope", "a registration requires it"),
        "token_endpoint_auth_method": settings.auth_method.value,
    }
    if settings.grant is Grant.CLIENT_CREDENTIALS:
        # It is empty because the default is "code" (RFC 7591 Section 2).
        request |= {"grant_types": [settings.grant.value], "response_types": []}
    else:
        request |= {
            "grant_types": [settings.grant.value, "refresh_token"],
            "response_types": ["code"],
        }
    if settings.redirect_uri is not None or settings.grant is Grant.AUTHORIZATION_CODE:
        # If it is set, it is sent even where it is not needed: the BBC's server derives the
        # audience of tokens from it.
        redirect_uri = redirect_uri_at(settings, issuer)
        request["redirect_uris"] = [redirect_uri]
        if not redirect_uri.startswith("https://"):
            # OpenID Connect Dynamic Client Registration Section 2: a "web" client, the default, has
            # only https redirect URIs. Other servers ignore this member.
            request["application_type"] = "native"
    if settings.auth_method is AuthMethod.PRIVATE_KEY_JWT:
        request["jwks_uri"] = settings.required(
            "jwks_uri", "private_key_jwt requires a URL at which servers fetch the public keys"
        )
    return request


def fingerprint_of(request: JsonObject) -> str:
    """Return a value that changes when the client metadata changes."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
