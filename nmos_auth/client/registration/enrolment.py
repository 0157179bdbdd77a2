"""A Client's registration with one Authorization Server: used, confirmed, doubted, replaced.

A registration is given up only when its server says that it does not know it: its own management
URL answers 401, twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from nmos_auth.client.errors import (
    ClientClosed,
    LoginRequired,
    ServerUnavailable,
    StoreError,
    TokenRefused,
)
from nmos_auth.client.metadata import ServerMetadata
from nmos_auth.client.registration.context import ClientContext
from nmos_auth.client.registration.departure import Departure
from nmos_auth.client.registration.inquiry import Inquiry, Word
from nmos_auth.client.registration.kept_registrations import KeptRegistrations
from nmos_auth.client.registration.making import RegistrationMaking
from nmos_auth.client.registration.registrations import (
    Registration,
    redirect_uri_at,
)
from nmos_auth.client.settings import Grant
from nmos_auth.servers.single_flight import SingleFlight

__all__ = ["Enrolment"]

logger = logging.getLogger("nmos_auth")

# Seconds for which a registration that was confirmed is not confirmed again.
_CONFIRMED = 10.0
# Seconds for which a session that was used belongs to its registration, and how often that is
# written: a session ends when it was not used for twelve hours.
_HELD = 86400.0
_HELD_AGAIN = 43200.0
_WRITTEN_AGAIN = 60.0


class Enrolment:
    """Keeps a Client registered with one server.

    A registration is made when it is first needed, and kept in the store. When the settings have
    changed, it is updated if the server offers RFC 7592, or else replaced. A replaced registration
    is kept while a grant belongs to it, and then deleted at the server where that is possible.

    Args:
        issuer: the server.
        context: what all servers share.
        metadata: returns the server's metadata.
    """

    def __init__(
        self,
        issuer: str,
        context: ClientContext,
        metadata: Callable[[], Awaitable[ServerMetadata]],
    ) -> None:
        self._issuer = issuer
        self._context = context
        self._kept = KeptRegistrations(context.store, issuer)
        self._inquiry = Inquiry(context, self._kept)
        self._departure = Departure(context, self._kept)
        self._making = RegistrationMaking(
            issuer, context, metadata, self._kept, self._inquiry, self._departure
        )
        self._enrol = SingleFlight(self._enrolled, closed=ClientClosed)
        self._confirm = SingleFlight(self._confirmed, closed=ClientClosed)
        self._confirmed_at: tuple[str, float] | None = None
        self._flush_at = 0.0

    async def registration(self) -> Registration:
        """Return the Client's registration, which is made if there is none that can be used.

        Raises:
            ClientError: a registration could not be made, or the store failed.
            ConfigurationError: a setting is missing that a registration requires.
        """
        arranged = self._arranged()
        if arranged is not None:
            return arranged
        current = await self._kept.current()
        if self._kept.unwritten:
            self._write_again()
        if current is None or not self._making.serves(current):
            current = await self._enrol()
        self._making.used_before = True
        return current

    async def confirmed(self) -> Registration:
        """Return the registration, after asking the server whether it still knows it.

        A server that has forgotten the Client tells only the user, because it must not redirect
        (RFC 6749 Section 4.1.2.1). So it is asked before a login, if that is possible.

        Raises:
            ClientError: a registration could not be made, or the server cannot be asked.
        """
        registration = await self.registration()
        if registration.manual:
            return registration
        if self._confirmed_at is not None:
            client_id, at = self._confirmed_at
            if client_id == registration.client_id and self._context.monotonic() - at < _CONFIRMED:
                return registration
        return await self._confirm()

    async def belonging(self, client_id: str) -> Registration:
        """Return the registration that a grant belongs to.

        Args:
            client_id: the client id; "" for the current registration, if the id was not kept.

        Raises:
            LoginRequired: the registration is no longer in the store.
            StoreError: the store failed.
        """
        arranged = self._arranged()
        if arranged is not None and client_id in {"", arranged.client_id}:
            return arranged
        if client_id:
            found = await self._kept.find(client_id)
        else:
            found = await self._kept.current()
        if found is None:
            raise LoginRequired(
                f"the authorization from {self._issuer} belongs to the client"
                f" {client_id or 'of an earlier registration'}, which is not in the store: log in"
                " again"
            )
        return found

    async def registration_after(self, refusal: TokenRefused, used: Registration) -> Registration:
        """Return the registration to try next, after a server has refused one.

        Args:
            refusal: the refusal.
            used: the registration that was refused.

        Raises:
            TokenRefused: the refusal stands.
            ClientError: another registration could not be made.
        """
        if not refusal.rejects_client or used.manual:
            raise refusal
        current = await self.registration()
        if current.credentials != used.credentials:
            return current
        known, given_up = await self._word_after(refusal, used)
        if known.credentials != used.credentials:
            return known
        if given_up:
            return await self._replaced(used)
        raise refusal

    async def registration_to_refresh(
        self, refusal: TokenRefused, used: Registration
    ) -> Registration:
        """Return the registration to try next for a refresh, after a server has refused one.

        `invalid_client` is about the Client and says nothing about the Refresh Token (RFC 6749
        Section 5.2), which only its own registration can present.

        Raises:
            TokenRefused: the refusal stands.
            LoginRequired: the server no longer knows the Client.
        """
        if not refusal.rejects_client or used.manual:
            raise refusal
        kept = await self._kept.find(used.client_id)
        if kept is not None and kept.credentials != used.credentials:
            return kept
        known, given_up = await self._word_after(refusal, used)
        if known.credentials != used.credentials:
            return known
        if given_up:
            raise LoginRequired(
                f"{self._issuer} no longer knows the client to which the authorization belongs;"
                f" log in again ({refusal.code})",
                code=refusal.code,
            ) from None
        raise refusal

    async def renewed(self, registration: Registration) -> Registration:
        """Return a registration with a new secret from the server, if its secret has ended."""
        if registration.expired(self._context.clock()):
            try:
                _, registration = await self._asked(registration)
            except ServerUnavailable as error:
                logger.info("%s; the registration is used as it is", error)
        return registration

    def accepted(self, used: Registration) -> None:
        """Record that the server issued a token with a registration: it is not in doubt."""
        self._inquiry.accepted(used.client_id)
        now = self._context.clock()
        if not used.manual and used.accepted(now) != used:
            self._note(used.client_id, lambda each: each.accepted(now))

    async def hold(self, client_id: str) -> None:
        """Keep a registration for a day, because a session in memory belongs to it."""
        now = self._context.clock()
        registration = await self._kept.find(client_id)
        if registration is not None and registration.held_until < now + _HELD_AGAIN:
            self._note(client_id, lambda each: replace(each, held_until=now + _HELD))

    async def settle(self) -> None:
        """Remove former registrations that no grant belongs to, in the background.

        Raises:
            StoreError: the store cannot be read.
        """
        if self._arranged() is None:
            await self._departure.begin_settling()

    async def deregister(self) -> bool:
        """Remove the Client from the server and from the store; see `Departure.deregister`."""
        return await self._context.steps.run(self._kept.alone(), self._departure.deregister)

    async def aclose(self) -> None:
        """End what is under way, except steps."""
        await self._enrol.aclose()
        await self._confirm.aclose()

    async def flush(self) -> None:
        """Write what could not be written before.

        Raises:
            StoreError: it still cannot be written.
        """
        if self._kept.unwritten:
            async with self._kept.alone():
                await self._kept.check_room()
                await self._kept.flush()

    def _arranged(self) -> Registration | None:
        """Return the registration that was made by hand, if the settings name one."""
        settings = self._context.settings
        if settings.id is None:
            return None
        uses_code = settings.grant is Grant.AUTHORIZATION_CODE and settings.redirect_uri
        return Registration(
            issuer=self._issuer,
            client_id=settings.id,
            auth_method=settings.auth_method,
            redirect_uri=redirect_uri_at(settings, self._issuer) if uses_code else None,
            secret=settings.secret,
        )

    async def _enrolled(self) -> Registration:
        return await self._context.steps.run(self._kept.alone(), self._making.ensure)

    # Asking about one

    async def _confirmed(self) -> Registration:
        registration = await self.registration()
        word, registration = await self._asked(registration)
        if word is Word.DOUBTED:
            await asyncio.sleep(self._inquiry.pause(registration))
            word, registration = await self._asked(registration)
        now = self._context.clock()
        if word is Word.GONE or (word is Word.UNUSABLE and registration.refused_long(now)):
            registration = await self._replaced(registration)
        self._confirmed_at = registration.client_id, self._context.monotonic()
        return registration

    async def _replaced(self, registration: Registration) -> Registration:
        logger.warning(
            "%s no longer knows client_id=%s: registering again",
            self._issuer,
            registration.client_id,
        )
        self._making.outdated = registration.client_id
        return await self._enrol()

    async def _word_after(
        self, refusal: TokenRefused, used: Registration
    ) -> tuple[Registration, bool]:
        """Ask the server about a registration that was refused.

        Returns:
            The registration as it is kept now, and whether it is to be given up.

        Raises:
            TokenRefused: the refusal stands for now.
        """
        try:
            word, known = await self._asked(used)
        except ServerUnavailable:
            raise refusal from None
        if word is Word.DOUBTED:
            refusal.temporary = True
            refusal.retry_after = self._inquiry.pause(known)
            raise refusal
        if word is not Word.UNUSABLE or known.credentials != used.credentials:
            return known, word is Word.GONE
        now = self._context.clock()
        noted = known.refused(now)
        if noted is not known:
            await self._amend(used.client_id, lambda each: each.refused(now))
        return known, noted.refused_long(now)

    async def _asked(self, registration: Registration) -> tuple[Word, Registration]:
        if not registration.managed:
            return Word.UNUSABLE, registration
        return await self._context.steps.run(
            self._kept.alone(), lambda: self._inquiry.ask(registration)
        )

    # Keeping the books

    async def _amend(self, client_id: str, change: Callable[[Registration], Registration]) -> None:
        await self._context.steps.run(
            self._kept.alone(), lambda: self._kept.amend(client_id, change)
        )

    def _note(self, client_id: str, change: Callable[[Registration], Registration]) -> None:
        async def noted() -> None:
            try:
                await self._kept.amend(client_id, change)
            except StoreError as error:
                logger.warning("%s", error)

        self._context.steps.start(self._kept.alone(), noted)

    def _write_again(self) -> None:
        if self._context.monotonic() >= self._flush_at:
            self._flush_at = self._context.monotonic() + _WRITTEN_AGAIN
            self._context.steps.start(self._kept.alone(), self._kept.flush)
