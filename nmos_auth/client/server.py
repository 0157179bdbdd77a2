"""One Authorization Server as this Client sees it: metadata, registration, requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import SecretStr

from nmos_auth.client.authentication import (
    ClientAuthentication,
    NoAuthentication,
    PrivateKeyJwt,
    SecretBasic,
)
from nmos_auth.client.errors import (
    OAuthError,
    RegistrationRefused,
    RevocationRefused,
    ServerUnavailable,
    TokenRefused,
    UnusableAnswer,
)
from nmos_auth.client.grants import (
    GrantedTokens,
    PendingAuthorization,
    TokenForm,
    authorization_code_form,
    begin_authorization,
    client_credentials_form,
    parse_token_answer,
    raise_refusal,
    refresh_form,
)
from nmos_auth.client.http import Exchange
from nmos_auth.client.keys import ClientKeys
from nmos_auth.client.metadata import ServerMetadata, ServerMetadataError, fetch_metadata
from nmos_auth.client.registration import (
    Registration,
    delete_registration,
    fingerprint_of,
    read_registration,
    redirect_uri_at,
    register,
    registration_request,
    server_tag,
    update_registration,
)
from nmos_auth.client.settings import AuthMethod, ClientSettings, Grant
from nmos_auth.client.shared import SharedWork
from nmos_auth.client.store import Store

__all__ = ["AuthorizationServer", "ClientContext"]

logger = logging.getLogger("nmos_auth")

_REGISTRATIONS = "registrations"
# Seconds after which metadata is fetched anew.
_METADATA_AGE = 3600.0


@dataclass(frozen=True, slots=True)
class ClientContext:
    """What all of a Client's servers share.

    Attributes:
        settings: the Client's settings.
        exchange: sends requests.
        store: keeps registrations.
        keys: signs assertions; None where nothing is signed.
        clock: seconds since the epoch.
        elapsed: seconds that only ever go forward.
    """

    settings: ClientSettings
    exchange: Exchange
    store: Store
    keys: ClientKeys | None
    clock: Callable[[], float]
    elapsed: Callable[[], float]


class AuthorizationServer:
    """Registers with one Authorization Server and sends it requests.

    Metadata is kept for an hour, or until something fails. A registration is made when it is
    first needed and kept in the store; one that the settings have outgrown is updated where the
    server offers RFC 7592, or made anew.

    Args:
        issuer: its issuer identifier.
        context: what all servers share.
    """

    def __init__(self, issuer: str, context: ClientContext) -> None:
        self.issuer = issuer
        self._context = context
        self._metadata: tuple[float, ServerMetadata] | None = None
        self._registration: Registration | None = None
        self._fetch = SharedWork(self._fetch_metadata)
        self._enrol = SharedWork(self._ensure_registration)
        self._may_register_anew = True
        self._refused: str | None = None

    async def metadata(self) -> ServerMetadata:
        """Give its metadata.

        Raises:
            ClientError: it could not be had, or may not be used.
        """
        if self._metadata is not None:
            fetched_at, metadata = self._metadata
            if self._context.elapsed() - fetched_at < _METADATA_AGE:
                return metadata
        return await self._fetch()

    async def registration(self) -> Registration:
        """Give the Client's registration, which is made if there is none that counts.

        Raises:
            ClientError: there is none and it could not be made, or the store failed.
            ConfigurationError: a setting is missing that a registration takes.
        """
        known = self._registration
        if known is not None and self._counts(known):
            return known
        return await self._enrol()

    async def client_credentials(self, scope: Iterable[str]) -> GrantedTokens:
        """Get a token in the Client's own name (RFC 6749 Section 4.4).

        Where the server has forgotten the Client (`invalid_client`), it registers anew, once
        until a token was issued.

        Raises:
            ClientError: there is none to be had.
        """
        form = client_credentials_form(scope)
        registration = await self.registration()
        try:
            granted = await self._request(registration, form)
        except TokenRefused as refusal:
            anew = await self._after_invalid_client(registration, refusal)
            granted = await self._request(anew, form)
        granted.demand(self.issuer, form.scope)
        self._may_register_anew = True
        return granted

    async def begin_authorization(
        self, scope: Iterable[str], *, redirect_uri: str | None = None
    ) -> PendingAuthorization:
        """Make an authorization request for a user's browser.

        Args:
            scope: what to ask for.
            redirect_uri: None for the one registered; another only for a loopback port, which
                servers allow to differ (RFC 8252 Section 7.3).

        Raises:
            ClientError: the server cannot be asked.
        """
        registration = await self._confirmed_registration()
        uri = redirect_uri or registration.redirect_uri
        return begin_authorization(
            await self.metadata(),
            registration.client_id,
            uri or redirect_uri_at(self._context.settings, self.issuer),
            scope,
        )

    async def exchange_code(self, pending: PendingAuthorization, code: SecretStr) -> GrantedTokens:
        """Exchange a code for tokens (RFC 6749 Section 4.1.3).

        What was granted may be less than what was asked for; `GrantedTokens.demand` tells.

        Raises:
            ClientError: the server does not exchange it.
        """
        return await self._request(
            await self.registration(), authorization_code_form(pending, code)
        )

    async def refresh(self, refresh_token: SecretStr, scope: Iterable[str]) -> GrantedTokens:
        """Renew an authorization (RFC 6749 Section 6).

        A server that has forgotten the Client refuses with `invalid_client`; the registration is
        then thrown away, so that the next login makes a new one.

        Raises:
            ClientError: the server does not renew it.
        """
        registration = await self.registration()
        try:
            return await self._request(registration, refresh_form(refresh_token, scope))
        except TokenRefused as refusal:
            if refusal.code == "invalid_client" and not registration.manual:
                await self._forget(registration)
            raise

    async def revoke(self, token: SecretStr, kind: str = "refresh_token") -> bool:
        """Revoke a token (RFC 7009).

        Args:
            token: the token.
            kind: `refresh_token` or `access_token`.

        Returns:
            Whether the server revokes tokens at all.

        Raises:
            ClientError: it could not be told.
        """
        metadata = await self.metadata()
        if metadata.revocation_endpoint is None:
            return False
        value = token.get_secret_value()
        request = self._authentication(await self.registration()).post(
            metadata,
            metadata.revocation_endpoint,
            {"token": value, "token_type_hint": kind},
            (value,),
        )
        answer = await self._context.exchange.send(request)
        if answer.status != 200:
            raise_refusal(request, answer, RevocationRefused)
        return True

    async def deregister(self) -> bool:
        """Take the Client out of the server's books and out of the store (RFC 7592 Section 2.3).

        Returns:
            Whether the server offers this and there was something to take out.

        Raises:
            ClientError: it could not be told; the registration is kept.
        """
        registration = self._registration or await self._stored()
        if registration is None or not registration.managed:
            return False
        await delete_registration(self._context.exchange, registration)
        await self._forget(registration)
        return True

    async def _fetch_metadata(self) -> ServerMetadata:
        metadata = await fetch_metadata(
            self._context.exchange, self.issuer, allow_http=self._context.settings.allow_http
        )
        self._metadata = (self._context.elapsed(), metadata)
        return metadata

    def _counts(self, registration: Registration) -> bool:
        if registration.manual:
            return True
        wanted = fingerprint_of(registration_request(self._context.settings, self.issuer))
        return (
            registration.client_id != self._refused
            and registration.fingerprint == wanted
            and not registration.expired(self._context.clock())
        )

    async def _ensure_registration(self) -> Registration:
        settings = self._context.settings
        if settings.id is not None:
            uses_code = settings.grant is Grant.AUTHORIZATION_CODE and settings.redirect_uri
            self._registration = Registration(
                issuer=self.issuer,
                client_id=settings.id,
                auth_method=settings.auth_method,
                redirect_uri=redirect_uri_at(settings, self.issuer) if uses_code else None,
                secret=settings.secret,
            )
            return self._registration
        async with self._context.store.alone(f"registration-{server_tag(self.issuer)}"):
            # Another process may have registered in the meantime.
            stored = await self._stored()
            if stored is None or not self._counts(stored):
                stored = await self._register(stored)
                await asyncio.to_thread(
                    self._context.store.put, _REGISTRATIONS, self.issuer, stored.to_record()
                )
            self._registration = stored
            return stored

    async def _register(self, former: Registration | None) -> Registration:
        context = self._context
        request = registration_request(context.settings, self.issuer)
        metadata = await self.metadata()
        outgrown = (
            former is not None
            and former.client_id != self._refused
            and not former.expired(context.clock())
        )
        if former is not None and outgrown and former.managed:
            try:
                updated = await update_registration(
                    context.exchange,
                    metadata,
                    former,
                    request,
                    allow_http=context.settings.allow_http,
                )
            except RegistrationRefused as refusal:
                logger.warning("%s; registering anew", refusal)
            else:
                logger.info("registration updated: %s client_id=%s", self.issuer, former.client_id)
                return updated
        made = await register(
            context.exchange,
            metadata,
            request,
            initial_access_token=context.settings.initial_access_token,
            allow_http=context.settings.allow_http,
            clock=context.clock,
        )
        logger.info("registered: %s client_id=%s", self.issuer, made.client_id)
        return made

    async def _stored(self) -> Registration | None:
        record = await asyncio.to_thread(self._context.store.get, _REGISTRATIONS, self.issuer)
        return None if record is None else Registration.from_record(self.issuer, record)

    async def _forget(self, registration: Registration) -> None:
        stored = await self._stored()
        if stored is not None and stored.client_id == registration.client_id:
            await asyncio.to_thread(self._context.store.remove, _REGISTRATIONS, self.issuer)
        self._registration = None

    async def _after_invalid_client(
        self, used: Registration, refusal: TokenRefused
    ) -> Registration:
        if refusal.code != "invalid_client" or used.manual:
            raise refusal
        current = self._registration
        if current is not None and current.client_id != used.client_id:
            return current
        if self._refused == used.client_id and self._enrol.running:
            return await self._enrol()
        try:
            gone = self._may_register_anew and await self._is_gone(used)
        except ServerUnavailable:
            raise refusal from None
        if not gone:
            raise refusal
        logger.warning("%s no longer knows client_id=%s", self.issuer, used.client_id)
        self._may_register_anew = False
        self._refused = used.client_id
        return await self._enrol()

    async def _is_gone(self, registration: Registration) -> bool:
        # `invalid_client` also stands for a jwks_uri that could not be fetched. Where the server
        # can be asked, it is; otherwise one new registration is tried.
        if not registration.managed:
            return True
        try:
            await read_registration(self._context.exchange, registration)
        except RegistrationRefused:
            return True
        except UnusableAnswer:
            # No answer of RFC 7592's, which says nothing about the registration.
            return False
        return False

    async def _confirmed_registration(self) -> Registration:
        # A server that has forgotten the Client tells the user, and never us (RFC 6749 Section
        # 4.1.2.1): it must not redirect. So it is asked before, where it can be.
        registration = await self.registration()
        if registration.managed and await self._is_gone(registration):
            self._refused = registration.client_id
            return await self._enrol()
        return registration

    def _authentication(self, registration: Registration) -> ClientAuthentication:
        context = self._context
        if registration.auth_method is AuthMethod.NONE:
            return NoAuthentication(registration.client_id)
        if registration.auth_method is AuthMethod.CLIENT_SECRET_BASIC:
            if registration.secret is None:
                raise ServerMetadataError(f"there is no client secret for {self.issuer}")
            return SecretBasic(registration.client_id, registration.secret)
        if context.keys is None:
            raise ServerMetadataError(f"there is no key to sign assertions for {self.issuer}")
        return PrivateKeyJwt(
            registration.client_id,
            context.keys,
            context.settings.assertion_audience,
            context.clock,
        )

    async def _request(self, registration: Registration, form: TokenForm) -> GrantedTokens:
        metadata = await self.metadata()
        request = self._authentication(registration).post(
            metadata, metadata.token_endpoint, form.parameters, form.hidden
        )
        requested_at = self._context.elapsed()
        try:
            answer = await self._context.exchange.send(request)
            return parse_token_answer(request, answer, form, requested_at=requested_at)
        except OAuthError as refusal:
            if refusal.status in {404, 405}:
                self._metadata = None
            raise
        except ServerUnavailable:
            # Its endpoints may have moved.
            self._metadata = None
            raise

    async def aclose(self) -> None:
        """End what is under way."""
        await self._fetch.cancel()
        await self._enrol.cancel()
