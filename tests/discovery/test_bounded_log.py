"""How much of the log somebody who advertises things can fill."""

from __future__ import annotations

import logging

import pytest

from nmos_auth.discovery.bounded_log import BoundedLog
from tests.support.clocks import Clock


def test_the_log_is_not_filled(caplog: pytest.LogCaptureFixture) -> None:
    """Some lines at once, then few, whatever comes; and it says so."""
    clock = Clock()
    log = BoundedLog(logging.getLogger("nmos_auth"), clock)
    for number in range(36_000):
        clock.now += 0.1
        log.write(logging.WARNING, "%d is passed over", number)
    shown = [each.getMessage() for each in caplog.records if each.levelno > logging.DEBUG]
    assert shown[:64] == [f"{number} is passed over" for number in range(64)]
    assert "the rest is at DEBUG" in shown[64]
    assert len(shown) < 64 + 2 * 361


def test_what_is_at_debug_takes_no_room(caplog: pytest.LogCaptureFixture) -> None:
    """Repetitions are there, and do not count."""
    log = BoundedLog(logging.getLogger("nmos_auth"), lambda: 0.0)
    for _ in range(100):
        log.write(logging.DEBUG, "again")
    log.write(logging.WARNING, "new")
    assert [each.getMessage() for each in caplog.records if each.levelno > logging.DEBUG] == ["new"]
