"""Multicast DNS, with real packets on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from nmos_auth.discovery.dns_sd import MOST_ADVERTISEMENTS, Advertisement, ServiceType
from nmos_auth.discovery.multicast import MulticastSource
from nmos_auth.errors import KeysUnavailable
from nmos_auth.servers.http import HttpClient
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.verifier import Verifier
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import MakeSettings
from tests.support.tls import TestAuthority

LOOPBACK = ["127.0.0.1"]
SERVICE = "_nmos-auth._tcp.local."
GROUP = "224.0.0.251"
GOOD = {"api_ver": "v1.0", "api_proto": "https", "pri": "0"}


def _multicast_works() -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.settimeout(1)
        loopback = socket.inet_aton(LOOPBACK[0])
        try:
            receiver.bind(("", 0))
            membership = socket.inet_aton(GROUP) + loopback
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
            sender.sendto(b"?", (GROUP, receiver.getsockname()[1]))
            return receiver.recv(1) == b"?"
        except OSError:
            return False


# They hear every other run on the same machine, and wait for what multicast DNS takes its time for.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not _multicast_works(), reason="multicast packets do not pass the loopback interface here"
    ),
]


class Responder:
    """What advertises Authorization Servers, under names that no other test has."""

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex[:8]
        self._zeroconf = AsyncZeroconf(interfaces=LOOPBACK)

    def info(
        self, port: int = 443, host: str = "auth", *, service: str = SERVICE, **txt: str
    ) -> AsyncServiceInfo:
        """Return the records of a server."""
        return AsyncServiceInfo(
            service,
            f"A server of {self.run}.{host}.{service}",
            port=port,
            properties={**GOOD, **txt},
            server=f"{host}-{self.run}.local.",
            addresses=[socket.inet_aton("127.0.0.1")],
        )

    async def advertise(self, info: AsyncServiceInfo, *, until_announced: bool = False) -> None:
        """Announce a server three times, and answer questions about it."""
        announcing = await self._zeroconf.async_register_service(info, cooperating_responders=True)
        if until_announced:
            await announcing

    async def move(self, info: AsyncServiceInfo) -> None:
        """Announce other records of the same server."""
        await self._zeroconf.async_update_service(info)

    async def withdraw(self, info: AsyncServiceInfo) -> None:
        """Say goodbye for a server."""
        await self._zeroconf.async_unregister_service(info)

    def fall_silent(self, now: AsyncServiceInfo | None = None) -> None:
        """Answer no more, without a goodbye; or with other records, without an announcement."""
        registry = self._zeroconf.zeroconf.registry
        registry.async_remove(registry.async_get_service_infos())
        if now is not None:
            registry.async_add(now)

    async def close(self) -> None:
        """Say goodbye for all that is advertised."""
        await self._zeroconf.async_close()


@pytest.fixture
async def responder() -> AsyncIterator[Responder]:
    """Run a responder."""
    running = Responder()
    yield running
    await running.close()


class Listener:
    """Follows a source, and sees of what it tells only what one responder advertises."""

    def __init__(self, responder: Responder, source: MulticastSource) -> None:
        self.source = source
        self._run = responder.run
        self._told: asyncio.Queue[list[Advertisement]] = asyncio.Queue()

    def tell(self, advertisements: Sequence[Advertisement]) -> None:
        """Be told."""
        self._told.put_nowait([each for each in advertisements if self._run in each.instance])

    async def until(self, holds: Callable[[list[Advertisement]], bool]) -> list[Advertisement]:
        """Wait until something is told."""
        async with asyncio.timeout(10):
            while not holds(told := await self._told.get()):
                pass
        return told


@contextlib.asynccontextmanager
async def listening(
    responder: Responder, *, listen: float = 1.0, reconfirmation: float = 1.0
) -> AsyncIterator[Listener]:
    """Follow what is advertised on loopback."""
    source = MulticastSource(interfaces=LOOPBACK, listen=listen, reconfirmation=reconfirmation)
    listener = Listener(responder, source)
    task = asyncio.create_task(source.follow(listener.tell))
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds of which nobody gives notice."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)


def on_port(port: int) -> Callable[[list[Advertisement]], bool]:
    """Make a condition: the one server told of is on this port."""
    return lambda told: [each.port for each in told] == [port]


def nothing(told: list[Advertisement]) -> bool:
    """Tell whether no server is told of."""
    return not told


async def test_other_services_are_found_in_the_same_way(responder: Responder) -> None:
    """A Node's registries, by their service type, with api_auth; Authorization Servers are none."""
    service = ServiceType("_nmos-register._tcp", "Registration API")
    await responder.advertise(responder.info(5010))
    await responder.advertise(
        responder.info(5102, "registry", service=f"{service.name}.local.", api_auth="true")
    )
    source = MulticastSource(service, interfaces=LOOPBACK, listen=0.5)
    (found,) = [each for each in await source.look() if responder.run in each.instance]
    assert found.url == f"https://registry-{responder.run}.local:5102"
    assert found.api_auth is True


async def test_a_server_that_is_there_is_found(responder: Responder) -> None:
    """By asking, since its announcement is over."""
    await responder.advertise(responder.info(5010, pri="7", api_selector="x/y"))
    async with listening(responder) as listener:
        (found,) = await listener.until(on_port(5010))
    assert found == Advertisement(
        instance=f"A server of {responder.run}.auth",
        domain="local",
        host=f"auth-{responder.run}.local",
        port=5010,
        api_proto="https",
        pri=7,
        api_ver=("v1.0",),
        api_selector="x/y",
    )
    assert found.is_multicast


async def test_silence_is_an_answer_after_a_while(responder: Responder) -> None:
    """Then it is known that there is none; and one that comes later is noticed."""
    async with listening(responder, listen=0.2) as listener:
        await listener.until(nothing)
        await responder.advertise(responder.info(5010))
        await listener.until(on_port(5010))


