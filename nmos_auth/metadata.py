"""RFC 8414 metadata: from an issuer to the place of its keys."""

from __future__ import annotations

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
    "is_metadata_url_of",
    "issuer_at",
    "jwks_uri_of",
    "metadata_url",
    "openid_metadata_url",
]

_SCHEMES = {"https": 443, "http": 80}


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


def is_metadata_url_of(url: str, issuer: str) -> bool:
    """Tell whether `url` is the metadata URL of an issuer, default ports aside."""
    return is_issuer_url(issuer, schemes=_SCHEMES) and _parts(url) == _parts(metadata_url(issuer))


def _parts(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _SCHEMES[parts.scheme], parts.path


def host_of(url: str) -> str:
    """Give a URL's host, in lower case; "" where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def issuer_at(url: str, metadata: JsonObject) -> str:
    """Read whose the metadata is that was found at an advertised URL.

    Raises:
        MetadataError: it names no issuer whose metadata has its place there, so that anybody could
            have put it there in anybody's name (RFC 8414 Section 3.3).
    """
    issuer = metadata.get("issuer")
    if not isinstance(issuer, str) or not is_metadata_url_of(url, issuer):
        raise MetadataError(f"the metadata at {url} is that of another issuer: {issuer!r:.200}")
    return issuer


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
