"""Open WebSockets that end with their tokens, where NMOS_AUTH_EXPIRED_SOCKETS is `close`."""

from __future__ import annotations

import asyncio
import math
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmos_auth.errors import AuthorizationError

__all__ = ["POLICY_VIOLATION", "EndingSocket", "Lease"]

POLICY_VIOLATION: Final = 1008
"""The status code of RFC 6455 Section 7.4.1 for a connection that is ended for its policy."""

# A longer pause would not notice that the clock was set, or that a key was withdrawn.
_LONGEST_PAUSE = 1.0
_DISCONNECT = {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": ""}
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
    """The handler sends on a socket that was ended: servers raise an OSError there as well."""


class EndingSocket:
    """Stands between one WebSocket and its handler, and closes it when its token counts no more.

    The client sees 1008, the handler a disconnect with the same code, whether it waits or sends. A
    handler that receives in one task at a time loses no message by giving up waiting for it.

    Args:
        receive: the server's.
        send: the server's.
        lease: asked when the handshake is over, when the token should end, and in between.
    """

    def __init__(self, receive: Receive, send: Send, lease: Lease) -> None:
        self._server_receive = receive
        self._server_send = send
        self._lease = lease
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[Message] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._receiving: asyncio.Task[Message] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def serve(self, app: ASGIApp, scope: Scope) -> None:
        """Let the app handle the socket."""
        try:
            await app(scope, self._receive, self._send)
        except (_SocketEndedError, AuthorizationError):
            if not self._end.done():
                raise
        finally:
            self._rest()
            if self._receiving is not None:
                self._receiving.cancel()
            if self._closing is not None:
                await asyncio.wait({self._closing}, timeout=_CLOSING_TIME)
                self._closing.cancel()

    async def _receive(self) -> Message:
        if self._receiving is None:
            self._receiving = self._loop.create_task(_awaited(self._server_receive))
        receiving = self._receiving
        await asyncio.wait({receiving, self._end}, return_when=asyncio.FIRST_COMPLETED)
        if self._end.done():
            return self._end.result()
        self._receiving = None
        message = receiving.result()
        if message["type"] == "websocket.disconnect":
            self._rest()
        return message

    async def _send(self, message: Message) -> None:
        if self._end.done():
            raise _SocketEndedError("the socket was closed: its token counts no more")
        if message["type"] == "websocket.close":
            self._rest()
        await self._server_send(message)
        if message["type"] == "websocket.accept":
            self._look()

    def _look(self) -> None:
        try:
            remaining = self._lease.remaining()
        except AuthorizationError as error:
            self._lease.ended(error)
            self._end.set_result({**_DISCONNECT})
            self._closing = self._loop.create_task(self._close())
            return
        if remaining < math.inf:
            pause = min(remaining, _LONGEST_PAUSE)
            self._timer = self._loop.call_later(pause, self._look)

    def _rest(self) -> None:
        """Look no more: whoever closes the socket, it is not for the token."""
        if self._timer is not None:
            self._timer.cancel()

    async def _close(self) -> None:
        try:
            await self._server_send({"type": "websocket.close", "code": POLICY_VIOLATION})
        except OSError:
            return  # the client has left meanwhile


async def _awaited(receive: Receive) -> Message:
    return await receive()
