"""Issuers by discovery: what is advertised, confirmed by its metadata, in its order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nmos_auth.client import AuthorizationClient
from nmos_auth.client.discovered import DiscoveredIssuers
from nmos_auth.dns_sd import Advertisement
from tests.client.conftest import MakeClientSettings
from tests.client.scripted import Refusal, ScriptedServer
from tests.support.tls import TestAuthority


@dataclass(eq=False)
class Advertised:
    """A source of advertisements that a test decides on.

    Attributes:
        now: what is advertised.
        doubted: what was said not to answer.
    """

    now: list[Advertisement]
    doubted: list[Advertisement] = field(default_factory=list)
    _tell: Callable[[Sequence[Advertisement]], None] | None = None

    async def look(self) -> Sequence[Advertisement]:
        """Give what is advertised."""
        return self.now

    async def follow(self, tell: Callable[[Sequence[Advertisement]], None]) -> None:
        """Tell what is advertised, and whatever `change` says later."""
        self._tell = tell
        tell(self.now)
        await asyncio.Event().wait()

    def change(self, *advertisements: Advertisement) -> None:
        """Advertise something else."""
        assert self._tell is not None
        self._tell(advertisements)

    def doubt(self, advertisement: Advertisement) -> None:
        """Remember it."""
        self.doubted.append(advertisement)


def advertisement(server: ScriptedServer, pri: int = 10) -> Advertisement:
    """Advertise a server."""
    return Advertisement("a", "example.com", "localhost", server.port, "https", pri)


async def test_in_the_order_of_pri(
    server: ScriptedServer, make_settings: MakeClientSettings, tls: TestAuthority
) -> None:
    """Servers come by priority, are followed as they change, and a lying one is left out."""
    with ScriptedServer().running(tls) as other:
        source = Advertised([advertisement(other, 20), advertisement(server, 10)])
        client = AuthorizationClient(make_settings())
        async with client:
            issuers = DiscoveredIssuers([source], client.exchange)
            assert await issuers() == [server.issuer, other.issuer]
            source.change(advertisement(other, 20))
            assert await issuers() == [other.issuer]
            server.metadata_changes = {"issuer": other.issuer}
            await issuers.aclose()
            lying = Advertised([advertisement(server), advertisement(other)])
            issuers = DiscoveredIssuers([lying], client.exchange)
            assert await issuers() == [other.issuer]
            assert lying.doubted == [advertisement(server)]
            await issuers.aclose()


async def test_tokens_from_a_discovered_server(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """A Client without configured servers gets its token where DNS says."""
    source = Advertised([advertisement(server)])
    probe = AuthorizationClient(make_settings())
    issuers = DiscoveredIssuers([source], probe.exchange)
    async with AuthorizationClient(make_settings(), issuers=issuers) as client:
        server.answers["/.well-known/oauth-authorization-server"] = Refusal(503)
        assert await issuers() == []
        del server.answers["/.well-known/oauth-authorization-server"]
        assert (await client.tokens().token()).value.get_secret_value() == "access-2"
    await issuers.aclose()
    await probe.aclose()
