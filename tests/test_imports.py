"""The house: arrows between modules point down, and never in a circle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter

import pytest

from tests.support.modules import PACKAGE, imported_names, module_name, module_paths

# Arrows point from a floor to itself and to those after it: edges → trust → decisions → errors.
EDGES = {
    "",
    "registry",
    "guard",
    "sockets",
    "exchange",
    "middleware",
    "dependencies",
    "cli",
    "authority",
    "client",
    "testing",
}
TRUST = {"transport", "jwks", "discovery", "keys_file", "keys", "verifier", "permits"}
TRUST |= {"audit", "audit_sinks", "audit_writer"}
TRUST |= {"metadata", "dns_sd", "unicast", "multicast", "advertised", "issuers"}
DECISIONS = {"wildcards", "strict_json", "settings", "paths", "permissions", "audience", "tokens"}
DECISIONS |= {"servers", "credentials", "authorization", "challenge", "cors", "resources"}
ERRORS = {"errors"}
FLOORS = [EDGES, TRUST, DECISIONS, ERRORS]
PLANNED = {"client", "dns_sd"}

# What the two other halves may share with the server side: what has nothing to do with either. The
# development server shares nothing that reads tokens, lest one mistake on both sides go unseen.
HALVES = {
    # What both halves need of the texts that both follow: names, URLs, key sets, documents.
    "authority": {"audience", "errors", "jwks", "strict_json", "transport"},
    "client": {"dns_sd", "discovery", "errors", "metadata", "servers", "settings"}
    | {"strict_json", "transport"},
}

# What pure functions are made of: no I/O, no clock, no environment, no log, nothing random.
PURE = {
    "__future__",
    "base64",
    "binascii",
    "collections.abc",
    "copy",
    "dataclasses",
    "enum",
    "functools",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "re",
    "string",
    "types",
    "typing",
    "urllib.parse",
}
# `settings` reads the environment, and looks at the files that it names and at this host's name.
OF_SETTINGS = PURE | {"os", "pathlib", "pydantic", "pydantic_settings", "socket", "ssl"}


def room(module: str) -> str:
    """Give the room that a module belongs to: itself, or its package below the top."""
    return module.removeprefix(PACKAGE).removeprefix(".").partition(".")[0]


TREES = {module_name(path): ast.parse(path.read_text("utf-8")) for path in module_paths()}


def _taken_by(module: str) -> set[str]:
    """Give the package's own modules that a module imports."""
    found = set()
    for name, taken in imported_names(TREES[module], PACKAGE):
        inner = f"{name}.{taken}"
        found.add(inner if inner in TREES else name)
    return found - {module}


IMPORTS = {module: _taken_by(module) for module in TREES}
MODULES = sorted(TREES)


def floor(module: str) -> int:
    """Give the floor that a module is on, counted from the top."""
    (number,) = [number for number, rooms in enumerate(FLOORS) if room(module) in rooms]
    return number


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_floor(module: str) -> None:
    """A new module is put where it belongs before it is built."""
    assert sum(room(module) in rooms for rooms in FLOORS) == 1


def test_every_room_is_there() -> None:
    """The plan has no rooms that were torn down."""
    assert set().union(*FLOORS) - PLANNED <= {room(module) for module in MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_arrows_never_point_up(module: str) -> None:
    """From edges to trust to decisions to errors, and not back."""
    assert {other for other in IMPORTS[module] if floor(other) < floor(module)} == set()


def test_there_are_no_circles() -> None:
    """Modules can be put in an order in which each needs only those before it."""
    TopologicalSorter(IMPORTS).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_the_halves_know_nothing_of_each_other(module: str) -> None:
    """`client`, `authority` and the server side share what is said here; the command starts any."""
    here, there = room(module), {room(other) for other in IMPORTS[module]}
    if here in HALVES:
        assert there - {here} - HALVES[here] == set()
    elif here != "cli":
        assert there & HALVES.keys() == set()


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) in DECISIONS | ERRORS])
def test_decisions_are_pure(module: str) -> None:
    """No I/O, no clock, no environment, no log: what a decision depends on is passed in."""
    outside = {
        name for name, _ in imported_names(TREES[module]) if name.partition(".")[0] != PACKAGE
    }
    assert outside - (OF_SETTINGS if room(module) == "settings" else PURE) == set()


@pytest.mark.parametrize("module", MODULES)
def test_one_seam_to_the_network(module: str) -> None:
    """The server side imports httpx in one module; the other half offers its users httpx's own."""
    if room(module) not in {"transport", "client"}:
        outside = {name.partition(".")[0] for name, _ in imported_names(TREES[module])}
        assert not outside & {"httpx", "httpx2"}
