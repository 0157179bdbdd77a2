"""The issuers of advertised Authorization Servers, for Clients without configured ones."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Iterable, Sequence

from nmos_auth.client.errors import ClientError
from nmos_auth.client.http import Transport
from nmos_auth.client.metadata import get_document
from nmos_auth.discovery.directory import ServerDirectory, Source
from nmos_auth.discovery.dns_sd import Advertisement
from nmos_auth.errors import FetchError, MetadataError
from nmos_auth.servers.server_metadata import find_issuer

__all__ = ["DiscoveredIssuers"]

logger = logging.getLogger("nmos_auth")

_MOST_SERVERS = 16
# Seconds to wait for the first answer from DNS: multicast DNS needs three.
_PATIENCE = 5.0


class DiscoveredIssuers:
    """Returns the issuers that are advertised now, in order of preference (IS-10 "Discovery").

    From the first call, it follows advertisements until it is closed. An advertisement says where
    metadata is, and the metadata names its issuer. An issuer is used only if this is the place of
    its metadata, or if it has the same origin and its own metadata confirms it.

    Args:
        sources: where advertisements come from.
        transport: fetches metadata.
        allow_http: use servers that are advertised with http too.
    """

    def __init__(
        self, sources: Iterable[Source], transport: Transport, *, allow_http: bool = False
    ) -> None:
        self._transport = transport
        self._allow_http = allow_http
        self._changed = asyncio.Event()
        self._directory = ServerDirectory(sources, self._changed.set)
        self._issuers: dict[str, str] = {}

    async def __call__(self) -> Sequence[str]:
        """Return the issuers; none if DNS or the servers do not answer."""
        self._directory.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while not self._directory.answered:
                    self._changed.clear()
                    await self._changed.wait()
        advertised = [
            each
            for each in self._directory.advertisements
            if each.api_proto == "https" or self._allow_http
        ][:_MOST_SERVERS]
        issuers = await asyncio.gather(*map(self._issuer_of, advertised))
        return [issuer for issuer in issuers if issuer is not None]

    async def _issuer_of(self, advertisement: Advertisement) -> str | None:
        url = advertisement.metadata_url
        if url not in self._issuers:
            try:
                self._issuers[url] = await self._find(url)
            except (ClientError, FetchError, MetadataError) as error:
                logger.warning("an advertised server is not used: %s", error)
                self._directory.doubt(advertisement)
                return None
        return self._issuers[url]

    async def _find(self, url: str) -> str:
        issuer = await find_issuer(
            functools.partial(get_document, self._transport), url, allow_http=self._allow_http
        )
        if not issuer.has_metadata_at(url):
            logger.warning(
                "%s is advertised and has the metadata of %s; advertise that one instead",
                url,
                issuer,
            )
        return issuer.text

    async def aclose(self) -> None:
        """Stop following advertisements."""
        await self._directory.stop()
