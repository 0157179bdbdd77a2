"""One run: waits for the device, sends every row, and tries again after an answer of 503."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace

from nmos_auth.probe.authority import ProbeAuthority
from nmos_auth.probe.cases import Case, Request, cases_of, request_of
from nmos_auth.probe.device import Device, learn
from nmos_auth.probe.judging import Result, Verdict, judge
from nmos_auth.probe.mint import Mint, ProbeKey
from nmos_auth.probe.observing import Observed, observe
from nmos_auth.probe.rows import Row, Suite, practice
from nmos_auth.probe.stages import STAGES, StageError
from nmos_auth.probe.table import ROWS
from nmos_auth.probe.trials import TRIALS
from nmos_auth.probe.wire import NoReply, Reply, Socket, Wire, is_address

__all__ = ["Plan", "Probe"]

_ROUNDS = 4
_LONGEST_RETRY = 15.0
# A group that takes an hour is tried only if the user names it.
_SLOW = {Suite.WITHDRAWAL}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        audience: the device's name in tokens.
        suites: which groups of rows are tried; if empty, all except those that take an hour.
        writes: whether requests that could change something are sent.
        rate: requests a second, at most.
        patience: seconds to wait until the device accepts a good token.
        websocket: the WebSocket of its Senders, or None to look for one.
        node_id: the id of the Node that is registered during the run; "" for a random one.
        window: seconds to listen to a WebSocket after the last command is answered.
    """

    audience: str
    suites: Collection[Suite] = ()
    writes: bool = False
    rate: float = 50.0
    patience: float = 60.0
    websocket: Socket | None = None
    node_id: str = ""
    window: float = 0.5

    @property
    def domain(self) -> str:
        """The domain of the device's name; "" if that is an address or has none."""
        return "" if is_address(self.audience) else self.audience.partition(".")[2]

    def includes(self, suite: Suite) -> bool:
        """Return whether a group is tried."""
        return suite in self.suites if self.suites else suite not in _SLOW


