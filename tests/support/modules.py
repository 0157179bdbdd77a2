"""The package's modules, read and not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import nmos_auth

__all__ = ["PACKAGE", "imported_names", "module_name", "module_paths"]

PACKAGE = "nmos_auth"

_ROOT = Path(nmos_auth.__file__).parent


def module_paths() -> list[Path]:
    """Return the file of every module."""
    return sorted(_ROOT.rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the dotted name of a module's file; a package goes by its own."""
    parts = path.relative_to(_ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_for_type_checkers(node: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.If(test=ast.Attribute(attr="TYPE_CHECKING")):
            return True
    return False


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, without what only type checkers read."""
    yield node
    if isinstance(node, ast.If) and _is_for_type_checkers(node):
        for statement in node.orelse:
            yield from _running(statement)
        return
    for child in ast.iter_child_nodes(node):
        yield from _running(child)


def imported_names(tree: ast.Module, below: str = "") -> Iterator[tuple[str, str]]:
    """Yield what a module imports when it is run, in its functions too.

    Args:
        tree: the module.
        below: leave out what is imported from elsewhere than this package.

    Yields:
        A module's name and what is taken from it, "" for the module itself.
    """
    for node in _running(tree):
        found: list[tuple[str, str]] = []
        if isinstance(node, ast.Import):
            found = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError("imports are absolute, so that they can be read off")
            found = [(node.module or "", alias.name) for alias in node.names]
        for name, taken in found:
            if not below or name == below or name.startswith(below + "."):
                yield name, taken
