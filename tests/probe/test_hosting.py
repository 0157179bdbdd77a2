"""The probe's servers: where they listen, how they are found, and what they notice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dns.zone
import pytest
from zeroconf import Zeroconf

from nmos_auth.discovery.advertising import SERVICE_TYPE
from nmos_auth.discovery.dns_records import describe
from nmos_auth.errors import ConfigurationError
from nmos_auth.probe.authority import Mood, ProbeAuthority
from nmos_auth.probe.hosting import Hosting, hosted, records_of
from nmos_auth.probe.mint import ProbeKey
from nmos_auth.probe.wire import NoReply, Wire, unverified
from tests.support.multicast import listening_on_loopback, watching


def test_a_zone_with_its_records_names_the_issuer() -> None:
    """They can be read as a zone file, in any zone."""
    hosting = Hosting("192.0.2.10", 8443, "probe.example.com", priority=7)
    records = records_of(hosting, "https://probe.example.com:8443")
    zone = dns.zone.from_text(
        f"$TTL 60\n@ IN SOA ns admin 1 2 3 4 5\n@ IN NS ns\n{records}", "studio.example.com"
    )
    (pointer,) = zone.find_rdataset("_nmos-auth._tcp", "PTR")
    (service,) = zone.find_rdataset(pointer.target, "SRV")
    (text,) = zone.find_rdataset(pointer.target, "TXT")
    assert (str(service.target), service.port) == ("probe.example.com.", 8443)
    assert set(text.strings) == {b"api_proto=https", b"api_ver=v1.0", b"pri=7"}


def test_an_address_has_no_records() -> None:
    """SRV names a host, and the certificate would name another."""
    assert records_of(Hosting("192.0.2.10", 8443), "https://192.0.2.10:8443") == ""


@pytest.mark.parametrize(
    ("hosting", "other"),
    [
        (Hosting("127.0.0.1", 0), "localhost"),
        (Hosting("127.0.0.1", 0, "localhost"), "127.0.0.1"),
        (Hosting("192.0.2.10", 0, "probe.example.com"), "192.0.2.10"),
        (Hosting("192.0.2.10", 0), ""),
        (Hosting("0.0.0.0", 0, "probe.example.com"), ""),  # noqa: S104 - never listened on
        (Hosting("0.0.0.0", 0, "a.example.com", "b.example.com"), "b.example.com"),  # noqa: S104
    ],
)
def test_the_outsider_has_another_name(hosting: Hosting, other: str) -> None:
    """Of the same machine, where there is one."""
    assert hosting.outsider == other


def test_its_metadata_have_all_that_is_10_requires() -> None:
    """A device that checks them against the schema of IS-10 would get no keys otherwise."""
    authority = ProbeAuthority("probe.example.com", "127.0.0.1", (), None)
    document = authority.document("/.well-known/oauth-authorization-server")
    assert isinstance(document, dict)
    assert document.keys() >= {
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "registration_endpoint",
        "response_types_supported",
        "code_challenge_methods_supported",
    }
    # These are optional, and a device that finds its own missing in them goes away too.
    assert not document.keys() & {"grant_types_supported", "scopes_supported"}


async def test_it_is_found_by_multicast_while_it_runs() -> None:
    """With its priority, and withdrawn at the end."""
    hosting = Hosting("127.0.0.1", 0, "probe.local", tls=False, multicast=True, priority=99)
    with listening_on_loopback() as loopback:
        async with watching(loopback, SERVICE_TYPE) as watcher:
            async with hosted(hosting) as servers:
                name = await _added(loopback, servers.authority.port)
                await watcher.until("added", name)
            await watcher.until("removed", name)


async def _added(loopback: Zeroconf, port: int) -> str:
    """Return the name under which a port is advertised."""
    service = describe(f"http://probe.local:{port}", priority=99)
    name = f"{service.name}.{SERVICE_TYPE}"
    info = await asyncio.to_thread(loopback.get_service_info, SERVICE_TYPE, name, 10_000)
    assert info is not None
    assert (info.server, info.port) == ("probe.local.", port)
    assert info.decoded_properties["pri"] == "99"
    return name


@pytest.mark.parametrize(
    ("hosting", "words"),
    [
        (Hosting("127.0.0.1", 0, tls=False, multicast=True), "--name must be a host name"),
        (Hosting("127.0.0.1", 0, certificate=Path("x")), "require each other"),
        (
            Hosting("127.0.0.1", 0, certificate=Path("x"), private_key=Path("y")),
            "--certificate",
        ),
        (Hosting("192.0.2.10", 0, tls=False), "--listen: 192.0.2.10"),
    ],
)
async def test_what_cannot_be_is_said(hosting: Hosting, words: str) -> None:
    """In the words of the command line."""
    with pytest.raises(ConfigurationError, match=words):
        async with hosted(hosting):
            pytest.fail("it runs")


async def test_nothing_listens_afterwards() -> None:
    """Three servers, each with a certificate for its name; none of them stays."""
    async with hosted(Hosting("127.0.0.1", 0)) as servers:
        assert servers.outsider is not None
        assert servers.outsider.issuer.startswith("https://localhost:")
        ways = [
            Wire("127.0.0.1", each.port, unverified())
            for each in (servers.authority, servers.neighbour, servers.outsider)
        ]
        for way in ways:
            assert (await way.ask("GET", "/jwks")).status == 200
    for way in ways:
        with pytest.raises(NoReply):
            await way.ask("GET", "/jwks")


async def test_who_refuses_the_certificate_is_counted() -> None:
    """Whoever connects was made to, though nothing was asked."""
    async with hosted(Hosting("127.0.0.1", 0)) as servers:
        _, writer = await asyncio.open_connection("127.0.0.1", servers.neighbour.port)
        writer.close()
        await writer.wait_closed()
        # Connections are accepted in their order.
        await Wire("127.0.0.1", servers.neighbour.port, unverified()).ask("GET", "/jwks")
        assert servers.neighbour.connections == 2
        assert servers.neighbour.requests == ["/jwks"]


async def test_head_has_the_headers_of_get() -> None:
    """And no body."""
    server = ProbeAuthority("127.0.0.1", "127.0.0.1", [ProbeKey("a")], None)
    await server.start()
    try:
        reply = await Wire("127.0.0.1", server.port, None).ask("HEAD", "/jwks")
        assert (reply.status, reply.body) == (200, b"")
        assert int(reply.header("content-length") or 0) > 100
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("mood", "status"), [(Mood.WELL, 200), (Mood.FAILING, 500), (Mood.RUBBISH, 200)]
)
async def test_a_server_fails_as_it_is_told(mood: Mood, status: int) -> None:
    """And is well again afterwards, on the same port."""
    server = ProbeAuthority("127.0.0.1", "127.0.0.1", [ProbeKey("a")], None)
    await server.start()
    try:
        way = Wire("127.0.0.1", server.port, None)
        server.mood = mood
        assert (await way.ask("GET", "/jwks")).status == status
        await server.close()
        await server.start()
        server.mood = Mood.WELL
        assert b'"kid": "a-' in (await way.ask("GET", "/jwks")).body
    finally:
        await server.close()
