"""The Client half: Nodes and Controllers get, keep and present Access Tokens (IS-10 "Clients")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmos_auth.client.errors import (
    AuthorizationRefused,
    CallbackError,
    ClientClosed,
    ClientError,
    CredentialsMissing,
    GrantNotPermitted,
    LoginRequired,
    OAuthError,
    RegistrationRefused,
    RevocationRefused,
    ScopeNotGranted,
    ServerMetadataError,
    ServersFailed,
    ServerUnavailable,
    StoreError,
    TokenRefused,
    UnusableAnswer,
)
from nmos_auth.lazy import lazily

if TYPE_CHECKING:
    from nmos_auth.client.client import AuthorizationClient, ClientThread
    from nmos_auth.client.grants.keys import ClientKeys, jwks_route
    from nmos_auth.client.httpx_auth import BearerAuth
    from nmos_auth.client.presenting import Origins, TokenHosts, websocket_headers, websocket_url
    from nmos_auth.client.settings import AuthMethod, ClientSettings, Grant
    from nmos_auth.client.tokens.source import HeldToken, TokenSource

__all__ = [
    "AuthMethod",
    "AuthorizationClient",
    "AuthorizationRefused",
    "BearerAuth",
    "CallbackError",
    "ClientClosed",
    "ClientError",
    "ClientKeys",
    "ClientSettings",
    "ClientThread",
    "CredentialsMissing",
    "Grant",
    "GrantNotPermitted",
    "HeldToken",
    "LoginRequired",
    "OAuthError",
    "Origins",
    "RegistrationRefused",
    "RevocationRefused",
    "ScopeNotGranted",
    "ServerMetadataError",
    "ServerUnavailable",
    "ServersFailed",
    "StoreError",
    "TokenHosts",
    "TokenRefused",
    "TokenSource",
    "UnusableAnswer",
    "jwks_route",
    "websocket_headers",
    "websocket_url",
]

# A command line is parsed and completed without any of this.
_MODULES = {
    "client": ("AuthorizationClient", "ClientThread"),
    "grants.keys": ("ClientKeys", "jwks_route"),
    "httpx_auth": ("BearerAuth",),
    "presenting": ("Origins", "TokenHosts", "websocket_headers", "websocket_url"),
    "settings": ("AuthMethod", "ClientSettings", "Grant"),
    "tokens.source": ("HeldToken", "TokenSource"),
}
__getattr__, __dir__ = lazily(globals(), _MODULES)
