"""What is left of a server's throughput where more tokens come by turns than are remembered."""

from __future__ import annotations

from pathlib import Path

from benchmarks.apps import settings_for
from benchmarks.effort import Effort
from benchmarks.keys import token_of
from benchmarks.report import Section, Table, Verdict
from benchmarks.timing import Spread
from benchmarks.under_load import load_in_turns, servers
from nmos_auth import Settings
from tests.support.tokens import signing_key

__all__ = ["measure"]

_OPEN = "open app"
_FORGETS = "NmosAuthMiddleware, memories as they are by default"
_REMEMBERS = "NmosAuthMiddleware, memories for all of them"
_BUDGETS = {_FORGETS: 0.7, _REMEMBERS: 0.95}
_ROOM = 8192


async def measure(directory: Path, effort: Effort) -> Section:
    """Load an open Node and protected ones, each request with the next token."""
    key = signing_key(0)
    forgets = settings_for(directory, "forgets", [key.jwk()], audit=True)
    sizes = {"remembered_tokens": _ROOM, "remembered_requests": _ROOM}
    settings: dict[str, Settings | None] = {
        _OPEN: None,
        _FORGETS: forgets,
        _REMEMBERS: settings_for(directory, "remembers", [key.jwk()], audit=True, **sizes),
    }
    tokens = [token_of(key) for _ in range(effort.tokens)]
    async with servers(settings) as connections:
        # As many turns go before as each token needs to come twice.
        seconds = effort.load_seconds
        await load_in_turns(connections, tokens, effort.tokens_rounds, seconds)
        loads = await load_in_turns(connections, tokens, effort.tokens_rounds, seconds)
    rates = {name: [each.rate for each in loads[name]] for name in settings}
    shares = {name: Spread.of_ratios(rates[name], rates[_OPEN]) for name in settings}
    return Section(
        "many-tokens",
        [
            Table(
                f"{effort.tokens:,} tokens by turns, a FastAPI app under uvicorn with h11",
                ("", "requests/s", "of the open app"),
                [(name, Spread.of(rates[name]), shares[name]) for name in settings],
                (f"By default {forgets.remembered_tokens:,} tokens are remembered.",),
            )
        ],
        [
            Verdict(
                f"{effort.tokens:,} tokens by turns, {name}: at least {budget:g} of the open app",
                f"{shares[name].median:.3f}",
                met=shares[name].median >= budget,
            )
            for name, budget in _BUDGETS.items()
        ],
    )
