"""Advertisements told by a test instead of DNS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nmos_auth.discovery.dns_sd import Advertisement, DiscoveryError
from tests.support.authority import FakeAuthorizationServer

__all__ = ["Announcements", "advertisement"]

Tell = Callable[[Sequence[Advertisement]], None]


def advertisement(
    server: FakeAuthorizationServer, *, pri: int = 0, domain: str = "example.com"
) -> Advertisement:
    """Return the advertisement of a server, as it stands."""
    return Advertisement(
        instance="auth",
        domain=domain,
        host=server.host,
        port=server.port,
        api_proto="https" if server.scheme == "https" else "http",
        pri=pri,
        api_selector=server.path.strip("/"),
    )


@dataclass(eq=False)
class Announcements:
    """A source of advertisements that says what a test has it say.

    Attributes:
        said: what it said last, or None while it has said nothing.
        doubted: what it was asked to ask again about.
        followed: how often following it began.
    """

    said: Sequence[Advertisement] | None = None
    doubted: list[Advertisement] = field(default_factory=list)
    followed: int = 0
    _tell: Tell | None = None

    async def look(self) -> Sequence[Advertisement]:
        """Say it once."""
        if self.said is None:
            raise DiscoveryError("silence")
        return self.said

    async def follow(self, tell: Tell) -> None:
        """Say it whenever it changes."""
        self.followed += 1
        self._tell = tell
        if self.said is not None:
            tell(self.said)
        await asyncio.Event().wait()

    def doubt(self, doubted: Advertisement) -> None:
        """Note this."""
        self.doubted.append(doubted)

    def say(self, *advertisements: Advertisement) -> None:
        """Say that these servers are advertised, and no others."""
        self.said = advertisements
        if self._tell is not None:
            self._tell(advertisements)
