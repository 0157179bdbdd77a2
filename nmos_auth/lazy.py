"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

__all__ = ["lazily"]


def lazily(
    package: dict[str, object], modules: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package (PEP 562).

    Args:
        package: its globals, which keep what was imported.
        modules: the modules in it, each with the names that the package offers from there.

    Two lines of a package `rooms`, in which `rooms/kitchen.py` defines `Stove`:

        _MODULES = {"kitchen": ("Stove",)}
        __getattr__, __dir__ = lazily(globals(), _MODULES)
    """
    places = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> object:
        if name not in places:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package['__name__']}.{places[name]}")
        package[name] = value = getattr(module, name)
        return value

    return get, lambda: sorted({*package, *places})
