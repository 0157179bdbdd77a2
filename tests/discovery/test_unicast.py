"""Unicast DNS-SD: one answer from a real DNS server, and how it is followed, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import dns.asyncresolver
import dns.name
import dns.nameserver
import dns.resolver
import pytest

from nmos_auth.discovery.directory import sources_for
from nmos_auth.discovery.dns_sd import (
    AUTHORIZATION_SERVER,
    Advertisement,
    DiscoveryError,
    ServiceType,
)
from nmos_auth.discovery.unicast import Browsed, UnicastSource, browse, system_resolver
from nmos_auth.settings import Discovery
from tests.support.dns import REGISTER, SERVICE, DnsServer, Reply
from tests.support.virtual_time import in_virtual_time

DOMAIN = dns.name.from_text("example.com")
REGISTRY = ServiceType(REGISTER, "Registry", longest_while_none=10.0)
SERVER = Advertisement("auth", "example.com", "auth.example.com", 443, "https", 0, ("v1.0",))
OTHER = Advertisement("other", "example.com", "other.example.com", 443, "https", 0, ("v1.0",))


@pytest.fixture
def server() -> Iterator[DnsServer]:
    """Run a DNS server with an empty zone."""
    with DnsServer().running() as running:
        yield running


async def asked(server: DnsServer) -> Browsed:
    """Ask that server once."""
    return await browse(server.resolver(), DOMAIN)


# One answer


@pytest.mark.parametrize("additional", [True, False])
async def test_a_server_is_found(server: DnsServer, *, additional: bool) -> None:
    """By PTR, SRV and TXT, whether the latter two come along or are asked for."""
    server.additional = additional
    server.advertise("auth.example.com")
    assert await asked(server) == Browsed((SERVER,), frozenset(), (), 60)
    kinds = {kind for _, kind in server.questions}
    assert kinds == ({"PTR"} if additional else {"PTR", "SRV", "TXT"})


async def test_other_services_are_found_in_the_same_way(server: DnsServer) -> None:
    """What is looked for is told apart by its service type alone (RFC 6763 Section 7)."""
    server.advertise("auth.example.com")
    server.advertise_registry("registry.example.com", 8235, pri=7)
    found = await browse(server.resolver(), DOMAIN, REGISTRY)
    (registry,) = found.found
    assert (registry.url, registry.pri) == ("https://registry.example.com:8235", 7)
    assert (registry.api_ver, registry.api_auth) == (("v1.2", "v1.3"), True)
    assert (await asked(server)).found == (SERVER,)


async def test_names_are_found_in_any_case(server: DnsServer) -> None:
    """RFC 1035 Section 2.3.3."""
    server.point(f"{SERVICE}.example.com", "AUTH._NMOS-Auth._TCP.Example.COM")
    server.serve_at(server.instance(), "Auth.EXAMPLE.com", 443)
    server.describe(server.instance(), "API_PROTO=https", "PRI=3")
    (found,) = (await asked(server)).found
    assert (found.host, found.pri) == ("auth.example.com", 3)


async def test_several_servers_are_found(server: DnsServer) -> None:
    """Each instance is a server, whatever its priority; choosing is not this module's."""
    for number, pri in enumerate((20, 10, 100)):
        server.advertise(f"auth{number}.example.com", instance=f"auth{number}", pri=pri)
    found = (await asked(server)).found
    assert {(each.host, each.pri) for each in found} == {
        ("auth0.example.com", 20),
        ("auth1.example.com", 10),
        ("auth2.example.com", 100),
    }


async def test_instances_have_names_for_people(server: DnsServer) -> None:
    """RFC 6763 Section 4.1.1: "any characters", dots, spaces and letters beyond ASCII too."""
    server.additional = False
    server.advertise("auth.example.com", instance="Régie 2. Etage")
    (found,) = (await asked(server)).found
    assert found.instance == "Régie 2. Etage"


