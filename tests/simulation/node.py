"""A Node under simulation: its clock, its disk, its restarts, and who asks it with good tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from nmos_auth import Settings
from nmos_auth.errors import AuthorizationError, KeysUnavailable
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.keys_file import KeptKeys
from nmos_auth.trust.verifier import Verifier
from tests.simulation.servers import Network, Token
from tests.simulation.world import World
from tests.support.announcements import Announcements

__all__ = ["Answer", "Disk", "Node"]

LEEWAY = 1.0


@dataclass(frozen=True)
class Answer:
    """What a token was answered with."""

    status: int
    retry_after: int | None = None


@dataclass
class Disk:
    """Keeps keys over restarts; sometimes it cannot be written, and sometimes it takes its time.

    Attributes:
        content: what is on it.
        is_full: whether nothing can be written.
    """

    world: World
    content: KeptKeys = field(default_factory=dict)
    is_full: bool = False

    def load(self) -> KeptKeys:
        """Read what was saved."""
        return dict(self.content)

    def save(self, kept: KeptKeys) -> bool:
        """Replace what was saved."""
        if self.is_full:
            return False
        self.content = dict(kept)
        return True

    async def in_thread(self, save: Callable[[KeptKeys], bool], kept: KeptKeys) -> bool:
        """Save after a while."""
        await asyncio.sleep(self.world.chance.uniform(0, 0.1))
        return save(kept)


@dataclass
class Node:
    """A resource server, without the requests around its verifier.

    Attributes:
        settings: whom it trusts.
        network: where its questions go.
        dns: what is advertised to it.
        disk: outlives its restarts.
        ahead: seconds by which its clock is ahead of the right one.
        started: when it started last.
        is_running: whether its process runs.
    """

    world: World
    settings: Settings
    network: Network
    dns: Announcements = field(default_factory=Announcements)
    disk: Disk = field(init=False)
    ahead: float = 0.0
    started: float = 0.0
    is_running: bool = False
    keys: KeyStore = field(init=False)
    verifier: Verifier = field(init=False)

    def __post_init__(self) -> None:
        self.disk = Disk(self.world)

    @property
    def now(self) -> float:
        """Seconds since 1970 UTC, by its own clock."""
        return self.world.now + self.ahead

    def start(self) -> None:
        """Start the process."""
        self.started = self.world.monotonic
        self.keys = KeyStore(
            self.settings,
            lambda: self.network,
            kept=self.disk,
            sources=[self.dns],
            monotonic=asyncio.get_running_loop().time,
            clock=lambda: self.now,
            uniform=self.world.chance.uniform,
            in_thread=self.disk.in_thread,
        )
        self.verifier = Verifier(self.keys, self.settings.audience, LEEWAY, clock=lambda: self.now)
        self.keys.start()
        self.is_running = True
        self.world.tell("the Node starts")

    async def stop(self) -> None:
        """Stop the process."""
        self.is_running = False
        self.world.tell("the Node stops")
        await self.verifier.stop()
        await self.keys.stop()

    def answer(self, token: Token, peer: str) -> Answer:
        """Answer a request with this token; 502 while the process does not run."""
        if not self.is_running:
            return Answer(502)
        try:
            self.verifier.verify(token.text.encode(), peer)
        except KeysUnavailable as error:
            return Answer(error.status, error.retry_after)
        except AuthorizationError as error:
            return Answer(error.status)
        return Answer(200)

    def is_in_time(self, token: Token) -> bool:
        """Tell whether a token's times hold by the Node's clock."""
        return token.iat <= self.now + LEEWAY and self.now < token.exp
