"""The desks of all sessions, each made with its first page and ended with its session."""

import asyncio

from starlette.requests import HTTPConnection

from example_node.controller.desk import Desk, Surroundings
from nmos_auth.client.login import LoginRoutes

_OPEN = "open"


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
        self._desks: dict[str, Desk] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._desks)

    async def of(self, connection: HTTPConnection) -> Desk | None:
        """Return the desk of whoever asks, or None where nobody is logged in.

        Raises:
            nmos_auth.client.StoreError: a shared session store cannot be read now.
        """
        if self.login is None:
            if _OPEN not in self._desks:
                self._desks[_OPEN] = Desk(None, self._around, asyncio.Event())
            return self._desks[_OPEN]
        session = await self.login.current(connection)
        if session is None or session.ended.is_set():
            return None
        if session.id not in self._desks:
            self._desks[session.id] = Desk(session.tokens, self._around, session.ended)
        desk = self._desks[session.id]
        await desk.refresh()
        return desk

    async def end(self, session_id: str) -> None:
        """End the desk of a session."""
        desk = self._desks.pop(session_id, None)
        if desk is not None:
            await desk.aclose()

    async def aclose(self) -> None:
        """End all of them."""
        while self._desks:
            await self.end(next(iter(self._desks)))
