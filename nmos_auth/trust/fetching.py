"""From an issuer to its keys: its metadata, then its key set."""

from __future__ import annotations

from nmos_auth.errors import FetchError
from nmos_auth.servers.http import GetJson
from nmos_auth.servers.server_metadata import IssuerRules, jwks_uri_of
from nmos_auth.servers.strict_json import JsonObject
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.trust.jwks import VerificationKey, parse_jwks

__all__ = ["fetch_keys"]


async def fetch_keys(
    get_json: GetJson, issuer: IssuerUrl, rules: IssuerRules
) -> tuple[VerificationKey, ...]:
    """Fetch an issuer's metadata and then its keys.

    Raises:
        TrustError: either could not be had or may not be used.
    """
    metadata = await _fetch_metadata(get_json, issuer, rules)
    return parse_jwks(await get_json(jwks_uri_of(metadata, issuer, rules)))


async def _fetch_metadata(get_json: GetJson, issuer: IssuerUrl, rules: IssuerRules) -> JsonObject:
    try:
        return await get_json(issuer.metadata_url)
    except FetchError as error:
        answered_otherwise = error.status is not None and 400 <= error.status < 500
        if not (rules.allow_openid and answered_otherwise):
            raise
        return await get_json(issuer.openid_metadata_url)
