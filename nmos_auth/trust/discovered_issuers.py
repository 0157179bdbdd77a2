"""From advertisements to trusted issuers: metadata confirms each issuer first."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from nmos_auth.discovery.directory import ServerDirectory, Source
from nmos_auth.discovery.dns_sd import Advertisement, Preference
from nmos_auth.errors import MetadataError, TrustError
from nmos_auth.servers.answers import GetDocument
from nmos_auth.servers.backoff import BackOff, Uniform
from nmos_auth.servers.server_metadata import find_issuer
from nmos_auth.servers.urls import IssuerUrl, split_url
from nmos_auth.settings import IssuerPolicy, Settings
from nmos_auth.trust.fetching import Fetcher, PendingFetch
from nmos_auth.trust.keeping import named_before
from nmos_auth.trust.keys_file import KeptKeys

__all__ = ["DiscoveredIssuers"]

logger = logging.getLogger("nmos_auth")

MOST_SERVERS = 16
MOST_AT_ONCE = 8
BACK_OFF = BackOff(1.0, 60.0)
RETRY_WHILE_UNKNOWN = 2.0


@dataclass(slots=True, eq=False)
class _Server:
    """A server that is, or was, advertised.

    Attributes:
        advertisement: the latest of its URL.
        issuer: whose metadata is there, once it is known.
        confirmed: whether its metadata has confirmed the issuer since it was last in doubt.
        offline: whether multicast DNS no longer advertises it.
        failures: how often in a row it could not be confirmed.
        next_attempt: when its metadata is fetched next, on the monotonic clock.
        is_asked: whether it is being fetched.
    """

    advertisement: Advertisement
    issuer: IssuerUrl | None = None
    confirmed: bool = False
    offline: bool = False
    failures: int = 0
    next_attempt: float = -math.inf
    is_asked: bool = False

    @property
    def url(self) -> str:
        return self.advertisement.metadata_url

    @property
    def is_decided(self) -> bool:
        """Whether it is known whom it names: it was asked, or is an issuer's own place."""
        return self.issuer is not None and (self.confirmed or self.has_own_place)

    @property
    def has_own_place(self) -> bool:
        """Whether the issuer's own metadata is at the advertised URL."""
        return self.issuer is not None and self.issuer.has_metadata_at(self.url)


class _Candidates:
    """Which servers there are, whose issuers are trusted, and which are asked. Pure.

    Only some issuers are trusted: those of confirmed servers, the most preferred ones first. An
    unconfirmed server leaves the others their room, however preferred it says it is. Unconfirmed
    servers are asked a few at a time; those that were asked the least come first.

    Attributes:
        servers: by metadata URL, the most preferred one first.
    """

    def __init__(self) -> None:
        self.servers: dict[str, _Server] = {}

    def trusted(self) -> list[_Server]:
        """Return the servers whose issuers are trusted."""
        known = [each for each in self.servers.values() if each.issuer is not None]
        return known[:MOST_SERVERS]

    def due(self, now: float) -> list[_Server]:
        """Return the servers that are to be asked now."""
        waiting = [each for each in self._to_ask() if each.next_attempt <= now]
        waiting.sort(key=lambda each: (each.issuer is None, each.failures, each.next_attempt))
        return waiting[: self._free()]

    def begin(self, server: _Server, number: int, now: float) -> None:
        """Record that a server is asked."""
        del number, now
        server.is_asked = True

    def holds(self, server: _Server) -> bool:
        """Tell whether this very server is still known, and not another one at its URL."""
        return self.servers.get(server.url) is server

    def next_fetch(self, now: float) -> float:
        """Return when the next server may be asked."""
        del now
        if not self._free():
            return math.inf
        return min((each.next_attempt for each in self._to_ask()), default=math.inf)

    def contenders(self) -> list[_Server]:
        """Return the servers whose issuers are trusted, or would be if they were confirmed."""
        found, trusted = [], 0
        for each in self.servers.values():
            if trusted == MOST_SERVERS:
                break
            trusted += each.issuer is not None
            found.append(each)
        return found

    def _to_ask(self) -> list[_Server]:
        return [each for each in self.contenders() if not (each.confirmed or each.is_asked)]

    def _free(self) -> int:
        return max(0, MOST_AT_ONCE - sum(each.is_asked for each in self.servers.values()))


