"""Open WebSockets that end with their tokens, if NMOS_AUTH_EXPIRED_SOCKETS is `close`."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

from starlette.websockets import WebSocketDisconnect

from nmos_auth.errors import AuthorizationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nmos_auth.request.resource_server import ResourceServer
    from nmos_auth.rules.tokens import TokenText
    from nmos_auth.trust.verifier import VerifiedToken

__all__ = ["POLICY_VIOLATION", "EndingSocket", "Lease", "TokenLease", "close_for_policy"]

POLICY_VIOLATION: Final = 1008
"""The status code of RFC 6455 Section 7.4.1 for a connection that violates the server's policy."""

# "Unauthorized" in IANA's registry of WebSocket close codes, for servers such as Daphne, which let
# an application close only with 1000 and 3000 to 4999.
_UNAUTHORIZED = 3000

logger = logging.getLogger("nmos_auth")

# With a longer pause, it would be noticed too late that the clock was set, that a key was
# withdrawn, or that a handler asked for the token only after it had accepted the socket.
_LONGEST_PAUSE = 1.0
# A client that does not read must not prevent the end of the handler's task.
_CLOSING_TIME = 5.0


class Lease(Protocol):
    """How long a socket may stay open; a `TokenLease` is one."""

    def remaining(self) -> float:
        """Return the seconds for which the token is valid, or infinity where there is none.

        Raises:
            AuthorizationError: the token is no longer valid.
        """
        ...

    def ended(self, refusal: AuthorizationError) -> None:
        """Record that the socket is closed because of this refusal."""
        ...


class TokenLease:
    """Lets a socket stay open as long as the token of its handshake is valid.

    Args:
        server: verifies the token again when it may no longer be valid.
        record_end: records that the socket is closed, and why.
    """

    __slots__ = ("_record_end", "_server", "_text", "_verified")

    def __init__(
        self, server: ResourceServer, record_end: Callable[[AuthorizationError], None]
    ) -> None:
        self._server = server
        self._record_end = record_end
        self._text: TokenText | None = None
        self._verified: VerifiedToken | None = None

    def begin(self, text: TokenText, verified: VerifiedToken) -> None:
        """Let the socket end with this token."""
        self._text = text
        self._verified = verified

    def remaining(self) -> float:
        """Return the seconds for which the token is valid, or infinity where there is none.

        Raises:
            AuthorizationError: the token has expired, or its key was withdrawn and no other key
                verifies it.
        """
        if self._text is None or self._verified is None:
            return math.inf
        verifier = self._server.verifier
        if not verifier.is_valid(self._verified):
            self._verified = verifier.verify(self._text)
        return self._verified.token.exp - self._server.clock()

    def ended(self, refusal: AuthorizationError) -> None:
        """Record that the socket is closed because of this refusal."""
        self._record_end(refusal)


async def close_for_policy(send: Send) -> None:
    """Close a WebSocket that its client may no longer use; if that fails, nothing is raised."""
    try:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
    except OSError:
        return  # the client has left in the meantime
    except Exception as error:  # noqa: BLE001 - each server has its own
        logger.warning(
            "the server does not close a WebSocket with %d (%s): tried with %d",
            POLICY_VIOLATION,
            error,
            _UNAUTHORIZED,
        )
        try:
            await send({"type": "websocket.close", "code": _UNAUTHORIZED})
        except Exception:
            logger.exception("a WebSocket whose client is refused cannot be closed")


class _SocketEndedError(OSError):
    """The socket was closed; servers also raise an OSError for messages that are sent later."""

    def __init__(self) -> None:
        super().__init__("the socket was closed: its token is no longer valid")


class EndingSocket:
    """An app for WebSockets that are closed when their token is no longer valid.

    The client receives the code 1008, and the handler a disconnect with the same code, even while
    it waits for a message or for a client that reads slowly.

    Args:
        app: handles one socket.
        lease: asked when the handshake is over, when the token should end, and between those times.
    """

    def __init__(self, app: ASGIApp, lease: Lease) -> None:
        self._app = app
        self._lease = lease
        self._ended = False
        self._waits: set[asyncio.Timeout] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app handle the socket."""
        self._server_receive = receive
        self._server_send = send
        try:
            await self._app(scope, self._receive, self._send)
        except (_SocketEndedError, WebSocketDisconnect, AuthorizationError):
            # A handler may ignore a disconnect, and refuse when it is too late.
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
        """Do not close the socket for its token any longer, since it is closed otherwise."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self._ended = True
        loop = asyncio.get_running_loop()
        self._closing = loop.create_task(close_for_policy(self._server_send))
        for wait in self._waits:
            wait.reschedule(loop.time())
