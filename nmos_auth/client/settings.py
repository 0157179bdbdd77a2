"""The NMOS_AUTH_CLIENT_* variables, and those that a Client shares with the server half."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Self

from cryptography.fernet import Fernet
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from nmos_auth.errors import ConfigurationError
from nmos_auth.servers.access import USER_AGENT
from nmos_auth.servers.grammar import SCOPE_TOKEN
from nmos_auth.servers.redirect_uris import RedirectUri
from nmos_auth.servers.urls import EndpointUrl
from nmos_auth.settings import (
    BearerToken,
    CertificateFile,
    ClientId,
    ClientSecret,
    Discovery,
    DnsServers,
    DomainName,
    EnvironmentSettings,
    Issuers,
    KeptFile,
    ProxyUrl,
    ReadFile,
    UserAgent,
    check_client_certificate,
    effective_environment,
    require_https,
    with_suggestion,
)

__all__ = [
    "PREFIX",
    "SERVER_PLACEHOLDER",
    "AssertionAudience",
    "AuthMethod",
    "ClientSettings",
    "Grant",
    "describe_unknown_client",
    "redirect_uri_of",
    "scope_tokens",
    "scopes_of",
    "unknown_client_variables",
]

PREFIX = "NMOS_AUTH_CLIENT_"
SHARED = {
    name: f"NMOS_AUTH_{name.upper()}"
    for name in (
        "servers",
        "discovery",
        "dns_domain",
        "dns_servers",
        "ca_file",
        "client_certificate",
        "client_certificate_key",
        "https_proxy",
        "user_agent",
        "allow_http",
    )
}
SERVER_PLACEHOLDER = "{server}"


class Grant(StrEnum):
    """How the Client gets tokens (IS-10 "Token Requests", Grants)."""

    CLIENT_CREDENTIALS = "client_credentials"
    AUTHORIZATION_CODE = "authorization_code"


class AuthMethod(StrEnum):
    """How the Client authenticates at the token endpoint (IS-10 "Clients", Client Credentials)."""

    PRIVATE_KEY_JWT = "private_key_jwt"
    CLIENT_SECRET_BASIC = "client_secret_basic"  # noqa: S105 - a method's name
    NONE = "none"


class AssertionAudience(StrEnum):
    """The audience of a client assertion."""

    ISSUER = "issuer"
    TOKEN_ENDPOINT = "token_endpoint"  # noqa: S105 - a name too


def scope_tokens(value: object) -> object:
    """Split a scope at spaces, or at commas as in every other list."""
    if isinstance(value, str):
        return tuple(dict.fromkeys(value.replace(",", " ").split()))
    return value


def scopes_of(scopes: Iterable[str]) -> frozenset[str]:
    """Return the single scopes, however they were joined: `"query node"` is two."""
    given = (scopes,) if isinstance(scopes, str) else scopes
    return frozenset(part for each in given for part in each.replace(",", " ").split())


def _scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    for scope in scopes:
        # RFC 6749 permits a semicolon in a scope, but whoever writes one means to separate scopes.
        if not SCOPE_TOKEN.fullmatch(scope) or ";" in scope:
            raise ValueError(
                f"{scope!r} is not a scope; write names like registration, separated by spaces or"
                " commas"
            )
    return scopes


def redirect_uri_of(template: str) -> RedirectUri:
    """Parse a redirect URI in which `{server}` stands for a server's short name.

    Raises:
        ValueError: it is not a redirect URI.
    """
    return RedirectUri.parse(template.replace(SERVER_PLACEHOLDER, "server"))


Scopes = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(scope_tokens), AfterValidator(_scopes)
]


class ClientSettings(EnvironmentSettings):
    """A Client's settings, from the environment unless given by name.

    Attributes:
        name: `client_name`, unique to each instance: manufacturer, product, serial number.
        scope: the scopes to register for, and to request where none are named.
        grant: how the Client gets tokens.
        auth_method: how the Client authenticates.
        jwks_uri: where this Client serves its public keys, for `private_key_jwt`.
        redirect_uri: where Authorization Servers send users back to; `{server}` in it becomes a
            short name of the server, so that each has its own.
        initial_access_token: the token that a server requires for a registration.
        store: the file that keeps registrations, keys and refresh tokens; None for memory.
        store_key: the Fernet key that encrypts the secrets in it; None for a key file beside it.
        id: a client id that was assigned by hand, instead of a registration.
        secret: its secret, for `client_secret_basic`.
        credentials_scope: what the client_credentials grant may be used for; `*` for anything.
        assertion_audience: the audience of client assertions.
        assume_pkce: assume that a server accepts S256 if its metadata does not say which code
            challenges it accepts.
        servers: issuer URLs in order of preference (NMOS_AUTH_SERVERS).
        discovery: how servers are found while there are none (NMOS_AUTH_DISCOVERY).
        dns_domain: where discovery looks (NMOS_AUTH_DNS_DOMAIN).
        dns_servers: DNS servers that discovery asks, instead of the machine's
            (NMOS_AUTH_DNS_SERVERS).
        ca_file: root certificates for Authorization Servers (NMOS_AUTH_CA_FILE).
        client_certificate: the certificate that TLS connections present to them
            (NMOS_AUTH_CLIENT_CERTIFICATE).
        client_certificate_key: its key, unless it is in the same file
            (NMOS_AUTH_CLIENT_CERTIFICATE_KEY).
        https_proxy: the proxy that connections to them go through (NMOS_AUTH_HTTPS_PROXY).
        user_agent: the `User-Agent` of requests (NMOS_AUTH_USER_AGENT).
        allow_http: allow http URLs too, for development (NMOS_AUTH_ALLOW_HTTP).

    Raises:
        ConfigurationError: a value is wrong; the message names the variable.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, populate_by_name=True)

    name: str | None = None
    scope: Scopes = ()
    grant: Grant = Grant.CLIENT_CREDENTIALS
    auth_method: AuthMethod = AuthMethod.PRIVATE_KEY_JWT
    jwks_uri: str | None = None
    redirect_uri: str | None = None
    initial_access_token: BearerToken = None
    store: KeptFile = None
    store_key: SecretStr | None = None
    id: ClientId = None
    secret: ClientSecret = None
    credentials_scope: Scopes = ("registration", "events")
    assertion_audience: AssertionAudience = AssertionAudience.ISSUER
    assume_pkce: bool = False

    servers: Issuers = Field(default=(), validation_alias=SHARED["servers"])
    discovery: Discovery = Field(default=Discovery.UNICAST, validation_alias=SHARED["discovery"])
    dns_domain: DomainName = Field(default=None, validation_alias=SHARED["dns_domain"])
    dns_servers: DnsServers = Field(default=(), validation_alias=SHARED["dns_servers"])
    ca_file: CertificateFile = Field(default=None, validation_alias=SHARED["ca_file"])
    client_certificate: ReadFile = Field(
        default=None, validation_alias=SHARED["client_certificate"]
    )
    client_certificate_key: ReadFile = Field(
        default=None, validation_alias=SHARED["client_certificate_key"]
    )
    https_proxy: ProxyUrl = Field(default=None, validation_alias=SHARED["https_proxy"])
    user_agent: UserAgent = Field(default=USER_AGENT, validation_alias=SHARED["user_agent"])
    allow_http: bool = Field(default=False, validation_alias=SHARED["allow_http"])

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - pydantic checks every one
        # Otherwise pydantic's plugin for mypy would make a constructor for typed values only.
        super().__init__(**values)

    @field_validator("*", mode="before")
    @classmethod
    def _unicode(cls, value: object) -> object:
        # Bytes in the environment that are not UTF-8 arrive as lone surrogates.
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("this is not UTF-8") from None
        return value

    @field_validator("store_key")
    @classmethod
    def _fernet_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            try:
                Fernet(key.get_secret_value().encode())
            except ValueError:
                raise ValueError(
                    "this is not a Fernet key; make one with `python -c 'from cryptography.fernet"
                    " import Fernet; print(Fernet.generate_key().decode())'`"
                ) from None
        return key

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        check_client_certificate(self.client_certificate, self.client_certificate_key)
        return self

    @model_validator(mode="after")
    def _urls(self) -> Self:
        require_https(SHARED["servers"], self.servers, allow_http=self.allow_http)
        if self.jwks_uri is not None and not _is_web_url(self.jwks_uri):
            raise ValueError(
                f"{PREFIX}JWKS_URI: {self.jwks_uri!r} is not a URL that can be fetched; write"
                " https://HOST[:PORT]/PATH"
            )
        require_https(f"{PREFIX}JWKS_URI", [self.jwks_uri], allow_http=self.allow_http)
        if self.redirect_uri is not None:
            self._check_redirect_uri(self.redirect_uri)
        return self

    def _check_redirect_uri(self, uri: str) -> None:
        try:
            parsed = redirect_uri_of(uri)
        except ValueError as error:
            raise ValueError(f"{PREFIX}REDIRECT_URI: {uri!r:.200}: {error}") from None
        if parsed.scheme == "http" and not (parsed.is_loopback or self.allow_http):
            raise ValueError(
                f"{PREFIX}REDIRECT_URI: {uri} is neither https nor http on a loopback address;"
                " use https, or set NMOS_AUTH_ALLOW_HTTP=true, for development only"
            )
        if len(self.servers) > 1 and SERVER_PLACEHOLDER not in uri:
            # RFC 9700 Section 4.4.2: distinct redirect URIs distinguish the servers' answers.
            raise ValueError(
                f"{PREFIX}REDIRECT_URI: there are several servers; put {SERVER_PLACEHOLDER} into"
                " it, so that each has a redirect URI of its own"
            )

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        manual = self.id is not None
        if self.secret is not None and not manual:
            raise ValueError(f"{PREFIX}SECRET: it requires {PREFIX}ID, the client id it belongs to")
        if manual and self.auth_method is AuthMethod.CLIENT_SECRET_BASIC and self.secret is None:
            raise ValueError(f"{PREFIX}SECRET: client_secret_basic with {PREFIX}ID requires it")
        if self.secret is not None and self.auth_method is not AuthMethod.CLIENT_SECRET_BASIC:
            raise ValueError(
                f"{PREFIX}SECRET: {PREFIX}AUTH_METHOD={self.auth_method} does not use it; set"
                f" {PREFIX}AUTH_METHOD={AuthMethod.CLIENT_SECRET_BASIC}, or remove the secret"
            )
        return self

    @model_validator(mode="after")
    def _grant_and_scope(self) -> Self:
        if self.grant is Grant.CLIENT_CREDENTIALS and self.auth_method is AuthMethod.NONE:
            # IS-10 "Token Requests", Grants.
            raise ValueError(
                f"{PREFIX}AUTH_METHOD: `none` is for public clients, and only confidential"
                f" clients may use the client_credentials grant; set {PREFIX}GRANT or another"
                " method"
            )
        if trouble := self.grant_trouble(self.scope):
            raise ValueError(f"{PREFIX}SCOPE: {trouble}")
        return self

    def grant_trouble(self, scope: Iterable[str]) -> str | None:
        """Return why the grant may not be used for these scopes, or None if it may."""
        beyond = set(scope).difference(self.credentials_scope)
        if (
            self.grant is not Grant.CLIENT_CREDENTIALS
            or "*" in self.credentials_scope
            or not beyond
        ):
            return None
        return (
            f"BCP-003-02 has no client_credentials grant for {' '.join(sorted(beyond))};"
            f" if the servers permit it nevertheless, name them in {PREFIX}CREDENTIALS_SCOPE"
        )

    def check_complete(
        self,
        *,
        for_scope: Iterable[str] = (),
        stores: str | None = None,
        finds_servers: bool = False,
    ) -> None:
        """Check that no setting is missing that a token requires.

        Args:
            for_scope: the scopes of the token; empty for those of the settings.
            stores: why a store is required; None where it is not.
            finds_servers: whether servers must be named or discovered.

        Raises:
            ConfigurationError: settings are missing; the message names them all.
        """
        missing = {}
        if not (self.scope or tuple(for_scope)):
            missing[f"{PREFIX}SCOPE"] = "every token requires a scope, for instance registration"
        if self.id is None:
            if self.name is None:
                missing[f"{PREFIX}NAME"] = "every registration requires a unique client_name"
            if self.jwks_uri is None and self.auth_method is AuthMethod.PRIVATE_KEY_JWT:
                missing[f"{PREFIX}JWKS_URI"] = (
                    "servers fetch the public keys of a client with private_key_jwt there"
                    f" (or set {PREFIX}AUTH_METHOD)"
                )
        if self.redirect_uri is None and self.grant is Grant.AUTHORIZATION_CODE:
            missing[f"{PREFIX}REDIRECT_URI"] = "servers send users back there"
        if stores is not None and self.store is None:
            missing[f"{PREFIX}STORE"] = stores
        if finds_servers and not self.servers and self.discovery is Discovery.OFF:
            missing[SHARED["servers"]] = f"{SHARED['discovery']} is off"
        if missing:
            raise ConfigurationError(
                "; ".join(f"{name}: it is not set, and {why}" for name, why in missing.items())
            )

    def required(self, name: str, why: str) -> str:
        """Return a setting that is required now.

        Raises:
            ConfigurationError: it is not set.
        """
        value = getattr(self, name)
        if not value:
            raise ConfigurationError(f"{PREFIX}{name.upper()}: it is not set, and {why}")
        return str(value)


def unknown_client_variables() -> list[str]:
    """List the NMOS_AUTH_CLIENT_* variables that no setting reads: most are misspelt.

    Raises:
        ConfigurationError: the env file may not be used, or is missing.
    """
    known = _known_variables()
    return sorted(
        name for name in effective_environment() if name.startswith(PREFIX) and name not in known
    )


def describe_unknown_client(name: str) -> str:
    """Return an unknown variable for a message, with the one that was probably meant."""
    return with_suggestion(name, _known_variables())


def _known_variables() -> set[str]:
    return {each for each in ClientSettings.variables().values() if each.startswith(PREFIX)}


def _is_web_url(url: str) -> bool:
    try:
        EndpointUrl.parse(url, allow_http=True)
    except ValueError:
        return False
    return True
