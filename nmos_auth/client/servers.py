"""All Authorization Servers in order of preference, and fail-over along them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nmos_auth.client.context import ClientContext
from nmos_auth.client.errors import (
    ClientError,
    GrantNotPermitted,
    LoginRequired,
    ServersFailed,
    StoreError,
)
from nmos_auth.client.server import AuthorizationServer

__all__ = ["Issuers", "Servers", "configured"]

T = TypeVar("T")

# Gives the issuers known now, in order of preference.
Issuers = Callable[[], Awaitable[Sequence[str]]]

# Seconds a server that failed once, and one that fails on and on, stands behind the others.
_SHORTEST_ASIDE = 5.0
_LONGEST_ASIDE = 300.0
# What is no server's fault.
_OURS = (GrantNotPermitted, LoginRequired, StoreError)


def configured(issuers: Sequence[str]) -> Issuers:
    """Give issuers that are known beforehand and do not change."""
    fixed = tuple(issuers)

    async def known() -> Sequence[str]:
        return fixed

    return known


@dataclass
class _Aside:
    failures: int
    until: float


class Servers:
    """Asks the first Authorization Server, and the next one where that fails.

    A server that failed stands behind the others for a while, longer every time.

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
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._issuers = issuers
        self._context = context
        self._uniform = uniform
        self._servers: dict[str, AuthorizationServer] = {}
        self._aside: dict[str, _Aside] = {}

    def at(self, issuer: str) -> AuthorizationServer:
        """Give the server with an issuer identifier."""
        if issuer not in self._servers:
            self._servers[issuer] = AuthorizationServer(issuer, self._context)
        return self._servers[issuer]

    async def known(self) -> list[AuthorizationServer]:
        """Give the servers in the order in which they are asked now."""
        now = self._context.elapsed()
        issuers = list(dict.fromkeys(await self._issuers()))
        for issuer in self._servers.keys() - set(issuers):
            self._aside.pop(issuer, None)

        def waiting(issuer: str) -> bool:
            aside = self._aside.get(issuer)
            return aside is not None and now < aside.until

        return [self.at(issuer) for issuer in sorted(issuers, key=waiting)]

    async def ask(self, attempt: Callable[[AuthorizationServer], Awaitable[T]]) -> T:
        """Give what the first server gives that does not fail.

        Raises:
            ClientError: what went wrong at the only server, or `ServersFailed` for several.
        """
        failures: dict[str, ClientError] = {}
        for server in await self.known():
            try:
                result = await attempt(server)
            except _OURS:
                raise
            except ClientError as error:
                failures[server.issuer] = error
                self._set_aside(server.issuer)
            else:
                self._aside.pop(server.issuer, None)
                return result
        if len(failures) == 1:
            raise next(iter(failures.values()))
        raise ServersFailed(failures)

    def _set_aside(self, issuer: str) -> None:
        former = self._aside.get(issuer)
        failures = 1 if former is None else former.failures + 1
        pause = min(_SHORTEST_ASIDE * 2 ** min(failures - 1, 16), _LONGEST_ASIDE)
        until = self._context.elapsed() + pause * self._uniform(0.75, 1.0)
        self._aside[issuer] = _Aside(failures, until)

    async def aclose(self) -> None:
        """End what is under way at any server."""
        for server in self._servers.values():
            await server.aclose()
