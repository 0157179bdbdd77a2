"""The limit on how often a server is asked: a burst, then one in an interval."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.servers.token_bucket import TokenBucket

INTERVAL = 10.0
BURST = 3

# Exact in floating point, so that the bound has no rounding in it.
STEPS = st.lists(st.integers(0, 200).map(lambda tenths: tenths / 8), max_size=60)


def test_a_burst_and_then_one_in_an_interval() -> None:
    """Three at once; the fourth after ten seconds, and only one."""
    bucket = TokenBucket(INTERVAL, BURST)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(9.9) is False
    assert [bucket.take(10.0), bucket.take(10.0)] == [True, False]


@given(STEPS)
def test_no_stretch_of_time_has_more_than_its_share(steps: list[float]) -> None:
    """Between any two moments at most a burst and one for each interval between them."""
    bucket = TokenBucket(INTERVAL, BURST)
    taken = [now for now in itertools.accumulate(steps) if bucket.take(now)]
    for first, last in itertools.combinations(range(len(taken)), 2):
        allowed = BURST + (taken[last] - taken[first]) / INTERVAL
        assert last - first + 1 <= allowed + 1e-6


@given(STEPS)
def test_what_is_waited_for_comes(steps: list[float]) -> None:
    """Who waits as long as `wait` says gets one, and nobody waits where one is left."""
    bucket, now = TokenBucket(INTERVAL, BURST), 0.0
    for step in steps:
        now += step
        wait = bucket.wait(now)
        assert bucket.take(now) is (wait == 0)
        if wait:
            now += wait
            assert bucket.take(now)


def test_it_is_full_again_after_a_burst_of_intervals() -> None:
    """Full at first; full again when all that was taken has been gained back."""
    bucket = TokenBucket(INTERVAL, BURST)
    assert bucket.is_full(0.0)
    assert bucket.take(0.0)
    assert bucket.take(0.0)
    assert not bucket.is_full(19.9)
    assert bucket.is_full(20.0)


def test_a_clock_that_goes_back_gains_nothing() -> None:
    """Time that is counted once is not counted again."""
    bucket = TokenBucket(INTERVAL, burst=1)
    assert bucket.take(100.0)
    assert not bucket.take(50.0)
    assert not bucket.take(109.0)
    assert bucket.take(110.0)