@dataclass
class Probe:
    """Checks one device against the table.

    Args:
        wire: connects to the device.
        authority: the server whose tokens the device must accept; it listens.
        neighbour: another server on the same host, which is never advertised; it listens.
        outsider: a server with another name, which only tokens name; None if there is none.
        plan: what to do.
        progress: is called with a line that says what is being done.
        clock: seconds since 1970 UTC.
        sleep: waits for this many seconds.

    Attributes:
        outsider_met: the connections to the outsider before this run, which other devices made.
    """

    wire: Wire
    authority: ProbeAuthority
    neighbour: ProbeAuthority
    plan: Plan
    outsider: ProbeAuthority | None = None
    progress: Callable[[str], None] = lambda _: None
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    stranger: ProbeKey = field(default_factory=lambda: ProbeKey("stranger"))
    exchanges: list[Observed] = field(default_factory=list)
    device: Device = field(default_factory=lambda: Device((), None))
    outsider_met: int = field(init=False)
    _due: float = 0.0

    def __post_init__(self) -> None:
        self.outsider_met = 0 if self.outsider is None else self.outsider.connections

    def mint(self, places: Mapping[str, str]) -> Mint:
        """Return a mint of tokens for the API of these places."""
        return Mint(
            issuer=self.authority.issuer,
            audience=self.plan.audience,
            places=places,
            key=self.authority.keys[0],
            stranger=self.stranger,
            neighbour=self.neighbour.issuer,
            neighbour_key=self.neighbour.keys[0],
            now=self.clock,
        )

    def token_for(self, name: str) -> str:
        """Return a token that may read all of an API of which only the name is known.

        On some devices `*` does not match a slash; they must be readable, too.
        """
        deep = ["/".join("*" * depth) for depth in range(1, 6)]
        return self.mint({"api": name, "path": "", "other": ""}).token(x_nmos={"read": deep})

    async def run(self) -> AsyncGenerator[Result, None]:
        """Yield results as they come.

        Raises:
            NoReply: the device does not answer at all.
        """
        deadline = self.clock() + self.plan.patience
        await self._wait_for_answer(deadline)
        self.device = await self._wait_for_device(deadline)
        wanted = [row for row in ROWS if self.plan.includes(row.suite)]
        tried = [row for row in wanted if self.plan.writes or not row.writes]
        for suite, count in Counter(each.suite for each in wanted if each not in tried).items():
            yield _left_out(suite, f"{count} rows that write", "--writes is not given")
        async for result in self._unstaged([row for row in tried if row.suite not in STAGES]):
            yield result
        for suite in STAGES:
            rows = [row for row in tried if row.suite is suite]
            for result in await self._staged(suite, rows) if rows else []:
                yield result
        async for result in self._trials():
            yield result
        if self.plan.includes(Suite.ANSWERS):
            for result in observe(self.exchanges):
                yield result

    async def _wait_for_answer(self, deadline: float) -> None:
        """Wait until the device answers at all: it may be starting."""
        while True:
            try:
                await self.wire.ask("GET", "/x-nmos/")
            except NoReply as error:
                if self.clock() >= deadline:
                    raise
                self.progress(f"waiting until the device answers: {error}")
                await self.sleep(1)
            else:
                return

    async def _wait_for_device(self, deadline: float) -> Device:
        """Read the device's lists as soon as it accepts a good token.

        They are read twice: a device that is still looking for keys refuses a part of them.
        """
        before = Device((), None)
        while True:
            device = await learn(self.wire, self.token_for, self.plan.domain, self.plan.websocket)
            if device.apis and len(device.apis) == len(before.apis):
                return device
            if self.clock() >= deadline:
                return device
            before = device
            if device.apis:
                continue
            self.progress(
                "waiting until the device accepts a good token"
                if self.authority.asked.is_set()
                else f"waiting until the device asks for keys at {self.authority.issuer}"
            )
            await self.sleep(1)

    async def _unstaged(self, rows: Sequence[Row]) -> AsyncIterator[Result]:
        cases: list[Case] = []
        for row in rows:
            fitting = cases_of(row, self.device)
            cases += fitting
            if not fitting:
                yield Result.of(row, Verdict.INAPPLICABLE, came="the device has no such path")
        async for result in self._try_all(cases):
            yield result

    async def _staged(self, suite: Suite, rows: Sequence[Row]) -> list[Result]:
        """Make what the rows require, try them one after another, and undo it."""
        stage = STAGES[suite]
        api = self.device.api(stage.api)
        if api is None:
            none = f"the device has no {stage.api} API"
            return [Result.of(row, Verdict.INAPPLICABLE, came=none) for row in rows]
        results: list[Result] = []
        for group in ([row] for row in rows) if stage.each else [rows]:
            try:
                async with stage.made(self, api) as (places, socket):
                    for row in group:
                        results += await self._on_stage(row, places, socket)
            except StageError as error:
                done = len(results)
                results += [
                    Result.of(row, Verdict.UNTESTED, came=str(error)) for row in rows[done:]
                ]
                break
        return results

    async def _on_stage(
        self, row: Row, places: Mapping[str, str], socket: Socket | None
    ) -> list[Result]:
        names_socket = "websocket" in row.needs
        if names_socket and socket is None:
            return [Result.of(row, Verdict.UNTESTED, came="no ws_href can be reached")]
        case = Case(row, places, socket if names_socket else None)
        return [each async for each in self._try_all([case])]

    async def _trials(self) -> AsyncIterator[Result]:
        api = next((each for each in self.device.apis if each.path), None)
        for trial in TRIALS:
            if trial.suite in _SLOW and not self.plan.suites:
                yield Result.of(
                    trial, Verdict.UNTESTED, came=f"only tried with --suite {trial.suite}"
                )
            elif self.plan.includes(trial.suite) and api is not None:
                self.progress(trial.title)
                yield await trial.run(self, api)

    async def _try_all(self, cases: Sequence[Case]) -> AsyncIterator[Result]:
        """Send every request once, and those that are answered 503 again."""
        waiting = list(cases)
        began: float | None = None
        for turn in range(_ROUNDS):
            again: list[Case] = []
            pause = 0.0
            for case in waiting:
                self.progress(case.row.title)
                request = request_of(case, self.mint(case.places))
                reply, trouble = None, ""
                try:
                    reply = await self.send(request)
                except NoReply as error:
                    trouble = str(error)
                if reply is not None and reply.status == 503 and turn < _ROUNDS - 1:
                    again.append(case)
                    pause = max(pause, reply.retry_after or 1.0)
                    continue
                waited = 0.0 if began is None else max(1.0, self.clock() - began)
                yield _judged(case, reply, request, trouble, waited)
            if not again:
                return
            waiting, began = again, began or self.clock()
            pause = min(pause, _LONGEST_RETRY)
            self.progress(f"{len(waiting)} requests were answered 503; sent again in {pause:.0f} s")
            await self.sleep(pause)

    async def ask(
        self, method: str, target: str, token: str | None = None, body: bytes | None = None
    ) -> Reply:
        """Send one request with a token in its header.

        Args:
            method: the HTTP method.
            target: the request target.
            token: what is presented, or None.
            body: JSON, or None.

        Raises:
            NoReply: there was no answer.
        """
        headers = [] if token is None else [("Authorization", f"Bearer {token}")]
        shown = f"{method} {target}"
        return await self.send(Request(method, target, headers, token, body, shown))

    async def send(self, request: Request) -> Reply:
        """Send one request; follow a redirect that only adds or removes the last slash.

        Raises:
            NoReply: there was no answer.
        """
        reply = await self._send(request)
        moved = reply.moved_to(request.target)
        if moved is None or request.method not in {"GET", "HEAD"}:
            return reply
        return await self._send(replace(request, target=moved))

    async def _send(self, request: Request) -> Reply:
        """Send one request within the rate, and remember the exchange."""
        now = time.monotonic()
        self._due = max(now, self._due) + 1 / self.plan.rate
        await self.sleep(self._due - now - 1 / self.plan.rate)
        wire = self.wire if request.socket is None else self.wire.to(request.socket)
        reply = await wire.ask(request.method, request.target, request.headers, request.body)
        api = request.target.startswith("/x-nmos/") and request.target.count("/") > 2
        observed = Observed(request.shown, reply, request.token, api, _error_of(request))
        self.exchanges.append(observed)
        return reply


def _error_of(request: Request) -> bool | None:
    """Return whether a refusal must name an error: only if a token was presented."""
    sent = [value for name, value in request.headers if name.lower() == "authorization"]
    if not sent:
        return None if request.token else False
    tokens = request.token is not None and sent[0].lower().startswith("bearer ")
    return True if tokens else None


def _judged(
    case: Case, reply: Reply | None, request: Request, trouble: str, waited: float
) -> Result:
    result = judge(case.row, reply, sent=request.shown, came=trouble, waited=waited)
    if case.row.every_api:
        return replace(result, title=f"{result.title} ({case.places['api']})")
    return result


def _left_out(suite: Suite, what: str, why: str) -> Result:
    source = practice("requests that could change a device are sent only if its user allows them")
    return Result(f"{suite}-left-out", suite.value, what, source, Verdict.UNTESTED, came=why)
