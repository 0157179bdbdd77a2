"""A plugin for pytest that has one module imported with a mutation in it.

For what stands outside of functions: it is at work as soon as a module is imported.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from tests.mutation.mutants import mutants_of

__all__ = ["VARIABLE", "Task"]

VARIABLE = "ASGI_NMOS_AUTH_MUTANT"


@dataclass(frozen=True)
class Task:
    """What the plugin is to do.

    Attributes:
        module: the file that has the mutant.
        number: which of its mutants.
        tests: the node ids of the tests to run, in this order.
    """

    module: str
    number: int
    tests: list[str]

    def dump(self) -> str:
        """Write it for the environment."""
        return json.dumps(asdict(self))


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds that one module, and compiles it with the mutation."""

    def __init__(self, task: Task) -> None:
        self._path = Path(task.module).resolve()
        self._name = ".".join(Path(task.module).with_suffix("").parts)
        self._number = task.number

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def get_source(self, fullname: str) -> str:
        del fullname
        return self._path.read_text()

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(self.get_source(fullname))
        mutants_of(tree)[self._number].apply()
        return compile(tree, self._path, "exec", dont_inherit=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that were asked for, and no others."""
    if _TASK is not None:
        by_id = {item.nodeid: item for item in items}
        items[:] = [by_id[each] for each in _TASK.tests if each in by_id]


_TASK = Task(**json.loads(os.environ[VARIABLE])) if VARIABLE in os.environ else None
if _TASK is not None:
    sys.meta_path.insert(0, _Importer(_TASK))
