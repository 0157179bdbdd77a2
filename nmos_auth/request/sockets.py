"""Open WebSockets that end with their tokens, where NMOS_AUTH_EXPIRED_SOCKETS is `close`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from nmos_auth.errors import AuthorizationError

__all__ = ["POLICY_VIOLATION", "EndingSocket", "Lease"]

POLICY_VIOLATION: Final = 1008
"""The status code of RFC 6455 Section 7.4.1 for a connection that is ended for its policy."""

# A longer pause would not notice that the clock was set, that a key was withdrawn, or that a
# handler asked for the token only after it had accepted.
_LONGEST_PAUSE = 1.0
# A client that reads nothing must not keep the handler's task from its end.
_CLOSING_TIME = 5.0


class Lease(Protocol):
    """How long a socket may stay open; `exchange.Exchange` is one."""

    def remaining(self) -> float:
        """Give the seconds for which the token counts, or infinity where there is none.

        Raises:
            AuthorizationError: it counts no more.
        """
        ...

    def ended(self, error: AuthorizationError) -> None:
        """Record that the socket is closed for that."""
        ...


class _SocketEndedError(OSError):
    """The socket was ended; servers raise an OSError as well for what is sent then."""

    def __init__(self) -> None:
        super().__init__("the socket was closed: its token counts no more")


class EndingSocket:
    """Stands between one WebSocket and its handler, and closes it when its token counts no more.

    The client sees 1008, the handler a disconnect with the same code, also in the middle of waiting
    for a message or for a client that reads slowly.

    Args:
        receive: the server's.
        send: the server's.
        lease: asked when the handshake is over, when the token should end, and in between.
    """

    def __init__(self, receive: Receive, send: Send, lease: Lease) -> None:
        self._server_receive = receive
        self._server_send = send
        self._lease = lease
        self._ended = False
        self._waits: set[asyncio.Timeout] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    async def serve(self, app: ASGIApp, scope: Scope) -> None:
        """Let the app handle the socket."""
        try:
            await app(scope, self._receive, self._send)
        except (_SocketEndedError, WebSocketDisconnect, AuthorizationError):
            # Handlers may let a disconnect pass, and refuse when it is too late.
            if not self._ended:
                raise
        finally:
            self._look_no_more()
            if self._closing is not None:
                await asyncio.wait({self._closing}, timeout=_CLOSING_TIME)
                self._closing.cancel()

    async def _receive(self) -> Message:
        try:
            async with self._until_the_end():
                message = await self._server_receive()
        except _SocketEndedError:
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": ""}
        if message["type"] == "websocket.disconnect":
            self._look_no_more()
        return message

    async def _send(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            self._look_no_more()
        async with self._until_the_end():
            await self._server_send(message)
        if message["type"] == "websocket.accept":
            self._look()

    @asynccontextmanager
    async def _until_the_end(self) -> AsyncIterator[None]:
        if self._ended:
            raise _SocketEndedError
        wait = asyncio.timeout(None)
        try:
            async with wait:
                self._waits.add(wait)
                yield
        except TimeoutError:
            if wait.expired():
                raise _SocketEndedError from None
            raise
        finally:
            self._waits.discard(wait)

    def _look(self) -> None:
        try:
            remaining = self._lease.remaining()
        except AuthorizationError as error:
            self._lease.ended(error)
            self._end()
            return
        pause = min(remaining, _LONGEST_PAUSE)
        self._timer = asyncio.get_running_loop().call_later(pause, self._look)

    def _look_no_more(self) -> None:
        """Whoever closes the socket now, it is not for the token."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self._ended = True
        loop = asyncio.get_running_loop()
        self._closing = loop.create_task(self._close())
        for wait in self._waits:
            wait.reschedule(loop.time())

    async def _close(self) -> None:
        try:
            await self._server_send({"type": "websocket.close", "code": POLICY_VIOLATION})
        except OSError:
            return  # the client has left meanwhile
