"""One run: waits for the device, sends every row, and comes again where it is told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from nmos_auth.probe.authority import ProbeAuthority
from nmos_auth.probe.device import Api, Device, learn
from nmos_auth.probe.judging import Observed, Result, Verdict, judge, observe
from nmos_auth.probe.mint import Mint, ProbeKey
from nmos_auth.probe.rows import Row, Suite
from nmos_auth.probe.special import SPECIAL
from nmos_auth.probe.table import ROWS
from nmos_auth.probe.wire import NoReply, Reply, Wire

__all__ = ["Plan", "Probe"]

_ROUNDS = 4
_LONGEST_RETRY = 15.0
_HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "bm1vcy1hdXRoLXByb2JlIQ=="),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        audience: the device's name in tokens.
        suites: which groups of rows are tried; all where empty, but those that write.
        writes: whether requests that could change something are sent.
        rate: requests a second at the most.
        patience: seconds to wait until the device accepts a good token.
        websocket: the target of a WebSocket, or None to look for one.
    """

    audience: str
    suites: Collection[Suite] = ()
    writes: bool = False
    rate: float = 50.0
    patience: float = 60.0
    websocket: str | None = None

    def includes(self, suite: Suite) -> bool:
        """Tell whether a group is tried."""
        if suite is Suite.WRITES and not self.writes:
            return False
        return not self.suites or suite in self.suites


