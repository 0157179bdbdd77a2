"""An answer of the app that waits until it is known whether the app refuses the request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Send

    from nmos_auth.errors import AuthorizationError

__all__ = ["HeldAnswer"]

# The bytes of a body that wait, and the seconds from the start: an app may take long to answer, and
# may go on for long after its answer, with a background task.
_MOST_BYTES = 64 * 1024
_LONGEST = 1.0


class HeldAnswer:
    """Keeps the messages of an answer until they are sent on or dropped.

    Args:
        refusal: the refusal that the app was handling when it began to answer, if it was.
        begin: called with the status before the answer is sent.
        send: the `send` of the server.
    """

    def __init__(
        self, refusal: AuthorizationError | None, begin: Callable[[int], None], send: Send
    ) -> None:
        self.refusal = refusal
        self._begin = begin
        self._send = send
        self._messages: list[Message] = []
        self._size = 0
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None

    async def keep(self, message: Message) -> None:
        """Keep a message, or send all messages if they are too much to keep."""
        if self._is_over:
            await self._sent()
            await self._send(message)
            return
        if not self._messages:
            self._timer = asyncio.get_running_loop().call_later(_LONGEST, self._release_late)
        self._messages.append(message)
        self._size += len(message.get("body", b""))
        if self._size > _MOST_BYTES:
            await self.release()

    async def release(self) -> None:
        """Send the answer, unless it was sent."""
        if not self._is_over:
            self._end()
            await self._send_on()
        else:
            await self._sent()

    def drop(self) -> bool:
        """Drop the answer, and return whether it was still held."""
        if self._is_over:
            return False
        self._end()
        return True

    async def _sent(self) -> None:
        """Wait until an answer that was released late is sent."""
        if self._sending is not None:
            await asyncio.wait({self._sending})
            self._sending.result()

    def _end(self) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()

    def _release_late(self) -> None:
        self._is_over = True
        self._sending = asyncio.get_running_loop().create_task(self._send_on())

    async def _send_on(self) -> None:
        self._begin(self._messages[0]["status"])
        for message in self._messages:
            await self._send(message)
