"""The probe's servers on loopback, and a clock that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable

from nmos_auth.probe.authority import ProbeAuthority
from nmos_auth.probe.hosting import Servers
from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.mint import ProbeKey
from nmos_auth.probe.running import Probe

__all__ = ["AUDIENCE", "KEYS", "Clock", "activate_senders", "authorities", "bad"]

AUDIENCE = "node1.example.com"
KEYS = [ProbeKey("probe")], [ProbeKey("neighbour")], ProbeKey("stranger"), [ProbeKey("outsider")]


@contextlib.asynccontextmanager
async def authorities() -> AsyncIterator[Servers]:
    """Run the probe's servers on loopback, over http."""
    trusted, unnamed, _, others = KEYS
    authority = ProbeAuthority("127.0.0.1", "127.0.0.1", list(trusted), None)
    neighbour = ProbeAuthority("127.0.0.1", "127.0.0.1", list(unnamed), None)
    outsider = ProbeAuthority("localhost", "127.0.0.1", list(others), None)
    async with contextlib.AsyncExitStack() as stack:
        for server in (authority, neighbour, outsider):
            await server.start()
            stack.push_async_callback(server.close)
        yield Servers(authority, neighbour, outsider, ca_file=None)


async def activate_senders(probe: Probe) -> None:
    """Activate all Senders of a device, as a Controller does, so that something is sent."""
    senders = "/x-nmos/connection/v1.1/single/senders"
    granted = {"read": ["*"], "write": ["*"]}
    places = {"api": "connection", "path": "", "other": ""}
    token = probe.mint(places).token(x_nmos=granted)
    listed = await probe.ask("GET", f"{senders}/", token)
    while listed.status == 503:  # until the device has its keys
        await asyncio.sleep(listed.retry_after or 1)
        listed = await probe.ask("GET", f"{senders}/", token)
    body = json.dumps({"master_enable": True, "activation": {"mode": "activate_immediate"}})
    for sender in json.loads(listed.body):
        target = f"{senders}/{sender.strip('/')}/staged"
        reply = await probe.ask("PATCH", target, token, body.encode())
        assert reply.status == 200, reply


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
