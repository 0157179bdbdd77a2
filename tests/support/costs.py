"""What something costs, whatever the machine and however busy it is."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["cost_in_turns"]

_TURNS = 50_000
_ROUNDS = 5


def cost_in_turns(act: Callable[[], object]) -> float:
    """Return the turns of a loop that would take as much CPU, each at its quickest.

    A slow machine needs longer for both. Where nothing else runs, a turn takes some 0.03
    microseconds.

    Args:
        act: what is measured; it runs several times.
    """
    loops, acts = [], []
    for _ in range(_ROUNDS):
        loops.append(_seconds(_loop))
        acts.append(_seconds(act))
    return min(acts) / min(loops) * _TURNS


def _loop() -> None:
    total = 0
    for each in range(_TURNS):
        total += each


def _seconds(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start
