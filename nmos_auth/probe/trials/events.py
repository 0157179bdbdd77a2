"""What a client hears on an IS-07 WebSocket: which Sources, and whether commands are answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmos_auth.errors import MissingExtra
from nmos_auth.probe.cases import UPGRADE
from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.rows import Force, Maker, Source, Suite, bcp_003_02, is_07
from nmos_auth.probe.sentences import EVENTS_AUTHORIZATION
from nmos_auth.probe.trials.trial import Outcome, Trial
from nmos_auth.probe.wire import NoReply, parsed

if TYPE_CHECKING:
    from nmos_auth.probe.device import Api
    from nmos_auth.probe.mint import Mint
    from nmos_auth.probe.running import Probe
    from nmos_auth.probe.wire import Wire

with MissingExtra.named("probe", "websockets"):
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import InvalidStatus, WebSocketException

__all__ = ["EVENTS"]

_CLAIMS = bcp_003_02(EVENTS_AUTHORIZATION, "a read claim matches all Sources that may be heard")
_SCOPE = bcp_003_02(
    EVENTS_AUTHORIZATION,
    "commands require the scope `events`, and claims for the Sources",
    Force.STATED,
)
_STATES = is_07(
    "WebSocket Transport, 4. Subscriptions strategy",
    "each subscription is answered with the states of its Sources",
    Force.STATED,
)
_HEARS = "Clients can hear Sources that the operator did not grant them."
_DEAF = "Clients do not hear the Sources that the operator granted them."

# IS-07 WebSocket Transport, Heartbeats: a command is answered within 5 seconds.
_DEADLINE = 5.0


@dataclass(frozen=True, slots=True)
class _Dialogue:
    """One connection: the subscription, and the states that may and must come.

    Attributes:
        token: makes the token.
        asked: names of the Sources in the subscription command.
        heard: names of those whose state must come.
        may: names of those whose state may come as well; no other state may come.
    """

    token: Maker
    asked: tuple[str, ...] = ("source",)
    heard: tuple[str, ...] = ()
    may: tuple[str, ...] = ()

    async def run(self, probe: Probe, _: Api) -> Outcome:
        """Connect, subscribe, and listen until a later command is answered."""
        api, socket = probe.device.api("events"), probe.device.websocket
        if api is None or socket is None:
            return Verdict.INAPPLICABLE, "the device has no WebSocket of events"
        # Only the Connection API tells which Senders are active.
        known = probe.device.sources or tuple(filter(None, [api.places.get("source")]))
        sources = dict(zip(("source", "source2"), known, strict=False))
        if probe.device.api("connection") is not None and not probe.device.sources and self.asked:
            return Verdict.UNTESTED, "no WebSocket Sender is active"
        if not sources.keys() >= {*self.asked}:
            return Verdict.UNTESTED, "too few WebSocket Senders are active"
        places = {**api.places, **sources}
        asked, wanted = (
            [sources[each] for each in self.asked],
            {sources[each] for each in self.heard},
        )
        token = self.token(probe.mint(places))
        async with _connected(probe.wire.to(socket), socket.target, token) as connection:
            if isinstance(connection, str):
                verdict = Verdict.FAIL if wanted or not self.asked else Verdict.PASS
                return verdict, connection
            states, alive = await _listen(connection, asked, probe.plan.window)
        if not alive:
            return Verdict.FAIL, "the command `health` is not answered"
        came = f"states of {len(states & set(asked))} of {len(asked)} Sources"
        allowed = wanted | {sources[each] for each in self.may}
        return (Verdict.PASS if wanted <= states <= allowed else Verdict.FAIL), came


@contextlib.asynccontextmanager
async def _connected(wire: Wire, target: str, token: str) -> AsyncIterator[ClientConnection | str]:
    """Connect to a WebSocket; yields the connection, or why the device refused it."""
    scheme = "ws" if wire.context is None else "wss"
    try:
        connection = await connect(
            f"{scheme}://{wire.authority}{target}",
            additional_headers={"Authorization": f"Bearer {token}"},
            ssl=wire.context,
            proxy=None,
            open_timeout=_DEADLINE,
            close_timeout=1,
        )
    except InvalidStatus as error:
        yield f"{error.response.status_code} for the handshake"
        return
    except (OSError, TimeoutError, WebSocketException) as error:
        status = await _refused(wire, target, token)
        yield status or f"no connection: {type(error).__name__}"
        return
    async with connection:
        yield connection


async def _refused(wire: Wire, target: str, token: str) -> str:
    """Return how the device answers a handshake that `websockets` cannot read, or "".

    Some devices, for example sony/nmos-cpp, announce a body when they refuse, and never send it.
    """
    try:
        reply = await wire.ask("GET", target, [*UPGRADE, ("Authorization", f"Bearer {token}")])
    except NoReply:
        return ""
    return "" if reply.status == 101 else f"{reply.status} for the handshake"


async def _listen(
    connection: ClientConnection, sources: Sequence[str], window: float
) -> tuple[set[str], bool]:
    """Subscribe; return whose states came, and whether a later command was answered.

    A state that comes within the window after that answer still belongs to the subscription.
    """
    states: set[str] = set()
    alive = False
    seconds, fraction = divmod(time.time_ns(), 10**9)
    commands: list[dict[str, object]] = [
        {"command": "health", "timestamp": f"{seconds}:{fraction}"}
    ]
    if sources:
        commands.insert(0, {"command": "subscription", "sources": [*sources]})
    with contextlib.suppress(TimeoutError, WebSocketException):
        for command in commands:
            await connection.send(json.dumps(command))
        async with asyncio.timeout(_DEADLINE) as timeout:
            async for message in connection:
                heard = _read(message)
                if heard.get("message_type") == "health":
                    alive = True
                    timeout.reschedule(asyncio.get_running_loop().time() + window)
                identity = heard.get("identity")
                if heard.get("message_type") == "state" and isinstance(identity, dict):
                    states.add(str(identity.get("source_id")))
    return states, alive


def _read(message: str | bytes) -> dict[str, object]:
    document = parsed(message)
    return document if isinstance(document, dict) else {}


def _claims(*specifiers: str, verb: str = "read") -> Maker:
    def make(mint: Mint) -> str:
        return mint.token(x_nmos={verb: [mint.filled(each) for each in specifiers]})

    return make


def _other(mint: Mint) -> str:
    # The device need not have this Source.
    return mint.token(x_nmos={"read": ["sources/00000000-0000-4000-8000-000000000000"]})


def _start(mint: Mint) -> str:
    return mint.token(x_nmos={"read": [f"sources/{mint.places['source'][:8]}"]})


def _expression(mint: Mint) -> str:
    return mint.token(x_nmos={"read": [f"sources/.{mint.places['source'][1:]}"]})


def _trial(
    name: str, title: str, source: Source, meaning: str, token: Maker, **dialogue: tuple[str, ...]
) -> Trial:
    """Return a trial of one dialogue; further arguments are those of `_Dialogue`."""
    return Trial(
        f"events-{name}", Suite.EVENTS, title, source, meaning, _Dialogue(token, **dialogue).run
    )


EVENTS = (
    _trial(
        "health",
        "a command `health`, with the scope and without a claim for a Source",
        _SCOPE,
        "Connections of clients whose tokens have only the scope end after 12 seconds.",
        lambda mint: mint.token(x_nmos=None),
        asked=(),
    ),
    _trial(
        "all",
        "a subscription, with a claim for `sources/*`",
        _STATES,
        _DEAF,
        _claims("sources/*"),
        heard=("source",),
    ),
    _trial(
        "exact",
        "a subscription, with a claim for exactly this Source",
        _STATES,
        _DEAF,
        _claims("sources/{source}"),
        heard=("source",),
    ),
    _trial(
        "two",
        "a subscription to two Sources, with a claim for one of them",
        _CLAIMS,
        _HEARS,
        _claims("sources/{source}"),
        asked=("source", "source2"),
        # A device may refuse the whole command.
        may=("source",),
    ),
    _trial(
        "scope",
        "a subscription, with the scope and without a claim",
        _CLAIMS,
        _HEARS,
        lambda mint: mint.token(x_nmos=None),
    ),
    _trial("other", "a subscription, with a claim for another Source", _CLAIMS, _HEARS, _other),
    _trial(
        "write",
        "a subscription, with a claim that permits write and not read",
        _CLAIMS,
        _HEARS,
        _claims("sources/*", verb="write"),
    ),
    _trial(
        "start",
        "a subscription, with a claim for the start of the Source's id",
        _CLAIMS,
        _HEARS,
        _start,
    ),
    _trial(
        "expression",
        "a subscription, with a claim that has a full stop in the Source's id",
        _CLAIMS,
        _HEARS,
        _expression,
    ),
)
