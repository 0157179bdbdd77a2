"""DNS-SD advertisement by multicast, on loopback (IS-10 "Discovery")."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.zone
import pytest
from zeroconf import Zeroconf

from nmos_auth.cli import main
from nmos_auth.discovery.advertising import SERVICE_TYPE, issuer_advertised, service_info
from tests.authority.test_serving import started
from tests.support.multicast import listening_on_loopback, watching

LOGGER = logging.getLogger("nmos_auth.authority")


@pytest.fixture
def loopback() -> Iterator[Zeroconf]:
    """Listen for multicast on loopback."""
    with listening_on_loopback() as zeroconf:
        yield zeroconf


@pytest.mark.parametrize(
    ("issuer", "port", "target", "selector"),
    [
        ("https://auth.example.com", 443, "auth.example.com.", None),
        ("https://auth.example.com:8443/", 8443, "auth.example.com.", None),
        ("https://auth.local/x-nmos/auth/v1.0/", 443, "auth.local.", "x-nmos/auth/v1.0"),
        ("http://127.0.0.1:8080/a", 8080, None, "a"),
    ],
)
def test_others_can_make_the_metadata_url_again(
    issuer: str, port: int, target: str | None, selector: str | None
) -> None:
    """SRV has host and port, TXT api_proto, api_ver, pri and, for a path, api_selector."""
    info = service_info(issuer, priority=7, addresses=["127.0.0.1"])
    assert (info.port, info.type) == (port, "_nmos-auth._tcp.local.")
    assert target is None or info.server == target
    expected = {"api_proto": issuer.partition(":")[0], "api_ver": "v1.0", "pri": "7"}
    if selector is not None:
        expected["api_selector"] = selector
    assert info.decoded_properties == expected


@pytest.mark.parametrize(
    ("issuer", "location"),
    [
        ("https://auth.example.com", ("auth.example.com.", 443)),
        ("https://auth.example.org:8443/x-nmos/auth", ("auth.example.org.", 8443)),
        ("https://192.0.2.7:8443", ("nmos-auth-a531339e.studio.example.com.", 8443)),
    ],
)
def test_zone_records(
    capsys: pytest.CaptureFixture[str], issuer: str, location: tuple[str, int]
) -> None:
    """They can be read as a zone file, in any zone, and say the same as multicast does."""
    assert main(["serve", "--issuer", issuer, "--print-dns", "7"]) == 0
    written = capsys.readouterr().out
    zone = dns.zone.from_text(
        f"$TTL 60\n@ IN SOA ns admin 1 2 3 4 5\n@ IN NS ns\n{written}", "studio.example.com"
    )
    (pointer,) = zone.find_rdataset("_nmos-auth._tcp", "PTR")
    instance = pointer.target
    (service,) = zone.find_rdataset(instance, "SRV")
    assert (str(service.target.derelativize(zone.origin)), service.port) == location
    (text,) = zone.find_rdataset(instance, "TXT")
    expected = service_info(issuer, priority=7, addresses=["127.0.0.1"]).decoded_properties
    assert dict(each.decode().split("=") for each in text.strings) == expected


def test_zone_records_take_an_issuer(capsys: pytest.CaptureFixture[str]) -> None:
    """An issuer has to be named, and has to be one."""
    for arguments in ([], ["--issuer", "http://auth.example.com"], ["--issuer", "https://a b"]):
        assert main(["serve", "--print-dns", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1


async def test_it_is_there_while_it_serves(loopback: Zeroconf) -> None:
    """It comes with all that is needed, and is withdrawn at the end."""
    issuer = "https://auth-server.local:8443/x-nmos/auth/v1.0"
    name = service_info(issuer, priority=10, addresses=[]).name
    async with watching(loopback, SERVICE_TYPE) as watcher:
        async with issuer_advertised(issuer, bound_to="127.0.0.1", priority=10, logger=LOGGER):
            await watcher.until("added", name)
            info = await asyncio.to_thread(loopback.get_service_info, SERVICE_TYPE, name)
            assert info is not None
            assert (info.server, info.port) == ("auth-server.local.", 8443)
            assert info.parsed_addresses() == ["127.0.0.1"]
            assert info.decoded_properties["api_selector"] == "x-nmos/auth/v1.0"
        await watcher.until("removed", name)


async def test_the_command_advertises_and_withdraws(loopback: Zeroconf, clients_file: str) -> None:
    """`--advertise` alone has the priority of development; SIGTERM ends in good order."""
    async with watching(loopback, SERVICE_TYPE) as watcher:
        with started("--allow-http", "--clients", clients_file, "--advertise") as server:
            name = service_info(server.issuer, priority=100, addresses=[]).name
            await watcher.until("added", name)
            info = await asyncio.to_thread(loopback.get_service_info, SERVICE_TYPE, name)
            assert info is not None
            assert info.decoded_properties["pri"] == "100"
            assert info.decoded_properties["api_proto"] == "http"
            assert info.port == int(server.issuer.rpartition(":")[2])
            server.process.send_signal(signal.SIGTERM)
            await watcher.until("removed", name)
            try:
                assert await asyncio.to_thread(server.process.wait, 20) == 0
            except subprocess.TimeoutExpired:
                pytest.fail("the server did not end")


@pytest.fixture
def clients_file(tmp_path: Path) -> str:
    """Write a clients file."""
    path = tmp_path / "clients.toml"
    path.write_text(
        '[[client]]\nclient_id = "node-0123456789-0123456789"\naudience = ["*"]\n'
        'client_secret = "node-secret-0123456789"\nscopes = ["registration"]\n'
    )
    return str(path)


async def test_a_name_that_is_taken_stops_nothing(
    loopback: Zeroconf, caplog: pytest.LogCaptureFixture
) -> None:
    """A second server of the same issuer goes on without, and says so."""
    issuer = "https://twice.local"
    with caplog.at_level(logging.WARNING, "nmos_auth.authority"):
        async with (
            issuer_advertised(issuer, bound_to="127.0.0.1", priority=10, logger=LOGGER),
            issuer_advertised(issuer, bound_to="127.0.0.1", priority=10, logger=LOGGER),
        ):
            pass
    assert "the server is not advertised" in caplog.text
