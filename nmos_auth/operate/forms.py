"""The form of each setting, for whoever has to correct one."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["FORMS", "correct_form"]

_NAME = re.compile(r"(?:^|; )(NMOS_AUTH_[A-Z_]+): ")
_BOOLEAN: Final = "true or false"
_ISSUERS: Final = "issuer URLs, https://HOST[:PORT][/PATH], separated by commas"
_SCOPES: Final = "names of NMOS APIs, such as registration, separated by spaces or commas"
_SECONDS: Final = "a number of seconds, more than 0"
_OWN_FILE: Final = "the path of a file in a directory that exists, which this user may write"
_PEM: Final = "the path of a PEM file that this user may read"

FORMS: Final = {
    "NMOS_AUTH_ALLOW_HTTP": _BOOLEAN,
    "NMOS_AUTH_AUDIENCE": "host names or addresses of this server, without ports, separated by"
    " commas",
    "NMOS_AUTH_AUDIT_LIMIT": "a number of lines a second, 0 for no limit",
    "NMOS_AUTH_AUDIT_LOG": "stderr, stdout, logging, off, or a path with a slash in it",
    "NMOS_AUTH_CA_FILE": _PEM,
    "NMOS_AUTH_CLIENT_ASSERTION_AUDIENCE": "issuer or token_endpoint",
    "NMOS_AUTH_CLIENT_ASSUME_PKCE": _BOOLEAN,
    "NMOS_AUTH_CLIENT_AUTH_METHOD": "private_key_jwt, client_secret_basic or none",
    "NMOS_AUTH_CLIENT_CERTIFICATE": _PEM,
    "NMOS_AUTH_CLIENT_CERTIFICATE_KEY": _PEM,
    "NMOS_AUTH_CLIENT_CREDENTIALS_SCOPE": f"{_SCOPES}, or * for any",
    "NMOS_AUTH_CLIENT_GRANT": "client_credentials or authorization_code",
    "NMOS_AUTH_CLIENT_ID": "the client id that the server has assigned, and nothing else",
    "NMOS_AUTH_CLIENT_INITIAL_ACCESS_TOKEN": "a token, without `Bearer` and without white space",
    "NMOS_AUTH_CLIENT_JWKS_URI": "a URL, https://HOST[:PORT]/PATH",
    "NMOS_AUTH_CLIENT_NAME": "a name that no other client has, in UTF-8",
    "NMOS_AUTH_CLIENT_REDIRECT_URI": "a URL, https://HOST[:PORT]/PATH, or http on a loopback"
    " address; with {server} in it for several servers",
    "NMOS_AUTH_CLIENT_SCOPE": _SCOPES,
    "NMOS_AUTH_CLIENT_SECRET": "the secret that belongs to NMOS_AUTH_CLIENT_ID, and nothing else",
    "NMOS_AUTH_CLIENT_STORE": _OWN_FILE,
    "NMOS_AUTH_CLIENT_STORE_KEY": "a Fernet key: 32 bytes in URL-safe base64",
    "NMOS_AUTH_CORS_ORIGINS": "origins, https://HOST[:PORT], separated by commas, or * for any",
    "NMOS_AUTH_DISCOVERY": "unicast, multicast, both or off",
    "NMOS_AUTH_DNS_DOMAIN": "a domain name, such as example.com",
    "NMOS_AUTH_DNS_SERVERS": "addresses, ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT, separated by"
    " commas",
    "NMOS_AUTH_ENABLED": _BOOLEAN,
    "NMOS_AUTH_ENV_FILE": "the path of a file with lines NAME=VALUE in UTF-8, which no other user"
    " may write",
    "NMOS_AUTH_EXPIRED_SOCKETS": "keep or close",
    "NMOS_AUTH_HTTPS_PROXY": "a URL, http://[NAME:PASSWORD@]HOST:PORT",
    "NMOS_AUTH_ISSUER_POLICY": "same-host or configured",
    "NMOS_AUTH_KEYS_FILE": _OWN_FILE,
    "NMOS_AUTH_LEEWAY": "a number of seconds from 0 to 300",
    "NMOS_AUTH_REFETCH_INTERVAL": _SECONDS,
    "NMOS_AUTH_REFRESH_INTERVAL": _SECONDS,
    "NMOS_AUTH_REMEMBERED_REQUESTS": "a whole number from 0 to 1000000",
    "NMOS_AUTH_REMEMBERED_TOKENS": "a whole number from 0 to 1000000",
    "NMOS_AUTH_SERVERS": _ISSUERS,
    "NMOS_AUTH_STATIC_KEYS_FILE": "the path of a JSON file that no other user may write:"
    ' {"issuers": {"https://HOST": {"keys": [...]}}}',
    "NMOS_AUTH_TRUSTED_ISSUERS": _ISSUERS,
    "NMOS_AUTH_USER_AGENT": "printable ASCII, without a space at either end",
}
"""What the value of each variable must be."""


def correct_form(message: str) -> str:
    """Return what to write instead, for the message of a `ConfigurationError`."""
    names = dict.fromkeys(_NAME.findall(message))
    known = [f"{name} must be {FORMS[name]}" for name in names if name in FORMS]
    return "; ".join(known) or "correct the value"
