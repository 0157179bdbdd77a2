"""What each module offers: its `__all__` is sorted and complete."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

import nmos_auth.client
from tests.support.modules import PACKAGE, imported_names, module_name, module_paths

# The contract of the design, and the errors that a handler may raise or a program may catch.
OFFERED = {
    "AccessToken",
    "AuthorizationError",
    "ConfigurationError",
    "EventSources",
    "InsufficientScope",
    "InvalidToken",
    "NmosAuthError",
    "NmosAuthMiddleware",
    "Settings",
    "access_token",
    "event_sources",
}

MODULES = {module_name(path): ast.parse(path.read_text("utf-8")) for path in module_paths()}


def declared(tree: ast.Module) -> list[str] | None:
    """Return a module's `__all__`, which is a literal, or None."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                names: list[str] = ast.literal_eval(value)
                return names
    return None


def defined(tree: ast.Module) -> set[str]:
    """Return the names of the functions and classes that a module defines at its top level."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {statement.name for statement in tree.body if isinstance(statement, kinds)}


def isort_style(name: str) -> tuple[int, str]:
    """Sort constants first, then classes, then the rest, as ruff's RUF022 does."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def test_the_package_offers_the_contract() -> None:
    """`nmos_auth` offers what the design says, and every name of it is there."""
    assert set(nmos_auth.__all__) == OFFERED
    assert all(hasattr(nmos_auth, name) for name in OFFERED)


def test_the_package_says_its_version_and_that_it_is_typed() -> None:
    """`__version__` is one, and `py.typed` tells type checkers to believe what they read."""
    assert nmos_auth.__version__.count(".") == 2
    assert (Path(nmos_auth.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("package", [nmos_auth, nmos_auth.client])
def test_names_that_are_imported_late_are_listed(package: ModuleType) -> None:
    """Before anybody has used them too; another name is not there."""
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute 'Absent'"):
        _ = package.Absent


@pytest.mark.parametrize("name", sorted(MODULES))
def test_all_is_sorted(name: str) -> None:
    """Every module has an `__all__`, sorted, with no name twice."""
    names = declared(MODULES[name])
    assert names is not None
    assert names == sorted(set(names), key=isort_style)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_all_is_complete(name: str) -> None:
    """A function or class is offered, or has an underscore in front; constants may be neither."""
    public = {each for each in defined(MODULES[name]) if not each.startswith("_")}
    assert public - set(declared(MODULES[name]) or ()) == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_all_exists(name: str) -> None:
    """What a module or a room offers is in it, and none of it is private."""
    module = importlib.import_module(name)
    for each in declared(MODULES[name]) or ():
        assert hasattr(module, each) or f"{name}.{each}" in MODULES
        assert not each.startswith("_")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_use_what_others_offer(name: str) -> None:
    """A module takes from another what that one's `__all__` has, its version apart."""
    for source, taken in imported_names(MODULES[name], PACKAGE):
        if source in MODULES and taken != "__version__":
            offered = declared(MODULES[source]) or []
            assert taken in offered or f"{source}.{taken}" in MODULES, f"{source}: {taken}"
