"""The probe's servers on loopback, and a clock that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable

from nmos_auth.probe.authority import ProbeAuthority
from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.mint import ProbeKey

__all__ = ["AUDIENCE", "KEYS", "Clock", "authorities", "bad"]

AUDIENCE = "node1.example.com"
KEYS = [ProbeKey("probe")], [ProbeKey("neighbour")], ProbeKey("stranger")


@contextlib.asynccontextmanager
async def authorities() -> AsyncIterator[tuple[ProbeAuthority, ProbeAuthority]]:
    """Run the probe's two servers on loopback, over http."""
    trusted, unnamed, _ = KEYS
    authority = ProbeAuthority("127.0.0.1", "127.0.0.1", list(trusted), None)
    neighbour = ProbeAuthority("127.0.0.1", "127.0.0.1", list(unnamed), None)
    await authority.start()
    await neighbour.start()
    try:
        yield authority, neighbour
    finally:
        await authority.close()
        await neighbour.close()


class Clock:
    """A clock that the probe need not wait for."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Return seconds since 1970 UTC, and what was slept."""
        return time.time() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Let that time have passed."""
        self._ahead += max(0.0, seconds)
        await asyncio.sleep(0)


# How long an answer takes on a busy machine says nothing of the device.
_OF_THE_MACHINE = {"answers-prompt"}


def bad(results: Iterable[Result]) -> set[str]:
    """Return the ids of what failed or warns, but for what the machine may be to blame for."""
    wrong = {Verdict.FAIL, Verdict.WARNING}
    return {each.id for each in results if each.verdict in wrong} - _OF_THE_MACHINE