@pytest.mark.parametrize("additional", [True, False])
async def test_an_answer_holds_as_long_as_its_shortest_part(
    server: DnsServer, *, additional: bool
) -> None:
    """The least time-to-live of PTR, SRV and TXT records counts."""
    server.additional = additional
    server.point(f"{SERVICE}.example.com", server.instance(), 300)
    server.serve_at(server.instance(), "auth.example.com", 443, 200)
    server.describe(server.instance(), "api_proto=https", "pri=0", ttl=100)
    assert (await asked(server)).ttl == 100


@pytest.mark.parametrize("named", [True, False])
async def test_nothing_there_is_an_answer(server: DnsServer, *, named: bool) -> None:
    """No such name, or no such records: it holds for the SOA record's minimum (RFC 2308)."""
    if named:
        server.describe(f"{SERVICE}.example.com", "no PTR record")
    server.minimum = 77
    assert await asked(server) == Browsed((), frozenset(), (), 77)


async def test_aliases_are_followed(server: DnsServer) -> None:
    """A CNAME record may stand for any of them, and its time counts too."""
    server.additional = False
    server.alias(f"{SERVICE}.example.com", "services.example.com", ttl=50)
    server.point("services.example.com", server.instance())
    server.alias(server.instance(), "records.example.com", ttl=40)
    server.serve_at("records.example.com", "auth.example.com", 443)
    server.describe("records.example.com", "api_proto=https", "pri=0", "api_ver=v1.0")
    assert await asked(server) == Browsed((SERVER,), frozenset(), (), 40)


async def test_a_circle_of_aliases_is_a_failure(server: DnsServer) -> None:
    """It ends, and is not an answer."""
    server.alias(f"{SERVICE}.example.com", "a.example.com")
    server.alias("a.example.com", f"{SERVICE}.example.com")
    with pytest.raises(DiscoveryError):
        await asked(server)


async def test_answers_too_long_for_a_datagram(server: DnsServer) -> None:
    """What is truncated is asked for again by TCP (RFC 7766); of very many, the first 64 count."""
    for number in range(100):
        server.advertise(f"auth{number}.example.com", instance=f"auth{number:03}")
    answer = await asked(server)
    assert server.count("PTR") == 2
    assert [each.instance for each in answer.found] == [f"auth{number:03}" for number in range(64)]
    (complaint,) = answer.passed_over
    assert "100 instances" in complaint


async def test_longer_answers_are_not_read(server: DnsServer) -> None:
    """Each record takes time, in which nothing else is done."""
    for number in range(300):
        server.advertise(f"auth{number}.example.com", instance=f"auth{number:03}")
    with pytest.raises(DiscoveryError, match="more than 16384 bytes"):
        await asked(server)


async def test_long_datagrams_are_not_read(server: DnsServer) -> None:
    """A server may send them, whatever it was told to send at most (RFC 6891 Section 6.2.3)."""
    server.reply = lambda question: question + bytes(20_000)
    with pytest.raises(DiscoveryError, match="more than 16384 bytes"):
        await asked(server)


@pytest.mark.parametrize("tcp", [False, True], ids=["UDP", "TCP"])
@pytest.mark.parametrize("section", [0, 1, 2])
async def test_answers_of_many_records_are_not_read(
    server: DnsServer, *, tcp: bool, section: int
) -> None:
    """However short each is, and in whichever section: 401 records would take 13 milliseconds."""
    asked_before: list[bytes] = []

    def reply(question: bytes) -> bytes:
        counts, cut = [0, 0, 0], tcp and not asked_before
        asked_before.append(question)
        counts[section] = 0 if cut else 401
        flags = 0x8380 if cut else 0x8180
        header = question[:2] + struct.pack("!5H", flags, 1, *counts)
        asked_for = question[12 : question.index(b"\0", 12) + 5]
        record = struct.pack("!BHHIHBx", 0, 12, 1, 1, 2, 0)
        return header + asked_for + record * counts[section]

    server.reply = reply
    with pytest.raises(DiscoveryError, match="more than 400 records"):
        await asked(server)
    assert len(asked_before) >= 1 + tcp


