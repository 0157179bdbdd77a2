"""The rows that other makers' devices are held to: each of them holds here, to the letter."""

from __future__ import annotations

from tests.contract.probe_rows import ROWS
from tests.contract.rows import Row, parametrized
from tests.contract.scene import Scene


@parametrized(ROWS)
def test_probe_rows(scene: Scene, row: Row) -> None:
    """Where the texts allow several answers, it is the one that is ours."""
    scene.check(row)
