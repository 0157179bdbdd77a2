"""TAI times and the computer's clock."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_node.clock import NANOSECONDS, SystemClock, TaiTime


@given(st.integers(0, 10**15 - 1), st.integers(0, NANOSECONDS - 1))
def test_a_time_is_written_as_it_was_read(seconds: int, nanoseconds: int) -> None:
    """Reading and writing a timestamp gives the same text."""
    text = f"{seconds}:{nanoseconds}"
    assert str(TaiTime.parse(text)) == text


def test_nanoseconds_are_a_number_and_no_decimal_fraction() -> None:
    """`1:10` is one second and ten nanoseconds."""
    assert TaiTime.parse("1:10").total == NANOSECONDS + 10


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.5",
        "1:",
        ":1",
        "-1:0",
        "1:-1",
        " 1:0",
        "1:0\n",
        "1:1000000000",
        "\u0661:0",
        "9" * 5000 + ":0",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """Everything but `<seconds>:<nanoseconds>` in ASCII digits is a ValueError."""
    with pytest.raises(ValueError, match="seconds"):
        TaiTime.parse(text)


def test_tai_is_ahead_of_utc() -> None:
    """The computer's clock gives UTC plus the offset."""
    before = time.time_ns()
    now = SystemClock(utc_offset=37).now()
    after = time.time_ns()
    assert before <= now.total - 37 * NANOSECONDS <= after


async def test_sleeping_ends_when_the_time_has_come() -> None:
    """The sleep is over no earlier than the instant, and at once for one that has passed."""
    clock = SystemClock()
    soon = clock.now() + TaiTime(20_000_000)
    await clock.sleep_until(soon)
    assert clock.now() >= soon
    await clock.sleep_until(TaiTime(0))
