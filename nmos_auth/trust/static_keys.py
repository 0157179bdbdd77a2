"""Keys of issuers that are never asked, for plants without a network to their servers.

The file is JSON, a JWK Set (RFC 7517 Section 5) for each issuer:

    {"issuers": {"https://auth.example.com": {"keys": [{"kty": "RSA", "n": "…", "e": "AQAB"}]}}}

A file that NMOS_AUTH_KEYS_FILE names has this form too; its other members are not read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from nmos_auth.errors import ConfigurationError, KeySetError
from nmos_auth.servers.private_files import FileRefused, PrivateFile
from nmos_auth.servers.strict_json import parse_object
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.trust.jwks import VerificationKey, parse_jwks

__all__ = ["read_static_keys"]

_SETTING = "NMOS_AUTH_STATIC_KEYS_FILE"

logger = logging.getLogger("nmos_auth")


def read_static_keys(path: Path, *, allow_http: bool) -> Mapping[str, tuple[VerificationKey, ...]]:
    """Read the keys of each issuer.

    Args:
        path: the file.
        allow_http: whether issuers may be http, as they may in development.

    Raises:
        ConfigurationError: the file may not be used, or has no usable key for an issuer.
    """
    try:
        issuers = parse_object(PrivateFile(path, setting=_SETTING, secret=False).read()).get(
            "issuers"
        )
    except FileNotFoundError:
        raise ConfigurationError(f"{_SETTING}: {path} does not exist") from None
    except FileRefused as error:
        raise ConfigurationError(str(error)) from None
    except ValueError as error:
        raise ConfigurationError(f"{_SETTING}: {path} cannot be used: it is {error}") from None
    if not isinstance(issuers, dict) or not issuers:
        raise ConfigurationError(
            f'{_SETTING}: {path} names no issuer; write {{"issuers": {{"https://HOST": {{"keys":'
            " […]}}}"
        )
    return {
        issuer: _keys(path, issuer, document, allow_http=allow_http)
        for issuer, document in issuers.items()
    }


def _keys(
    path: Path, issuer: str, document: object, *, allow_http: bool
) -> tuple[VerificationKey, ...]:
    where = f"{_SETTING}: {path}: {issuer!r:.200}"
    try:
        IssuerUrl.parse(issuer, allow_http=allow_http)
    except ValueError as error:
        raise ConfigurationError(f"{where} is not an issuer URL: {error}") from None
    try:
        found = parse_jwks(document)
    except KeySetError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    reasons = "; ".join(found.passed_over)
    if not found.keys:
        raise ConfigurationError(f"{where} has no key for RS512: {reasons or 'the set is empty'}")
    if reasons:
        logger.warning("%s: keys that cannot be used: %s", where, reasons)
    return found.keys
