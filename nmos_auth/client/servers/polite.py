"""Does not ask a server before its Retry-After has passed (RFC 9110 Section 10.2.3)."""

from __future__ import annotations

from collections.abc import Callable

from nmos_auth.client.errors import ServerUnavailable, error_members
from nmos_auth.client.http import Answer, HttpRequest, Transport
from nmos_auth.servers.urls import without_query

__all__ = ["PoliteTransport"]

# Seconds: a longer Retry-After is cut to this.
_LONGEST_RETRY_AFTER = 86400.0


class PoliteTransport:
    """Sends requests to one server, except while its Retry-After has not passed.

    Args:
        transport: sends them.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(self, transport: Transport, monotonic: Callable[[], float]) -> None:
        self._transport = transport
        self._monotonic = monotonic
        self._until = 0.0
        self._status: int | None = None
        self._code: str | None = None

    async def send(self, request: HttpRequest) -> Answer:
        """Send `request`.

        Raises:
            ServerUnavailable: there was no answer within the bounds, or nothing was sent because
                the server's Retry-After has not passed.
        """
        left = self._until - self._monotonic()
        if left > 0:
            raise ServerUnavailable(
                f"{without_query(request.url)} is not asked: its server answered {self._status} and"
                f" asks to wait another {left:.0f} s",
                status=self._status,
                code=self._code,
                retry_after=left,
            )
        answer = await self._transport.send(request)
        if answer.retry_after is not None and (answer.status == 429 or answer.status >= 500):
            self._until = self._monotonic() + min(answer.retry_after, _LONGEST_RETRY_AFTER)
            self._status = answer.status
            self._code = error_members(answer.document)[0]
        return answer
