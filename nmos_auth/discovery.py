"""RFC 8414 metadata: from an issuer to the place of its keys."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from urllib.parse import urlsplit

from nmos_auth.errors import FetchError, MetadataError
from nmos_auth.jwks import VerificationKey, parse_jwks
from nmos_auth.settings import is_issuer_url
from nmos_auth.strict_json import JsonObject
from nmos_auth.transport import GetJson

__all__ = [
    "IssuerRules",
    "fetch_keys",
    "host_of",
    "jwks_uri_of",
    "metadata_url",
    "openid_metadata_url",
]

logger = logging.getLogger("nmos_auth")


@dataclass(frozen=True, slots=True)
class IssuerRules:
    """What holds for fetching from one issuer.

    Attributes:
        allow_http: http URLs count too, for development.
        allow_openid: `openid-configuration` will do where the server has no other metadata.
        own_host_only: `jwks_uri` must be on the issuer's own host.
    """

    allow_http: bool = False
    allow_openid: bool = True
    own_host_only: bool = False


def metadata_url(issuer: str) -> str:
    """Give the metadata URL of an issuer.

    RFC 8414 Section 3.1: the well-known part goes between host and path, "any terminating /"
    removed first.

        >>> metadata_url("https://auth.example.com/nmos")
        'https://auth.example.com/.well-known/oauth-authorization-server/nmos'
    """
    parts = urlsplit(issuer)
    path = parts.path.removesuffix("/")
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}"


def openid_metadata_url(issuer: str) -> str:
    """Give the metadata URL of an OpenID provider, which appends (RFC 8414 Section 5)."""
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration"


def host_of(url: str) -> str:
    """Give a URL's host, in lower case; "" where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def jwks_uri_of(metadata: JsonObject, issuer: str, rules: IssuerRules) -> str:
    """Read where an issuer publishes its keys.

    Raises:
        MetadataError: `issuer` is not identical ("the data contained in the response MUST NOT be
            used", RFC 8414 Section 3.3), or `jwks_uri` is missing or not where it may be.
    """
    named = metadata.get("issuer")
    if named != issuer:
        raise MetadataError(f"the metadata of {issuer} names another issuer: {named!r:.200}")
    uri = metadata.get("jwks_uri")
    schemes = ("https", "http") if rules.allow_http else ("https",)
    # A query is allowed in jwks_uri, unlike in an issuer.
    if not isinstance(uri, str) or not is_issuer_url(uri.partition("?")[0], schemes=schemes):
        raise MetadataError(f"the metadata of {issuer} has no usable jwks_uri: {uri!r:.200}")
    if rules.own_host_only and (host_of(uri) != host_of(issuer) or not uri.startswith("https://")):
        raise MetadataError(f"the metadata of {issuer} puts its keys on another host: {uri!r:.200}")
    return uri


async def fetch_keys(
    get_json: GetJson, issuer: str, rules: IssuerRules
) -> tuple[VerificationKey, ...]:
    """Fetch an issuer's metadata and then its keys.

    Raises:
        TrustError: either could not be had or may not be used.
    """
    metadata = await _fetch_metadata(get_json, issuer, rules)
    return parse_jwks(await get_json(jwks_uri_of(metadata, issuer, rules)))


async def _fetch_metadata(get_json: GetJson, issuer: str, rules: IssuerRules) -> JsonObject:
    try:
        return await get_json(metadata_url(issuer))
    except FetchError as error:
        answered_otherwise = error.status is not None and 400 <= error.status < 500
        if not (rules.allow_openid and answered_otherwise):
            raise
        return await get_json(openid_metadata_url(issuer))
