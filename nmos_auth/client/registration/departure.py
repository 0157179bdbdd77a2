"""Leaving a server's books: registrations that nobody wants, and all of them on request."""

from __future__ import annotations

import logging

from nmos_auth.client.errors import ClientError, ServerUnavailable
from nmos_auth.client.registration.context import ClientContext
from nmos_auth.client.registration.dynamic_registration import delete_registration
from nmos_auth.client.registration.inquiry import PASSING
from nmos_auth.client.registration.kept_registrations import KeptRegistrations
from nmos_auth.client.registration.registrations import Registration

__all__ = ["Departure"]

logger = logging.getLogger("nmos_auth")


class Departure:
    """Takes registrations out of one server's books (RFC 7592 Section 2.3) and out of the store.

    `settle` and `deregister` are called while `alone` of the registrations is held.

    Args:
        context: what all servers share.
        kept: the registrations.
    """

    def __init__(self, context: ClientContext, kept: KeptRegistrations) -> None:
        self._context = context
        self._kept = kept

    async def begin_settling(self) -> None:
        """Begin to settle in the background, where there are former registrations.

        Raises:
            StoreError: the store cannot be read.
        """
        if await self._kept.former():
            self._context.steps.start(self._kept.alone(), self.settle)

    async def settle(self) -> None:
        """Remove the former registrations that no grant belongs to, as far as that works."""
        now = self._context.clock()
        try:
            for former in await self._kept.former():
                if not await self._kept.is_wanted(former, now) and await self._taken_out(former):
                    await self._kept.drop(former.client_id)
        except ClientError as error:
            logger.info("former registrations are kept: %s", error)

    async def deregister(self) -> bool:
        """Remove all registrations.

        Returns:
            Whether the server offers this and there was something to remove.

        Raises:
            ClientError: the server could not be told; the registration is kept.
        """
        current = await self._kept.current()
        if current is None or not current.managed:
            return False
        await delete_registration(self._context.transport, current)
        await self._kept.drop(current.client_id)
        for former in await self._kept.former():
            if await self._taken_out(former):
                await self._kept.drop(former.client_id)
        return True

    async def _taken_out(self, former: Registration) -> bool:
        """Tell whether there is nothing more to do about a former registration."""
        if not former.managed:
            return True
        try:
            await delete_registration(self._context.transport, former)
        except ServerUnavailable as error:
            return error.status not in PASSING
        except ClientError as error:
            # The answer will not be another one later.
            logger.info("client_id=%s stays in the server's books: %s", former.client_id, error)
        else:
            logger.info("deregistered: %s client_id=%s", former.issuer, former.client_id)
        return True
