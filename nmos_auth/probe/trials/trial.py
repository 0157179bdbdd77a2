"""A test of several requests, and what these tests share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.rows import Source, Suite
from nmos_auth.probe.wire import NoReply, Reply

if TYPE_CHECKING:
    from nmos_auth.probe.device import Api
    from nmos_auth.probe.running import Probe

__all__ = ["Outcome", "Trial", "ask", "until_settled"]

Outcome: TypeAlias = tuple[Verdict, str]
"""The verdict of a trial, and what came in a few words."""

_PATIENCE = 10.0
_LONGEST_PAUSE = 5.0
_NOTHING_SENT = {Verdict.UNTESTED, Verdict.INAPPLICABLE}


@dataclass(frozen=True, slots=True)
class Trial:
    """A test of several requests.

    Attributes:
        id: its name in reports, which never changes.
        suite: its group.
        title: what is tried.
        source: the sentence that the device is checked against.
        meaning: what a failure means for the operator.
        test: tries it on one API.
        api: the API that it is about; None for any API of the device.
        path: what it reads of that API; "" for the API's own path.
    """

    id: str
    suite: Suite
    title: str
    source: Source
    meaning: str
    test: Callable[[Probe, Api], Awaitable[Outcome]]
    api: str | None = None
    path: str = ""

    async def run(self, probe: Probe, api: Api) -> Result:
        """Try it on this API, or on the one that it is about."""
        if self.api is not None:
            named = probe.device.api(self.api)
            if named is None:
                none = f"the device has no {self.api} API"
                return Result.of(self, Verdict.INAPPLICABLE, came=none)
            api = named
        try:
            verdict, came = await self.test(probe, api)
        except NoReply as error:
            verdict, came = Verdict.FAIL, str(error)
        target = f"{api.base}/{self.path or api.path}"
        if self.suite is Suite.EVENTS and probe.device.websocket is not None:
            target = probe.device.websocket.target
        sent = "" if verdict in _NOTHING_SENT else f"GET {target}"
        return Result.of(self, verdict, sent=sent, came=came)


async def ask(probe: Probe, api: Api, token: str) -> Reply:
    """Read the API's path with a token."""
    return await probe.ask("GET", f"{api.base}/{api.path}", token)


async def until_settled(probe: Probe, api: Api, token: str, patience: float = _PATIENCE) -> Reply:
    """Ask again while the answer is 503, after the time in Retry-After."""
    deadline = probe.clock() + patience
    while True:
        reply = await ask(probe, api, token)
        left = deadline - probe.clock()
        if reply.status != 503 or left <= 0:
            return reply
        await probe.sleep(min(reply.retry_after or 1.0, _LONGEST_PAUSE, left))
