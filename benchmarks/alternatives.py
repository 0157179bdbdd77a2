"""What is left of a server's throughput with what one might choose instead of the middleware."""

from __future__ import annotations

import functools
from pathlib import Path

from benchmarks.apps import (
    node_app,
    node_in_base_middleware,
    node_with_idle_dependency,
    node_with_joserfc,
    node_with_pyjwt,
    protected_node,
    settings_for,
)
from benchmarks.effort import Effort
from benchmarks.keys import pem_of, token_of
from benchmarks.report import Section, Table
from benchmarks.timing import Spread
from benchmarks.under_load import MakeApp, load_in_turns, servers
from tests.support.tokens import signing_key

__all__ = ["measure"]

_OPEN = "open app"


async def measure(directory: Path, effort: Effort) -> Section:
    """Load an open Node, a protected one and others in turns, with a known token."""
    key = signing_key(1)
    pem = pem_of(key)
    settings = settings_for(directory, "alternatives", [key.jwk()], audit=True)
    apps: dict[str, MakeApp] = {
        _OPEN: node_app,
        "NmosAuthMiddleware, audit log to a file": functools.partial(protected_node, settings),
        "dependency that does nothing": node_with_idle_dependency,
        "BaseHTTPMiddleware doing nothing": node_in_base_middleware,
        "dependency that decodes with joserfc": functools.partial(node_with_joserfc, pem),
        "dependency that decodes with PyJWT": functools.partial(node_with_pyjwt, pem),
    }
    async with servers(apps) as connections:
        loads = await load_in_turns(
            connections, [token_of(key)], effort.alternative_rounds, effort.load_seconds
        )
    rates = {name: [each.rate for each in loads[name]] for name in apps}
    used = {name: [each.used for each in loads[name]] for name in apps}
    return Section(
        "alternatives",
        [
            Table(
                "The alternatives: a FastAPI app with one JSON handler under uvicorn with h11",
                ("", "requests/s", "of the open app", "CPU over the open app, us a request"),
                [
                    (
                        name,
                        Spread.of(rates[name]),
                        Spread.of_ratios(rates[name], rates[_OPEN]),
                        None if name == _OPEN else Spread.of_differences(used[name], used[_OPEN]),
                    )
                    for name in apps
                ],
                (
                    "One token. The dependencies that decode check signature, issuer, audience and",
                    "times; they look at no path, and log nothing.",
                ),
            )
        ],
    )
