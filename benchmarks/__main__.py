"""Measures everything, prints tables, and says which budgets are met."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from benchmarks import (
    alternatives,
    controller,
    first_sight,
    growth,
    hostile,
    in_process,
    many_tokens,
    memory,
    owners,
    startup,
    under_load,
    workers,
)
from benchmarks.apps import hush
from benchmarks.effort import FULL, QUICK, Effort
from benchmarks.report import Section, check_as_text, section_as_json, section_as_text

QUESTIONS: Mapping[str, Callable[[Path, Effort], Awaitable[Section]]] = {
    "in-process": in_process.measure,
    "under-load": under_load.measure,
    "alternatives": alternatives.measure,
    "many-tokens": many_tokens.measure,
    "workers": workers.measure,
    "first-sight": first_sight.measure,
    "startup": startup.measure,
    "memory": memory.measure,
    "growth": growth.measure,
    "owners": owners.measure,
    "hostile": hostile.measure,
    "controller": controller.measure,
}
_LIBRARIES = ("cryptography", "fastapi", "joserfc", "pyjwt", "starlette", "uvicorn")


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "question", nargs="*", help=f"what to measure, of {', '.join(QUESTIONS)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="in two minutes, less exactly")
    parser.add_argument("--check", action="store_true", help="fail where a budget is not met")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parsed = parser.parse_args(arguments)
    if unknown := set(parsed.question) - set(QUESTIONS):
        parser.error(f"no such question: {', '.join(sorted(unknown))}")
    return parsed


def _machine() -> dict[str, str]:
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **{name: metadata.version(name) for name in _LIBRARIES},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    options = _arguments(arguments)
    hush()
    started = time.monotonic()
    machine = _machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print("x [y .. z] is a median and its quartiles\n", flush=True)
    sections: list[Section] = []
    with tempfile.TemporaryDirectory(prefix="nmos-auth-benchmarks-") as directory:
        for name in options.question or QUESTIONS:
            measure = QUESTIONS[name](Path(directory), QUICK if options.quick else FULL)
            sections.append(asyncio.run(_awaited(measure)))
            print(section_as_text(sections[-1]), flush=True)
    checks = [check for section in sections for check in section.checks]
    for check in checks:
        print(check_as_text(check))
    print(f"took {time.monotonic() - started:.0f} s")
    if options.json is not None:
        document = {"machine": machine, "sections": [section_as_json(each) for each in sections]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if options.check and not all(each.met for each in checks) else 0


async def _awaited(measure: Awaitable[Section]) -> Section:
    return await measure


if __name__ == "__main__":
    sys.exit(main())
