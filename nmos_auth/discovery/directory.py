"""Which servers are advertised: asked once, or followed while it changes."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from nmos_auth.discovery.bounded_log import BoundedLog
from nmos_auth.discovery.dns_sd import (
    AUTHORIZATION_SERVER,
    MOST_ADVERTISEMENTS,
    Advertisement,
    DiscoveryError,
    Preference,
    ServiceType,
)
from nmos_auth.errors import ConfigurationError, MissingExtra
from nmos_auth.settings import Discovery

__all__ = ["ServerDirectory", "Source", "discover", "sources_for"]

logger = logging.getLogger("nmos_auth")

PAUSE_AFTER_MISHAP = 10.0

Tell = Callable[[Sequence[Advertisement]], None]


class Source(Protocol):
    """One way to find advertisements, such as `UnicastSource` and `MulticastSource`."""

    async def look(self) -> Sequence[Advertisement]:
        """Ask once, or raise DiscoveryError."""
        ...

    async def follow(self, tell: Tell) -> None:
        """Run until cancelled, and call `tell` with what is advertised after each answer."""
        ...

    def doubt(self, advertisement: Advertisement) -> None:
        """Ask again soon about a server that does not answer."""
        ...


def sources_for(
    discovery: Discovery,
    domain: str | None = None,
    service: ServiceType = AUTHORIZATION_SERVER,
    *,
    setting: str = "NMOS_AUTH_DISCOVERY",
    dns_servers: Sequence[str] = (),
) -> tuple[Source, ...]:
    """Return the sources for a way of discovery.

    Args:
        discovery: the value of NMOS_AUTH_DISCOVERY.
        domain: the value of NMOS_AUTH_DNS_DOMAIN.
        service: the service to look for.
        setting: the variable that sets this, if it is another one.
        dns_servers: the value of NMOS_AUTH_DNS_SERVERS; empty for the machine's servers.

    Raises:
        ConfigurationError: multicast is set, and zeroconf is not installed.
    """
    sources: list[Source] = []
    if discovery in {Discovery.UNICAST, Discovery.BOTH}:
        sources.append(_unicast_source(domain, service, dns_servers))
    if discovery in {Discovery.MULTICAST, Discovery.BOTH}:
        sources.append(_multicast_source(service, setting))
    return tuple(sources)


def _unicast_source(domain: str | None, service: ServiceType, dns_servers: Sequence[str]) -> Source:
    # Importing dnspython takes a tenth of a second, which a Node with configured servers is spared.
    from nmos_auth.discovery.unicast import UnicastSource, system_resolver  # noqa: PLC0415

    resolver = functools.partial(system_resolver, dns_servers)
    return UnicastSource(domain, service, make_resolver=resolver)


def _multicast_source(service: ServiceType, setting: str) -> Source:
    try:
        from nmos_auth.discovery.multicast import MulticastSource  # noqa: PLC0415 - an extra
    except MissingExtra as error:
        raise ConfigurationError(f"{setting}: {error}, or set it to unicast") from None
    return MulticastSource(service)


async def discover(
    discovery: Discovery = Discovery.UNICAST,
    domain: str | None = None,
    *,
    dns_servers: Sequence[str] = (),
) -> list[Advertisement]:
    """Look once for Authorization Servers; by multicast DNS, for three seconds.

    Args:
        discovery: how to look.
        domain: the domain for unicast, instead of the resolver's search domains.
        dns_servers: the DNS servers for unicast, instead of the machine's.

    Returns:
        The live servers, the most preferred one first: without those with a pri of 100 and more
        (IS-10 "Discovery", pri).

    Raises:
        ConfigurationError: multicast is set, and zeroconf is not installed.
        DiscoveryError: there was no answer.
    """
    sources = sources_for(discovery, domain, dns_servers=dns_servers)
    found: list[Advertisement] = []
    errors: list[DiscoveryError] = []
    for outcome in await asyncio.gather(*(_look(source) for source in sources)):
        if isinstance(outcome, DiscoveryError):
            errors.append(outcome)
        else:
            found += outcome
    if errors and len(errors) == len(sources):
        raise errors[0]
    return list(Preference().order(found))


async def _look(source: Source) -> Sequence[Advertisement] | DiscoveryError:
    try:
        return await source.look()
    except DiscoveryError as error:
        return error


class ServerDirectory:
    """Follows which servers are advertised, apart from those with a pri of 100 and more.

    Args:
        sources: the ways to find them.
        on_change: called on the event loop when `advertisements` or `settled` has changed.
        service: the service that the sources look for.
        suitable: tells whether a server is suitable.
        preference: orders them; by default, those of equal preference at random.

    Attributes:
        advertisements: the servers that are advertised now, the most preferred one first.
        settled: whether every source has answered.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        on_change: Callable[[], None],
        *,
        service: ServiceType = AUTHORIZATION_SERVER,
        suitable: Callable[[Advertisement], bool] = lambda _: True,
        preference: Preference | None = None,
    ) -> None:
        self._sources = tuple(sources)
        self._on_change = on_change
        self._noun = service.noun
        self._suitable = suitable
        self._preference = preference or Preference()
        self._log = BoundedLog(logger)
        self._told: dict[Source, Sequence[Advertisement]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.advertisements: tuple[Advertisement, ...] = ()
        self.settled = False

    @property
    def answered(self) -> bool:
        """Whether every source has answered, or one has named a server."""
        return self.settled or bool(self.advertisements)

    def start(self) -> None:
        """Begin following on the running event loop, unless it has already begun there."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._tasks = [
                loop.create_task(self._follow(source), name="nmos_auth discovery")
                for source in self._sources
            ]

    async def stop(self) -> None:
        """Stop following; what is known stays known."""
        tasks, self._tasks, self._loop = self._tasks, [], None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def doubt(self, advertisement: Advertisement) -> None:
        """Ask again for the records of a server, because it does not answer.

        IS-10 "Discovery", Implementation Notes; RFC 6762 Section 10.4.
        """
        for source in self._sources:
            source.doubt(advertisement)

    async def _follow(self, source: Source) -> None:
        def tell(advertisements: Sequence[Advertisement]) -> None:
            # Each source has its own places: any host on the link can say anything by multicast
            # DNS, which must not displace what unicast DNS says.
            self._told[source] = advertisements[:MOST_ADVERTISEMENTS]
            self._take_stock()

        while True:
            try:
                await source.follow(tell)
            except Exception:  # nothing that comes from the network may stop discovery
                logger.exception("unexpected while looking for %ss", self._noun)
            await asyncio.sleep(PAUSE_AFTER_MISHAP)

    def _take_stock(self) -> None:
        known = (each for told in self._told.values() for each in told if self._suitable(each))
        ordered = self._preference.order(known)
        settled = len(self._told) == len(self._sources)
        if (ordered, settled) == (self.advertisements, self.settled):
            return
        if ordered != self.advertisements:
            urls = " ".join(each.url for each in ordered)
            self._log.write(logging.INFO, "%ss advertised: %s", self._noun, urls or "none")
        self.advertisements, self.settled = ordered, settled
        self._on_change()
