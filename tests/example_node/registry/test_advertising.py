"""Being found by multicast DNS: IS-04 v1.3 "Discovery: Registered Operation"."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from pydantic import ValidationError
from zeroconf import Zeroconf

import nmos_auth
from example_node.registry import Settings, create_app
from example_node.registry.advertising import services_of
from tests.example_node.registry.support import HOST
from tests.example_node.support import running
from tests.support.multicast import listening_on_loopback, watching

REGISTER, QUERY = "_nmos-register._tcp.local.", "_nmos-query._tcp.local."
UNPROTECTED = nmos_auth.Settings(enabled=False)


@pytest.fixture
def loopback() -> Iterator[Zeroconf]:
    """Listen for multicast on loopback."""
    with listening_on_loopback() as zeroconf:
        yield zeroconf


@pytest.mark.parametrize(
    ("settings", "authorization", "where", "properties"),
    [
        (
            Settings(host_name=HOST, pri=7),
            True,
            (f"{HOST}.", 8444, ["127.0.0.1"]),
            {"api_proto": "https", "api_auth": "true", "pri": "7"},
        ),
        (
            Settings(host_name=HOST, port=80, protocol="http", listen="192.0.2.7", pri=0),
            False,
            (f"{HOST}.", 80, ["192.0.2.7"]),
            {"api_proto": "http", "api_auth": "false", "pri": "0"},
        ),
        (
            Settings(protocol="http", advertised_url="https://127.0.0.2", pri=100),
            True,
            (None, 443, ["127.0.0.2"]),
            {"api_proto": "https", "api_auth": "true", "pri": "100"},
        ),
    ],
)
def test_both_apis_say_where_and_what_they_are(
    settings: Settings,
    authorization: bool,  # noqa: FBT001 - a column
    where: tuple[str | None, int, list[str]],
    properties: dict[str, str],
) -> None:
    """SRV has the host that certificates name, TXT the four keys that IS-04 demands."""
    services = services_of(settings, authorization=authorization)
    assert [service.type for service in services] == [REGISTER, QUERY]
    server, port, addresses = where
    for service in services:
        target = service.server or ""
        assert target == server or (server is None and target.endswith(".local."))
        assert (service.port, service.parsed_addresses()) == (port, addresses)
        assert service.decoded_properties == {**properties, "api_ver": "v1.3"}
        assert len(service.name.removesuffix(f".{service.type}")) <= 63


def test_names_tell_registries_apart() -> None:
    """Two that are in different places have different names, and one always the same."""
    names = [
        {
            service.name
            for service in services_of(Settings(host_name=host, pri=1), authorization=True)
        }
        for host in ("a.example.com", "b.example.com", "a.example.com")
    ]
    assert names[0].isdisjoint(names[1])
    assert names[0] == names[2]


async def test_it_is_there_while_it_serves(loopback: Zeroconf) -> None:
    """Both come, with the priority that is set, and both are withdrawn at the end."""
    settings = Settings(host_name="localhost", pri=42)
    names = {service.type: service.name for service in services_of(settings, authorization=False)}
    async with AsyncExitStack() as stack:
        watchers = {
            kind: await stack.enter_async_context(watching(loopback, kind)) for kind in names
        }
        async with running(create_app(settings, UNPROTECTED)):
            for kind, watcher in watchers.items():
                await watcher.until("added", names[kind])
                info = await asyncio.to_thread(loopback.get_service_info, kind, names[kind])
                assert info is not None
                assert info.decoded_properties["pri"] == "42"
        for kind, watcher in watchers.items():
            await watcher.until("removed", names[kind])


async def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """`off` advertises nothing; without the variable it is for development."""
    monkeypatch.setenv("EXAMPLE_REGISTRY_PRI", "off")
    settings = Settings(host_name="localhost")
    assert services_of(settings, authorization=True) == []
    async with running(create_app(settings, UNPROTECTED)):
        assert not [task for task in asyncio.all_tasks() if "advertise" in repr(task.get_coro())]
    monkeypatch.delenv("EXAMPLE_REGISTRY_PRI")
    assert Settings().pri == 100
    monkeypatch.setenv("EXAMPLE_REGISTRY_PRI", "99")
    assert Settings().pri == 99


@pytest.mark.parametrize("pri", ["-1", "65536", "on", "1.5"])
def test_a_priority_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch, pri: str) -> None:
    """A number or `off`."""
    monkeypatch.setenv("EXAMPLE_REGISTRY_PRI", pri)
    with pytest.raises(ValidationError, match="pri"):
        Settings()


async def test_without_zeroconf(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what to install; where a priority is set, it stops the start."""
    monkeypatch.delenv("EXAMPLE_REGISTRY_PRI")
    for name in ("zeroconf", "zeroconf.asyncio"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("example_node.registry.advertising", "nmos_auth.discovery.advertising"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    async with running(create_app(Settings(host_name="localhost"), UNPROTECTED)):
        assert "asgi-nmos-auth[mdns]" in caplog.text
    with pytest.raises(nmos_auth.ConfigurationError, match="EXAMPLE_REGISTRY_PRI"):
        create_app(Settings(host_name="localhost", pri=1), UNPROTECTED)
