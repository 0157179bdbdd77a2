"""Asking a server about a registration (RFC 7592 Section 2.1)."""

from __future__ import annotations

import logging
from dataclasses import replace
from enum import Enum, auto

from nmos_auth.client.errors import RegistrationRefused, ServerUnavailable, UnusableAnswer
from nmos_auth.client.registration.context import ClientContext
from nmos_auth.client.registration.dynamic_registration import read_registration, renewed
from nmos_auth.client.registration.kept_registrations import KeptRegistrations
from nmos_auth.client.registration.registrations import Registration

__all__ = ["PASSING", "Inquiry", "Word"]

logger = logging.getLogger("nmos_auth")

# Statuses of servers that may give another answer in a minute; None stands for no answer.
PASSING = frozenset({None, 429, 502, 503, 504})
# Seconds between a 401 of the management URL and the second question, which decides.
_SECOND_THOUGHT = 10.0


class Word(Enum):
    """What a server says about a registration."""

    KNOWN = auto()
    DOUBTED = auto()
    """Its management URL answers 401, which it has to say once more."""
    GONE = auto()
    """Its management URL has answered 401 twice."""
    UNUSABLE = auto()
    """Nothing: the registration cannot be managed there."""


class Inquiry:
    """Asks one server about registrations, with the credentials that the store has for them.

    A registration is gone if its own management URL answers 401, and again ten seconds later: RFC
    7592 Section 2.1 has 401 for a registration that does not exist, and also for a token that was
    replaced at the request of another process. Any other answer except 200 only says that the
    registration cannot be managed there.

    Args:
        context: what all servers share.
        kept: the registrations.
    """

    def __init__(self, context: ClientContext, kept: KeptRegistrations) -> None:
        self._context = context
        self._kept = kept
        self._doubted_at: dict[str, float] = {}

    async def ask(self, used: Registration) -> tuple[Word, Registration]:
        """Ask about a registration, and keep what the server renews.

        It is called while `alone` of the registrations is held.

        Returns:
            What the server says, and the registration as it is kept now.

        Raises:
            ServerUnavailable: there is no answer now.
            StoreError: the store cannot be read.
        """
        registration = await self._kept.find(used.client_id) or used
        if not registration.managed:
            return Word.UNUSABLE, registration
        word, current = await self._answer(registration)
        if current != registration:
            await self._kept.keep(current)
        return word, current

    async def _answer(self, registration: Registration) -> tuple[Word, Registration]:
        try:
            document = await read_registration(self._context.transport, registration)
            current = renewed(registration, document)
        except RegistrationRefused as refusal:
            new = registration.just_made(self._context.clock())
            if refusal.status in {401, 404} and new:
                # A management URL that does not know a new registration will not know it later.
                logger.warning("%s; the registration is used without management", refusal)
                return Word.UNUSABLE, registration.unmanaged()
            if refusal.status == 401:
                return self._doubted(registration)
            logger.info("%s; the registration is used as it is", refusal)
        except UnusableAnswer as error:
            logger.info("%s; the registration is used as it is", error)
        except ServerUnavailable as error:
            if error.status in PASSING:
                raise
            logger.info("%s; the registration is used as it is", error)
        else:
            self._doubted_at.pop(registration.client_id, None)
            noted = current.accepted(self._context.clock())
            # The token endpoint may still refuse it, so that is not forgotten.
            return Word.KNOWN, replace(
                noted, refused_since=current.refused_since, refused_at=current.refused_at
            )
        return Word.UNUSABLE, registration

    def pause(self, registration: Registration) -> float:
        """Return the seconds until the second question about a registration that is in doubt."""
        return max(_SECOND_THOUGHT - self._waited(registration), 0) + 0.01

    def accepted(self, client_id: str) -> None:
        """Record that the server issued a token: the registration is not in doubt."""
        self._doubted_at.pop(client_id, None)

    def _doubted(self, registration: Registration) -> tuple[Word, Registration]:
        now = self._context.clock()
        if not 0 < registration.unknown_since <= now:
            registration = replace(registration, unknown_since=now)
            self._doubted_at.setdefault(registration.client_id, self._context.monotonic())
        gone = self._waited(registration) >= _SECOND_THOUGHT
        return Word.GONE if gone else Word.DOUBTED, registration

    def _waited(self, registration: Registration) -> float:
        waited = self._context.clock() - registration.unknown_since
        first = self._doubted_at.get(registration.client_id)
        # The clock may have been set since. Only it shows that another process asked first.
        return waited if first is None else min(waited, self._context.monotonic() - first)
