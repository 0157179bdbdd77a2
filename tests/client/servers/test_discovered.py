"""Issuers by discovery: what is advertised, confirmed by its metadata, in its order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dns.name
import dns.zone
import pytest
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.SRV import SRV

from nmos_auth.client import AuthorizationClient
from nmos_auth.client.servers.discovered import DiscoveredIssuers
from nmos_auth.discovery.dns_records import describe, zone_records
from nmos_auth.discovery.dns_sd import Advertisement
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import DevelopmentServer
from tests.client.scripted import Refusal, ScriptedServer
from tests.support.dns import DnsServer
from tests.support.tls import TestAuthority


@dataclass(eq=False)
class Advertised:
    """A source of advertisements that a test decides on.

    Attributes:
        now: what is advertised.
        doubted: what was said not to answer.
    """

    now: list[Advertisement]
    doubted: list[Advertisement] = field(default_factory=list)
    _tell: Callable[[Sequence[Advertisement]], None] | None = None

    async def look(self) -> Sequence[Advertisement]:
        """Return what is advertised."""
        return self.now

    async def follow(self, tell: Callable[[Sequence[Advertisement]], None]) -> None:
        """Tell what is advertised, and whatever `change` says later."""
        self._tell = tell
        tell(self.now)
        await asyncio.Event().wait()

    def change(self, *advertisements: Advertisement) -> None:
        """Advertise something else."""
        assert self._tell is not None
        self._tell(advertisements)

    def doubt(self, advertisement: Advertisement) -> None:
        """Remember it."""
        self.doubted.append(advertisement)


def advertisement(server: ScriptedServer, pri: int = 10) -> Advertisement:
    """Advertise a server."""
    return Advertisement("a", "example.com", "localhost", server.port, "https", pri)


async def test_in_the_order_of_pri(
    server: ScriptedServer, make_settings: MakeClientSettings, tls: TestAuthority
) -> None:
    """Servers come by priority, are followed as they change, and a lying one is left out."""
    with ScriptedServer().running(tls) as other:
        source = Advertised([advertisement(other, 20), advertisement(server, 10)])
        client = AuthorizationClient(make_settings())
        async with client:
            issuers = DiscoveredIssuers([source], client.transport)
            assert await issuers() == [server.issuer, other.issuer]
            source.change(advertisement(other, 20))
            assert await issuers() == [other.issuer]
            server.metadata_changes = {"issuer": other.issuer}
            await issuers.aclose()
            lying = Advertised([advertisement(server), advertisement(other)])
            issuers = DiscoveredIssuers([lying], client.transport)
            assert await issuers() == [other.issuer]
            assert lying.doubted == [advertisement(server)]
            await issuers.aclose()


async def test_tokens_from_a_discovered_server(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """A Client without configured servers gets its token where DNS says."""
    source = Advertised([advertisement(server)])
    probe = AuthorizationClient(make_settings())
    issuers = DiscoveredIssuers([source], probe.transport)
    async with AuthorizationClient(make_settings(), issuers=issuers) as client:
        server.answers["/.well-known/oauth-authorization-server"] = Refusal(503)
        assert await issuers() == []
        del server.answers["/.well-known/oauth-authorization-server"]
        assert (await client.tokens().token()).value.get_secret_value() == "access-2"
    await issuers.aclose()
    await probe.aclose()


def fill(dns_server: DnsServer, *issuers: tuple[str, int]) -> None:
    """Put the records that `nmos-auth serve --print-dns` prints into a DNS server."""
    origin = dns.name.from_text(dns_server.domain)
    for issuer, priority in issuers:
        printed = "$TTL 60\n" + zone_records(describe(issuer, priority=priority), priority=priority)
        zone = dns.zone.from_text(printed, origin, relativize=False, check_origin=False)
        for name, _, record in zone.iterate_rdatas():
            match record:
                case PTR():
                    dns_server.point(str(name), str(record.target))
                case SRV():
                    dns_server.serve_at(str(name), str(record.target), record.port)
                case TXT():
                    dns_server.describe(str(name), *(each.decode() for each in record.strings))


async def test_the_records_that_are_printed_lead_to_a_token(
    tls: TestAuthority, make_settings: MakeClientSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Client that knows of no server asks the first by `pri`, and the next when that is gone."""
    first, second = DevelopmentServer(tls), DevelopmentServer(tls)
    dns_server = DnsServer()
    with second.running() as other, dns_server.running():
        with first.running() as preferred:
            fill(dns_server, (other.issuer, 20), (preferred.issuer, 10))
            dns_server.configure(monkeypatch)
            token = preferred.authority.initial_access_token()
            settings = make_settings(discovery="unicast", initial_access_token=token)
            async with AuthorizationClient(settings) as client:
                granted = await client.obtain()
                preferred.verified(granted.access_token.get_secret_value())
                assert not second.counted["POST /token"]
        token = other.authority.initial_access_token()
        settings = make_settings(discovery="unicast", initial_access_token=token)
        async with AuthorizationClient(settings) as client:
            granted = await client.obtain()
            other.verified(granted.access_token.get_secret_value())
