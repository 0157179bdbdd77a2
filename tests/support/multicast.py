"""Who listens for what is advertised by multicast DNS on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from zeroconf import ServiceBrowser, ServiceListener, Zeroconf

__all__ = ["Watcher", "listening_on_loopback", "watching"]


class Watcher(ServiceListener):
    """Notes what comes and goes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def _note(self, what: str, name: str) -> None:
        self._loop.call_soon_threadsafe(self._events.put_nowait, (what, name))

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:  # noqa: ARG002
        """Note that a server came."""
        self._note("added", name)

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Note nothing: only coming and going matters."""

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:  # noqa: ARG002
        """Note that a server went."""
        self._note("removed", name)

    async def until(self, what: str, name: str) -> None:
        """Wait for something to happen."""
        async with asyncio.timeout(20):
            while await self._events.get() != (what, name):
                pass


@contextlib.contextmanager
def listening_on_loopback() -> Iterator[Zeroconf]:
    """Listen for multicast on loopback until the block ends, or skip the test."""
    try:
        zeroconf = Zeroconf(interfaces=["127.0.0.1"])
    except OSError as error:
        pytest.skip(f"no multicast on loopback: {error}")
    try:
        yield zeroconf
    finally:
        zeroconf.close()


@contextlib.asynccontextmanager
async def watching(zeroconf: Zeroconf, service_type: str) -> AsyncIterator[Watcher]:
    """Watch what comes and goes of a type until the block ends."""
    watcher = Watcher(asyncio.get_running_loop())
    browser = ServiceBrowser(zeroconf, service_type, watcher)
    try:
        yield watcher
    finally:
        await asyncio.to_thread(browser.cancel)
