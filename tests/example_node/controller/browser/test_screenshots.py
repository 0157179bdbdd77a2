"""`scripts/screenshots`: each picture of the documentation can be made once more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.example_node.controller.browser.screenshots import PICTURES, main

ROOT = Path(__file__).parents[4]


def test_without_a_browser_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a line, before any server runs and any directory is made."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SystemExit, match=r"requires the command `chromium`.* `apt-get install chromium`"
    ):
        main(tmp_path / "pictures")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_every_picture_is_made(tmp_path: Path) -> None:
    """A plant is operated, and the documentation has the pictures of it and no others."""
    module = "tests.example_node.controller.browser.screenshots"
    subprocess.run([sys.executable, "-m", module, str(tmp_path)], cwd=ROOT, check=True)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {path.name for path in PICTURES.iterdir()}
