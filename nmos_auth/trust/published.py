"""What an issuer publishes: from its metadata to its key set, and what failing to get it means."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from nmos_auth.errors import FetchError, KeySetError, MetadataError, TrustError
from nmos_auth.servers.answers import Document, GetDocument
from nmos_auth.servers.server_metadata import (
    IssuerRules,
    fetch_metadata,
    jwks_uri_of,
    named_issuer,
)
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.trust.jwks import KeySet, parse_jwks

__all__ = ["Published", "Unpublished", "fetch_keys"]

logger = logging.getLogger("nmos_auth")

_METADATA_TYPES = frozenset({"application/json"})
_KEY_SET_TYPES = frozenset({"application/json", "application/jwk-set+json"})
_GONE = frozenset({200, 404, 410})
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class Published:
    """What a successful fetch gave.

    Attributes:
        key_set: the issuer's key set.
        date: when the server made the answer, by the server's own clock, or None.
        is_fresh: whether no cache kept the answer, so that `date` is the time of the fetch.
    """

    key_set: KeySet
    date: float | None
    is_fresh: bool

    def offset_from(self, date: float) -> float | None:
        """Return the seconds by which the server's clock is ahead of `date`, or None if unknown."""
        return self.date - date if self.date is not None and self.is_fresh else None


@dataclass(frozen=True, slots=True)
class Unpublished:
    """That a fetch gave no keys.

    Attributes:
        error: why.
        document: the document that was asked for last.
        names: the issuer of the very same origin that metadata at the RFC 8414 place names
            instead, or None.
    """

    error: Exception
    document: Literal["metadata", "keys"]
    names: str | None = None

    @property
    def answered(self) -> bool:
        """Whether the server answered with something other than its keys, and not with trouble."""
        if not isinstance(self.error, FetchError):
            return isinstance(self.error, TrustError)
        status = self.error.status
        return status is not None and status < 500 and status != _TOO_MANY_REQUESTS

    @property
    def disowned(self) -> bool:
        """Whether the server says that the issuer does not exist, or answers something else."""
        if self.document != "metadata":
            return False
        if not isinstance(self.error, FetchError):
            return isinstance(self.error, TrustError)
        return self.error.status in _GONE


async def fetch_keys(
    get_document: GetDocument, issuer: IssuerUrl, rules: IssuerRules
) -> Published | Unpublished:
    """Fetch an issuer's metadata and then its keys.

    A neighbour's documents must have their media types: its host may serve what others upload (RFC
    8414 Section 3.2, RFC 7517 Section 8.5).
    """
    document: Literal["metadata", "keys"] = "metadata"
    reading = _Reading(get_document, issuer, rules)
    try:
        uri = await fetch_metadata(
            reading.get, issuer, reading.read, allow_openid=rules.allow_openid
        )
        document = "keys"
        return _published(await get_document(uri), rules)
    except TrustError as error:
        return Unpublished(error, document, reading.names)
    except Exception as error:  # no document may stop the fetching
        logger.exception("unexpected while fetching the keys of %s", issuer)
        return Unpublished(error, document)


def _published(answer: Document, rules: IssuerRules) -> Published:
    if rules.own_host_only and answer.media_type not in _KEY_SET_TYPES:
        raise KeySetError(f"the key set has the media type {answer.media_type!r:.100}")
    return Published(parse_jwks(answer.content), answer.date, answer.is_fresh)


class _Reading:
    """Reads metadata, and notes which other issuer it names at the RFC 8414 place."""

    def __init__(self, get_document: GetDocument, issuer: IssuerUrl, rules: IssuerRules) -> None:
        self._get_document = get_document
        self._issuer = issuer
        self._rules = rules
        self._url = ""
        self.names: str | None = None

    async def get(self, url: str) -> Document:
        self._url = url
        return await self._get_document(url)

    def read(self, metadata: Document) -> str:
        issuer, rules = self._issuer, self._rules
        if self._url != issuer.openid_metadata_url:
            self._note(metadata)
        if rules.own_host_only and metadata.media_type not in _METADATA_TYPES:
            raise MetadataError(
                f"the metadata of {issuer} has the media type {metadata.media_type!r:.100}"
            )
        return jwks_uri_of(metadata.content, issuer, rules)

    def _note(self, metadata: Document) -> None:
        place = self._issuer.metadata_url
        try:
            named = named_issuer(place, metadata.content, allow_http=self._rules.allow_http)
        except MetadataError:
            return
        if named != self._issuer:
            self.names = named.text
