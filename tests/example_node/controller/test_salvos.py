"""Salvos are kept over restarts, within bounds, and a file that is not theirs stops the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from example_node.controller.connecting import salvos
from example_node.controller.connecting.salvos import Salvo, Salvos, SalvosError
from nmos_auth import ConfigurationError
from tests.example_node.registry.support import uuid

NEWS = Salvo("News", {uuid(6): uuid(5), uuid(7): None}, "operator")


def test_they_are_kept_over_restarts(tmp_path: Path) -> None:
    """In a file of this user only; what was removed does not come back."""
    path = tmp_path / "salvos.json"
    kept = Salvos(path)
    kept.keep(NEWS)
    kept.keep(Salvo("Old", {uuid(6): None}))
    kept.remove("Old")
    assert Salvos(path).all() == [NEWS]
    assert Salvos(path).get("News") == NEWS
    assert path.stat().st_mode & 0o077 == 0


def test_what_is_no_connection_in_the_file_is_left_out(tmp_path: Path) -> None:
    """Somebody may have edited it."""
    path = tmp_path / "salvos.json"
    path.write_text(f'{{"News": {{"connections": {{"../x": null, "{uuid(6)}": 5}}}}, "x": 1}}')
    path.chmod(0o600)
    assert Salvos(path).all() == [Salvo("News", {})]


def test_another_file_stops_the_start(tmp_path: Path) -> None:
    """The message names the setting, the file and the cure."""
    path = tmp_path / "salvos.json"
    path.write_text("[]")
    path.chmod(0o600)
    with pytest.raises(
        ConfigurationError, match=r"EXAMPLE_CONTROLLER_SALVOS: .*salvos\.json .*move it away"
    ):
        Salvos(path)


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Nothing is kept then, in memory neither."""
    kept = Salvos(tmp_path / "nowhere" / "salvos.json")
    with pytest.raises(SalvosError, match="Salvos cannot be written"):
        kept.keep(NEWS)
    assert kept.all() == []


def test_what_cannot_be_kept_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which bound it is, and what to do."""
    monkeypatch.setattr(salvos, "MOST_SALVOS", 1)
    monkeypatch.setattr(salvos, "MOST_CONNECTIONS", 2)
    kept = Salvos()
    kept.keep(NEWS)
    kept.keep(NEWS)
    three = {uuid(number): None for number in (6, 7, 8)}
    for salvo, said in (
        (Salvo(" ", NEWS.connections), "A salvo needs a name."),
        (Salvo("None", {}), "A salvo needs at least one destination."),
        (Salvo("Large", three), "A salvo has at most 2 destinations, and these are 3."),
        (Salvo("Sport", NEWS.connections), "There are 1 salvos already. Remove one first."),
    ):
        with pytest.raises(SalvosError) as raised:
            kept.keep(salvo)
        assert str(raised.value) == said
