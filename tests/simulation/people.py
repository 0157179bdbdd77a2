"""Those who ask a Node: clients with good tokens, and an attacker with any."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from nmos_auth.servers.answers import Document
from tests.simulation.invariants import MEMORY, Invariants
from tests.simulation.node import Node
from tests.simulation.servers import (
    MALLORY,
    WELL_KNOWN,
    Mood,
    Network,
    Server,
    Token,
    rotate,
    sign,
    unsigned,
)
from tests.simulation.world import World
from tests.support.tokens import signing_key

__all__ = ["Attacker", "Client"]

# Within which a good token is accepted while its issuer answers: a back-off, an interval of
# fetches, slow answers, a server to be confirmed, turns of a neighbour.
SOON = 120.0
DISCOVERED = 90.0
TURNS = 75.0
# With 20 junk issuers a second from one other address.
ACCEPTED_UNDER_JUNK = 30.0


@dataclass
class Client:
    """Asks with good tokens, and comes again as it is told; some tokens it uses for long."""

    world: World
    node: Node
    invariants: Invariants
    address: str
    held: deque[Token] = field(default_factory=lambda: deque(maxlen=6))

    async def ask_for_ever(self, servers: Sequence[Server], mean: float) -> None:
        """Ask with tokens of any of these servers, again and again."""
        chance = self.world.chance
        while True:
            await asyncio.sleep(chance.soon(mean))
            server = chance.choice(servers)
            for token in self.held:
                self.invariants.judge(token, self.node.answer(token, self.address))
            await self.ask(server)

    async def ask(self, server: Server, within: float | None = None) -> None:
        """Ask with one token, until it is accepted or not good any more.

        Args:
            server: whose token.
            within: seconds within which it is to be accepted, where that is special.
        """
        world = self.world
        token = server.token(lifetime=world.chance.choice([900.0, 7200.0]))
        while True:
            answer = self.invariants.judge(token, self.node.answer(token, self.address))
            if answer.retry_after is None:
                self.held.append(token)
                return
            needed = self.invariants.needed_for(server)
            good = self.invariants.is_good(token) and all(each.mood.is_honest for each in needed)
            changed = max(each.changed for each in needed)
            since = max(token.issued, changed, self.node.started, self.invariants.settled)
            longest = SOON
            if server not in self.invariants.members:
                longest += MEMORY + TURNS
            if self.invariants.advertised:
                longest += DISCOVERED
            longest = within or longest
            world.require(
                not good or world.monotonic - since <= longest,
                f"a good token of {server.issuer} has waited for {longest:g} s",
            )
            if not good and world.monotonic - token.issued > longest:
                return
            await asyncio.sleep(answer.retry_after)


@dataclass
class Attacker:
    """Sends tokens with any header and claim; owns a path, a port and a DNS name.

    Attributes:
        address: where it sends from.
        host: its own, with a certificate.
        upload: a place on a member's host, with a certificate, that serves what anybody uploads.
    """

    world: World
    node: Node
    network: Network
    invariants: Invariants
    address: str
    host: str
    upload: tuple[str, int]

    def plant(self, servers: Sequence[Server]) -> None:
        """Place documents wherever it can."""
        jwks: dict[str, object] = {"keys": [signing_key(MALLORY).jwk()]}
        self.network.planted[self.host, 443] = {}
        own = f"https://{self.host}:443"
        here = self.network.planted[self.host, 443]
        here[WELL_KNOWN] = Document({"issuer": own, "jwks_uri": f"{own}/jwks"})
        here["/jwks"] = Document(jwks)
        host, port = self.upload
        places = [(each.host, each.port) for each in servers] + [(host, port)]
        for at, on in places:
            base = f"https://{at}:{on}"
            theirs = self.network.planted.setdefault((at, on), {})
            theirs["/users/mallory/evil.json"] = Document(
                {
                    "issuer": f"{base}/../../users/mallory/evil.json",
                    "jwks_uri": f"{base}/users/mallory/keys.json",
                }
            )
            theirs["/users/mallory/keys.json"] = Document(jwks)
        # What is uploaded has a type by which nobody reads it as metadata.
        base = f"https://{host}:{port}"
        self.network.planted[host, port][WELL_KNOWN] = Document(
            {"issuer": base, "jwks_uri": f"{base}/users/mallory/keys.json"}, "text/plain"
        )

    async def attack_for_ever(
        self, servers: Sequence[Server], neighbours: Sequence[Server], pools: dict[str, range]
    ) -> None:
        """Try one thing after another."""
        chance = self.world.chance
        while True:
            await asyncio.sleep(chance.soon(1200.0))
            what = chance.randrange(5)
            server = chance.choice(servers)
            if what == 0:
                await self.flood_with_keys(server, pools[server.issuer])
            elif what == 1:
                await self.starve(chance.choice(neighbours))
            elif what == 2:
                self.name_planted(server)
            elif what == 3:
                self.forge(server)
            else:
                self.send_withdrawn(server, pools[server.issuer])

    def send(self, token_of: Sequence[str], *, key: int = MALLORY) -> None:
        """Send tokens that name these issuers."""
        for issuer in token_of:
            token = sign(self.world, issuer, key)
            self.invariants.judge(token, self.node.answer(token, self.address))

    async def flood_with_keys(self, server: Server, pool: range) -> None:
        """Send tokens of made-up keys, and see what becomes of a rotation meanwhile."""
        self.world.tell(f"the attacker floods {server.issuer} with keys")
        chance = self.world.chance
        client = Client(self.world, self.node, self.invariants, "192.0.2.200")
        self.world.begin(client.ask(server))
        for number in range(150):
            junk = unsigned(self.world, server.issuer, f"made-up-{number}", behind=server.behind)
            self.invariants.judge(junk, self.node.answer(junk, self.address))
            if number % 50 == 25:
                if server.mood.is_honest:
                    rotate(server, pool)
                self.world.begin(client.ask(server))
            await asyncio.sleep(chance.uniform(0.01, 0.09))

    async def starve(self, server: Server) -> None:
        """Send tokens of issuers beside a neighbour that was forgotten and is back."""
        chance, world = self.world.chance, self.world
        if server.mood.is_honest:
            server.become(Mood.GONE)
            await asyncio.sleep(5.0)
            self.forge(server)
            await asyncio.sleep(15.0)
            server.become(Mood.GOOD)
            await asyncio.sleep(MEMORY + 5.0)
        world.tell(f"the attacker floods with issuers beside {server.issuer}")
        client = Client(world, self.node, self.invariants, "192.0.2.201")
        for number in range(20 * 45):
            port = chance.randrange(20_000, 60_000)
            junk = unsigned(world, f"https://{server.host}:{port}{server.path}", "made-up")
            self.invariants.judge(junk, self.node.answer(junk, self.address))
            if number == 100 and server.mood is Mood.GOOD:
                world.begin(client.ask(server, within=ACCEPTED_UNDER_JUNK))
            await asyncio.sleep(0.05)

    def name_planted(self, server: Server) -> None:
        """Name documents that it has placed on hosts of others, in many spellings."""
        self.world.tell(f"the attacker names what it planted beside {server.issuer}")
        host, port = self.upload
        bases = [f"https://{server.host}:{server.port}", f"https://{host}:{port}"]
        spellings = [
            "/../../users/mallory/evil.json",
            "/x/../../../users/mallory/evil.json",
            "/%2e%2e/%2e%2e/users/mallory/evil.json",
            "/..;/..;/users/mallory/evil.json",
            "//../../users/mallory/evil.json",
            "/./../../users/mallory/evil.json",
            "/users/mallory",
            "?/users/mallory",
            "",
        ]
        self.send([base + path for base in bases for path in spellings if base + path != base])
        self.send([f"https://{host}:{port}"])

    def forge(self, server: Server) -> None:
        """Sign for others with its own key, and for itself."""
        self.world.tell(f"the attacker forges for {server.issuer}")
        self.send([server.issuer, f"https://{self.host}:443", f"http://{server.host}", ""])
        for header in ({"jwk": signing_key(MALLORY).jwk()}, {"jku": f"https://{self.host}/jwks"}):
            token = sign(self.world, server.issuer, MALLORY, header=dict(header))
            self.invariants.judge(token, self.node.answer(token, self.address))

    def send_withdrawn(self, server: Server, pool: range) -> None:
        """Send tokens of keys that a server published once, or never."""
        self.world.tell(f"the attacker sends tokens of withdrawn keys of {server.issuer}")
        for key in pool:
            token = server.token(key)
            self.invariants.judge(token, self.node.answer(token, self.address))
