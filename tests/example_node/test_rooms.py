"""The rooms of the reference Node: each needs only those below it."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

from tests.support.modules import imported_names

ROOT = Path(__file__).parents[2]


def test_no_rooms_need_each_other() -> None:
    """Folders and modules of `example_node` can be put in an order without a circle."""
    needs: defaultdict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "example_node").rglob("*.py"):
        here = path.relative_to(ROOT).with_suffix("").parts[1]
        for name, taken in imported_names(ast.parse(path.read_text("utf-8")), "example_node"):
            there = f"{name}.{taken}".split(".")[1]
            if here not in {there, "__init__"}:
                needs[here].add(there)
    TopologicalSorter(needs).prepare()
    assert "connection" not in needs["events"]