class DiscoveredIssuers:
    """The issuers that are trusted because they are advertised.

    An advertised server is trusted in three cases. The metadata at the advertised URL names the
    issuer to which this URL belongs; or it names another issuer of the same origin, whose own
    metadata confirms that; or `kept` has such an issuer, which was confirmed or configured before a
    restart. A server is no longer trusted as soon as unicast DNS answers without it.

    Multicast DNS has no such answer: a goodbye, or silence until the records expire, only says that
    a server is off. IS-10 "Behaviour: Resource Servers" lets keys remain valid until there is
    contact with a server again, so the trust in such a server ends when another server answers.

    Args:
        settings: whether http is allowed, and same-host.
        sources: where advertisements come from.
        kept: what was kept over a restart; read each time a server is found.
        on_change: called when `issuers` or `settled` has changed.
        monotonic: seconds of a clock that never goes back.
        uniform: returns a random number between two.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Iterable[Source],
        kept: KeptKeys,
        on_change: Callable[[], None],
        monotonic: Callable[[], float],
        uniform: Uniform = random.uniform,
    ) -> None:
        self._allow_http = settings.allow_http
        self._same_host = settings.issuer_policy is IssuerPolicy.SAME_HOST
        self._kept = kept
        self._on_change = on_change
        self._monotonic = monotonic
        self._uniform = uniform
        preference = Preference(lambda: uniform(0.0, 1.0))
        self._directory = ServerDirectory(sources, self._take_stock, preference=preference)
        self._candidates = _Candidates()
        self._fetcher = Fetcher(self._candidates, self._ask, self._take, monotonic)
        self._get_document: GetDocument | None = None

    @property
    def settled(self) -> bool:
        """Whether all sources have answered."""
        return self._directory.settled

    @property
    def issuers(self) -> Mapping[str, str]:
        """The issuers that are trusted, and the advertised place whose metadata names each."""
        return {
            each.issuer.text: each.url
            for each in self._candidates.trusted()
            if each.issuer is not None
        }

    def start(self, get_document: GetDocument) -> None:
        """Begin on the running event loop; the caller calls this only once."""
        self._get_document = get_document
        for server in self._candidates.servers.values():
            server.is_asked, server.next_attempt = False, -math.inf
        self._fetcher.start()
        self._directory.start()

    async def stop(self) -> None:
        """End all background work; what is known stays known."""
        await self._directory.stop()
        await self._fetcher.stop()

    def undecided(self, issuer: str) -> float | None:
        """Return how long to wait before asking again whether an issuer is trusted.

        Until DNS has answered, any issuer may be. After that, it is open only for the issuers that
        advertised servers may be or name and that were not confirmed yet, and for their neighbours.

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
        for server in self._candidates.contenders():
            if not server.is_decided and (
                server.advertisement.host == host or wanted.origin == split_url(server.url).origin
            ):
                return max(1.0, server.next_attempt - self._monotonic())
        return None

    def failed(self, issuer: str, error: Exception) -> None:
        """Record that an issuer's keys could not be fetched."""
        for server in self._of(issuer):
            if isinstance(error, MetadataError):
                server.confirmed = False
                self._fetcher.wake()
            else:
                self._directory.doubt(server.advertisement)

    def reached(self, issuer: str) -> None:
        """Record that an issuer's keys were fetched."""
        if any(not each.offline for each in self._of(issuer)):
            servers = self._candidates.servers
            gone = [url for url, each in servers.items() if each.offline]
            for url in gone:
                del servers[url]
            if gone:
                self._changed()

    def _of(self, issuer: str) -> list[_Server]:
        return [
            each
            for each in self._candidates.servers.values()
            if each.issuer is not None and each.issuer.text == issuer
        ]

    # Advertisements

    def _take_stock(self) -> None:
        known, servers = self._candidates.servers, dict[str, _Server]()
        for each in self._directory.advertisements:
            url = each.metadata_url
            if each.api_proto == "http" and not self._allow_http:
                logger.warning("%s is advertised, and is not https", url)
                continue
            server = servers[url] = known.get(url) or _Server(each, self._kept_issuer(url))
            server.advertisement, server.offline = each, False
        for url, server in known.items():
            # A source that fails keeps its servers in `advertisements`, settled or not.
            if url not in servers and server.advertisement.is_multicast and server.issuer:
                server.offline = True
                servers[url] = server
        self._candidates.servers = servers
        self._changed()

    def _kept_issuer(self, url: str) -> IssuerUrl | None:
        named = named_before(self._kept, url, allow_http=self._allow_http)
        if named is not None:
            return named
        for kept in self._kept:
            try:
                issuer = IssuerUrl.parse(kept, allow_http=self._allow_http)
            except ValueError:
                continue
            if issuer.has_metadata_at(url):
                return issuer
        return None

    def _changed(self) -> None:
        self._fetcher.wake()
        self._on_change()

    # Confirming

    async def _ask(self, server: _Server) -> IssuerUrl | Exception:
        assert self._get_document is not None  # noqa: S101 - start() set it before any task
        try:
            return await find_issuer(self._get_document, server.url, allow_http=self._allow_http)
        except TrustError as error:
            return error
        except Exception as error:  # no document may stop the confirming
            logger.exception("unexpected: %s", server.url)
            return error

    def _take(self, fetch: PendingFetch[_Server], outcome: IssuerUrl | Exception) -> None:
        server = fetch.place
        server.is_asked = False
        if isinstance(outcome, Exception):
            server.failures += 1
            level = logging.WARNING if server.failures == 1 else logging.INFO
            logger.log(level, "an advertised server is not confirmed: %s", outcome)
            pause = BACK_OFF.pause(server.failures, self._uniform)
            server.next_attempt = self._monotonic() + pause
            self._directory.doubt(server.advertisement)
            return
        server.failures, server.confirmed = 0, True
        server.next_attempt = -math.inf
        if outcome != server.issuer:
            server.issuer = outcome
            if not server.has_own_place:
                logger.warning(
                    "%s has the metadata of %s, which is trusted; advertise that one, or set"
                    " NMOS_AUTH_SERVERS to it",
                    server.url,
                    outcome,
                )
            self._on_change()
