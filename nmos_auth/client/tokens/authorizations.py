"""A user's authorization: its Refresh Token, kept, rotated and thrown away in time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from pydantic import SecretStr

from nmos_auth.client.errors import LoginRequired, StoreError, TokenRefused
from nmos_auth.client.grants.grants import GrantedTokens
from nmos_auth.client.registration.registrations import server_tag
from nmos_auth.client.servers.server import AuthorizationServer
from nmos_auth.client.store.stores import Record, Store

__all__ = ["MemoryVault", "StoreVault", "UserAuthorization", "Vault"]

_KIND = "authorizations"


class Vault(Protocol):
    """Keeps one Refresh Token and the scope it is good for."""

    def alone(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Keep others out while the token is being exchanged."""
        ...

    async def read(self) -> tuple[SecretStr, frozenset[str]] | None:
        """Give the token and its scope, or None."""
        ...

    async def write(self, kept: tuple[SecretStr, frozenset[str]] | None) -> None:
        """Keep this one and forget the former."""
        ...


class MemoryVault:
    """A vault that ends with the session it belongs to."""

    def __init__(self) -> None:
        self._kept: tuple[SecretStr, frozenset[str]] | None = None
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Keep others out while the token is being exchanged."""
        async with self._lock:
            yield

    async def read(self) -> tuple[SecretStr, frozenset[str]] | None:
        """Give the token and its scope, or None."""
        return self._kept

    async def write(self, kept: tuple[SecretStr, frozenset[str]] | None) -> None:
        """Keep this one and forget the former."""
        self._kept = kept


class StoreVault:
    """A vault in a store: one authorization for each issuer.

    What the store cannot take is kept in memory until it can: the former token is worth nothing.

    Args:
        store: the store.
        issuer: the server the authorization is from.
    """

    def __init__(self, store: Store, issuer: str) -> None:
        self._store = store
        self._issuer = issuer
        self._unwritten: tuple[SecretStr, frozenset[str]] | None = None

    def alone(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Keep others out, other processes included, while the token is being exchanged."""
        return self._store.alone(f"authorization-{server_tag(self._issuer)}")

    async def read(self) -> tuple[SecretStr, frozenset[str]] | None:
        """Give the token and its scope, or None.

        Raises:
            StoreError: the store cannot be read.
        """
        if self._unwritten is not None:
            return self._unwritten
        record = await asyncio.to_thread(self._store.get, _KIND, self._issuer)
        if record is None:
            return None
        token, scope = record.secret.get("refresh_token"), record.public.get("scope")
        if not isinstance(token, str) or not isinstance(scope, str):
            raise StoreError(f"the stored authorization from {self._issuer} is damaged")
        return SecretStr(token), frozenset(scope.split())

    async def write(self, kept: tuple[SecretStr, frozenset[str]] | None) -> None:
        """Keep this one and forget the former.

        Raises:
            StoreError: the store cannot be written.
        """
        self._unwritten = kept
        if kept is None:
            await asyncio.to_thread(self._store.remove, _KIND, self._issuer)
            return
        token, scope = kept
        record = Record(
            {"scope": " ".join(sorted(scope))}, {"refresh_token": token.get_secret_value()}
        )
        await asyncio.to_thread(self._store.put, _KIND, self._issuer, record)
        self._unwritten = None


class UserAuthorization:
    """What a user has authorized at one server.

    Args:
        server: the server.
        vault: where its Refresh Token is kept.
    """

    def __init__(self, server: AuthorizationServer, vault: Vault) -> None:
        self._server = server
        self._vault = vault
        self._first: GrantedTokens | None = None

    @property
    def issuer(self) -> str:
        """The issuer of the server."""
        return self._server.issuer

    async def begin(self, granted: GrantedTokens, requested: Iterable[str]) -> None:
        """Take the tokens that a code was exchanged for.

        Raises:
            ScopeNotGranted: they are for less than what was asked for; they are kept, and good
                for what they are.
            StoreError: the Refresh Token cannot be kept.
        """
        self._first = granted
        kept = granted.refresh_token
        await self._vault.write(None if kept is None else (kept, granted.scope))
        granted.demand(self.issuer, frozenset(requested))

    async def known(self) -> bool:
        """Tell whether there is anything to get a token with."""
        return self._first is not None or await self._vault.read() is not None

    async def obtain(self, scope: Iterable[str] = ()) -> GrantedTokens:
        """Give tokens: those of the code first while they are fresh, and then refreshed ones.

        A new Refresh Token takes the place of the old one, which is thrown away (IS-10
        "Refreshing a Token"). A dead one is thrown away too.

        Args:
            scope: what the token is for; all that was authorized if empty.

        Raises:
            LoginRequired: the user has to authorize anew.
            ClientError: the server cannot be asked now, or the store failed.
        """
        asked = frozenset(scope)
        first, self._first = self._first, None
        if first is not None and self._serves(first, asked):
            first.demand(self.issuer, asked)
            return first
        async with self._vault.alone():
            kept = await self._vault.read()
            if kept is None:
                raise LoginRequired(f"nobody is logged in at {self.issuer}")
            refresh_token, authorized = kept
            granted = await self._refreshed(refresh_token, asked or authorized)
            rotated = granted.refresh_token
            if rotated is not None:
                # RFC 6749 Section 6: the new token's scope "MUST be identical to that of the
                # refresh token included by the client in the request".
                await self._vault.write((rotated, authorized))
        granted.demand(self.issuer, asked or authorized)
        return granted

    async def end(self) -> None:
        """Forget the authorization, and revoke its tokens where the server does that.

        Raises:
            ClientError: the server could not be told, and it is forgotten all the same.
        """
        async with self._vault.alone():
            kept, first, self._first = await self._vault.read(), self._first, None
            try:
                await self._vault.write(None)
            finally:
                if kept is not None:
                    await self._server.revoke(kept[0])
                elif first is not None:
                    await self._server.revoke(first.access_token, "access_token")

    def _serves(self, first: GrantedTokens, asked: frozenset[str]) -> bool:
        # A token for more than what was asked for will do where there is no way to another.
        fits = not asked or asked == first.scope or first.refresh_token is None
        return fits and self._server.age_of(first) < first.lifetime / 2

    async def _refreshed(self, refresh_token: SecretStr, scope: frozenset[str]) -> GrantedTokens:
        try:
            return await self._server.refresh(refresh_token, scope)
        except TokenRefused as refusal:
            if refusal.code not in {"invalid_grant", "invalid_client"}:
                raise
            await self._vault.write(None)
            raise LoginRequired(
                f"the authorization from {self.issuer} has ended; log in again ({refusal.code})",
                code=refusal.code,
            ) from None
