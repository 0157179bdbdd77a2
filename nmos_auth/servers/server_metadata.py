"""RFC 8414 metadata: from an issuer to the place of its keys."""

from __future__ import annotations

from dataclasses import dataclass

from nmos_auth.errors import MetadataError
from nmos_auth.servers.strict_json import JsonObject
from nmos_auth.servers.urls import EndpointUrl, IssuerUrl

__all__ = [
    "IssuerRules",
    "issuer_at",
    "jwks_uri_of",
]


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


def issuer_at(url: str, metadata: JsonObject) -> str:
    """Read whose the metadata is that was found at an advertised URL.

    Raises:
        MetadataError: it names no issuer whose metadata has its place there, so that anybody could
            have put it there in anybody's name (RFC 8414 Section 3.3).
    """
    issuer = metadata.get("issuer")
    try:
        named = IssuerUrl.parse(issuer, allow_http=True)
        if named.has_metadata_at(url):
            return named.text
    except ValueError:
        pass
    raise MetadataError(f"the metadata at {url} is that of another issuer: {issuer!r:.200}")


def jwks_uri_of(metadata: JsonObject, issuer: IssuerUrl, rules: IssuerRules) -> str:
    """Read where an issuer publishes its keys.

    Raises:
        MetadataError: `issuer` is not identical ("the data contained in the response MUST NOT be
            used", RFC 8414 Section 3.3), or `jwks_uri` is missing or not where it may be.
    """
    named = metadata.get("issuer")
    if named != issuer.text:
        raise MetadataError(f"the metadata of {issuer} names another issuer: {named!r:.200}")
    uri = metadata.get("jwks_uri")
    try:
        endpoint = EndpointUrl.parse(uri, allow_http=rules.allow_http)
    except ValueError as error:
        raise MetadataError(
            f"the metadata of {issuer} has a jwks_uri that cannot be used: {uri!r:.200}: {error}"
        ) from None
    if rules.own_host_only and endpoint.host != issuer.host:
        raise MetadataError(f"the metadata of {issuer} puts its keys on another host: {uri!r:.200}")
    return endpoint.text
