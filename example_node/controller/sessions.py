"""The desks of all sessions, each made with its first page and ended with its session.

Each follows a Registry, so their number is bounded: one that nobody has used for a while makes
room, and its session gets another one with its next page, which does not know what could be undone.
"""

import asyncio
import time

from starlette.requests import HTTPConnection

from example_node.controller.desk import Desk, Surroundings
from nmos_auth.client.login import LoginRoutes

MOST_DESKS = 200
# Seconds; no request lasts as long.
IDLE = 60.0
_OPEN = "open"


class TooManyDesksError(Exception):
    """So many sessions have pages open that there is no room for another one."""


class Desks:
    """Keeps one desk for each session; without authorization, one for everybody.

    Args:
        around: what all desks have in common.

    Attributes:
        login: knows who is logged in; None where there is no authorization.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.login: LoginRoutes | None = None
        # The one that was used last is the last.
        self._desks: dict[str, Desk] = {}
        self._used: dict[str, float] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._desks)

    async def of(self, connection: HTTPConnection) -> Desk | None:
        """Return the desk of whoever asks, or None where nobody is logged in.

        Raises:
            nmos_auth.client.StoreError: a shared session store cannot be read now.
            TooManyDesksError: there is no room for another one.
        """
        if self.login is None:
            if _OPEN not in self._desks:
                self._desks[_OPEN] = Desk(None, self._around, asyncio.Event())
            return self._desks[_OPEN]
        session = await self.login.current(connection)
        if session is None or session.ended.is_set():
            return None
        desk, displaced = self._desks.pop(session.id, None), None
        if desk is None:
            displaced = self._make_room()
            desk = Desk(session.tokens, self._around, session.ended)
        self._desks[session.id] = desk
        self._used[session.id] = time.monotonic()
        if displaced is not None:
            await displaced.stop()
        await desk.refresh()
        return desk

    def _make_room(self) -> Desk | None:
        """Take out the desk that nobody has used for the longest time, where that is necessary."""
        if len(self._desks) < MOST_DESKS:
            return None
        latest = time.monotonic() - IDLE
        for session_id, desk in self._desks.items():
            if desk.is_idle and self._used[session_id] <= latest:
                del self._used[session_id]
                return self._desks.pop(session_id)
        raise TooManyDesksError

    async def end(self, session_id: str) -> None:
        """End the desk of a session."""
        desk = self._desks.pop(session_id, None)
        self._used.pop(session_id, None)
        if desk is not None:
            await desk.aclose()

    async def aclose(self) -> None:
        """End all of them."""
        while self._desks:
            await self.end(next(iter(self._desks)))
