"""Pauses after failures: they grow, they have a limit, and they differ between peers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.servers.backoff import BackOff

BACK_OFFS = st.builds(
    BackOff,
    first=st.floats(0.1, 60),
    longest=st.floats(60, 3600),
    factor=st.floats(1, 4),
)


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (10**9, 60.0)]
)
def test_the_ceiling_doubles_up_to_the_limit(failures: int, ceiling: float) -> None:
    """After the first failure a second at most, then twice as long each time, and no overflow."""
    assert BackOff(1.0, 60.0).ceiling(failures) == ceiling


@given(BACK_OFFS, st.integers(0, 10**6), st.floats(0, 1))
def test_a_pause_is_half_to_all_of_the_ceiling(
    back_off: BackOff, failures: int, share: float
) -> None:
    """Never nothing, and never longer than the ceiling, whatever the random number."""
    pause = back_off.pause(failures, lambda low, high: low + (high - low) * share)
    ceiling = back_off.ceiling(failures)
    assert ceiling / 2 <= pause <= ceiling


@given(BACK_OFFS, st.integers(0, 10**6))
def test_ceilings_never_shrink(back_off: BackOff, failures: int) -> None:
    """One more failure never makes the wait shorter, nor longer than the limit."""
    assert (
        back_off.ceiling(failures) <= back_off.ceiling(failures + 1) <= max(back_off.longest, 0.1)
    )


def test_peers_do_not_come_back_together() -> None:
    """A hundred who failed at the same moment come back spread over half the ceiling."""
    uniform = random.SystemRandom().uniform
    pauses = [BackOff(8.0, 60.0).pause(1, uniform) for _ in range(100)]
    assert len(set(pauses)) == 100
    assert max(pauses) - min(pauses) > 3
