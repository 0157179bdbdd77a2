"""Making the registration that a Client uses, or updating one that the settings have outgrown."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from nmos_auth.client.errors import (
    RegistrationRefused,
    ServerUnavailable,
    StoreError,
    UnusableAnswer,
)
from nmos_auth.client.metadata import ServerMetadata
from nmos_auth.client.registration.context import ClientContext
from nmos_auth.client.registration.departure import Departure
from nmos_auth.client.registration.dynamic_registration import register, update_registration
from nmos_auth.client.registration.inquiry import PASSING, Inquiry
from nmos_auth.client.registration.kept_registrations import KeptRegistrations
from nmos_auth.client.registration.registrations import (
    Registration,
    fingerprint_of,
    registration_request,
)
from nmos_auth.client.settings import AuthMethod

__all__ = ["RegistrationMaking"]

logger = logging.getLogger("nmos_auth")


class RegistrationMaking:
    """Makes registrations with one server.

    Args:
        issuer: the server.
        context: what all servers share.
        metadata: returns the server's metadata.
        kept: the registrations.
        inquiry: asks the server about them.
        departure: removes those that no grant belongs to any more.

    Attributes:
        used_before: whether this process has had a registration.
        outdated: the client id of the one that the server no longer knows, or None.
    """

    def __init__(
        self,
        issuer: str,
        context: ClientContext,
        metadata: Callable[[], Awaitable[ServerMetadata]],
        kept: KeptRegistrations,
        inquiry: Inquiry,
        departure: Departure,
    ) -> None:
        self._issuer = issuer
        self._context = context
        self._metadata = metadata
        self._kept = kept
        self._inquiry = inquiry
        self._departure = departure
        self._warned_of_room = False
        self.used_before = False
        self.outdated: str | None = None

    def serves(self, registration: Registration) -> bool:
        """Tell whether a registration can be used with the settings as they are."""
        # Once there is a registration, another process with other settings may have replaced it. If
        # this process replaced it again, the two would go on for ever.
        method = registration.auth_method
        usable = method in {self._context.settings.auth_method, AuthMethod.CLIENT_SECRET_BASIC}
        return (
            registration.client_id != self.outdated
            and ((self.used_before and usable) or self._fits(registration))
            and not registration.expired(self._context.clock())
        )

    def _fits(self, registration: Registration) -> bool:
        request = registration_request(self._context.settings, self._issuer)
        return registration.fingerprint == fingerprint_of(request)

    async def ensure(self) -> Registration:
        """Return a registration that serves, made or updated where that is necessary.

        It is called while `alone` of the registrations is held.

        Raises:
            ClientError: none could be made, or the store failed.
            ConfigurationError: a setting is missing that a registration requires.
        """
        # Another process may have registered in the meantime.
        current = await self._kept.current()
        if current is not None and current.managed and current.client_id != self.outdated:
            if current.expired(self._context.clock()):
                _, current = await self._inquiry.ask(current)
            elif not self.serves(current):
                current = await self._updated(current)
        if current is not None and self.serves(current):
            return current
        former = await self._former_again()
        return await self._registered(current) if former is None else former

    async def _former_again(self) -> Registration | None:
        """Make a former registration that fits the settings the current one, if there is one."""
        now = self._context.clock()
        for former in await self._kept.former():
            expired = former.expired(now) or former.client_id == self.outdated
            if self._fits(former) and not former.doubted() and not expired:
                await self._kept.make_current(former, now)
                return former
        return None

    async def _registered(self, current: Registration | None) -> Registration:
        """Register, and make that the current registration in place of this one."""
        context = self._context
        now = context.clock()
        request = registration_request(context.settings, self._issuer)
        metadata = await self._metadata()
        await self._check_room()
        made = await register(
            context.transport,
            metadata,
            request,
            initial_access_token=context.settings.initial_access_token,
            allow_http=context.settings.allow_http,
            clock=context.clock,
        )
        logger.info("registered: %s client_id=%s", self._issuer, made.client_id)
        if current is not None and current.client_id != made.client_id:
            # BCP-003-02 "Registry Client Authorization": resources belong to the client_id.
            logger.warning(
                "the client_id at %s has changed from %s to %s: a Registry still holds what the"
                " former one registered, and answers 403 to the new one until that has expired,"
                " 12 s after the last heartbeat",
                self._issuer,
                current.client_id,
                made.client_id,
            )
        made = replace(made, made_at=context.clock())
        await self._kept.make_current(made, now)
        await self._departure.begin_settling()
        return made

    async def _updated(self, current: Registration) -> Registration:
        """Let the server change a registration; return it unchanged if the server does not."""
        context = self._context
        request = registration_request(context.settings, self._issuer)
        metadata = await self._metadata()
        await self._check_room()
        try:
            updated = await update_registration(
                context.transport,
                metadata,
                current,
                request,
                allow_http=context.settings.allow_http,
            )
        except (RegistrationRefused, UnusableAnswer) as error:
            logger.warning("%s; registering once more", error)
            return current
        except ServerUnavailable as error:
            if error.status in PASSING:
                raise
            # A server that does not offer RFC 7592 Section 2.2 may answer 501, or 500.
            logger.warning("%s; registering once more", error)
            return current
        logger.info("registration updated: %s client_id=%s", self._issuer, current.client_id)
        await self._kept.keep(updated)
        return updated

    async def _check_room(self) -> None:
        """Raise if the store cannot be written, but only the first time, before a server is asked.

        A process that goes on still registers, and keeps the registration in memory.
        """
        try:
            await self._kept.check_room()
        except StoreError as error:
            if not self._warned_of_room:
                self._warned_of_room = True
                raise error.advise("nothing was registered") from None
