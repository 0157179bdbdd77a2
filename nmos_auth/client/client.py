"""A Client put together from its settings."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterable
from types import TracebackType
from typing import Self

from nmos_auth.client.errors import (
    ClientError,
    GrantNotPermitted,
    LoginRequired,
    StoreError,
    unexpected,
)
from nmos_auth.client.grants.grants import GrantedTokens, PendingAuthorization
from nmos_auth.client.grants.keys import ClientKeys
from nmos_auth.client.http import HttpTransport, Transport
from nmos_auth.client.registration.context import ClientContext
from nmos_auth.client.servers.discovered import DiscoveredIssuers
from nmos_auth.client.servers.failover import Issuers, Servers, configured
from nmos_auth.client.servers.server import AuthorizationServer
from nmos_auth.client.settings import (
    PREFIX,
    SERVER_PLACEHOLDER,
    AuthMethod,
    ClientSettings,
    Grant,
    scopes_of,
)
from nmos_auth.client.store.stores import FileStore, MemoryStore, Store
from nmos_auth.client.tokens.authorizations import UserAuthorization
from nmos_auth.client.tokens.source import TokenSource, TokenStatus, boot_time, running_loop
from nmos_auth.client.tokens.vaults import StoreVault
from nmos_auth.discovery.directory import sources_for
from nmos_auth.errors import NmosAuthError
from nmos_auth.settings import access_to_servers

__all__ = ["AuthorizationClient", "ClientThread"]

logger = logging.getLogger("nmos_auth")


class AuthorizationClient:
    """A Node or Controller towards its Authorization Servers.

    Making one opens the store, and makes the first keys where `private_key_jwt` needs some; no
    server is asked before a token is. `async with` closes it.

    Args:
        settings: None for those of the environment.
        issuers: gives the issuers known now; None for those of the settings, or by discovery.
        transport: sends requests; None for HTTP with bounds and verified certificates.
        store: keeps registrations; None for the file of the settings, or memory.
        clock: seconds since 1970 UTC.
        monotonic: seconds of a clock that never goes back.

    Raises:
        ConfigurationError: a setting is wrong.
        StoreError: the store cannot be opened.
    """

    def __init__(
        self,
        settings: ClientSettings | None = None,
        *,
        issuers: Issuers | None = None,
        transport: Transport | None = None,
        store: Store | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = boot_time,
    ) -> None:
        self.settings = settings or ClientSettings()
        self._own: HttpTransport | None = None
        if transport is None:
            transport = self._own = HttpTransport(access_to_servers(self.settings))
        self.transport = transport
        self.store = store or _store_of(self.settings)
        signs = self.settings.auth_method is AuthMethod.PRIVATE_KEY_JWT
        self._keys = ClientKeys(self.store, clock=clock) if signs else None
        self.monotonic = monotonic
        self._authorizations: dict[str, UserAuthorization] = {}
        self._sources: weakref.WeakSet[TokenSource] = weakref.WeakSet()
        self._shared: dict[tuple[frozenset[str], frozenset[str] | None], TokenSource] = {}
        self._closing: asyncio.Task[None] | None = None
        self._context = ClientContext(
            settings=self.settings,
            transport=transport,
            store=self.store,
            keys=self._keys,
            clock=clock,
            monotonic=monotonic,
        )
        self._discovered: DiscoveredIssuers | None = None
        if issuers is None and not self.settings.servers:
            sources = sources_for(
                self.settings.discovery,
                self.settings.dns_domain,
                dns_servers=self.settings.dns_servers,
            )
            if sources:
                issuers = self._discovered = DiscoveredIssuers(
                    sources, transport, allow_http=self.settings.allow_http
                )
        self.servers = Servers(issuers or configured(self.settings.servers), self._context)

    @property
    def keys(self) -> ClientKeys:
        """The keys to serve at `jwks_uri`, with `jwks_route`.

        Raises:
            GrantNotPermitted: this Client signs nothing.
        """
        if self._keys is None:
            raise GrantNotPermitted("only a Client that uses private_key_jwt has keys")
        return self._keys

    def tokens(self, *scope: str, required: Iterable[str] | None = None) -> TokenSource:
        """Return the source of tokens for a scope, by the configured grant.

        Whoever asks for the same scope shares one source, and its token. It ends when each of them
        has closed it, and with this Client.

        Args:
            scope: what they are for; those of the settings if none are named.
            required: the part of the scope without which a token is of no use, where a server
                may grant less than it is asked for; None for all of it.

        Raises:
            GrantNotPermitted: BCP-003-02 does not permit client_credentials for them.
            ConfigurationError: a setting is missing.
        """
        asked = self.permitted(scope)
        needed = None if required is None else scopes_of(required)
        shared = self._shared.get((asked, needed))
        if shared is not None and not shared.closed and _same_loop(shared.loop):
            return shared.share()
        source = self.source(lambda: self.obtain(*asked, required=needed))
        self._shared[asked, needed] = source
        return source

    async def obtain(self, *scope: str, required: Iterable[str] | None = None) -> GrantedTokens:
        """Get tokens by the configured grant, once; nothing of them is kept here.

        Args:
            scope: what they are for; those of the settings if none are named.
            required: the part of the scope without which a token is of no use; None for all of it.

        Raises:
            ClientError: there are none.
            ConfigurationError: a setting is missing.
        """
        asked = self.permitted(scope)
        needed = None if required is None else scopes_of(required)
        try:
            if self.settings.grant is Grant.CLIENT_CREDENTIALS:
                return await self.servers.ask(
                    lambda server: server.client_credentials(asked, required=needed),
                    purpose=(asked, needed),
                )
            return await (await self.authorization()).obtain(asked, required=needed)
        except NmosAuthError:
            raise
        except Exception as error:  # noqa: BLE001 - raised as what callers can catch
            raise unexpected(error) from None

    def permitted(self, scope: Collection[str]) -> frozenset[str]:
        """Return the scopes to ask for, which the configured grant may be used for.

        Args:
            scope: what is wanted; empty for what the settings have.

        Raises:
            GrantNotPermitted: BCP-003-02 does not permit client_credentials for them.
            ConfigurationError: settings are missing; the message names them all.
        """
        asked = scopes_of(scope)
        self.settings.check_complete(for_scope=asked)
        asked = asked or frozenset(self.settings.scope)
        if self.settings.grant is Grant.CLIENT_CREDENTIALS:
            beyond = self.settings.beyond_credentials(asked)
            if beyond:
                raise GrantNotPermitted(
                    "BCP-003-02 has no client_credentials grant for"
                    f" {' '.join(sorted(beyond))}; where that has been arranged, set"
                    " NMOS_AUTH_CLIENT_CREDENTIALS_SCOPE"
                )
        return asked

    def source(
        self, obtain: Callable[[], Awaitable[GrantedTokens]], *, only_while_used: bool = False
    ) -> TokenSource:
        """Return a source of tokens that are obtained in this way, closed with this Client.

        Args:
            obtain: gets tokens from a server.
            only_while_used: let a token end that was not asked for since it came.
        """
        source = TokenSource(
            obtain,
            monotonic=self.monotonic,
            only_while_used=only_while_used,
            allow_http=self.settings.allow_http,
        )
        self._sources.add(source)
        return source

    def status(self) -> tuple[TokenStatus, ...]:
        """Return which tokens are held and for how long, for operators; it holds no token."""
        held = [
            TokenStatus(" ".join(sorted(asked)), source.remaining)
            for (asked, _), source in self._shared.items()
            if not source.closed
        ]
        return tuple(sorted(held, key=lambda each: each.scope))

    async def authorization(self) -> UserAuthorization:
        """Return the user's authorization that is in the store.

        Raises:
            LoginRequired: there is none from any of the servers.
            StoreError: the store cannot be read.
        """
        for server in await self.servers.known():
            authorization = self.authorization_at(server)
            if await authorization.known():
                return authorization
        raise LoginRequired("no user is logged in")

    async def tell_apart(self, pending: PendingAuthorization) -> None:
        """Check that the answer to an authorization request cannot be taken for another server's.

        RFC 9700 Section 4.4.2: where there are several, each has a redirect URI of its own, or
        names itself in its answers.

        Raises:
            ClientError: it can.
        """
        template = self.settings.redirect_uri or ""
        if pending.iss_in_answers or SERVER_PLACEHOLDER in template:
            return
        if len(await self.servers.known()) > 1:
            raise ClientError(
                f"{pending.issuer} does not name itself in its answers, and there are other servers"
                f" with the same redirect URI; put {SERVER_PLACEHOLDER} into {PREFIX}REDIRECT_URI"
            )

    def authorization_at(self, server: AuthorizationServer) -> UserAuthorization:
        """Return the user's authorization at one server, whether there is one or not."""
        if server.issuer not in self._authorizations:
            vault = StoreVault(self.store, server.issuer)
            self._authorizations[server.issuer] = UserAuthorization(server, vault)
        return self._authorizations[server.issuer]

    async def aclose(self) -> None:
        """End all background work and close what is open.

        An exchange that is under way is waited for, for twelve seconds at most, and its result is
        kept: closing goes on though the caller be cancelled.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.wait({self._closing})
        self._closing.result()

    async def _close(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            # Called in the order from the last to the first, whatever any of them raises.
            if self._own is not None:
                stack.push_async_callback(self._own.aclose)
            if self._discovered is not None:
                stack.push_async_callback(self._discovered.aclose)
            stack.push_async_callback(self._flush)
            stack.push_async_callback(self._context.steps.finish)
            stack.push_async_callback(self.servers.aclose)
            for source in list(self._sources):
                stack.push_async_callback(source.end)

    async def _flush(self) -> None:
        """Try once more to write what could not be written."""
        for flush in (
            self.servers.flush,
            *(each.finish for each in self._authorizations.values()),
        ):
            try:
                await flush()
            except StoreError as error:
                logger.error("lost at the end of this process: %s", error)  # noqa: TRY400

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class ClientThread:
    """A Client on an event loop in a thread of its own, for programs that have no loop.

    `with ClientThread() as client:` gives what to make token sources with; they serve
    `httpx.Client(auth=BearerAuth(client.tokens("registration"), origins))`.

    Args:
        make: makes the Client.
    """

    def __init__(self, make: Callable[[], AuthorizationClient] = AuthorizationClient) -> None:
        self._client = make()
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="nmos-auth-client", daemon=True
        )

    def tokens(self, *scope: str, required: Iterable[str] | None = None) -> TokenSource:
        """Return a source of tokens, as `AuthorizationClient.tokens` does.

        Raises:
            GrantNotPermitted: BCP-003-02 does not permit client_credentials for this.
            ConfigurationError: there is no scope.
        """
        source = self._client.tokens(*scope, required=required)
        source.loop = self._loop
        return source

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if os.getpid() != self._process:
            # The thread is the parent's, and so is all that it holds open.
            return
        try:
            asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


def _same_loop(loop: asyncio.AbstractEventLoop | None) -> bool:
    here = running_loop()
    return loop is None or loop is here or (here is None and loop.is_running())


def _store_of(settings: ClientSettings) -> Store:
    if settings.store is None:
        logger.info("NMOS_AUTH_CLIENT_STORE is not set: a registration ends with this process")
        return MemoryStore()
    return FileStore(settings.store, settings.store_key)
