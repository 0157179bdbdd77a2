"""A Client's registration with one Authorization Server: found, made, confirmed, forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from nmos_auth.client.errors import (
    RegistrationRefused,
    ServerUnavailable,
    TokenRefused,
    UnusableAnswer,
)
from nmos_auth.client.metadata import ServerMetadata
from nmos_auth.client.registration.context import ClientContext
from nmos_auth.client.registration.dynamic_registration import (
    delete_registration,
    read_registration,
    register,
    renewed,
    update_registration,
)
from nmos_auth.client.registration.registrations import (
    Registration,
    fingerprint_of,
    redirect_uri_at,
    registration_request,
    server_tag,
)
from nmos_auth.client.settings import Grant
from nmos_auth.servers.single_flight import SharedWork

__all__ = ["Enrolment"]

logger = logging.getLogger("nmos_auth")

_REGISTRATIONS = "registrations"


class Enrolment:
    """Keeps a Client registered with one server.

    A registration is made when it is first needed and kept in the store; one that the settings
    have outgrown is updated where the server offers RFC 7592, or made anew. One that the server
    has forgotten is made anew once, until a token was issued.

    Args:
        issuer: the server.
        context: what all servers share.
        metadata: gives the server's metadata.
    """

    def __init__(
        self,
        issuer: str,
        context: ClientContext,
        metadata: Callable[[], Awaitable[ServerMetadata]],
    ) -> None:
        self._issuer = issuer
        self._context = context
        self._metadata = metadata
        self._registration: Registration | None = None
        self._enrol = SharedWork(self._ensure_registration)
        self._may_register_anew = True
        self._refused: str | None = None

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

    async def confirmed(self) -> Registration:
        """Give the registration, and ask the server before whether it still has it.

        Raises:
            ClientError: there is none and it could not be made, or the server cannot be asked.
        """
        # A server that has forgotten the Client tells the user, and never us (RFC 6749 Section
        # 4.1.2.1): it must not redirect. So it is asked before, where it can be.
        registration = await self.registration()
        if not registration.managed:
            return registration
        try:
            current = await self._asked_for(registration)
        except RegistrationRefused as refusal:
            logger.info("%s; the registration is used as it is", refusal)
            return registration
        if current is None:
            self._refused = registration.client_id
            return await self._enrol()
        return current

    async def after(self, refusal: TokenRefused, used: Registration) -> Registration:
        """Give another registration for one with which a token was refused.

        Args:
            refusal: the refusal.
            used: the registration.

        Raises:
            TokenRefused: the refusal stands.
            ClientError: another registration could not be made.
        """
        if refusal.code != "invalid_client" or used.manual:
            raise refusal
        current = self._registration
        if current is not None and current.client_id != used.client_id:
            return current
        if self._refused == used.client_id and self._enrol.running:
            return await self._enrol()
        if not self._may_register_anew:
            raise refusal
        # `invalid_client` also stands for a jwks_uri that could not be fetched. Where the server
        # can be asked, it is; otherwise one new registration is tried.
        if used.managed:
            try:
                asked_for = await self._asked_for(used)
            except ServerUnavailable:
                raise refusal from None
            except RegistrationRefused:
                asked_for = None
            if asked_for == used:
                raise refusal
            if asked_for is not None:
                return asked_for
        logger.warning("%s no longer knows client_id=%s", self._issuer, used.client_id)
        self._may_register_anew = False
        self._refused = used.client_id
        return await self._enrol()

    def accepted(self) -> None:
        """Note that the server issued a token: what it forgets from now on may be made anew."""
        self._may_register_anew = True

    async def forget(self, registration: Registration) -> None:
        """Throw a registration away, so that the next one that is needed is made anew.

        Raises:
            StoreError: the store failed.
        """
        stored = await self._stored()
        if stored is not None and stored.client_id == registration.client_id:
            await asyncio.to_thread(self._context.store.remove, _REGISTRATIONS, self._issuer)
        self._registration = None

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
        await self.forget(registration)
        return True

    async def aclose(self) -> None:
        """End what is under way."""
        await self._enrol.cancel()

    def _counts(self, registration: Registration) -> bool:
        if registration.manual:
            return True
        wanted = fingerprint_of(registration_request(self._context.settings, self._issuer))
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
                issuer=self._issuer,
                client_id=settings.id,
                auth_method=settings.auth_method,
                redirect_uri=redirect_uri_at(settings, self._issuer) if uses_code else None,
                secret=settings.secret,
            )
            return self._registration
        async with self._context.store.alone(f"registration-{server_tag(self._issuer)}"):
            # Another process may have registered in the meantime.
            stored = await self._stored()
            if stored is None or not self._counts(stored):
                stored = await self._register(stored)
                await self._keep(stored)
            self._registration = stored
            return stored

    async def _register(self, former: Registration | None) -> Registration:
        context = self._context
        request = registration_request(context.settings, self._issuer)
        metadata = await self._metadata()
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
                logger.info("registration updated: %s client_id=%s", self._issuer, former.client_id)
                return updated
        made = await register(
            context.exchange,
            metadata,
            request,
            initial_access_token=context.settings.initial_access_token,
            allow_http=context.settings.allow_http,
            clock=context.clock,
        )
        logger.info("registered: %s client_id=%s", self._issuer, made.client_id)
        return made

    async def _stored(self) -> Registration | None:
        record = await asyncio.to_thread(self._context.store.get, _REGISTRATIONS, self._issuer)
        return None if record is None else Registration.from_record(self._issuer, record)

    async def _asked_for(self, registration: Registration) -> Registration | None:
        """Ask the server for a registration; None where it is gone.

        RFC 7592 Section 2.1 has 401 for one that "does not exist on this server"; some answer 404.

        Raises:
            RegistrationRefused: the server does not tell, 403 or 405 say.
        """
        try:
            document = await read_registration(self._context.exchange, registration)
            current = renewed(registration, document)
        except RegistrationRefused as refusal:
            if refusal.status in {401, 404}:
                return None
            raise
        except UnusableAnswer:
            # No answer of RFC 7592's, which says nothing about the registration.
            return registration
        if current != registration:
            await self._keep(current)
        return current

    async def _keep(self, registration: Registration) -> None:
        # First of all here: a store that cannot be written must not make for one registration
        # after the other.
        self._registration = registration
        await asyncio.to_thread(
            self._context.store.put, _REGISTRATIONS, self._issuer, registration.to_record()
        )