async def test_of_very_many_targets_the_first_are_used(server: DnsServer) -> None:
    """An instance usually has one SRV record."""
    server.additional = False
    server.advertise("auth.example.com")
    for number in range(100):
        server.serve_at(server.instance(), f"more{number}.example.com", 443)
    assert len((await asked(server)).found) == 4


async def test_very_many_questions_do_not_go_out_at_once(server: DnsServer) -> None:
    """Where nothing comes along, every instance is asked for, a few at a time."""
    server.additional = False
    for number in range(80):
        server.advertise(f"auth{number}.example.com", instance=f"auth{number:03}")
    assert len((await asked(server)).found) == 64
    assert server.count("SRV") == server.count("TXT") == 64


@pytest.mark.parametrize(
    "spoil",
    [
        lambda server: server.point(f"{SERVICE}.example.com", server.instance("gone")),
        lambda server: server.point(f"{SERVICE}.example.com", "www.example.com"),
        lambda server: server.point(f"{SERVICE}.example.com", "."),
        lambda server: server.advertise(".", instance="unavailable"),
        lambda server: server.advertise("bad.example.com", 0, instance="bad"),
        lambda server: server.advertise("bad.example.com", instance="bad", api_proto="gopher"),
        lambda server: server.advertise("bad.example.com", instance="bad", selector="../.."),
    ],
)
@pytest.mark.parametrize("additional", [True, False])
async def test_one_bad_advertisement_spoils_no_other(
    server: DnsServer, spoil: Callable[[DnsServer], None], *, additional: bool
) -> None:
    """It is passed over, and said so."""
    server.additional = additional
    spoil(server)
    server.advertise("auth.example.com")
    answer = await asked(server)
    assert answer.found == (SERVER,)
    assert answer.unresolved == frozenset()
    assert len(answer.passed_over) == 1


async def test_records_that_cannot_be_had_are_another_matter(server: DnsServer) -> None:
    """A server whose records fail is neither there nor gone."""
    server.additional = False
    server.advertise("auth.example.com")
    server.advertise("other.example.com", instance="other")

    def reply(packet: bytes) -> bytes | None:
        server.reply = None
        try:
            return None if b"\x05other" in packet else server.answer(packet)
        finally:
            server.reply = reply

    server.reply, server.patience = reply, 0.2
    answer = await asked(server)
    assert answer.found == (SERVER,)
    assert answer.unresolved == {"other"}
    assert answer.passed_over == ()


# No answer


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"])
async def test_errors_are_failures(server: DnsServer, rcode: str) -> None:
    """Such a server does not say what there is."""
    server.advertise("auth.example.com")
    server.rcode = rcode
    with pytest.raises(DiscoveryError, match=rcode):
        await asked(server)


HEADER = b"\x81\x80\0\1\0\1\0\0\0\0"


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda _: None, id="silence"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda packet: packet, id="echo"),
        pytest.param(lambda packet: packet[:12], id="cut off"),
        pytest.param(lambda packet: packet[:2] + HEADER + packet[12:], id="record missing"),
        pytest.param(lambda packet: packet[:2] + HEADER + b"\xc0\x0c" * 9, id="pointer to itself"),
        pytest.param(lambda packet: bytes([packet[0] ^ 1]) + packet[1:2] + HEADER, id="other id"),
        pytest.param(lambda _: b"\xff" * 500, id="rubbish"),
    ],
)
async def test_what_is_no_answer_is_a_failure(server: DnsServer, reply: Reply) -> None:
    """Nothing, or packets that no DNS server sends: it ends soon, with one kind of error."""
    server.reply, server.patience = reply, 0.2
    with pytest.raises(DiscoveryError):
        await asked(server)


async def test_a_server_that_is_down_is_a_failure() -> None:
    """Nobody listens there."""
    with DnsServer(patience=0.2).running() as server:
        resolver = server.resolver()
    with pytest.raises(DiscoveryError):
        await browse(resolver, DOMAIN)


# Where to look


