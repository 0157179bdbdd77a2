"""RFC 8414 metadata: where it is, whose it is, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin

from nmos_auth.errors import FetchError, MetadataError
from nmos_auth.servers.answers import Document, GetDocument
from nmos_auth.servers.http import require_unchanged
from nmos_auth.servers.strict_json import JsonObject
from nmos_auth.servers.urls import EndpointUrl, IssuerUrl, split_url

__all__ = [
    "IssuerRules",
    "fetch_metadata",
    "fetch_metadata_at",
    "find_issuer",
    "jwks_uri_of",
    "named_issuer",
    "require_issuer",
]

T = TypeVar("T")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class IssuerRules:
    """Which URLs and documents are valid when fetching from one issuer.

    Attributes:
        allow_http: http URLs are valid too, for development.
        allow_openid: `openid-configuration` is fetched where the server has no other metadata.
        own_host_only: `jwks_uri` must be on the issuer's own host.
    """

    allow_http: bool = False
    allow_openid: bool = True
    own_host_only: bool = False


async def fetch_metadata(
    get_document: GetDocument,
    issuer: IssuerUrl,
    read: Callable[[Document], T],
    *,
    allow_openid: bool,
) -> T:
    """Fetch the metadata of an issuer, from the first of its places that has usable metadata.

    The first place is that of RFC 8414 Section 3.1, or the same with a slash after it. If the
    answer is not usable metadata, an OpenID provider may have it in another place (RFC 8414 Section
    5): many servers answer unknown paths with 200 and a page, with a redirect to their login, or
    with 500. A server that gives no answer is not asked twice.

    Args:
        get_document: fetches a document, or raises FetchError.
        issuer: the issuer.
        read: returns what is needed of a document, or raises MetadataError where it is not usable;
            it checks that `issuer` is identical, as `require_issuer` does.
        allow_openid: whether `openid-configuration` is fetched as well.

    Raises:
        FetchError: the metadata could not be fetched.
        MetadataError: it must not be used, or lacks what is needed.
    """
    try:
        return read(await fetch_metadata_at(get_document, issuer.metadata_url))
    except (FetchError, MetadataError) as error:
        if not allow_openid or (isinstance(error, FetchError) and error.status is None):
            raise
        first = error
    try:
        return read(await get_document(issuer.openid_metadata_url))
    except (FetchError, MetadataError) as second:
        raise _more_telling(first, second) from None


async def fetch_metadata_at(get_document: GetDocument, url: str) -> Document:
    """Fetch a document from an RFC 8414 place, or from the same place with a slash after it.

    Only a redirect to that very URL is followed, once: a server that is made with Flask has its
    metadata at a URL with a slash that RFC 8414 Section 3 does not put there.

    Args:
        get_document: fetches a document, or raises FetchError.
        url: the place.

    Raises:
        FetchError: it could not be fetched.
    """
    try:
        return await get_document(url)
    except FetchError as error:
        if not _adds_a_slash(url, error):
            raise
    return await get_document(f"{url}/")


def _adds_a_slash(url: str, error: FetchError) -> bool:
    if error.status not in _REDIRECTS or error.location is None:
        return False
    try:
        there, here = split_url(urljoin(url, error.location)), split_url(f"{url}/")
    except ValueError:
        return False
    return there.place == here.place


def _more_telling(*errors: FetchError | MetadataError) -> FetchError | MetadataError:
    """Return the error that says what is wrong with a server both of whose places are of no use.

    What may pass by itself comes first, then metadata that must not be used, then the error of the
    place that every server should have.
    """

    def rank(error: FetchError | MetadataError) -> int:
        if isinstance(error, MetadataError):
            return 1
        passing = error.status is None or error.status >= 500 or error.status == 429
        return 0 if passing else 2

    return min(errors, key=rank)


async def find_issuer(get_document: GetDocument, url: str, *, allow_http: bool) -> IssuerUrl:
    """Return the issuer whose metadata is at a URL that DNS-SD or a setting names.

    A proxy may have the metadata of an issuer with a path at its root, as INFO-002 describes it for
    Keycloak. Such an issuer of the same origin is returned once its own metadata confirms it.

    Args:
        get_document: fetches a document, or raises FetchError.
        url: an RFC 8414 place.
        allow_http: whether `http` is allowed, as it is in development.

    Raises:
        FetchError: the metadata could not be fetched.
        MetadataError: it is the metadata of another issuer.
    """
    metadata = await fetch_metadata_at(get_document, url)
    issuer = named_issuer(url, metadata.content, allow_http=allow_http)
    if not issuer.has_metadata_at(url):
        await fetch_metadata(
            get_document,
            issuer,
            lambda document: require_issuer(document.content, issuer),
            allow_openid=True,
        )
    return issuer


def named_issuer(url: str, metadata: JsonObject, *, allow_http: bool) -> IssuerUrl:
    """Return the issuer that metadata at an RFC 8414 place names.

    It is the issuer whose place this is, or another one of the very same origin (scheme, host and
    port); `has_metadata_at` says which. The other one is valid only once its own metadata confirms
    it.

    Args:
        url: where the metadata was found.
        metadata: the document.
        allow_http: whether `http` is allowed, as it is in development.

    Raises:
        MetadataError: it names another issuer: anybody could publish metadata in its name (RFC 8414
            Section 3.3).
    """
    issuer = metadata.get("issuer")
    try:
        named = IssuerUrl.parse(issuer, allow_http=allow_http)
        if named.has_metadata_at(url) or named.origin == split_url(url).origin:
            return named
    except ValueError:
        pass
    raise MetadataError(f"the metadata at {url} belongs to another issuer: {issuer!r:.200}")


def require_issuer(metadata: JsonObject, issuer: IssuerUrl) -> None:
    """Refuse metadata that is not an issuer's own.

    Raises:
        MetadataError: its `issuer` is not identical: "the data contained in the response MUST NOT
            be used" (RFC 8414 Section 3.3).
    """
    named = metadata.get("issuer")
    if named != issuer.text:
        raise MetadataError(f"the metadata of {issuer} names another issuer: {named!r:.200}")


def jwks_uri_of(metadata: JsonObject, issuer: IssuerUrl, rules: IssuerRules) -> str:
    """Return the URL where an issuer publishes its keys.

    Raises:
        MetadataError: `issuer` is not identical ("the data contained in the response MUST NOT be
            used", RFC 8414 Section 3.3), or `jwks_uri` is missing, not valid or on another host.
    """
    require_issuer(metadata, issuer)
    uri = metadata.get("jwks_uri")
    try:
        endpoint = EndpointUrl.parse(uri, allow_http=rules.allow_http)
        require_unchanged(endpoint.text)
    except (ValueError, FetchError) as error:
        raise MetadataError(
            f"the metadata of {issuer} has a jwks_uri that cannot be used: {uri!r:.200}: {error}"
        ) from None
    if rules.own_host_only and endpoint.host != issuer.host:
        raise MetadataError(f"the metadata of {issuer} puts its keys on another host: {uri!r:.200}")
    return endpoint.text
