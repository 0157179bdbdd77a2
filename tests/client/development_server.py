"""Our own development Authorization Server over TLS, with every request counted."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from joserfc.jwk import RSAKey
from starlette.types import ASGIApp, Receive, Scope, Send

from nmos_auth.authority import Client, RegistrationPolicy
from tests.authority.support import NODE, Served, cached_keys, served
from tests.support.tls import TestAuthority

__all__ = ["CONTROLLER", "Counted", "DevelopmentServer"]

CONTROLLER: dict[str, object] = {
    "name": "Example Controller 0001",
    "scope": "query connection",
    "grant": "authorization_code",
    "auth_method": "none",
    "redirect_uri": "https://controller.example.com/callback/{server}",
}


@dataclass
class Counted:
    """Counts requests by method and the first segment of their path, then lets them pass."""

    counts: Counter[str] = field(default_factory=Counter)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Put the counting around an app."""

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            self.counts[f"{scope['method']} /{scope['path'].split('/')[1]}"] += 1
            await app(scope, receive, send)

        return counting

    def __getitem__(self, request: str) -> int:
        """Return how many there were, of `POST /token` say."""
        return self.counts[request]


@dataclass
class DevelopmentServer:
    """A server that can be stopped and started again on its port, with its database or another.

    Attributes:
        tls: issues its certificate.
        database: its state; None for memory.
        clients: those it knows without registration.
        registration: what it gives to those that register.
        token_lifetime: seconds.
        counted: every request over all of its runs.
        new_key: makes its signing keys, none twice.
        port: 0 until it ran.
    """

    tls: TestAuthority
    database: Path | None = None
    clients: tuple[Client, ...] = (NODE,)
    registration: RegistrationPolicy = field(default_factory=RegistrationPolicy)
    token_lifetime: int = 60
    counted: Counted = field(default_factory=Counted)
    new_key: Callable[[], RSAKey] = field(default_factory=cached_keys)
    port: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[Served]:
        """Run until the block ends."""
        with served(
            tls=self.tls,
            database=self.database,
            clients=self.clients,
            registration=self.registration,
            token_lifetime=self.token_lifetime,
            on_port=self.port,
            around=self.counted.around,
            new_key=self.new_key,
        ) as server:
            self.port = int(server.issuer.rpartition(":")[2])
            yield server
