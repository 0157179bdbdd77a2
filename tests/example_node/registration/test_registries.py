"""Which registries there are: told by DNS, by a real server on loopback, or by the settings."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import pytest

from example_node.controller.following import QUERY_API
from example_node.registration.registries import (
    REGISTRATION_API,
    ConfiguredRegistries,
    DiscoveredRegistries,
)
from nmos_auth.discovery.dns_sd import Advertisement
from nmos_auth.discovery.unicast import UnicastSource
from tests.support.announcements import Announcements
from tests.support.dns import REGISTER, DnsServer

SUITING = Advertisement(
    "registry",
    "example.com",
    "registry.example.com",
    443,
    "https",
    10,
    api_ver=("v1.2", "v1.3"),
    api_auth=True,
)


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    """Run a DNS server with an empty zone."""
    with DnsServer().running() as running:
        yield running


async def found(
    dns: DnsServer,
    count: int,
    *,
    api_proto: Literal["http", "https"] = "https",
    api_auth: bool = True,
) -> Sequence[str]:
    """Follow what DNS says until so many registries are known."""
    source = UnicastSource("example.com", REGISTRATION_API, make_resolver=dns.resolver)
    registries = DiscoveredRegistries([source], api_proto=api_proto, api_auth=api_auth)
    changed = asyncio.Event()
    registries.start(changed.set)
    try:
        async with asyncio.timeout(10):
            while len(registries.known()) < count:
                await changed.wait()
                changed.clear()
    finally:
        await registries.stop()
    return registries.known()


async def test_registries_are_ordered_by_priority(dns: DnsServer) -> None:
    """IS-04 "Discovery: Registered Operation", Client Interaction Procedure, step 3."""
    dns.advertise_registry("b.example.com", 8236, instance="b", pri=20)
    dns.advertise_registry("a.example.com", 8235, instance="a", pri=10)
    dns.advertise_registry("c.example.com", instance="c", pri=99)
    assert list(await found(dns, 3)) == [
        "https://a.example.com:8235",
        "https://b.example.com:8236",
        "https://c.example.com",
    ]
    assert dns.questions[0] == (f"{REGISTER}.example.com", "PTR")


async def test_only_those_that_suit_count(dns: DnsServer) -> None:
    """By API version, protocol and authorization mode; a pri of 100 and more is for development."""
    dns.advertise_registry("version.example.com", instance="1", api_ver="v1.2,v9.0")
    dns.advertise_registry("prefix.example.com", instance="2", api_ver="v1.30")
    dns.advertise_registry("protocol.example.com", instance="3", api_proto="http")
    dns.advertise_registry("invalid.example.com", instance="4", api_proto="invalid")
    dns.advertise_registry("open.example.com", instance="5", api_auth="false")
    dns.advertise_registry("silent.example.com", instance="6", api_auth=None)
    dns.advertise_registry("development.example.com", instance="7", pri=100)
    dns.advertise_registry("good.example.com", instance="8", pri=50)
    assert list(await found(dns, 1)) == ["https://good.example.com"]


async def test_without_authorization_others_suit(dns: DnsServer) -> None:
    """A Node that presents no tokens uses registries that want none."""
    dns.advertise_registry("secure.example.com", instance="1")
    dns.advertise_registry("open.example.com", 80, instance="2", api_proto="http", api_auth="false")
    known = await found(dns, 1, api_proto="http", api_auth=False)
    assert list(known) == ["http://open.example.com"]


async def test_multicast_counts_only_without_unicast() -> None:
    """IS-04 "Discovery": where unicast DNS answers, multicast DNS "SHOULD NOT" be browsed."""
    unicast, multicast = Announcements(), Announcements()
    registries = DiscoveredRegistries([unicast, multicast], api_proto="https", api_auth=True)
    changes = []
    registries.start(lambda: changes.append(list(registries.known())))
    await asyncio.sleep(0)
    multicast.say(replace(SUITING, domain="local", host="heard.local", pri=0))
    unicast.say(SUITING)
    unicast.say()
    heard, asked = ["https://heard.local"], ["https://registry.example.com"]
    assert changes == [heard, asked, heard]
    unicast.say(SUITING)
    registries.doubt("https://registry.example.com")
    registries.doubt("https://other.example.com")
    assert unicast.doubted == [SUITING]
    await registries.stop()


async def test_configured_registries() -> None:
    """They are what the settings say, and stay so."""
    registries = ConfiguredRegistries(["https://a.example.com", "https://b.example.com"])
    registries.start(lambda: None)
    registries.doubt("https://a.example.com")
    assert list(registries.known()) == ["https://a.example.com", "https://b.example.com"]
    await registries.stop()


async def test_query_apis_are_found_the_same_way(dns: DnsServer) -> None:
    """A Controller finds `_nmos-query._tcp`, and no Registration API."""
    dns.advertise_registry("registration.example.com")
    service = QUERY_API.name
    name = dns.instance("query", service)
    dns.point(f"{service}.example.com", name, 60)
    dns.serve_at(name, "query.example.com", 8443, 60)
    dns.describe(name, "api_ver=v1.3", "api_proto=https", "pri=0", "api_auth=true", ttl=60)
    source = UnicastSource("example.com", QUERY_API, make_resolver=dns.resolver)
    registries = DiscoveredRegistries([source], api_proto="https", api_auth=True, service=QUERY_API)
    changed = asyncio.Event()
    registries.start(changed.set)
    async with asyncio.timeout(10):
        await changed.wait()
    await registries.stop()
    assert registries.known() == ["https://query.example.com:8443"]
