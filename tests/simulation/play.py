"""Puts a plant together and lets it live for some hours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from nmos_auth import Settings
from nmos_auth.discovery.dns_sd import Advertisement
from tests.simulation.invariants import Invariants
from tests.simulation.node import Node
from tests.simulation.people import Attacker, Client
from tests.simulation.servers import Mood, Network, Server, live
from tests.simulation.world import HOUR, MINUTE, Broken, World
from tests.support.virtual_time import VirtualTimeLoop

__all__ = ["LONGEST_HISTORY", "play", "simulate"]

LONGEST_HISTORY = 50.0
"""Hours that one seed is played for: more seeds find more than more hours."""

REFETCH = 10.0
KEYS_EACH = 4
_TOLD = 60
BAD_DAYS = [
    Mood.DOWN,
    Mood.SLOW,
    Mood.BUSY,
    Mood.ERROR,
    Mood.GONE,
    Mood.PAGE,
    Mood.LIAR,
    Mood.EMPTY,
]
MOST_FAKES = 40


class _Unexpected(logging.Handler):
    """Has the history end where something is logged that nobody expected."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(AssertionError):
            self._world.require(False, f"logged: {self.format(record)}")  # noqa: FBT003


@contextlib.contextmanager
def _listened_to(world: World) -> Iterator[None]:
    logger = logging.getLogger("nmos_auth")
    handler, level, propagate = _Unexpected(world), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def play(seed: int, hours: float) -> World:
    """Play one history, and return the world at its end; `broken` is what did not hold, if any.

    Args:
        seed: decides all of it; odd ones find their servers by DNS-SD.
        hours: how long it is.
    """
    world = World(seed, hours)
    with (
        _listened_to(world),
        contextlib.suppress(Broken),
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
    ):
        runner.run(_play(world))
    return world


def simulate(seed: int, hours: float) -> World:
    """Play one history as `play` does, and raise what did not hold.

    Raises:
        Broken: an invariant did not hold; the end of the history is its note.
    """
    world = play(seed, hours)
    if world.broken is not None:
        world.broken.add_note("\n".join(world.told[-_TOLD:]))
        raise world.broken
    return world


async def _play(world: World) -> None:
    chance = world.chance
    network = Network(world)
    members = [
        network.add(Server(world, "auth.example.com", 443)),
        network.add(Server(world, "b.example.com", 8443, "/realms/nmos")),
    ]
    beside = [
        network.add(Server(world, "auth.example.com", 8443)),
        network.add(Server(world, "b.example.com", 9443, "/realms/nmos")),
    ]
    servers = [*members, *beside]
    pools = {
        each.issuer: range(KEYS_EACH * number, KEYS_EACH * (number + 1))
        for number, each in enumerate(servers)
    }
    for each in servers:
        each.behind = chance.choice([0.0, 0.0, 30.0, 600.0])
        each.publish(pools[each.issuer][0])
    discovers = world.seed % 2 == 1
    settings = Settings(
        audience="node1.example.com",
        servers=() if discovers else tuple(each.issuer for each in members),
        discovery="off",
        ca_file=None,
        audit_log="logging",
        refetch_interval=REFETCH,
    )
    node = Node(world, settings, network)
    invariants = Invariants(world, node, network, () if discovers else members, REFETCH)
    attacker = Attacker(
        world,
        node,
        network,
        invariants,
        "198.51.100.1",
        "evil.example.net",
        ("auth.example.com", 7443),
    )
    attacker.plant(members)
    node.start()
    if discovers:
        world.begin(_dns(world, node, invariants, members))
    for each in servers:
        is_member = each in members
        world.begin(
            live(each, pools[each.issuer], mean=HOUR if is_member else HOUR / 2, moods=BAD_DAYS)
        )
    for number in range(3):
        client = Client(world, node, invariants, f"192.0.2.{number + 1}")
        world.begin(client.ask_for_ever(servers, 3 * MINUTE))
    world.begin(attacker.attack_for_ever(servers, beside, pools))
    world.begin(_restarts(world, node, invariants))
    world.begin(_clock(world, node))
    world.begin(_disk(world, node))
    world.begin(invariants.watch())
    try:
        await world.play()
    finally:
        await node.stop()


async def _restarts(world: World, node: Node, invariants: Invariants) -> None:
    while True:
        await asyncio.sleep(world.chance.soon(6 * HOUR))
        await node.stop()
        if world.chance.happens(0.3):
            await asyncio.sleep(world.chance.soon(8 * HOUR))
        node.start()
        invariants.restarted()


async def _clock(world: World, node: Node) -> None:
    while True:
        await asyncio.sleep(world.chance.soon(5 * HOUR))
        node.ahead = world.chance.choice([0.0, 0.0, 0.0, 40.0, -40.0, HOUR, -HOUR])
        world.tell(f"the Node's clock is ahead by {node.ahead:g} s")
        await asyncio.sleep(world.chance.soon(HOUR))
        node.ahead = 0.0
        world.tell("the Node's clock is right")


async def _disk(world: World, node: Node) -> None:
    while True:
        await asyncio.sleep(world.chance.soon(4 * HOUR))
        node.disk.is_full = not node.disk.is_full
        world.tell(f"the disk is {'full' if node.disk.is_full else 'fine'}")


async def _dns(world: World, node: Node, invariants: Invariants, members: list[Server]) -> None:
    """Advertise servers and take them back; the attacker advertises fakes that seem better."""
    chance = world.chance
    named = list(members)
    fakes: list[Advertisement] = []
    while True:
        real = [_advertised(each, 10 + number) for number, each in enumerate(named)]
        now = {each.metadata_url: None for each in fakes}
        told = now | {each.metadata_url: server for each, server in zip(real, named, strict=True)}
        for url in invariants.advertised.keys() - told.keys():
            invariants.withdrawn_at[url] = world.monotonic
        invariants.advertised = dict(told)
        invariants.settled = world.monotonic
        node.dns.say(*fakes, *real)
        world.tell(f"DNS names {[each.issuer for each in named]} and {len(fakes)} fakes")
        await asyncio.sleep(chance.soon(HOUR / 3 if fakes else 2 * HOUR))
        what = chance.random()
        if what < 0.3:
            named = [] if chance.happens(0.2) else [chance.choice(members)]
        elif what < 0.7:
            named = list(members)
        count = 0 if chance.happens(0.5) else chance.choice([3, 17, MOST_FAKES])
        fakes = [_fake(number, chance.randrange(10)) for number in range(count)]


def _advertised(server: Server, pri: int) -> Advertisement:
    return Advertisement(
        instance="auth",
        domain="example.com",
        host=server.host,
        port=server.port,
        api_proto="https",
        pri=pri,
        api_selector=server.path.strip("/"),
    )


def _fake(number: int, pri: int) -> Advertisement:
    host = f"fake-{number}.example.net"
    return Advertisement("fake", "example.com", host, 443, "https", pri)
