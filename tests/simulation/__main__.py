"""Plays a plant in virtual time, seed after seed, and prints the history where a rule breaks.

    scripts/simulate --hours 1000 --seed 7

The same seed and hours give the same history.
"""

from __future__ import annotations

import argparse
import itertools
import secrets
import sys
import time
from collections.abc import Sequence

from tests.simulation.play import LONGEST_HISTORY, play
from tests.simulation.world import World

_TOLD = 60


def main(words: Sequence[str] | None = None) -> int:
    """Play; the return value is the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument(
        "--hours", type=float, default=200.0, help="of virtual time, in all (default: %(default)g)"
    )
    parser.add_argument("--seed", type=int, help="the first; by default, a random one")
    arguments = parser.parse_args(words)
    first = secrets.randbelow(10**6) if arguments.seed is None else arguments.seed
    left = arguments.hours
    for seed in itertools.count(first):
        hours = min(left, LONGEST_HISTORY)
        if hours <= 0:
            return 0
        began = time.monotonic()
        world = play(seed, hours)
        if world.broken is not None:
            print("\n".join(world.told[-_TOLD:]))
            print(f"\n{world.broken}\nagain: scripts/simulate --seed {seed} --hours {hours:g}")
            return 1
        print(_line(world, time.monotonic() - began), flush=True)
        left -= hours
    return 0


def _line(world: World, spent: float) -> str:
    answers = " ".join(f"{status}: {count}" for status, count in sorted(world.answers.items()))
    return f"seed {world.seed}: {world.hours:g} h in {spent:.1f} s, {world.history}, {answers}"


if __name__ == "__main__":
    sys.exit(main())
