"""Deleting registrations at a server: those that no grant needs, and all of them on request."""

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
    """Deletes registrations at one server (RFC 7592 Section 2.3) and in the store.

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
        """Remove the former registrations that no grant belongs to, as far as that is possible."""
        now = self._context.clock()
        try:
            for former in await self._kept.former():
                if not await self._kept.is_wanted(former, now) and await self._taken_out(former):
                    await self._kept.drop(former.client_id)
        except ClientError as error:
            logger.info("former registrations are kept: %s", error)

    async def deregister(self) -> bool:
        """Remove the Client from the server and from the store (RFC 7592 Section 2.3).

        Returns:
            Whether the server offers this, and there was a registration.

        Raises:
            ClientError: the server did not delete it; the registration is kept.
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
        """Delete a former registration at the server, and tell whether it can be forgotten."""
        if not former.managed:
            return True
        try:
            await delete_registration(self._context.transport, former)
        except ServerUnavailable as error:
            return error.status not in PASSING
        except ClientError as error:
            # The server would give the same answer later.
            logger.info("client_id=%s stays registered at its server: %s", former.client_id, error)
        else:
            logger.info("deregistered: %s client_id=%s", former.issuer, former.client_id)
        return True
