"""Which servers are advertised as of now: sources merged, followed and asked once."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from nmos_auth.discovery.directory import ServerDirectory, discover, sources_for
from nmos_auth.discovery.dns_sd import Advertisement, DiscoveryError
from nmos_auth.errors import ConfigurationError
from nmos_auth.settings import Discovery
from tests.support.announcements import Announcements
from tests.support.dns import DnsServer
from tests.support.virtual_time import in_virtual_time

SERVER = Advertisement("auth", "example.com", "auth.example.com", 443, "https", 0)
OTHER = replace(SERVER, host="other.example.com", pri=5)
DEVELOPMENT = replace(SERVER, host="dev.example.com", pri=100)


class Watched(ServerDirectory):
    """A directory that remembers every change.

    Attributes:
        changes: what was advertised after each.
    """

    def __init__(self, *sources: Announcements) -> None:
        self.changes: list[tuple[Advertisement, ...]] = []
        super().__init__(
            sources,
            lambda: self.changes.append(self.advertisements),
        )


@in_virtual_time
async def test_changes_are_told() -> None:
    """Servers that appear, change and go; and nothing where nothing changed."""
    source = Announcements()
    directory = Watched(source)
    directory.start()
    await asyncio.sleep(1)
    assert directory.changes == []
    source.say(OTHER)
    source.say(SERVER, OTHER)
    source.say(OTHER, SERVER)
    source.say(replace(SERVER, pri=9), OTHER)
    source.say(replace(SERVER, pri=9))
    source.say()
    source.say()
    assert directory.changes == [
        (OTHER,),
        (SERVER, OTHER),
        (OTHER, replace(SERVER, pri=9)),
        (replace(SERVER, pri=9),),
        (),
    ]
    await directory.stop()


@in_virtual_time
async def test_sources_are_merged() -> None:
    """What one no longer tells, another may still tell."""
    unicast, multicast = Announcements(), Announcements()
    directory = Watched(unicast, multicast)
    directory.start()
    await asyncio.sleep(0)
    heard = replace(SERVER, domain="local")
    unicast.say(SERVER)
    multicast.say(heard, OTHER)
    unicast.say()
    multicast.say()
    assert directory.changes == [(SERVER,), (SERVER, OTHER), (heard, OTHER), ()]
    await directory.stop()


@in_virtual_time
async def test_no_source_takes_a_place_of_another() -> None:
    """64 servers of each count, however many one tells of and however preferred these are."""
    unicast, multicast = Announcements(), Announcements()
    directory = Watched(unicast, multicast)
    directory.start()
    await asyncio.sleep(1)
    unicast.say(OTHER)
    multicast.say(*(replace(SERVER, domain="local", port=port) for port in range(1, 200)))
    assert len(directory.advertisements) == 65
    assert directory.advertisements[-1] == OTHER
    await directory.stop()


@in_virtual_time
async def test_it_is_known_when_there_is_an_answer() -> None:
    """A server that one source names is an answer; that there is none, all have to say."""
    unicast, multicast = Announcements(), Announcements()
    directory = Watched(unicast, multicast)
    directory.start()
    await asyncio.sleep(0)
    assert not directory.answered
    unicast.say()
    assert not directory.answered
    multicast.say()
    assert directory.answered
    assert directory.settled
    directory = Watched(unicast, multicast := Announcements())
    unicast.said = None
    directory.start()
    await asyncio.sleep(0)
    multicast.say(SERVER)
    assert directory.answered
    assert not directory.settled
    unicast.say()
    assert directory.settled
    assert directory.changes == [(SERVER,), (SERVER,)]
    await directory.stop()


@in_virtual_time
async def test_development_servers_are_passed_over() -> None:
    """A pri of 100 and more is not for live systems."""
    source = Announcements([DEVELOPMENT, SERVER])
    directory = Watched(source)
    directory.start()
    await asyncio.sleep(0)
    assert directory.advertisements == (SERVER,)
    await directory.stop()


@in_virtual_time
async def test_what_does_not_suit_is_not_there() -> None:
    """Of two advertisements of one server, the one that suits counts, whatever its priority."""
    suiting = replace(SERVER, pri=50, api_ver=("v1.3",))
    source = Announcements([replace(SERVER, api_ver=("v1.2",)), suiting, OTHER])
    directory = ServerDirectory(
        [source], lambda: None, suitable=lambda each: "v1.3" in each.api_ver
    )
    directory.start()
    await asyncio.sleep(0)
    assert directory.advertisements == (suiting,)
    await directory.stop()


@in_virtual_time
async def test_stopping_keeps_what_is_known_and_nothing_else() -> None:
    """No task outlives it; starting twice starts once; it can be started again."""
    source = Announcements([SERVER])
    directory = Watched(source)
    for turn in (1, 2, 3):
        directory.start()
        directory.start()
        await asyncio.sleep(1)
        assert source.followed == turn
        await directory.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert directory.advertisements == (SERVER,)
    assert directory.changes == [(SERVER,)]


def test_a_second_event_loop_takes_over() -> None:
    """Without a stop too, as happens to an app without lifespan."""
    source = Announcements([SERVER])
    directory = Watched(source)

    @in_virtual_time
    async def first() -> None:
        directory.start()
        await asyncio.sleep(1)

    @in_virtual_time
    async def second() -> None:
        directory.start()
        await asyncio.sleep(1)
        source.say(OTHER)
        assert directory.advertisements == (OTHER,)
        await directory.stop()

    first()
    second()
    assert source.followed == 2


def test_no_mishap_ends_discovery(caplog: pytest.LogCaptureFixture) -> None:
    """A source that breaks is followed again, and what it told until then still holds."""

    class Brittle(Announcements):
        async def follow(self, tell: Callable[[Sequence[Advertisement]], None]) -> None:
            self.followed += 1
            tell([SERVER] if self.followed < 3 else [OTHER])
            if self.followed < 3:
                raise RuntimeError("a mishap")
            await asyncio.Event().wait()

    @in_virtual_time
    async def scene() -> None:
        directory = Watched(Brittle())
        directory.start()
        await asyncio.sleep(15)
        assert directory.advertisements == (SERVER,)
        await asyncio.sleep(15)
        assert directory.advertisements == (OTHER,)
        await directory.stop()

    scene()
    assert "unexpected while looking for Authorization Servers" in caplog.text


# By configuration


@pytest.mark.parametrize(
    ("discovery", "kinds"),
    [
        (Discovery.OFF, []),
        (Discovery.UNICAST, ["UnicastSource"]),
        (Discovery.MULTICAST, ["MulticastSource"]),
        (Discovery.BOTH, ["UnicastSource", "MulticastSource"]),
    ],
)
def test_sources(discovery: Discovery, kinds: list[str]) -> None:
    """NMOS_AUTH_DISCOVERY says where servers are looked for."""
    assert [type(each).__name__ for each in sources_for(discovery)] == kinds


@pytest.mark.parametrize("discovery", [Discovery.MULTICAST, Discovery.BOTH])
def test_multicast_takes_an_extra(discovery: Discovery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where zeroconf is not installed, the message names the variable and the extra."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "zeroconf" or name == "nmos_auth.discovery.multicast":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    importlib.invalidate_caches()
    with pytest.raises(ConfigurationError, match=r"NMOS_AUTH_DISCOVERY.*asgi-nmos-auth\[mdns\]"):
        sources_for(discovery)
    assert len(sources_for(Discovery.UNICAST)) == 1


# Once


@pytest.fixture
def system_resolver(monkeypatch: pytest.MonkeyPatch) -> DnsServer:
    """Return a DNS server that this machine is configured to use, as far as dnspython knows."""
    server = DnsServer(patience=0.4)
    server.configure(monkeypatch)
    return server


async def test_discover(system_resolver: DnsServer) -> None:
    """It gives live servers by priority."""
    with system_resolver.running():
        system_resolver.advertise("b.example.com", instance="b", pri=20)
        system_resolver.advertise("a.example.com", instance="a", pri=10)
        system_resolver.advertise("c.example.com", instance="c", pri=100)
        assert [each.host for each in await discover()] == ["a.example.com", "b.example.com"]
        found = await discover(Discovery.UNICAST, "example.com")
        assert [each.pri for each in found] == [10, 20]
        assert await discover(Discovery.UNICAST, "example.net") == []


async def test_discover_fails(system_resolver: DnsServer) -> None:
    """That nobody answers is another thing than that there is nothing."""
    with system_resolver.running():
        system_resolver.rcode = "SERVFAIL"
        with pytest.raises(DiscoveryError, match="SERVFAIL"):
            await discover()
    assert await discover(Discovery.OFF) == []
