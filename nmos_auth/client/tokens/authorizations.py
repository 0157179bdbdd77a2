"""A user's authorization: a Refresh Token, kept, rotated, and forgotten when its server says so."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pydantic import SecretStr

from nmos_auth.client.errors import LoginRequired, StoreError, TokenRefused
from nmos_auth.client.grants.grants import GrantedTokens, PendingAuthorization
from nmos_auth.client.registration.registrations import Registration
from nmos_auth.client.servers.server import AuthorizationServer
from nmos_auth.client.store.stores import log_unwritten
from nmos_auth.client.tokens.vaults import KeptGrant, StoreVault, Vault

__all__ = ["UserAuthorization"]

logger = logging.getLogger("nmos_auth")


class UserAuthorization:
    """What a user has authorized at one server.

    Args:
        server: the server.
        vault: keeps its Refresh Token.
    """

    def __init__(self, server: AuthorizationServer, vault: Vault) -> None:
        self._server = server
        self._vault = vault
        self._first: GrantedTokens | None = None

    @property
    def issuer(self) -> str:
        """The issuer of the server."""
        return self._server.issuer

    async def complete(
        self,
        pending: PendingAuthorization,
        code: SecretStr,
        *,
        required: Iterable[str] | None = None,
    ) -> GrantedTokens:
        """Exchange a code for tokens and keep them, in one step that is not interrupted.

        Args:
            pending: the authorization request.
            code: what `code_of` found in its answer.
            required: the scopes without which the login is useless; None for all of them.

        Raises:
            ScopeNotGranted: the tokens are for less than what was requested; they are kept, and can
                be used for what they permit.
            StoreError: the store cannot be written, before or after the code was exchanged; in the
                second case the tokens are kept in memory.
            ClientError: the server does not exchange the code.
        """

        async def exchanged() -> GrantedTokens:
            await self._server.metadata()
            # The registration is written first, because the grant cannot be used without it.
            await self._server.flush()
            await self._vault.rehearse()
            granted = await self._server.exchange_code(pending, code)
            await self._take(granted)
            return granted

        granted = await self._server.steps.run(self._vault.alone(), exchanged)
        await self._server.settle()
        granted.require_scope(
            self.issuer, pending.scope if required is None else frozenset(required)
        )
        return granted

    async def begin(self, granted: GrantedTokens, requested: Iterable[str]) -> None:
        """Keep tokens that were issued for a code; `complete` does the exchange too.

        Raises:
            ScopeNotGranted: the tokens are for less than what was requested; they are kept, and can
                be used for what they permit.
            StoreError: the Refresh Token can only be kept in memory.
        """
        await self._server.steps.run(self._vault.alone(), lambda: self._take(granted))
        await self._server.settle()
        granted.require_scope(self.issuer, frozenset(requested))

    async def check_room(self) -> None:
        """Check that an authorization could be kept, before a user is asked for one.

        Raises:
            StoreError: it could not be kept.
        """
        await self._vault.rehearse()

    async def known(self) -> bool:
        """Tell whether there is a grant to get a token with."""
        return self._first is not None or await self._vault.read() is not None

    async def obtain(
        self, scope: Iterable[str] = (), *, required: Iterable[str] | None = None
    ) -> GrantedTokens:
        """Return tokens: those that came for the code while they are fresh, then refreshed ones.

        A new Refresh Token replaces the old one, which is thrown away (IS-10 "Refreshing a Token").
        One that the server no longer accepts is thrown away too.

        Args:
            scope: the scopes of the token; all that was authorized if empty.
            required: the scopes without which the token is useless; None for all of them.

        Raises:
            LoginRequired: the user has to authorize again.
            ClientError: the server cannot be asked now, or the store failed.
        """
        asked = frozenset(scope)
        needed = None if required is None else frozenset(required)
        first = self._first_for(asked)
        if first is not None:
            first.require_scope(self.issuer, asked if needed is None else needed)
            return first
        granted, authorized = await self._refreshed(asked)
        if needed is None:
            needed = asked or authorized
        granted.require_scope(self.issuer, needed)
        return granted

    async def end(self) -> None:
        """Forget the authorization, and revoke its tokens if the server offers that.

        Raises:
            ClientError: the server did not revoke them; they are forgotten nevertheless.
        """

        async def ended() -> None:
            kept, first, self._first = await self._vault.read(), self._first, None
            try:
                await self._vault.write(None)
            finally:
                if kept is not None:
                    await self._server.revoke(kept.refresh_token, client_id=kept.client_id)
                elif first is not None:
                    await self._server.revoke(
                        first.access_token, "access_token", client_id=first.client_id
                    )

        try:
            await self._server.steps.run(self._vault.alone(), ended)
        finally:
            await self._server.settle()

    async def finish(self) -> None:
        """Try again to keep what could not be kept.

        Raises:
            StoreError: it cannot be kept, and is lost.
        """
        if isinstance(self._vault, StoreVault):
            await self._vault.finish()

    async def _take(self, granted: GrantedTokens) -> None:
        self._first = granted
        token = granted.refresh_token
        if token is None:
            logger.info(
                "%s issued no refresh token: the login ends with its first token", self.issuer
            )
            await self._vault.write(None)
            return
        if not self._vault.lasting:
            await self._server.hold(granted.client_id)
        await self._vault.write(KeptGrant(token, granted.scope, granted.client_id))

    def _first_for(self, asked: frozenset[str]) -> GrantedTokens | None:
        """Return the tokens that came for the code, while they can be used."""
        first = self._first
        if first is None:
            return None
        age = self._server.age_of(first)
        if first.refresh_token is None:
            # If no other token can be obtained, one for more than what was requested is used.
            if age < first.lifetime - min(2.0, first.lifetime / 4):
                return first
            self._first = None
            return None
        self._first = None
        fits = not asked or asked == first.scope
        return first if fits and age < first.lifetime / 2 else None

    async def _refreshed(self, asked: frozenset[str]) -> tuple[GrantedTokens, frozenset[str]]:
        """Return refreshed tokens, and what was authorized."""
        sent: list[Registration] = []
        try:
            return await self._exchange(asked, sent)
        except TokenRefused as refusal:
            if not sent:
                raise
            await self._server.after_refresh(refusal, sent[0])
        # This uses what is in the store now: another process may have changed it.
        return await self._exchange(asked, sent)

    async def _exchange(
        self, asked: frozenset[str], sent: list[Registration]
    ) -> tuple[GrantedTokens, frozenset[str]]:
        async def refreshed() -> tuple[GrantedTokens, frozenset[str]]:
            kept = await self._vault.read()
            if kept is None:
                raise LoginRequired(f"no user is logged in at {self.issuer}")
            registration = await self._server.belonging(kept.client_id)
            sent[:] = [registration]
            # This comes last before the exchange, because fetching metadata may take long.
            await self._server.metadata()
            await self._vault.rehearse()
            granted = await self._sent(kept, asked or kept.scope, registration)
            if not self._vault.lasting:
                await self._server.hold(kept.client_id)
            return granted, kept.scope

        return await self._server.steps.run(self._vault.alone(), refreshed)

    async def _rotate(self, kept: KeptGrant) -> None:
        try:
            await self._vault.write(kept)
        except StoreError as error:
            # The issued token is valid, and this process has the next refresh token.
            log_unwritten(f"the authorization from {self.issuer}", error)

    async def _sent(
        self, kept: KeptGrant, scope: frozenset[str], registration: Registration
    ) -> GrantedTokens:
        async def keep(following: SecretStr) -> None:
            # RFC 6749 Section 6: the new token's scope "MUST be identical to that of the refresh
            # token included by the client in the request".
            await self._rotate(KeptGrant(following, kept.scope, registration.client_id))

        try:
            return await self._server.refresh(kept.refresh_token, scope, registration, keep=keep)
        except TokenRefused as refusal:
            # RFC 6749 Section 5.2: only `invalid_grant` is about the token.
            if refusal.code != "invalid_grant":
                raise
            try:
                await self._vault.drop(kept)
            except StoreError as error:
                logger.warning("%s", error)
            await self._server.settle()
            raise LoginRequired(
                f"the authorization from {self.issuer} has ended; log in again ({refusal.code})",
                code=refusal.code,
            ) from None
