"""From advertisements to trusted issuers: each confirmed by its metadata before it counts."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from nmos_auth.discovery.directory import ServerDirectory, Source
from nmos_auth.discovery.dns_sd import Advertisement
from nmos_auth.errors import MetadataError, TrustError
from nmos_auth.servers.http import GetJson
from nmos_auth.servers.server_metadata import issuer_at
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.settings import IssuerPolicy, Settings

__all__ = ["AdvertisedServers"]

logger = logging.getLogger("nmos_auth")

MOST_SERVERS = 16
LONGEST_BACK_OFF = 60.0
RETRY_WHILE_UNKNOWN = 2.0


@dataclass(slots=True, eq=False)
class _Server:
    """A server that is, or was, advertised.

    Attributes:
        advertisement: the latest of its URL.
        issuer: whose metadata is there, once it is known.
        confirmed: whether its metadata said so since it was last in doubt.
        offline: multicast DNS tells of it no more.
        next_attempt: when its metadata is fetched next, on the monotonic clock.
    """

    advertisement: Advertisement
    issuer: str | None = None
    confirmed: bool = False
    offline: bool = False
    failures: int = 0
    next_attempt: float = -math.inf
    in_doubt: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class AdvertisedServers:
    """The issuers that are trusted because they are advertised.

    An advertised server counts once the metadata at the advertised URL names an issuer whose
    metadata URL that is, or if `kept` has such an issuer: then it was confirmed, or configured,
    before a restart. It counts no more as soon as unicast DNS answers without it.

    Multicast DNS has no such answer: a goodbye, or silence until its records expire, says that a
    server is off. IS-10 "Behaviour: Resource Servers" has keys remain valid until there is
    contact with a server again, so one that multicast DNS told of goes when another answers.

    Args:
        settings: whether http counts, and same-host.
        sources: where advertisements come from.
        kept: issuers whose keys were kept over a restart; read each time a server is found.
        on_change: called when `issuers` or `settled` has changed.
        monotonic: a clock in seconds that never goes back.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Iterable[Source],
        kept: Collection[str],
        on_change: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._allow_http = settings.allow_http
        self._same_host = settings.issuer_policy is IssuerPolicy.SAME_HOST
        self._kept = kept
        self._on_change = on_change
        self._monotonic = monotonic
        self._random = random.SystemRandom()
        self._directory = ServerDirectory(sources, self._take_stock)
        self._servers: dict[str, _Server] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._get_json: GetJson | None = None

    @property
    def settled(self) -> bool:
        """Whether all sources have answered."""
        return self._directory.settled

    @property
    def issuers(self) -> frozenset[str]:
        """The issuers that count."""
        return frozenset(each.issuer for each in self._servers.values() if each.issuer is not None)

    def start(self, get_json: GetJson) -> None:
        """Begin on the running event loop; the caller sees to it that this is done but once."""
        self._get_json = get_json
        self._ended = set()
        self._directory.start()
        for server in self._servers.values():
            self._begin(server)

    async def stop(self) -> None:
        """End all background work; what is known stays known."""
        await self._directory.stop()
        for server in self._servers.values():
            self._end(server)
        await asyncio.gather(*self._ended, return_exceptions=True)

    def undecided(self, issuer: str) -> float | None:
        """Tell whether it is not known yet if an issuer counts.

        Until DNS has answered that may be any; after that, only the issuer of a server that is
        advertised and not confirmed yet, and its neighbours. All others are known not to count.

        Returns:
            The seconds after which to ask again, or None if it is known.
        """
        try:
            wanted = IssuerUrl.parse(issuer, allow_http=self._allow_http)
        except ValueError:
            return None
        if not self._directory.answered:
            return RETRY_WHILE_UNKNOWN
        host = wanted.host if self._same_host and wanted.scheme == "https" else None
        for server in self._servers.values():
            advertised = server.advertisement
            if server.issuer is None and (
                advertised.host == host or wanted.has_metadata_at(advertised.metadata_url)
            ):
                return max(1.0, server.next_attempt - self._monotonic())
        return None

    def failed(self, issuer: str, error: Exception) -> None:
        """Say that an issuer's keys could not be fetched."""
        for server in self._servers.values():
            if server.issuer == issuer:
                if isinstance(error, MetadataError):
                    server.confirmed = False
                    server.in_doubt.set()
                else:
                    self._directory.doubt(server.advertisement)

    def reached(self, issuer: str) -> None:
        """Say that an issuer's keys were fetched."""
        if any(each.issuer == issuer and not each.offline for each in self._servers.values()):
            gone = [url for url, each in self._servers.items() if each.offline]
            for url in gone:
                self._end(self._servers.pop(url))
            if gone:
                self._on_change()

    # Advertisements

    def _take_stock(self) -> None:
        advertised: dict[str, Advertisement] = {}
        for each in self._directory.advertisements:
            if each.api_proto == "http" and not self._allow_http:
                logger.warning("%s is advertised, and is not https", each.metadata_url)
            elif len(advertised) < MOST_SERVERS:
                advertised[each.metadata_url] = each
        for url, server in list(self._servers.items()):
            server.offline = url not in advertised
            # Settled or not, `advertisements` lacks no server that a failing source had told of.
            if server.offline and not (server.advertisement.is_multicast and server.issuer):
                self._end(self._servers.pop(url))
        for url, advertisement in advertised.items():
            if url in self._servers:
                self._servers[url].advertisement = advertisement
            else:
                self._servers[url] = server = _Server(advertisement)
                server.issuer = next(
                    (issuer for issuer in self._kept if _has_metadata_at(issuer, url)), None
                )
                self._begin(server)
        self._on_change()

    # Confirming

    def _begin(self, server: _Server) -> None:
        server.in_doubt = asyncio.Event()
        server.task = asyncio.get_running_loop().create_task(
            self._confirm(server), name=f"nmos_auth {server.advertisement.metadata_url}"
        )

    def _end(self, server: _Server) -> None:
        task, server.task = server.task, None
        if task is not None:
            task.cancel()
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)

    async def _confirm(self, server: _Server) -> None:
        while True:
            if server.confirmed:
                await server.in_doubt.wait()
            server.in_doubt.clear()
            try:
                issuer = await self._issuer_of(server.advertisement.metadata_url)
            except TrustError as error:
                await self._back_off(server, error)
                continue
            except Exception as error:  # no document may end this for good
                logger.exception("unexpected: %s", server.advertisement.metadata_url)
                await self._back_off(server, error)
                continue
            server.failures, server.confirmed = 0, True
            if issuer != server.issuer:
                server.issuer = issuer
                self._on_change()

    async def _issuer_of(self, url: str) -> str:
        assert self._get_json is not None  # noqa: S101 - start() set it before any task
        return issuer_at(url, await self._get_json(url))

    async def _back_off(self, server: _Server, error: Exception) -> None:
        server.failures += 1
        level = logging.WARNING if server.failures == 1 else logging.INFO
        logger.log(level, "an advertised server is not confirmed: %s", error)
        longest = min(LONGEST_BACK_OFF, 2.0 ** min(server.failures - 1, 10))
        pause = longest * self._random.uniform(0.5, 1)
        server.next_attempt = self._monotonic() + pause
        self._directory.doubt(server.advertisement)
        await asyncio.sleep(pause)


def _has_metadata_at(issuer: str, url: str) -> bool:
    try:
        return IssuerUrl.parse(issuer, allow_http=True).has_metadata_at(url)
    except ValueError:
        return False
