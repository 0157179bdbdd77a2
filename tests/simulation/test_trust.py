"""Some hundred hours in the life of a Node, with everything that may go wrong around it."""

from __future__ import annotations

import pytest

from tests.simulation.play import play, simulate


@pytest.mark.parametrize("seed", [2026, 2027, 2028, 2029])
def test_what_must_hold_holds(seed: int) -> None:
    """25 hours each, two with configured servers and two with DNS-SD.

    `scripts/simulate` plays longer, and any other seed.
    """
    world = simulate(seed, 25)
    assert world.answers[200] > 200
    assert world.answers[401] > 100
    assert world.answers[503] > 500


def test_a_seed_gives_one_history() -> None:
    """What broke can be played again, event by event."""
    histories = [play(seed, 3).history for seed in (7, 7, 8)]
    assert histories[0] == histories[1] != histories[2]
