"""Sockets for dnspython that refuse long answers, which it parses without pause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import dns.asyncbackend
import dns.exception

__all__ = ["LARGEST_ANSWER", "BoundedBackend"]

# Bytes. A hundred instances with all their records fit in; the shortest records take 50 ms.
LARGEST_ANSWER = 16 * 1024


class BoundedBackend(dns.asyncbackend.Backend):  # type: ignore[misc, name-defined]
    """The sockets of asyncio for dnspython, with answers of at most 16 KiB.

    A server may send 64 KiB for each question, by UDP too, whatever it was told. Such an answer
    would hold the event loop for a sixth of a second.
    """

    def __init__(self) -> None:
        self._backend = dns.asyncbackend.get_backend("asyncio")
        self.name = self._backend.name
        self.sleep = self._backend.sleep
        self.datagram_connection_required = self._backend.datagram_connection_required

    async def make_socket(self, *where: object, **how: object) -> object:
        """Make a socket that receives no long answer."""
        made = await self._backend.make_socket(*where, **how)  # type: ignore[no-untyped-call]
        if hasattr(made, "recvfrom"):
            made.recvfrom = _bounded_datagram(made.recvfrom)
        else:
            made.recv = _bounded_stream(made.recv)
        return made


def _bounded_datagram(
    receive: Callable[[int, float | None], Awaitable[tuple[bytes, object]]],
) -> Callable[[int, float | None], Awaitable[tuple[bytes, object]]]:
    async def bounded(size: int, timeout: float | None) -> tuple[bytes, object]:  # noqa: ASYNC109 - dnspython's
        data, source = await receive(size, timeout)
        _check(len(data))
        return data, source

    return bounded


def _bounded_stream(
    receive: Callable[[int, float | None], Awaitable[bytes]],
) -> Callable[[int, float | None], Awaitable[bytes]]:
    async def bounded(size: int, timeout: float | None) -> bytes:  # noqa: ASYNC109 - dnspython's
        _check(size)  # RFC 1035 Section 4.2.2: the length comes before the message
        return await receive(size, timeout)

    return bounded


def _check(size: int) -> None:
    if size > LARGEST_ANSWER:
        raise dns.exception.FormError(f"an answer has more than {LARGEST_ANSWER} bytes")  # type: ignore[no-untyped-call]
