"""`scripts/screenshots`: each picture of the documentation can be made once more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.example_node.controller.browser.screenshots import PICTURES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[4]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_every_picture_is_made(tmp_path: Path) -> None:
    """A plant is operated, and the documentation has the pictures of it and no others."""
    module = "tests.example_node.controller.browser.screenshots"
    subprocess.run([sys.executable, "-m", module, str(tmp_path)], cwd=ROOT, check=True)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {path.name for path in PICTURES.iterdir()}
