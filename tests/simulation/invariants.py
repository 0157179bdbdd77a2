"""What must hold at every step, whatever servers, DNS, clocks, disks and the attacker do.

It is an independent reading of the rules: it shares no code with what it judges.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field

from nmos_auth.errors import FetchError
from nmos_auth.servers.answers import Document
from tests.simulation.node import Answer, Node
from tests.simulation.servers import WELL_KNOWN, Network, Server, Token
from tests.simulation.world import DAY, MINUTE, World

__all__ = ["Invariants"]

BURST = 3
MOST_TASKS = 64
MOST_AT_ONCE = 3
# A back-off begins with several short pauses; the rest is in turn or within the allowance.
BACK_OFF_OF_A_MINUTE = 8
# How long a neighbour's failure is remembered, and a little.
MEMORY = 75.0
# How long after a day without an answer its last attempt may end.
LAST_ATTEMPT = 90.0
# A redirect for a slash is not among what simulated servers do.
_NEIGHBOUR = re.compile(rf"https://(?P<host>[^:/]+):[0-9]+{re.escape(WELL_KNOWN)}(?P<path>.*)")


@dataclass
class Invariants:
    """Judges every answer of a Node and every request that it makes.

    Attributes:
        configured: the servers that its settings name.
        refetch_interval: as the settings have it.
        advertised: the servers that DNS names, by metadata URL; None for a fake.
        withdrawn_at: when DNS named one for the last time, by metadata URL.
        settled: since when DNS has named the same servers.
        given: the keys that each issuer gave last, and when.
    """

    world: World
    node: Node
    network: Network
    configured: Collection[Server]
    refetch_interval: float
    advertised: dict[str, Server | None] = field(default_factory=dict)
    withdrawn_at: dict[str, float] = field(default_factory=dict)
    settled: float = 0.0
    given: dict[str, tuple[frozenset[int], float]] = field(default_factory=dict)
    _key_sets: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, deque[float]] = field(default_factory=dict)
    _newcomers: deque[float] = field(default_factory=deque)
    _under_way: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.network.asking = self.asking
        self.network.over = self.over
        self.network.answered = self.answered

    # Who is who

    @property
    def members(self) -> list[Server]:
        """The members of T."""
        return [*self.configured, *(each for each in self.advertised.values() if each)]

    def is_neighbour(self, issuer: str) -> bool:
        """Tell whether an issuer is a member but for the port."""
        return any(self._beside(issuer, each) for each in self.members)

    def needed_for(self, server: Server) -> list[Server]:
        """Return the servers that must answer for a server's tokens to be accepted."""
        if server in self.members or not self.advertised:
            return [server]
        return [server, *(each for each in self.members if self._beside(server.issuer, each))]

    def _beside(self, issuer: str, member: Server) -> bool:
        match = re.fullmatch(r"https://([^:/]+)(?::[0-9]+)?(/.*)?", issuer)
        return (
            match is not None
            and match[1] == member.host
            and (match[2] or "").rstrip("/") == member.path
        )

    # Requests of the Node

    def asking(self, url: str) -> None:
        """See that the Node may ask for this."""
        now = self.world.monotonic
        members = self.members
        member = next((each for each in members if url == each.metadata_url), None)
        openid = any(
            url == f"{each.issuer}/.well-known/openid-configuration" for each in self.configured
        )
        recent = self.withdrawn_at.get(url, -DAY) > now - 1
        match = _NEIGHBOUR.fullmatch(url)
        beside = match is not None and any(
            match["host"] == each.host and match["path"] == each.path for each in members
        )
        known = url in self.advertised or url in self._key_sets or recent
        self.world.require(
            member is not None or openid or known or beside, f"the Node may not ask for {url}"
        )
        if url in self._key_sets or openid:
            return
        times = self._asked.setdefault(url, deque())
        times.append(now)
        while times[0] < now - MINUTE:
            times.popleft()
        bound = BURST + MINUTE / self.refetch_interval + BACK_OFF_OF_A_MINUTE
        # An advertised server's metadata is asked for by two: to confirm it, and for its keys.
        self.world.require(
            len(times) <= bound * (2 if url in self.advertised else 1),
            f"{url} was asked for {len(times)} times in a minute",
        )
        if len(self._asked) > 1000:
            self._asked = {url: each for url, each in self._asked.items() if each[-1] > now - 60}
        if beside and member is None and url not in self.advertised:
            self._under_way[url] += 1
            self.world.require(
                self._under_way.total() <= MOST_AT_ONCE,
                "more than three neighbours are asked at a time",
            )
            if url.replace(WELL_KNOWN, "") not in self.given:
                self._count_newcomer(now)

    def _count_newcomer(self, now: float) -> None:
        self._newcomers.append(now)
        while self._newcomers[0] < now - MINUTE:
            self._newcomers.popleft()
        asked = len(self._newcomers)
        self.world.require(
            asked <= BURST + MINUTE / self.refetch_interval,
            f"{asked} newcomers were asked in a minute",
        )

    def over(self, url: str) -> None:
        """Note that a request is over, whatever came of it."""
        self._under_way[url] = max(0, self._under_way[url] - 1)
        self._under_way = +self._under_way

    def answered(self, url: str, answer: Document | FetchError) -> None:
        """Note what the Node learns."""
        server = next(
            (each for each in self.network.servers.values() if each.metadata_url == url), None
        )
        if server is not None:
            self._note_metadata(server, answer)
        issuer = self._key_sets.get(url)
        if issuer is not None and isinstance(answer, Document):
            entries = answer.content.get("keys")
            if isinstance(entries, list):
                keys = frozenset(int(str(each["kid"]).removeprefix("key-")) for each in entries)
                self.given[issuer] = keys, self.world.monotonic

    def _note_metadata(self, server: Server, answer: Document | FetchError) -> None:
        if isinstance(answer, FetchError):
            gone = answer.status in {200, 404, 410}
        else:
            gone = answer.content.get("issuer") != server.issuer
            if not gone:
                self._key_sets[server.jwks_uri] = server.issuer
        if gone and server not in self.members:
            self.given.pop(server.issuer, None)

    # Answers of the Node

    def restarted(self) -> None:
        """Note that what the Node knows is what its disk has."""
        # A process that starts has its whole allowance.
        self._under_way.clear()
        self._asked.clear()
        self._newcomers.clear()
        self.given = {
            url: (
                frozenset(int(str(key.kid).removeprefix("key-")) for key in kept.keys),
                self.world.monotonic - (self.node.now - kept.confirmed),
            )
            for url, kept in self.node.disk.content.items()
        }

    def judge(self, token: Token, answer: Answer) -> Answer:
        """See that an answer is right."""
        if not self.node.is_running:
            return answer
        self.world.answers[answer.status] += 1
        named = f"a token of {token.issuer} by key {token.key}"
        if answer.status == 200:
            self.world.require(
                self._may_be_accepted(token), f"{named} was accepted, and nobody publishes that key"
            )
            self.world.require(self.node.is_in_time(token), f"{named} was accepted out of its time")
        elif answer.status == 401:
            self.world.require(not self.is_good(token), f"{named} is good and was called invalid")
        else:
            self.world.require(answer.status == 503, f"{named} was answered {answer.status}")
            self.world.require((answer.retry_after or 0) >= 1, f"{named} may not come again")
        return answer

    def _may_be_accepted(self, token: Token) -> bool:
        now = self.world.monotonic
        members = {each.issuer for each in self.members}
        if token.issuer in members:
            return any(token.key in self._keys_given_by(issuer) for issuer in members)
        if not self.is_neighbour(token.issuer):
            return False
        keys, when = self.given.get(token.issuer, (frozenset(), 0.0))
        return token.key in keys and now - when < DAY + LAST_ATTEMPT

    def _keys_given_by(self, issuer: str) -> frozenset[int]:
        return self.given.get(issuer, (frozenset(), 0.0))[0]

    def is_good(self, token: Token) -> bool:
        """Tell whether nobody may call a token invalid."""
        server = next(
            (each for each in self.network.servers.values() if each.issuer == token.issuer), None
        )
        if server is None or not self.node.is_in_time(token):
            return False
        since = server.public_since.get(token.key)
        if since is None or since > token.issued:
            return False
        if server in self.members:
            return True
        return self.is_neighbour(token.issuer) and server.honest_for() > MEMORY

    async def watch(self) -> None:
        """See again and again that memory and tasks are bounded."""
        while True:
            await asyncio.sleep(7.0)
            tasks = len(asyncio.all_tasks())
            self.world.require(tasks <= MOST_TASKS, f"there are {tasks} tasks")
            held = len(list(self.node.keys._members))
            self.world.require(held <= 40, f"{held} issuers are held")
            seen = len(self.node.keys._first_seen)
            self.world.require(seen <= 4096, f"{seen} tokens are remembered")
