"""`scripts/simulate`: what it prints of histories that hold, and of one that does not."""

from __future__ import annotations

import pytest

from nmos_auth.trust.finality import LastFetch
from tests.simulation import __main__ as command


def test_seed_after_seed_is_played(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the hours are over, a line for each, with what the Node answered."""
    monkeypatch.setattr(command, "LONGEST_HISTORY", 0.5)
    assert command.main(["--seed", "7", "--hours", "0.75"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("seed 7: 0.5 h in ")
    assert second.startswith("seed 8: 0.25 h in ")
    assert " 200: " in first


def test_what_breaks_can_be_played_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the history is printed, the rule that does not hold, and the command."""
    monkeypatch.setattr(LastFetch, "began_after", lambda _self, _begun: True)
    assert command.main(["--seed", "0", "--hours", "50"]) == 1
    *_, broken, again = capsys.readouterr().out.splitlines()
    assert broken.startswith("seed 0: ")
    assert again == "again: scripts/simulate --seed 0 --hours 50"
