"""`scripts/mutate`: what it says of a module, and what is said to be equivalent."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.mutation.__main__ import EQUIVALENT, ROOMS
from tests.mutation.mutants import mutants_of

ROOT = Path(__file__).parents[2]
KNOWN: dict[str, dict[str, str]] = tomllib.loads(EQUIVALENT.read_text("utf-8"))

MODULE = """
DOUBLES = True


def doubled(number):
    if number > 2 and DOUBLES:
        number += number
    return number
"""
TEST = """
from doubling import doubled


def test_doubled():
    assert doubled(2) == 2
    assert doubled(4) == 8
"""


@pytest.mark.parametrize("module", KNOWN)
def test_what_is_equivalent_is_a_mutant(module: str) -> None:
    """Each entry is a change that can be made to the module as it is, or a statement of it."""
    path = ROOT / module
    assert str(Path(module).parent) in ROOMS
    mutants = mutants_of(ast.parse(path.read_text("utf-8")))
    names = {name for each in mutants for name in (each.text, each.statement)}
    assert KNOWN[module].keys() - names == set()


def test_a_module_is_mutated(tmp_path: Path) -> None:
    """Mutants in functions and outside of them are tried, and who survives is listed."""
    (tmp_path / "doubling.py").write_text(MODULE)
    (tmp_path / "test_doubling.py").write_text(TEST)
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "doubling.py", "--tests", "test_doubling.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    *survivors, row = [line for line in done.stdout.splitlines() if line.startswith("doubling.py")]
    assert survivors == [
        "doubling.py:6: doubled: if number > 2 and DOUBLES: → if number > 2:",
        "doubling.py:6: doubled: if number > 2 and DOUBLES: → if number > 3 and DOUBLES:",
    ]
    assert row.split() == ["doubling.py", "11", "9", "2", "0", "81.8%"]
