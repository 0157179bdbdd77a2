"""Salvos are kept over restarts, within bounds, and a file that is not theirs stops the start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from example_node.controller import Settings, create_app
from example_node.controller.connecting import salvos
from example_node.controller.connecting.salvos import Salvo, Salvos, SalvosError
from nmos_auth import ConfigurationError
from tests.example_node.registry.support import uuid

NEWS = Salvo("News", {uuid(6): uuid(5), uuid(7): None}, "operator")


def test_they_are_kept_over_restarts(tmp_path: Path) -> None:
    """In a file of this user only; what was removed does not come back."""
    path = tmp_path / "salvos.json"
    kept = Salvos(path)
    with kept.opened():
        kept.keep(NEWS)
        kept.keep(Salvo("Old", {uuid(6): None}))
        kept.remove("Old")
    kept = Salvos(path)
    with kept.opened():
        assert kept.all() == [NEWS]
        assert kept.get("News") == NEWS
    assert path.stat().st_mode & 0o077 == 0


def test_what_is_no_connection_in_the_file_is_left_out(tmp_path: Path) -> None:
    """Somebody may have edited it."""
    path = tmp_path / "salvos.json"
    path.write_text(f'{{"News": {{"connections": {{"../x": null, "{uuid(6)}": 5}}}}}}')
    path.chmod(0o600)
    kept = Salvos(path)
    with kept.opened():
        assert kept.all() == [Salvo("News", {})]


HOLD = """import sys
from pathlib import Path
from example_node.controller.connecting.salvos import Salvos
with Salvos(Path(sys.argv[1])).opened():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_controller_does_not_start_with_the_same_file(tmp_path: Path) -> None:
    """It would undo what the other one keeps; the lock ends with its process, killed or not."""
    path = tmp_path / "salvos.json"
    command = [sys.executable, "-c", HOLD, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(ConfigurationError) as raised, Salvos(path).opened():
            pass
        first.kill()
    assert str(raised.value) == (
        f"EXAMPLE_CONTROLLER_SALVOS: another Controller that runs keeps its salvos in {path}; end"
        " that one, or name another file for this one"
    )
    with Salvos(path).opened():
        pass


async def test_the_file_is_locked_for_as_long_as_the_controller_runs(tmp_path: Path) -> None:
    """Each time that it is started, and not in between; settings alone lock nothing."""
    path = tmp_path / "salvos.json"
    settings = {"authorization": False, "host_name": "localhost", "salvos": path}
    app = create_app(Settings.model_validate({**settings, "registries": ("http://a.example",)}))
    for _ in range(2):
        with Salvos(path).opened():
            pass
        async with app.router.lifespan_context(app):
            with pytest.raises(ConfigurationError), Salvos(path).opened():
                pass
    kept = Salvos(path)
    with pytest.raises(SalvosError, match="while their file is not open"):
        kept.keep(NEWS)


def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """Before anything is served, with the message of the setting."""
    path = tmp_path / "salvos.json"
    path.write_text("[]")
    path.chmod(0o600)
    settings = {"authorization": False, "host_name": "localhost", "salvos": path}
    with pytest.raises(ConfigurationError, match="EXAMPLE_CONTROLLER_SALVOS"):
        create_app(Settings.model_validate({**settings, "registries": ("http://a.example",)}))


def test_a_place_without_room_for_its_lock_stops_the_start(tmp_path: Path) -> None:
    """Nothing could be kept there."""
    said = r"SALVOS: .*salvos\.json\.lock cannot be locked: .*; name a file"
    kept = Salvos(tmp_path / "nowhere" / "salvos.json")
    with pytest.raises(ConfigurationError, match=said), kept.opened():
        pass


@pytest.mark.parametrize(
    "content", ["[]", "# hosts", '{"version": 1, "records": {}}', '{"News": {"by": "somebody"}}']
)
def test_another_file_stops_the_start(tmp_path: Path, content: str) -> None:
    """The first salvo would replace it. The message names the setting, the file and the cure."""
    path = tmp_path / "salvos.json"
    path.write_text(content)
    path.chmod(0o600)
    said = r"EXAMPLE_CONTROLLER_SALVOS: .*salvos\.json .*move this one away"
    with pytest.raises(ConfigurationError, match=said), Salvos(path).opened():
        pass
    assert path.read_text() == content


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Nothing is kept then, in memory neither."""
    (tmp_path / "there").mkdir()
    kept = Salvos(tmp_path / "there" / "salvos.json")
    with kept.opened():
        (tmp_path / "there").rename(tmp_path / "elsewhere")
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