@dataclass
class Probe:
    """Holds one device to the table.

    Args:
        wire: the way to the device.
        authority: the server whose tokens it is to accept; it listens.
        neighbour: another server, on the same host, that is never advertised; it listens.
        plan: what to do.
        progress: is told what is going on.
        clock: seconds since 1970 UTC.
        sleep: waits for so many seconds.
    """

    wire: Wire
    authority: ProbeAuthority
    neighbour: ProbeAuthority
    plan: Plan
    progress: Callable[[str], None] = lambda _: None
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    stranger: ProbeKey = field(default_factory=lambda: ProbeKey("stranger"))
    exchanges: list[Observed] = field(default_factory=list)
    _due: float = 0.0

    def mint(self, api: Api) -> Mint:
        """Return what makes tokens for one API."""
        return Mint(
            issuer=self.authority.issuer,
            audience=self.plan.audience,
            api=api.name,
            path=api.path,
            other=api.other or "nothing",
            key=self.authority.keys[0],
            stranger=self.stranger,
            neighbour=self.neighbour.issuer,
            neighbour_key=self.neighbour.keys[0],
            now=self.clock,
        )

    def token_for(self, name: str) -> str:
        """Return a token that may read all of an API that is known by its name only."""
        return self.mint(Api(name, f"/x-nmos/{name}/v1.0", "", "")).token()

    async def run(self) -> AsyncIterator[Result]:
        """Yield results as they come.

        Raises:
            NoReply: the device does not answer at all.
        """
        await self.wire.ask("GET", "/x-nmos/")
        device = await self._wait_for_device()
        for row, api in self._rows(device):
            if api is None:
                yield Result.of(row, Verdict.INAPPLICABLE, came="the device has no such path")
        pairs = [(row, api) for row, api in self._rows(device) if api is not None]
        async for result in self._try_all(pairs):
            yield result
        if device.apis:
            for special in SPECIAL:
                if self.plan.includes(special.suite):
                    self.progress(special.title)
                    yield await special.run(self, device.apis[0])
        if self.plan.includes(Suite.ANSWERS):
            for result in observe(self.exchanges):
                yield result

    async def _wait_for_device(self) -> Device:
        """Read the device's lists as soon as it accepts a good token."""
        deadline = time.monotonic() + self.plan.patience
        while True:
            device = await learn(self.wire, self.token_for, websocket=self.plan.websocket)
            if device.apis or time.monotonic() >= deadline:
                return device
            self.progress(
                "waiting until the device accepts a good token"
                if self.authority.asked.is_set()
                else f"waiting until the device asks for keys at {self.authority.issuer}"
            )
            await self.sleep(1)

    def _rows(self, device: Device) -> list[tuple[Row, Api | None]]:
        pairs: list[tuple[Row, Api | None]] = []
        for row in ROWS:
            if not self.plan.includes(row.suite):
                continue
            apis: Sequence[Api | None] = device.apis if row.every_api else device.apis[:1]
            if row.websocket:
                events = [each for each in device.apis if each.name == "events"]
                apis = events[:1] if device.websocket else []
            if "other" in row.needs:
                apis = [each for each in apis if each is not None and each.other]
            pairs += [(row, api) for api in apis] or [(row, None)]
        self._websocket = device.websocket or ""
        return pairs

    async def _try_all(self, pairs: Sequence[tuple[Row, Api]]) -> AsyncIterator[Result]:
        """Send every row once; then again those that were told to come again."""
        waiting: list[tuple[Row, Api]] = []
        for row, api in pairs:
            self.progress(row.title)
            reply, sent, trouble = await self._send(row, api)
            if reply is not None and reply.status == 503:
                waiting.append((row, api))
            else:
                yield self._judged(row, api, reply, sent, trouble)
        for turn in range(1, _ROUNDS):
            if not waiting:
                return
            self.progress(f"{len(waiting)} requests were answered 503, and are sent again")
            pause = max(
                (each.reply.retry_after or 1.0 for each in self.exchanges[-len(pairs) :]),
                default=1.0,
            )
            await self.sleep(min(pause, _LONGEST_RETRY))
            again, waiting = waiting, []
            for row, api in again:
                reply, sent, trouble = await self._send(row, api)
                if reply is not None and reply.status == 503 and turn < _ROUNDS - 1:
                    waiting.append((row, api))
                else:
                    yield self._judged(row, api, reply, sent, trouble)

    def _judged(self, row: Row, api: Api, reply: Reply | None, sent: str, trouble: str) -> Result:
        result = judge(row, reply, sent=sent, came=trouble)
        return replace(result, title=f"{row.title} ({api.name})") if row.every_api else result

    async def _send(self, row: Row, api: Api) -> tuple[Reply | None, str, str]:
        token = None if row.token is None else row.token(self.mint(api))
        separator = "&" if "?" in self._websocket else "?"
        places = {
            **api.places,
            "websocket": self._websocket,
            "separator": separator,
            "token": token or "",
        }
        shown = row.target_on({**places, "token": "TOKEN"})
        headers = list(row.headers)
        if token is not None:
            if any("{token}" in value for _, value in headers):
                headers = [(name, value.replace("{token}", token)) for name, value in headers]
            elif "token" not in row.needs:
                headers.append(("Authorization", f"Bearer {token}"))
        if row.websocket:
            headers += _HANDSHAKE
        sent = f"{row.method} {shown}"
        try:
            reply = await self.ask(row.method, row.target_on(places), headers, token, shown=sent)
        except NoReply as error:
            return None, sent, str(error)
        return reply, sent, ""

    async def ask(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        token: str | None = None,
        *,
        shown: str = "",
    ) -> Reply:
        """Send one request within the rate, and remember the exchange.

        Args:
            method: the HTTP method.
            target: the request target.
            headers: header fields.
            token: what is presented in them, or None.
            shown: the request line for reports, where the target holds the token.

        Raises:
            NoReply: there was no answer.
        """
        now = time.monotonic()
        self._due = max(now, self._due) + 1 / self.plan.rate
        await self.sleep(self._due - now - 1 / self.plan.rate)
        reply = await self.wire.ask(method, target, headers)
        bearer = any(name.lower() == "authorization" for name, _ in headers)
        api = target.startswith("/x-nmos/") and target.count("/") > 2
        error = "token" if token is not None and bearer else None if bearer else ""
        self.exchanges.append(Observed(shown or f"{method} {target}", reply, token, api, error))
        return reply
