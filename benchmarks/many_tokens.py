"""What is left of a server's throughput where more tokens come by turns than are remembered."""

from __future__ import annotations

import functools
from pathlib import Path

from benchmarks.apps import node_app, protected_node, settings_for
from benchmarks.effort import Effort
from benchmarks.keys import token_of
from benchmarks.report import BudgetCheck, Section, Table
from benchmarks.timing import Spread
from benchmarks.under_load import MakeApp, load_in_turns, servers
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
    remembers = settings_for(directory, "remembers", [key.jwk()], audit=True, room=_ROOM)
    apps: dict[str, MakeApp] = {
        _OPEN: node_app,
        _FORGETS: functools.partial(protected_node, forgets),
        _REMEMBERS: functools.partial(protected_node, remembers),
    }
    tokens = [token_of(key) for _ in range(effort.tokens)]
    async with servers(apps) as connections:
        # As many turns go before as each token needs to come twice.
        seconds = effort.load_seconds
        await load_in_turns(connections, tokens, effort.tokens_rounds, seconds)
        loads = await load_in_turns(connections, tokens, effort.tokens_rounds, seconds)
    rates = {name: [each.rate for each in loads[name]] for name in apps}
    shares = {name: Spread.of_ratios(rates[name], rates[_OPEN]) for name in apps}
    return Section(
        "many-tokens",
        [
            Table(
                f"{effort.tokens:,} tokens by turns, a FastAPI app under uvicorn with h11",
                ("", "requests/s", "of the open app"),
                [(name, Spread.of(rates[name]), shares[name]) for name in apps],
                (f"By default {forgets.remembered_tokens:,} tokens are remembered.",),
            )
        ],
        [
            BudgetCheck(
                f"{effort.tokens:,} tokens by turns, {name}: at least {budget:g} of the open app",
                f"{shares[name].median:.3f}",
                met=shares[name].median >= budget,
            )
            for name, budget in _BUDGETS.items()
        ],
    )
