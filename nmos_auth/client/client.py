"""A Client, made from its settings."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterable
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
    describe_unknown_client,
    scopes_of,
    unknown_client_variables,
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
    """A Node or Controller as a Client of its Authorization Servers.

    The constructor opens the store, and makes the first keys if `private_key_jwt` needs them. No
    server is asked before a token is. `async with` closes the Client.

    Args:
        settings: the settings; None for those of the environment.
        issuers: yields the issuers known now; None for those of the settings, or by discovery.
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
        self.settings = settings or _settings_of_environment()
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
            GrantNotPermitted: this Client does not sign anything.
        """
        if self._keys is None:
            raise GrantNotPermitted("only a Client that uses private_key_jwt has keys")
        return self._keys

    def tokens(self, *scope: str, required: Iterable[str] | None = None) -> TokenSource:
        """Return the source of tokens for a scope, by the configured grant.

        All callers that ask for the same scope share one source and its token. The source ends when
        each of them has closed it, or with this Client.

        Args:
            scope: the scopes of the tokens; those of the settings if none are named.
            required: the scopes without which a token is useless, for servers that may grant less
                than is requested; None for all of them.

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
        """Get tokens by the configured grant, once; they are not kept here.

        Args:
            scope: the scopes of the tokens; those of the settings if none are named.
            required: the scopes without which a token is useless; None for all of them.

        Raises:
            ClientError: the tokens could not be obtained.
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
        """Return the scopes to request, after checking that the configured grant may be used.

        Args:
            scope: the scopes that are wanted; empty for those of the settings.

        Raises:
            GrantNotPermitted: BCP-003-02 does not permit client_credentials for them.
            ConfigurationError: settings are missing; the message names them all.
        """
        asked = scopes_of(scope)
        self.settings.check_complete(for_scope=asked)
        asked = asked or frozenset(self.settings.scope)
        if trouble := self.settings.grant_trouble(asked):
            raise GrantNotPermitted(trouble)
        return asked

    def source(
        self, obtain: Callable[[], Awaitable[GrantedTokens]], *, only_while_used: bool = False
    ) -> TokenSource:
        """Return a source of tokens that `obtain` gets; it is closed with this Client.

        Args:
            obtain: gets tokens from a server.
            only_while_used: do not renew a token that was not used since it came.
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
        """Return which tokens are held and for how long, for operators; without the tokens."""
        held = [
            TokenStatus(" ".join(sorted(asked)), source.remaining)
            for (asked, _), source in self._shared.items()
            if not source.closed
        ]
        return tuple(sorted(held, key=lambda each: each.scope))

    async def authorization(self) -> UserAuthorization:
        """Return the user's authorization that is in the store.

        Raises:
            LoginRequired: the store has none from any of the servers.
            StoreError: the store cannot be read.
        """
        for server in await self.servers.known():
            authorization = self.authorization_at(server)
            if await authorization.known():
                return authorization
        raise LoginRequired("no user is logged in")

    async def tell_apart(self, pending: PendingAuthorization) -> None:
        """Check that the answer to an authorization request tells which server it comes from.

        RFC 9700 Section 4.4.2: if there are several servers, each has a redirect URI of its own, or
        names itself in its answers.

        Raises:
            ClientError: the answer could be mistaken for another server's.
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
        """Return the user's authorization at one server, which may not exist yet."""
        if server.issuer not in self._authorizations:
            vault = StoreVault(self.store, server.issuer)
            self._authorizations[server.issuer] = UserAuthorization(server, vault)
        return self._authorizations[server.issuer]

    async def aclose(self) -> None:
        """End all background work and close what is open.

        It waits up to twelve seconds for an exchange that is under way, and keeps its result.
        Closing goes on even if the caller is cancelled.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.wait({self._closing})
        self._closing.result()

    async def _close(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            # Called from the last to the first, even if one of them raises.
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

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class ClientThread:
    """A Client on an event loop in a thread of its own, for programs without an event loop.

    `with ClientThread() as client:` lets such a program make token sources for
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
        """Return a source of tokens, as `AuthorizationClient.tokens` does."""
        source = self._client.tokens(*scope, required=required)
        source.loop = self._loop
        return source

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if os.getpid() != self._process:
            # The thread, and everything that it holds open, belongs to the parent process.
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


def _settings_of_environment() -> ClientSettings:
    for name in unknown_client_variables():
        logger.warning("this is not a setting, and is ignored: %s", describe_unknown_client(name))
    return ClientSettings()


def _store_of(settings: ClientSettings) -> Store:
    if settings.store is None:
        logger.info("NMOS_AUTH_CLIENT_STORE is not set: registrations are lost with this process")
        return MemoryStore()
    return FileStore(settings.store, settings.store_key)
