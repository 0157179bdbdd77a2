"""All Authorization Servers in order of preference, and fail-over along them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nmos_auth.client.errors import (
    ClientError,
    GrantNotPermitted,
    LoginRequired,
    ServersFailed,
    StoreError,
)
from nmos_auth.client.registration.context import ClientContext
from nmos_auth.client.servers.server import AuthorizationServer
from nmos_auth.servers.backoff import BackOff, Uniform

__all__ = ["Issuers", "Servers", "configured"]

T = TypeVar("T")

# Gives the issuers known now, in order of preference.
Issuers = Callable[[], Awaitable[Sequence[str]]]

# How long a server that failed stands behind the others.
_ASIDE = BackOff(5.0, 300.0)
# What is not the fault of a server.
_OURS = (GrantNotPermitted, LoginRequired, StoreError)


def configured(issuers: Sequence[str]) -> Issuers:
    """Return issuers that are known beforehand and do not change."""
    fixed = tuple(issuers)

    async def known() -> Sequence[str]:
        return fixed

    return known


@dataclass
class _Aside:
    failures: int
    until: float
    error: ClientError


class Servers:
    """Asks the first Authorization Server, and the next one where that fails.

    A server that failed stands behind the others for a while, longer every time. One that refused
    is not asked the same again meanwhile, if there are others: while those are down, whoever waits
    for them would ask it on and on.

    Args:
        issuers: gives the issuers known now.
        context: what all servers share.
        uniform: gives a random number between two.
    """

    def __init__(
        self,
        issuers: Issuers,
        context: ClientContext,
        *,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._issuers = issuers
        self._context = context
        self._uniform = uniform
        self._servers: dict[str, AuthorizationServer] = {}
        self._aside: dict[tuple[str, Hashable], _Aside] = {}

    def at(self, issuer: str) -> AuthorizationServer:
        """Return the server with an issuer identifier."""
        if issuer not in self._servers:
            self._servers[issuer] = AuthorizationServer(issuer, self._context)
        return self._servers[issuer]

    async def known(self, purpose: Hashable = None) -> list[AuthorizationServer]:
        """Return the servers in the order in which they are asked now.

        Args:
            purpose: what for: a server that cannot give one thing may well give another.
        """
        issuers = list(dict.fromkeys(await self._issuers()))
        for key in [key for key in self._aside if key[0] not in issuers]:
            del self._aside[key]
        ordered = sorted(issuers, key=lambda issuer: self._waiting(issuer, purpose) is not None)
        return [self.at(issuer) for issuer in ordered]

    async def ask(
        self,
        attempt: Callable[[AuthorizationServer], Awaitable[T]],
        *,
        purpose: Hashable = None,
    ) -> T:
        """Return what the first server gives that does not fail.

        Args:
            attempt: asks one server.
            purpose: what for, as `known` has it.

        Raises:
            ClientError: what went wrong at the only server, or `ServersFailed` for several.
        """
        failures: dict[str, ClientError] = {}
        servers = await self.known(purpose)
        for server in servers:
            aside = self._waiting(server.issuer, purpose)
            if aside is not None and not aside.error.temporary and len(servers) > 1:
                failures[server.issuer] = aside.error
                continue
            try:
                result = await attempt(server)
            except _OURS:
                raise
            except ClientError as error:
                failures[server.issuer] = error
                self._set_aside(server.issuer, purpose, error)
            else:
                self._aside.pop((server.issuer, purpose), None)
                return result
        if len(failures) == 1:
            raise next(iter(failures.values()))
        raise ServersFailed(failures)

    def _waiting(self, issuer: str, purpose: Hashable) -> _Aside | None:
        aside = self._aside.get((issuer, purpose))
        waiting = aside is not None and self._context.monotonic() < aside.until
        return aside if waiting else None

    def _set_aside(self, issuer: str, purpose: Hashable, error: ClientError) -> None:
        former = self._aside.get((issuer, purpose))
        failures = 1 if former is None else former.failures + 1
        until = self._context.monotonic() + _ASIDE.pause(failures, self._uniform)
        # Without its traceback, which holds whatever was at hand.
        self._aside[issuer, purpose] = _Aside(failures, until, error.with_traceback(None))

    async def flush(self) -> None:
        """Write what could not be written before, if there is anything.

        Raises:
            StoreError: it still cannot be written.
        """
        for server in self._servers.values():
            await server.flush()

    async def aclose(self) -> None:
        """End what is under way at any server, other than steps."""
        for server in self._servers.values():
            await server.aclose()
