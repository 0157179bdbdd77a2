"""The most expensive requests that anybody can send, against the open app."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from benchmarks.apps import SENDERS, node_app, protected_node, settings_for
from benchmarks.effort import Effort
from benchmarks.keys import decoy_jwk, mint_of
from benchmarks.report import BudgetCheck, Cell, Section, Table
from benchmarks.timing import Spread, in_turns, microseconds
from benchmarks.under_load import Connection, MakeApp, servers
from tests.support.tokens import compact, signing_key

__all__ = ["BUDGET", "measure", "requests"]

# Microseconds of CPU, or as much again as the open app takes.
BUDGET = 2000
_OPEN = "open app"
_PROTECTED = "protected"
_SIZE = 60_000
_TOKEN = 16_000
_KEYS = 16
_BITS = 4096


def _forged(payload: str, size: int = 512) -> str:
    """Put a payload into a token whose signature is as long as that of a key of 4096 bits."""
    header = b'{"typ":"JWT","alg":"RS512","kid":"key-1"}'
    return compact(header, payload.encode(), b"\x01" * size)


def _claims(**changes: object) -> str:
    return mint_of(signing_key(1)).payload(**changes)


def _with(more: str) -> str:
    """Write the claims of a good token, and more."""
    return mint_of(signing_key(1)).payload(f'"more":{more}')


def requests() -> Mapping[str, bytes]:
    """Return requests of up to 64 KB that need no good token, by what is expensive in each."""
    path = SENDERS + "0" * 36
    room = _TOKEN * 3 // 4 - 600

    def get(target: str, *fields: str, method: str = "GET") -> bytes:
        head = [f"{method} {target} HTTP/1.1", "Host: node1.example.com", *fields]
        return ("\r\n".join(head) + "\r\n\r\n").encode()

    def bearer(token: str) -> bytes:
        return get(path, f"Authorization: Bearer {token}")

    def query(of: str) -> bytes:
        return get(f"{path}?{of * (_SIZE // len(of))}")

    def long_path(of: str) -> bytes:
        return get(SENDERS + of * (_SIZE // len(of)))

    return {
        "nothing": get(path),
        "query: &&&": query("&"),
        "query: %%%": query("%"),
        "query: access_token=&": query("access_token=&"),
        "query: access_token;": query("access_token;"),
        "query: access_token;&+&+": get(f"{path}?access_token;{'&+' * (_SIZE // 2)}"),
        "path: a/a/a": long_path("a/"),
        "path: %61%61": long_path("%61"),
        "path: %C3%A9": long_path("%C3%A9"),
        "path: %FF": long_path("%FF"),
        "path: a/../a/..": long_path("a/../"),
        "header: Bearer and 60 KB": bearer("a" * _SIZE),
        "header: 3,000 fields": get(
            path, *(f"x-{number:04}: aaaaaaaaaaa" for number in range(3000))
        ),
        "preflight: 10,000 fields": get(
            path,
            "Origin: https://controller.example.com",
            "Access-Control-Request-Method: GET",
            "Access-Control-Request-Headers: " + "a-a-a," * 10_000,
            method="OPTIONS",
        ),
        "token: rubbish": bearer("a" * _TOKEN),
        "token: dots": bearer("." * _TOKEN),
        "token: forged": bearer(_forged(_claims())),
        "token: objects": bearer(_forged(_with("[" + "{}," * (room // 3) + "{}]"))),
        "token: 500 objects": bearer(_forged(_with("[" + '{"a":1},' * 500 + "{}]"))),
        "token: numbers": bearer(_forged(_with("[" + "1e308," * (room // 6) + "1]"))),
        "token: names": bearer(
            _forged(_with("{" + ",".join(f'"{n:x}":1' for n in range(room // 9)) + "}"))
        ),
        "token: escapes": bearer(_forged(_with('"' + "\\u00e9" * (room // 6) + '"'))),
        "token: scopes": bearer(
            _forged(_claims(scope=" ".join(f"{n:x}" for n in range(room // 5))))
        ),
        "token: audience": bearer(_forged(_claims(aud=[f"{n:x}.*" for n in range(room // 10)]))),
    }


async def measure(directory: Path, effort: Effort) -> Section:
    """Send each request to an open Node and to a protected one, in turns."""
    keys = [decoy_jwk(f"key-{number}", bits=_BITS) for number in range(_KEYS - 1)]
    settings = settings_for(
        directory, "hostile", [*keys, signing_key(1).jwk()], audit=True, asks=True
    )
    apps: dict[str, MakeApp] = {
        _OPEN: node_app,
        _PROTECTED: functools.partial(protected_node, settings),
    }
    sent = requests()
    used: dict[str, defaultdict[str, list[float]]] = {each: defaultdict(list) for each in apps}
    async with servers(apps, connections=1) as connections:
        for number in range(effort.hostile_rounds):
            for name in in_turns(list(sent), number):
                for which in in_turns(list(apps), number):
                    (connection,) = connections[which]
                    cost = await _cost(connection, sent[name], effort.hostile_requests)
                    used[which][name].append(cost)
    rows: list[tuple[Cell, ...]] = []
    worst = 0.0
    for name in sent:
        base, ours = used[_OPEN][name], used[_PROTECTED][name]
        added = Spread.of_differences(ours, base)
        ratio = Spread.of_ratios(ours, base)
        worst = max(worst, min(added.median / BUDGET, ratio.median / 2))
        rows.append((name, len(sent[name]), Spread.of(base), added, ratio.median))
    return Section(
        "hostile",
        [
            Table(
                "The most expensive requests that anybody can send, under uvicorn",
                ("", "bytes", "open app, us of CPU", "added, us of CPU", "times"),
                rows,
                (
                    f"Budget: {BUDGET:,} us added, or twice the open app, whichever is more. CPU",
                    f"counts all threads. {_KEYS} keys are trusted, all but one of {_BITS} bits.",
                ),
            )
        ],
        [
            BudgetCheck(
                f"without a good token: {BUDGET:,} us, or twice the open app",
                f"the worst takes {worst:.2f} of that",
                met=worst <= 1,
            )
        ],
    )


async def _cost(connection: Connection, request: bytes, count: int) -> float:
    before = await connection.cpu()
    for _ in range(count):
        await connection.ask(request)
    return microseconds(await connection.cpu() - before, count)