async def test_search_domains_are_asked(server: DnsServer) -> None:
    """Without NMOS_AUTH_DNS_DOMAIN, the resolver's search domains; the root is none."""
    server.advertise("auth.example.com")
    source = UnicastSource(
        make_resolver=lambda: server.resolver("studio.example.com", "example.com")
    )
    assert list(await source.look()) == [SERVER]
    assert {name for name, _ in server.questions} == {
        f"{SERVICE}.studio.example.com",
        f"{SERVICE}.example.com",
    }


async def test_a_domain_that_is_set_is_the_only_one(server: DnsServer) -> None:
    """NMOS_AUTH_DNS_DOMAIN takes the place of the search domains."""
    server.advertise("auth.example.com")
    source = UnicastSource(
        "Example.COM.", make_resolver=lambda: server.resolver("studio.example.com")
    )
    assert list(await source.look()) == [SERVER]
    assert {name for name, _ in server.questions} == {f"{SERVICE}.example.com"}


async def test_a_host_without_a_domain(server: DnsServer) -> None:
    """The message says what to set."""
    source = UnicastSource(make_resolver=lambda: server.resolver("."))
    with pytest.raises(DiscoveryError, match="NMOS_AUTH_DNS_DOMAIN"):
        await source.look()
    assert server.questions == []


async def test_a_host_without_resolvers() -> None:
    """What the resolver says of it is passed on."""

    def make() -> dns.asyncresolver.Resolver:
        raise dns.resolver.NoResolverConfiguration

    with pytest.raises(DiscoveryError, match="Resolver configuration"):
        await UnicastSource("example.com", make_resolver=make).look()


# Following


@dataclass
class Zone:
    """Answers for domains, told by a test; what is not told is a failure.

    Attributes:
        asked: when, on the loop's clock, it was asked for which domain.
        search: the resolver's search domains.
        told: what the source told.
    """

    answers: dict[str, Browsed] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)
    search: Sequence[str] = ("example.com",)
    told: list[tuple[Advertisement, ...]] = field(default_factory=list)

    async def browse(self, _: dns.asyncresolver.Resolver, domain: dns.name.Name) -> Browsed:
        """Answer a question."""
        name = str(domain).removesuffix(".")
        self.asked.append((asyncio.get_running_loop().time(), name))
        if name not in self.answers:
            raise DiscoveryError(f"{name} does not answer")
        return self.answers[name]

    def resolver(self) -> dns.asyncresolver.Resolver:
        """Return a resolver with the search domains."""
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.search = [dns.name.from_text(each) for each in self.search]
        return resolver

    def says(self, *found: Advertisement, ttl: float = 60, domain: str = "example.com") -> None:
        """Have a domain answer this."""
        self.answers[domain] = Browsed(found, frozenset(), (), ttl)

    def pauses(self) -> list[float]:
        """Return the times between questions."""
        times = [when for when, _ in self.asked]
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    @contextlib.asynccontextmanager
    async def followed(
        self, service: ServiceType = AUTHORIZATION_SERVER
    ) -> AsyncIterator[UnicastSource]:
        """Follow it until the block ends."""
        source = UnicastSource(service=service, make_resolver=self.resolver, ask=self.browse)
        task = asyncio.create_task(source.follow(lambda found: self.told.append(tuple(found))))
        yield source
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("ttl", "least", "most"),
    [
        (0, 5, 7),
        (1, 5, 7),
        (60, 60, 62),
        (3600, 3600, 3602),
        (86400, 3600, 3602),
        (2**31, 3600, 3602),
    ],
)
def test_an_answer_is_asked_for_again_when_its_time_is_over(
    ttl: float, least: float, most: float
) -> None:
    """Not within five seconds, at least every hour, and not all clients at once."""

    @in_virtual_time
    async def scene() -> None:
        zone = Zone()
        zone.says(SERVER, ttl=ttl)
        async with zone.followed():
            await asyncio.sleep(50 * least)
        assert len(zone.pauses()) > 30
        assert all(least <= each <= most + 0.1 for each in zone.pauses())
        assert max(zone.pauses()) - min(zone.pauses()) > 0.5
        assert set(zone.told) == {(SERVER,)}

    scene()


