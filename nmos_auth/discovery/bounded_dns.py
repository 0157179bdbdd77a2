"""Sockets for dnspython that refuse long answers, which it parses without pause."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable

import dns.asyncbackend
import dns.exception

__all__ = ["LARGEST_ANSWER", "MOST_RECORDS", "BoundedBackend"]

# Bytes; and records, of which each takes some 30 microseconds, however short it is. A hundred
# instances with all their records fit in.
LARGEST_ANSWER = 16 * 1024
MOST_RECORDS = 400
# RFC 1035 Section 4.1.1: twelve bytes, the last eight of which are the numbers of records.
_HEADER = 12


class BoundedBackend(dns.asyncbackend.Backend):  # type: ignore[misc, name-defined]
    """The sockets of asyncio for dnspython, with answers of at most 16 KiB and 400 records.

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
        _check_records(data[:_HEADER])
        return data, source

    return bounded


def _bounded_stream(
    receive: Callable[[int, float | None], Awaitable[bytes]],
) -> Callable[[int, float | None], Awaitable[bytes]]:
    # RFC 1035 Section 4.2.2: two bytes with the length come before the message.
    beginning = bytearray()

    async def bounded(size: int, timeout: float | None) -> bytes:  # noqa: ASYNC109 - dnspython's
        _check(size)
        data = await receive(size, timeout)
        if len(beginning) < 2 + _HEADER:
            beginning.extend(data[: 2 + _HEADER - len(beginning)])
            _check_records(bytes(beginning[2:]))
        return data

    return bounded


def _check(size: int) -> None:
    if size > LARGEST_ANSWER:
        raise dns.exception.FormError(f"an answer has more than {LARGEST_ANSWER} bytes")  # type: ignore[no-untyped-call]


def _check_records(header: bytes) -> None:
    """Look at the numbers in a header, as soon as it is whole: no more records are parsed."""
    if len(header) == _HEADER and sum(struct.unpack_from("!4H", header, 4)) > MOST_RECORDS:
        raise dns.exception.FormError(f"an answer has more than {MOST_RECORDS} records")  # type: ignore[no-untyped-call]
