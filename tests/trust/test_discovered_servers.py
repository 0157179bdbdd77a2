"""A Node that finds its Authorization Servers: real DNS, real TLS, real requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.authority import FakeAuthorizationServer
from tests.support.dns import DnsServer
from tests.support.scene import MakeSettings, protected
from tests.support.tls import TestAuthority
from tests.support.tokens import signing_key
from tests.support.waiting import eventually


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    """Run a DNS server that this machine is configured to ask, as far as dnspython knows."""
    server = DnsServer(patience=0.4)
    server.configure(monkeypatch)
    with server.running():
        yield server


def test_a_node_finds_its_server(
    zone: DnsServer, authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """With nothing set but the audience and the root certificate: discovery is the default."""
    zone.advertise("localhost", authority.port)
    with protected(make_settings(discovery="unicast")) as node:
        node.until(authority.token)
    assert zone.questions[0] == ("_nmos-auth._tcp.example.com", "PTR")


def test_a_node_looks_where_it_is_told(
    zone: DnsServer, authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """NMOS_AUTH_DNS_DOMAIN takes the place of the resolver's search domains."""
    zone.domain = "studio.example.net"
    zone.advertise("localhost", authority.port)
    zone.domain = "example.com"
    with protected(make_settings(discovery="unicast", dns_domain="studio.example.net")) as node:
        node.until(authority.token)


def test_the_selector_leads_to_one_of_several_issuers(
    zone: DnsServer, tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """IS-10 "Discovery": api_selector is "the path component of the issuer identifier"."""
    server = FakeAuthorizationServer([signing_key()], path="/x-nmos/auth")
    with server.running(tls):
        zone.advertise("localhost", server.port, selector="x-nmos/auth")
        with protected(make_settings(discovery="unicast")) as node:
            node.until(server.token)


def test_a_node_follows_its_servers(
    zone: DnsServer, tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """One goes and another comes: old tokens are invalid, and the old server is asked no more."""
    old, new = (FakeAuthorizationServer([signing_key(number)]) for number in (0, 1))
    settings = make_settings(discovery="unicast", issuer_policy="configured")
    with old.running(tls), new.running(tls):
        zone.advertise("localhost", old.port, ttl=1)
        with protected(settings) as node:
            node.until(old.token)
            token = old.token()
            assert node.status(token) == 200
            assert node.status(new.token()) == 401
            zone.withdraw()
            zone.advertise("localhost", new.port, ttl=1)
            node.until(new.token)
            assert node.status(token) == node.status(old.token()) == 401
    assert old.count("/jwks") == 1


def test_dns_may_be_late(
    zone: DnsServer, authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """Until it answers, tokens are answered 503 with a time; then they count."""
    zone.rcode = "SERVFAIL"
    zone.advertise("localhost", authority.port)
    with protected(make_settings(discovery="unicast")) as node:
        refused = node.get(authority.token())
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "2"
        assert authority.requests == []
        zone.rcode = "NOERROR"
        node.until(authority.token)


def test_the_server_may_be_late(
    zone: DnsServer, tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """It is advertised first and listens later."""
    server = FakeAuthorizationServer([signing_key()])
    with server.running(tls):
        pass
    zone.advertise("localhost", server.port)
    with protected(make_settings(discovery="unicast")) as node:
        assert node.status(server.token()) == 503
        with server.running(tls):
            node.until(server.token)


def test_a_server_without_a_good_certificate_is_not_trusted(
    zone: DnsServer,
    tmp_path: Path,
    make_settings: MakeSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """IS-10 "Discovery", Use with TLS: "MUST NOT interact" with it, whatever DNS says."""
    impostor = FakeAuthorizationServer([signing_key()])
    with impostor.running(TestAuthority.create(tmp_path)):
        zone.advertise("localhost", impostor.port)
        with protected(make_settings(discovery="unicast")) as node:
            assert node.status(impostor.token()) == 503
            eventually(lambda: "is not confirmed" in caplog.text)
            assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
            assert node.status(impostor.token()) == 503
    assert impostor.requests == []


def test_a_restart_while_the_server_is_down(
    zone: DnsServer, tls: TestAuthority, tmp_path: Path, make_settings: MakeSettings
) -> None:
    """Kept keys are trusted again as soon as DNS names the server."""
    server = FakeAuthorizationServer([signing_key()])
    settings = make_settings(discovery="unicast", keys_file=tmp_path / "keys.json")
    with server.running(tls):
        zone.advertise("localhost", server.port)
        with protected(settings) as node:
            node.until(server.token)
    with protected(settings) as node:
        node.until(server.token)
    zone.withdraw()
    with protected(settings) as node:
        node.until(server.token, 401)