@in_virtual_time
async def test_while_nothing_is_found_it_backs_off() -> None:
    """From five seconds to a minute, but never beyond the time-to-live of the negative answer."""
    zone = Zone()
    zone.says(ttl=3600)
    async with zone.followed():
        await asyncio.sleep(600)
        pauses = zone.pauses()
        assert 5 <= pauses[0] <= 7.1
        assert pauses == sorted(pauses) or max(pauses) <= 62.1
        assert min(pauses[-3:]) >= 60
        zone.says(ttl=20)
        await asyncio.sleep(300)
        assert max(zone.pauses()[-5:]) <= 22.1
    assert set(zone.told) == {()}


@in_virtual_time
async def test_how_far_it_backs_off_is_the_services_matter() -> None:
    """A Node without a Registry is in nobody's sight, and asks more often."""
    zone = Zone()
    zone.says(ttl=3600)
    async with zone.followed(REGISTRY):
        await asyncio.sleep(600)
    assert 10 <= max(zone.pauses()) <= 12.1


@in_virtual_time
async def test_while_the_resolver_fails_it_backs_off() -> None:
    """From a second to ten, at random, so that it is soon noticed when the resolver is back."""
    zone = Zone()
    async with zone.followed():
        await asyncio.sleep(600)
        pauses = zone.pauses()
        assert pauses[0] <= 1
        assert pauses[1] <= 2
        assert all(5 <= each <= 10 for each in pauses[5:])
        assert len(set(pauses)) == len(pauses)
        assert zone.told == []
        zone.says(SERVER)
        await asyncio.sleep(10.1)
        assert zone.told == [(SERVER,)]


@in_virtual_time
async def test_a_failure_forgets_nothing() -> None:
    """However long it lasts, and however short the time-to-live was."""
    zone = Zone()
    zone.says(SERVER, ttl=5)
    async with zone.followed():
        await asyncio.sleep(1)
        del zone.answers["example.com"]
        await asyncio.sleep(7 * 86400)
        assert set(zone.told) == {(SERVER,)}
        assert max(zone.pauses()) <= 60
        zone.says(OTHER)
        await asyncio.sleep(61)
        assert zone.told[-1] == (OTHER,)


@in_virtual_time
async def test_a_good_answer_forgets() -> None:
    """What it does not name is advertised no more."""
    zone = Zone()
    zone.says(SERVER, OTHER)
    async with zone.followed():
        await asyncio.sleep(1)
        zone.says(OTHER)
        await asyncio.sleep(65)
        zone.says()
        await asyncio.sleep(65)
    assert list(dict.fromkeys(zone.told)) == [(SERVER, OTHER), (OTHER,), ()]


@in_virtual_time
async def test_a_server_whose_records_fail_stays_as_it_was() -> None:
    """The rest of that answer counts, and the failure is tried again."""
    zone = Zone()
    zone.says(SERVER, OTHER, ttl=3600)
    async with zone.followed():
        await asyncio.sleep(1)
        zone.answers["example.com"] = Browsed((SERVER,), frozenset({"other"}), (), 3600)
        await asyncio.sleep(3700)
        assert set(zone.told) == {(SERVER, OTHER)}
        assert len(zone.asked) > 5
        zone.says(SERVER)
        await asyncio.sleep(61)
        assert zone.told[-1] == (SERVER,)


@in_virtual_time
async def test_domains_fail_by_themselves() -> None:
    """One that does not answer takes nothing from the others, nor keeps them from being heard."""
    zone = Zone(search=("studio.example.com", "example.com"))
    zone.says(SERVER)
    async with zone.followed():
        await asyncio.sleep(1)
        assert set(zone.told) == {(SERVER,)}
        zone.says(OTHER, domain="studio.example.com")
        await asyncio.sleep(61)
        assert set(zone.told[-1]) == {OTHER, SERVER}
        del zone.answers["studio.example.com"]
        zone.says()
        await asyncio.sleep(65)
        assert zone.told[-1] == (OTHER,)


