"""The issuers of advertised Authorization Servers, for Clients without configured ones."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence

from nmos_auth.client.errors import ClientError, ServerUnavailable
from nmos_auth.client.http import Exchange
from nmos_auth.client.metadata import get_document
from nmos_auth.discovery.directory import ServerDirectory, Source
from nmos_auth.discovery.dns_sd import Advertisement
from nmos_auth.errors import MetadataError
from nmos_auth.servers.server_metadata import issuer_at

__all__ = ["DiscoveredIssuers"]

logger = logging.getLogger("nmos_auth")

_MOST_SERVERS = 16
# Seconds to wait for the first answer of DNS: multicast DNS takes three.
_PATIENCE = 5.0


class DiscoveredIssuers:
    """Gives the issuers advertised now, the most preferred one first (IS-10 "Discovery").

    From the first call on, advertisements are followed until it is closed. An advertisement says
    where metadata is; whose it is, the metadata says, and only one that has its place there
    counts.

    Args:
        sources: where advertisements come from.
        exchange: fetches metadata.
        allow_http: servers advertised with http count too.
    """

    def __init__(
        self, sources: Iterable[Source], exchange: Exchange, *, allow_http: bool = False
    ) -> None:
        self._exchange = exchange
        self._schemes = ("https", "http") if allow_http else ("https",)
        self._changed = asyncio.Event()
        self._directory = ServerDirectory(sources, self._changed.set)
        self._issuers: dict[str, str] = {}

    async def __call__(self) -> Sequence[str]:
        """Give the issuers; none where DNS does not answer, or no server does."""
        self._directory.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while not self._directory.answered:
                    self._changed.clear()
                    await self._changed.wait()
        advertised = [
            each for each in self._directory.advertisements if each.api_proto in self._schemes
        ][:_MOST_SERVERS]
        issuers = await asyncio.gather(*map(self._issuer_of, advertised))
        return [issuer for issuer in issuers if issuer is not None]

    async def _issuer_of(self, advertisement: Advertisement) -> str | None:
        url = advertisement.metadata_url
        if url not in self._issuers:
            try:
                self._issuers[url] = await self._fetch(url)
            except (ClientError, MetadataError) as error:
                logger.warning("an advertised server is left out: %s", error)
                self._directory.doubt(advertisement)
                return None
        return self._issuers[url]

    async def _fetch(self, url: str) -> str:
        answer = await get_document(self._exchange, url)
        if answer.status != 200 or answer.document is None:
            raise ServerUnavailable(f"{url} answered {answer.status}", status=answer.status)
        return issuer_at(url, answer.document)

    async def aclose(self) -> None:
        """Follow advertisements no more."""
        await self._directory.stop()