async def test_a_server_that_moves_is_followed(responder: Responder) -> None:
    """New SRV and TXT records take the place of the old ones (RFC 6762 Section 10.2)."""
    await responder.advertise(responder.info(5010))
    async with listening(responder) as listener:
        await listener.until(on_port(5010))
        await responder.move(responder.info(5011, pri="3"))
        (found,) = await listener.until(on_port(5011))
        assert found.pri == 3


async def test_a_goodbye_is_heard(responder: Responder) -> None:
    """RFC 6762 Section 10.1; and a server that comes back is noticed."""
    await responder.advertise(responder.info(5010))
    async with listening(responder) as listener:
        await listener.until(on_port(5010))
        await responder.withdraw(responder.info(5010))
        await listener.until(nothing)
        await responder.advertise(responder.info(5011))
        await listener.until(on_port(5011))


async def test_a_server_in_doubt_that_answers_stays(responder: Responder) -> None:
    """Its records are asked for again, and are what they were."""
    await responder.advertise(responder.info(5010))
    async with listening(responder, reconfirmation=5) as listener:
        (found,) = await listener.until(on_port(5010))
        listener.source.doubt(found)
        await listener.until(on_port(5010))


async def test_a_server_in_doubt_that_has_moved_is_found(responder: Responder) -> None:
    """Even where its announcement was lost."""
    await responder.advertise(responder.info(5010))
    async with listening(responder, reconfirmation=5) as listener:
        (found,) = await listener.until(on_port(5010))
        responder.fall_silent(responder.info(5012))
        listener.source.doubt(found)
        await listener.until(on_port(5012))


async def test_a_server_in_doubt_that_is_silent_is_forgotten(responder: Responder) -> None:
    """RFC 6762 Section 10.4: it goes before its time is over, and comes back when it is back."""
    await responder.advertise(responder.info(5010), until_announced=True)
    async with listening(responder, reconfirmation=0.5) as listener:
        (found,) = await listener.until(on_port(5010))
        responder.fall_silent()
        listener.source.doubt(found)
        await listener.until(nothing)
        await responder.advertise(responder.info(5010))
        await listener.until(on_port(5010))


async def test_what_does_not_answer_makes_room(responder: Responder) -> None:
    """Of 64 instances that anybody can make up, those in doubt go where a further one is heard."""
    fakes = [responder.info(443, f"fake{number}") for number in range(MOST_ADVERTISEMENTS)]
    for each in fakes:
        await responder.advertise(each)
    async with listening(responder, reconfirmation=5) as listener:
        found = await listener.until(lambda told: len(told) == MOST_ADVERTISEMENTS)
        await responder.advertise(responder.info(5010, "late"), until_announced=True)
        for fake in found:
            listener.source.doubt(fake)
        await responder.advertise(responder.info(5011, "real"))
        await listener.until(lambda told: 5011 in [each.port for each in told])


async def test_bad_advertisements_are_passed_over(
    responder: Responder, caplog: pytest.LogCaptureFixture
) -> None:
    """They spoil no other, and a server that mends its records is found from then on."""
    await responder.advertise(responder.info(5010, "bad", pri="high"))
    await responder.advertise(responder.info(5011, "good"))
    async with listening(responder) as listener:
        await listener.until(on_port(5011))
        await responder.move(responder.info(5010, "bad", pri="1"))
        told = await listener.until(lambda told: len(told) == 2)
        assert {each.port for each in told} == {5010, 5011}
    assert any(
        f"A server of {responder.run}.bad" in each.getMessage()
        and "its pri is 'high'" in each.getMessage()
        for each in caplog.records
    )


async def test_looking_once(responder: Responder) -> None:
    """It listens for a while, and gives what it heard."""
    await responder.advertise(responder.info(5010, "a"))
    await responder.advertise(responder.info(5011, "b"))
    found = await MulticastSource(interfaces=LOOPBACK, listen=0.5).look()
    assert {each.port for each in found if responder.run in each.instance} == {5010, 5011}


async def test_nothing_is_left_behind(responder: Responder) -> None:
    """No task outlives the following, in whatever moment it ends."""
    before = asyncio.all_tasks()
    await responder.advertise(responder.info(5010))
    for moment in (0, 0.05, 0.3):
        async with listening(responder):
            await asyncio.sleep(moment)
    await responder.withdraw(responder.info(5010))
    await eventually(lambda: asyncio.all_tasks() <= before)


# zeroconf leaves a socket that it could not set up to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_an_interface_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """It is a warning, and no end."""
    told: list[object] = []
    task = asyncio.create_task(MulticastSource(interfaces=["192.0.2.77"]).follow(told.append))
    await eventually(lambda: "multicast DNS cannot be listened to" in caplog.text)
    assert not task.done()
    assert told == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_tokens_of_a_server_found_by_multicast_count(
    responder: Responder,
    tls: TestAuthority,
    authority: FakeAuthorizationServer,
    make_settings: MakeSettings,
) -> None:
    """From the packet on the link to the key in the store, over TLS."""
    settings = make_settings(discovery="multicast")
    keys = KeyStore(
        settings,
        lambda: HttpClient(tls.client_context()),
        sources=[MulticastSource(interfaces=LOOPBACK)],
    )
    verifier = Verifier(keys, settings.audience, settings.leeway)
    info = responder.info(authority.port)
    info.server = "localhost."
    keys.start()
    await responder.advertise(info)

    def counts() -> bool:
        with contextlib.suppress(KeysUnavailable):
            return verifier.verify(authority.token().encode()).names_this_server
        return False

    await eventually(counts)
    await keys.stop()