@in_virtual_time
async def test_the_search_domains_may_change() -> None:
    """What was found in a domain that is searched no more is forgotten."""
    zone = Zone()
    zone.says(SERVER)
    zone.says(OTHER, domain="studio.example.com")
    async with zone.followed():
        await asyncio.sleep(1)
        zone.search = ()
        await asyncio.sleep(65)
        assert set(zone.told) == {(SERVER,)}
        zone.search = ("studio.example.com",)
        await asyncio.sleep(65)
        assert zone.told[-1] == (OTHER,)


@in_virtual_time
async def test_doubt_asks_again_but_not_at_once() -> None:
    """A server that does not answer may have moved; five seconds lie between questions."""
    zone = Zone()
    zone.says(SERVER, ttl=3600)
    async with zone.followed() as source:
        await asyncio.sleep(100)
        for _ in range(100):
            source.doubt(SERVER)
            await asyncio.sleep(0.1)
        assert len(zone.asked) <= 4
        await asyncio.sleep(1000)
        assert len(zone.asked) <= 5
        assert min(zone.pauses()) > 4.99


@in_virtual_time
async def test_doubt_about_what_multicast_told_is_not_its_own() -> None:
    """Unicast DNS knows nothing of it."""
    zone = Zone()
    zone.says(SERVER, ttl=3600)
    async with zone.followed() as source:
        await asyncio.sleep(100)
        source.doubt(replace(SERVER, domain="local"))
        await asyncio.sleep(100)
    assert len(zone.asked) == 1


def test_each_complaint_is_a_warning_once(caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong for hours does not fill the log, and comes up again if it comes back."""

    def warnings() -> list[str]:
        found = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
        caplog.clear()
        return found

    @in_virtual_time
    async def scene() -> None:
        zone = Zone()
        async with zone.followed():
            await asyncio.sleep(300)
            (warning,) = warnings()
            assert "example.com does not answer" in warning
            zone.says()
            await asyncio.sleep(300)
            (warning,) = warnings()
            assert "no Authorization Server is advertised in example.com" in warning
            zone.answers["example.com"] = Browsed((SERVER,), frozenset(), ("x is passed over",), 9)
            await asyncio.sleep(300)
            assert warnings() == ["x is passed over"]
            del zone.answers["example.com"]
            await asyncio.sleep(300)
            (warning,) = warnings()
            assert "example.com does not answer" in warning

    caplog.set_level(logging.DEBUG, "nmos_auth")
    scene()


def test_whoever_answers_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Names may be new with each answer."""

    @in_virtual_time
    async def scene() -> None:
        zone = Zone()
        async with zone.followed():
            for number in range(100):
                passed_over = tuple(f"{number}-{each} is passed over" for each in range(64))
                zone.answers["example.com"] = Browsed((SERVER,), frozenset(), passed_over, 5)
                await asyncio.sleep(8)

    scene()
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) < 300


# Whom to ask


async def test_the_servers_of_the_setting_are_asked(server: DnsServer) -> None:
    """At their ports, in place of the machine's."""
    server.advertise("auth.example.com")
    sources = sources_for(
        Discovery.UNICAST, "example.com", dns_servers=[f"127.0.0.1:{server.port}"]
    )
    (found,) = await sources[0].look()
    assert found.host == "auth.example.com"


@pytest.mark.parametrize(
    ("setting", "address", "port"),
    [
        ("192.0.2.53", "192.0.2.53", 53),
        ("192.0.2.53:5353", "192.0.2.53", 5353),
        ("2001:db8::53", "2001:db8::53", 53),
        ("[2001:db8::53]", "2001:db8::53", 53),
        ("[2001:db8::53]:5353", "2001:db8::53", 5353),
    ],
)
def test_how_a_server_is_written(setting: str, address: str, port: int) -> None:
    """With or without a port; on a machine without a resolver too."""
    (server,) = system_resolver([setting]).nameservers
    assert isinstance(server, dns.nameserver.Do53Nameserver)
    assert (server.address, server.port) == (address, port)
