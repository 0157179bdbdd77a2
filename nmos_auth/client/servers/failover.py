"""All Authorization Servers in order of preference, and the fail-over between them."""

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
from nmos_auth.servers.backoff import BackOff

__all__ = ["Issuers", "Servers", "configured"]

T = TypeVar("T")

# Returns the issuers that are known now, in order of preference.
Issuers = Callable[[], Awaitable[Sequence[str]]]

# For how long a server that failed is asked after the others.
_ASIDE = BackOff(5.0, 300.0)
# Errors that are not the fault of a server.
_OURS = (GrantNotPermitted, LoginRequired, StoreError)


def configured(issuers: Sequence[str]) -> Issuers:
    """Return a function that returns these issuers."""
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
    """Asks the first Authorization Server, and the next one if that fails.

    A server that failed is asked after the others for a while, longer with every failure. A server
    that refused is skipped until its pause ends, unless it is the only one: otherwise callers that
    wait for the other servers would ask it again and again.

    Args:
        issuers: returns the issuers that are known now.
        context: what all servers share.
    """

    def __init__(self, issuers: Issuers, context: ClientContext) -> None:
        self._issuers = issuers
        self._context = context
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
            purpose: what is asked for: a server that refuses one thing may grant another.
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
        """Return the result of the first server that does not fail.

        Args:
            attempt: asks one server.
            purpose: what is asked for, as in `known`.

        Raises:
            ClientError: the error of the only server, or `ServersFailed` for several.
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
        until = self._context.monotonic() + _ASIDE.pause(failures, random.uniform)
        # Without the traceback, which would keep the objects of all its frames alive.
        self._aside[issuer, purpose] = _Aside(failures, until, error.with_traceback(None))

    async def flush(self) -> None:
        """Write what could not be written before.

        Raises:
            StoreError: it still cannot be written.
        """
        for server in self._servers.values():
            await server.flush()

    async def aclose(self) -> None:
        """End what is under way at every server, except steps."""
        for server in self._servers.values():
            await server.aclose()
