"""Clients in simulated time: nothing that a server gave is lost, whatever fails around it."""

from __future__ import annotations

import pytest

from tests.simulation.client_history import play


@pytest.mark.parametrize(
    "block",
    [*range(3), *(pytest.param(block, marks=pytest.mark.slow) for block in range(3, 40))],
)
def test_histories(block: int) -> None:
    """What `client_history` checks holds for every seed."""
    for seed in range(10 * block, 10 * (block + 1)):
        history = play(seed)
        assert not history.violations, (seed, history.violations, history.events)


def test_a_seed_is_a_history() -> None:
    """The same seed makes the same things happen at the same times."""
    one, same, other = play(3), play(3), play(4)
    assert one.events == same.events
    assert one.server.asked == same.server.asked
    assert one.events != other.events
