"""The command: mutate modules, and list the mutants that no test noticed."""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.mutation.running import ARGUMENTS, Runner, Verdict

ROOMS = ("nmos_auth/rules", "nmos_auth/trust")
# Mutants that change nothing that anybody could notice, and why: by their text, or by the statement
# for all that becomes of it.
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


def main() -> int:
    """Run the command, and return how it ended."""
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__)
    parser.add_argument("modules", nargs="*", type=Path, help=f"files, all of {ROOMS} where none")
    parser.add_argument("--tests", action="append", help="where tests are, their room's if absent")
    parser.add_argument("--only", default="", metavar="TEXT", help="mutants whose text has this")
    parser.add_argument("--seconds", type=float, default=10, help="of tests for a mutant, at most")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at once")
    arguments = parser.parse_args()
    modules = arguments.modules or [
        each for room in ROOMS for each in sorted(Path(room).glob("*.py"))
    ]
    by_room = defaultdict[str, list[Path]](list)
    for module in modules:
        by_room[module.parent.name].append(module)
    report = _Report(tomllib.loads(EQUIVALENT.read_text()))
    for room, its_modules in by_room.items():
        runner = Runner(
            its_modules,
            most_seconds=arguments.seconds,
            jobs=arguments.jobs,
            wanted=lambda text: arguments.only in text,
            tell=report.take,
        )
        tests = arguments.tests or [f"tests/{room}"]
        status = pytest.main([*ARGUMENTS, "-m", "not slow", *tests], plugins=[runner])
        if status not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            return int(status)
    report.show(all_met=not arguments.only)
    return 0


class _Report:
    """Counts verdicts, and prints each mutant that survived and is not equivalent."""

    def __init__(self, equivalent: dict[str, dict[str, str]]) -> None:
        self._equivalent = equivalent
        self._counts = defaultdict[str, Counter[str]](Counter)
        self._met = defaultdict[str, set[str]](set)

    def take(self, verdict: Verdict) -> None:
        """Count a verdict."""
        module, mutant = verdict.module, verdict.mutant
        known, names = self._equivalent.get(module, {}), {mutant.text, mutant.statement}
        equivalent = not names.isdisjoint(known)
        self._met[module] |= names
        if not verdict.survived:
            outcome = "killed"
            if mutant.text in known:
                print(f"{module}:{mutant.line}: killed, so not equivalent: {mutant.text}")
        elif equivalent:
            outcome = "equivalent"
        else:
            outcome = "survived"
            print(f"{module}:{mutant.line}: {mutant.text}", flush=True)
        self._counts[module][outcome] += 1

    def show(self, *, all_met: bool) -> None:
        """Print a table, and what the file of equivalent mutants has too much."""
        for module, met in self._met.items() if all_met else ():
            for text in self._equivalent.get(module, {}).keys() - met:
                print(f"{module}: not met, though said to be equivalent: {text}")
        total = Counter[str]()
        for counts in self._counts.values():
            total += counts
        print(f"\n{'module':40} mutants  killed  survived  equivalent  killed of the others")
        for module, counts in [*self._counts.items(), ("all", total)]:
            others = counts["killed"] + counts["survived"]
            share = f"{counts['killed'] / others:.1%}" if others else "-"
            print(
                f"{module:40} {counts.total():7} {counts['killed']:7} {counts['survived']:9}"
                f" {counts['equivalent']:11} {share:>21}"
            )


if __name__ == "__main__":
    os.nice(19)
    sys.exit(main())
