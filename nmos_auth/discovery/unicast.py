"""Servers by unicast DNS-SD (RFC 6763): PTR, SRV and TXT records, for their time to live."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdata
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.SRV import SRV

from nmos_auth.discovery.bounded_dns import BoundedBackend
from nmos_auth.discovery.bounded_log import BoundedLog
from nmos_auth.discovery.dns_sd import (
    AUTHORIZATION_SERVER,
    MOST_ADVERTISEMENTS,
    Advertisement,
    AdvertisementError,
    DiscoveryError,
    ServiceType,
    advertisement_of,
    printable,
)
from nmos_auth.servers.backoff import BackOff

__all__ = ["Browsed", "UnicastSource", "browse", "system_resolver"]

logger = logging.getLogger("nmos_auth")

SHORTEST_PAUSE = 5.0
LONGEST_PAUSE = 3600.0
LONGEST_BACK_OFF = 10.0
LONGEST_WHILE_FAILING = 60.0
# Seconds: slightly more than the five that a resolver allows itself.
QUERY_DEADLINE = 6.0
DEADLINE = 20.0
JITTER = 2.0
MOST_DOMAINS = 6
MOST_QUERIES_AT_ONCE = 8
MOST_TARGETS = 4  # SRV records of one instance, which usually has one
_DNS_PORT = 53

R = TypeVar("R", bound=dns.rdata.Rdata)


def system_resolver(servers: Sequence[str]) -> dns.asyncresolver.Resolver:
    """Return a resolver with this machine's present configuration.

    Args:
        servers: addresses of DNS servers, with or without a port; empty for the machine's.

    Raises:
        dns.resolver.NoResolverConfiguration: the machine has none, and `servers` is empty.
    """
    if not servers:
        return dns.asyncresolver.Resolver()
    try:
        resolver = dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [_name_server(each) for each in servers]
    return resolver


def _name_server(server: str) -> dns.nameserver.Nameserver:
    address, port = server, ""
    if server.startswith("["):
        address, _, port = server[1:].partition("]")
    elif server.count(":") == 1:
        address, _, port = server.partition(":")
    return dns.nameserver.Do53Nameserver(address, int(port.removeprefix(":") or _DNS_PORT))


@dataclass(frozen=True, slots=True)
class Browsed:
    """The answer of a domain.

    Attributes:
        found: the servers that it advertises.
        unresolved: the names of instances whose records could not be read.
        passed_over: what is wrong with instances that are not used.
        ttl: seconds for which the answer is valid.
    """

    found: tuple[Advertisement, ...]
    unresolved: frozenset[str]
    passed_over: tuple[str, ...]
    ttl: float


Ask = Callable[[dns.asyncresolver.Resolver, dns.name.Name], Awaitable[Browsed]]


@dataclass(frozen=True, slots=True)
class _Answer:
    """One answer: its message, the requested records, and their time to live."""

    message: dns.message.Message
    records: tuple[dns.rdata.Rdata, ...]
    ttl: float

    def of_type(self, kind: type[R]) -> list[R]:
        return [each for each in self.records if isinstance(each, kind)]


async def browse(
    resolver: dns.asyncresolver.Resolver,
    domain: dns.name.Name,
    service: ServiceType = AUTHORIZATION_SERVER,
) -> Browsed:
    """Ask which servers of a kind a domain advertises (RFC 6763 Sections 4 and 5).

    Raises:
        DiscoveryError: there was no answer.
    """
    name = dns.name.from_text(service.name, domain)
    try:
        async with asyncio.timeout(DEADLINE):
            return await _browse(resolver, name, domain)
    except TimeoutError:
        raise DiscoveryError(f"{name}: no answer within {DEADLINE:g} s") from None


async def _browse(
    resolver: dns.asyncresolver.Resolver, service: dns.name.Name, domain: dns.name.Name
) -> Browsed:
    answer = await _ask(resolver, service, dns.rdatatype.PTR)
    instances = sorted({pointer.target for pointer in answer.of_type(PTR)})
    passed_over = []
    if len(instances) > MOST_ADVERTISEMENTS:
        passed_over.append(
            f"{service} has {len(instances)} instances; {MOST_ADVERTISEMENTS} of them are used"
        )
    lookup = _Lookup(resolver, answer.message, service, domain)
    outcomes = await asyncio.gather(
        *(lookup.resolve(instance) for instance in instances[:MOST_ADVERTISEMENTS]),
        return_exceptions=True,
    )
    found: list[Advertisement] = []
    unresolved: set[str] = set()
    for instance, outcome in zip(instances, outcomes, strict=False):
        if isinstance(outcome, AdvertisementError):
            passed_over.append(f"{instance} is passed over: {outcome}")
        elif isinstance(outcome, DiscoveryError):
            unresolved.add(printable(instance.labels[0]))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            found += outcome
    return Browsed(
        tuple(found),
        frozenset(unresolved),
        tuple(passed_over),
        min(answer.ttl, lookup.ttl),
    )


class _Lookup:
    """Finds the records of service instances, in the PTR answer or with further questions."""

    def __init__(
        self,
        resolver: dns.asyncresolver.Resolver,
        message: dns.message.Message,
        service: dns.name.Name,
        domain: dns.name.Name,
    ) -> None:
        self._resolver = resolver
        self._message = message
        self._type = dns.name.Name(service.labels[:2])
        self._domain = domain
        self._at_once = asyncio.Semaphore(MOST_QUERIES_AT_ONCE)
        self.ttl = LONGEST_PAUSE

    async def resolve(self, instance: dns.name.Name) -> list[Advertisement]:
        labels = instance.labels
        if len(labels) < 4 or dns.name.Name(labels[1:3]) != self._type:
            raise AdvertisementError(f"it is not an instance of {self._type}")
        async with self._at_once:
            services = (await self._records(instance, dns.rdatatype.SRV)).of_type(SRV)
            texts = (await self._records(instance, dns.rdatatype.TXT)).of_type(TXT)
        if not services or not texts:
            raise AdvertisementError(f"it has no {'TXT' if services else 'SRV'} record")
        # RFC 6763 Section 6.8: each protocol defines several TXT records; NMOS does not.
        strings: Sequence[bytes] = min(each.strings for each in texts)
        return [
            advertisement_of(
                labels[0], str(self._domain), str(service.target), int(service.port), strings
            )
            for service in sorted(services, key=_preference)[:MOST_TARGETS]
        ]

    async def _records(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> _Answer:
        # RFC 6763 Section 12.1: SRV and TXT records come with the PTR records that name them.
        for rrset in self._message.additional:
            if rrset.name == name and rrset.rdtype == kind:
                answer = _Answer(self._message, tuple(rrset), rrset.ttl)
                break
        else:
            answer = await _ask(self._resolver, name, kind)
        self.ttl = min(self.ttl, answer.ttl)
        return answer


def _preference(service: SRV) -> tuple[int, str]:
    return service.priority, str(service.target)


async def _ask(
    resolver: dns.asyncresolver.Resolver, name: dns.name.Name, kind: dns.rdatatype.RdataType
) -> _Answer:
    """Ask for records. An empty answer is valid for as long as its SOA record says."""
    try:
        async with asyncio.timeout(QUERY_DEADLINE):
            message = await _message(resolver, name, kind)
        chain = message.resolve_chaining()
    except (dns.exception.DNSException, OSError) as error:
        raise DiscoveryError(f"{name}: {_describe(error)}") from None
    return _Answer(message, tuple(chain.answer or ()), chain.minimum_ttl)


async def _message(
    resolver: dns.asyncresolver.Resolver, name: dns.name.Name, kind: dns.rdatatype.RdataType
) -> dns.message.QueryMessage:
    try:
        answer = await resolver.resolve(
            name, kind, raise_on_no_answer=False, search=False, backend=BoundedBackend()
        )
    except dns.resolver.NXDOMAIN as error:
        message: dns.message.QueryMessage = error.response(name)  # type: ignore[no-untyped-call]
        return message
    return answer.response


def _describe(error: Exception) -> str:
    if isinstance(error, TimeoutError | dns.exception.Timeout):
        return "no answer in time"
    return f"{error.__class__.__name__}: {error}".replace("\n", " ")[:300]


class UnicastSource:
    """Follows what the search domains advertise.

    Args:
        domain: the domain, instead of the resolver's search domains.
        service: the service to look for.
        make_resolver: returns a resolver for one round, so that it has the configuration of that
            time.
        ask: asks one domain; by default, `browse`.

    It asks again when the answer expires, but not within five seconds, and at least every hour. It
    asks sooner, with growing pauses, while the resolver fails (up to ten seconds without a server,
    up to a minute with one) or while no server is advertised (`longest_while_none`). Only a good
    answer removes servers; a failure does not, however long it lasts. RFC 8767 Section 4: "If the
    data is unable to be authoritatively refreshed when the TTL expires, the record MAY be used as
    though it is unexpired". The keys of servers also stay valid without contact to them (IS-10
    "Behaviour: Resource Servers", Public keys).
    """

    def __init__(
        self,
        domain: str | None = None,
        service: ServiceType = AUTHORIZATION_SERVER,
        *,
        make_resolver: Callable[[], dns.asyncresolver.Resolver],
        ask: Ask | None = None,
    ) -> None:
        self._domain = None if domain is None else dns.name.from_text(domain)
        self._service = service
        self._make_resolver = make_resolver
        self._ask = ask or functools.partial(browse, service=service)
        self._known: dict[dns.name.Name, tuple[Advertisement, ...]] = {}
        self._complaints: frozenset[str] = frozenset()
        self._doubted = asyncio.Event()
        self._fruitless = 0
        self._log = BoundedLog(logger)

    async def look(self) -> Sequence[Advertisement]:
        """Ask once, and return what is advertised.

        Raises:
            DiscoveryError: no domain answered.
        """
        await self._round()
        if not self._known:
            raise DiscoveryError("; ".join(sorted(self._complaints)))
        return self._found()

    async def follow(self, tell: Callable[[Sequence[Advertisement]], None]) -> None:
        """Ask until cancelled, and call `tell` with what is advertised after each answer."""
        self._doubted = asyncio.Event()
        while True:
            self._doubted.clear()
            pause = await self._round()
            if self._known:
                tell(self._found())
            await asyncio.sleep(min(pause, SHORTEST_PAUSE))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, pause - SHORTEST_PAUSE)):
                    await self._doubted.wait()

    def doubt(self, advertisement: Advertisement) -> None:
        """Ask again soon, because a server of this source does not answer."""
        if not advertisement.is_multicast:
            self._doubted.set()

    def _found(self) -> list[Advertisement]:
        return [each for found in self._known.values() for each in found]

    async def _round(self) -> float:
        """Ask every domain once, and return the seconds until the next time."""
        try:
            resolver = self._make_resolver()
            domains = self._domains(resolver)
        except (dns.exception.DNSException, DiscoveryError, OSError) as error:
            self._complain([f"{self._service.noun}s cannot be looked up: {error}"])
            return self._pause(LONGEST_PAUSE, failed=True)
        outcomes = await asyncio.gather(*(self._outcome(resolver, each) for each in domains))
        self._known = {each: self._known[each] for each in domains if each in self._known}
        complaints: list[str] = []
        ttl, failed = LONGEST_PAUSE, False
        for domain, outcome in zip(domains, outcomes, strict=True):
            if isinstance(outcome, DiscoveryError):
                complaints.append(f"{self._service.noun}s cannot be looked up: {outcome}")
                failed = True
                continue
            held = self._known.get(domain, ())
            stale = (each for each in held if each.instance in outcome.unresolved)
            self._known[domain] = (*outcome.found, *stale)
            complaints += outcome.passed_over
            if not self._known[domain]:
                complaints.append(f"no {self._service.noun} is advertised in {domain}")
            ttl, failed = min(ttl, outcome.ttl), failed or bool(outcome.unresolved)
        self._complain(complaints)
        return self._pause(ttl, failed=failed)

    def _domains(self, resolver: dns.asyncresolver.Resolver) -> Sequence[dns.name.Name]:
        if self._domain is not None:
            return (self._domain,)
        listed = dict.fromkeys(resolver.search or [resolver.domain])
        listed.pop(dns.name.root, None)
        if not listed:
            raise DiscoveryError("this host has no search domain; set NMOS_AUTH_DNS_DOMAIN")
        return tuple(listed)[:MOST_DOMAINS]

    async def _outcome(
        self, resolver: dns.asyncresolver.Resolver, domain: dns.name.Name
    ) -> Browsed | DiscoveryError:
        try:
            return await self._ask(resolver, domain)
        except DiscoveryError as error:
            return error

    def _pause(self, ttl: float, *, failed: bool) -> float:
        found = any(self._known.values())
        self._fruitless = self._fruitless + 1 if failed or not found else 0
        if failed:
            longest = LONGEST_WHILE_FAILING if found else LONGEST_BACK_OFF
            return BackOff(1.0, min(ttl, longest)).pause(self._fruitless, random.uniform)
        if not found:
            back_off = BackOff(SHORTEST_PAUSE, self._service.longest_while_none)
            ttl = min(ttl, back_off.ceiling(self._fruitless))
        jitter = random.uniform(0, JITTER)  # noqa: S311 - no secret
        return min(max(ttl, SHORTEST_PAUSE), LONGEST_PAUSE) + jitter

    def _complain(self, complaints: Iterable[str]) -> None:
        now = frozenset(complaints)
        for each in sorted(now):
            level = logging.DEBUG if each in self._complaints else logging.WARNING
            self._log.write(level, "%s", each)
        self._complaints = now
