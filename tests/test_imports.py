"""The house: arrows between modules point down, and never in a circle."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.modules import PACKAGE, imported_names, module_name, module_paths

ROOT = Path(__file__).parents[1]

# Arrows point from a floor to itself and to those after it.
FLOORS = [
    {"cli", "pytest_plugin", "status"},
    {"operate", "probe", "testing"},
    {"", "middleware", "dependencies", "registry", "client", "authority"},
    {"request"},
    {"trust", "audit"},
    {"discovery"},
    {"settings"},
    {"rules"},
    {"servers"},
    {"command", "errors", "lazy"},
]
CLIENT_FLOORS = [
    {"cli", "commands"},
    {"login"},
    {"", "client", "flow", "httpx_auth", "httpx2_auth", "presenting"},
    {"tokens"},
    {"servers"},
    {"registration"},
    {"grants"},
    {"metadata", "store"},
    {"http", "settings"},
    {"errors"},
]

# What the two other halves may share with the server side: what has nothing to do with either. The
# development server shares nothing that reads tokens, lest one mistake on both sides go unseen.
HALVES = {
    # What both halves need of the texts that both follow: names, URLs, key sets, documents.
    "authority": {
        "discovery.advertising",
        "discovery.dns_records",
        "errors",
        "rules.audience",
        "servers",
    },
    "client": {"command", "discovery", "errors", "lazy", "rules.audience", "servers", "settings"},
}

# Users import these, beside the names that `nmos_auth.client` and the like offer.
MODULES_OF_EDGES = {
    "client": {"cli", "errors", "flow", "httpx_auth", "httpx2_auth", "presenting", "settings"},
    "registry": {"redis"},
    "authority": {"serving"},
}

# What pure functions are made of: no I/O, no clock, no environment, no log, nothing random.
PURE = {
    "__future__",
    "base64",
    "binascii",
    "collections.abc",
    "contextlib",
    "copy",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "ipaddress",
    "itertools",
    "json",
    "math",
    # Frozen records that are made in no time, and JSON.
    "msgspec",
    "re",
    "string",
    "types",
    "typing",
    "urllib.parse",
}
PURE_MODULES = {
    "request.challenge",
    "request.cors",
    "request.credentials",
    "servers.strict_json",
    "servers.urls",
}
# `settings` reads the environment, and looks at the files that it names and at this host's name.
OF_SETTINGS = PURE | {"difflib", "dotenv", "io", "os", "pathlib", "socket"}
OF_SETTINGS |= {"pydantic", "pydantic_core", "pydantic_settings"}


def below(package: str, module: str) -> str:
    """Return the room of a package that a module belongs to: itself, or its package."""
    return module.removeprefix(package).removeprefix(".").partition(".")[0]


def room(module: str) -> str:
    """Return the room of the house that a module belongs to."""
    return below(PACKAGE, module)


TREES = {module_name(path): ast.parse(path.read_text("utf-8")) for path in module_paths()}


def _imported_by(tree: ast.Module) -> set[str]:
    """Return the package's own modules that a file imports."""
    found = set()
    for name, taken in imported_names(tree, PACKAGE):
        inner = f"{name}.{taken}"
        found.add(inner if inner in TREES else name)
    return found


IMPORTS = {module: _imported_by(TREES[module]) - {module} for module in TREES}
MODULES = sorted(TREES)
CLIENT = f"{PACKAGE}.client"
OF_CLIENT = [module for module in MODULES if room(module) == "client"]

ROOMS = {
    module
    for module in MODULES
    if any(other.startswith(module + ".") for other in MODULES) and module != PACKAGE
}
"""The packages below the top."""


def is_pure(module: str) -> bool:
    """Tell whether a module may depend on nothing but its arguments."""
    inside = module.removeprefix(f"{PACKAGE}.")
    return room(module) in {"rules", "settings", "errors"} or inside in PURE_MODULES


def floor(room_of_it: str, floors: list[set[str]]) -> int:
    """Return the floor that a room is on, counted from the top."""
    (number,) = [number for number, rooms in enumerate(floors) if room_of_it in rooms]
    return number


@pytest.mark.parametrize(
    ("package", "floors", "modules"),
    [(PACKAGE, FLOORS, MODULES), (CLIENT, CLIENT_FLOORS, OF_CLIENT)],
    ids=["house", "client"],
)
def test_every_room_has_a_floor(package: str, floors: list[set[str]], modules: list[str]) -> None:
    """A new room is put where it belongs before it is built, and none is torn down unnoticed."""
    rooms = [each for rooms in floors for each in rooms]
    assert sorted(rooms) == sorted({below(package, module) for module in modules})


@pytest.mark.parametrize("module", MODULES)
def test_arrows_never_point_up(module: str) -> None:
    """From commands to edges, requests, trust, rules, the common ground and errors; not back."""
    here = floor(room(module), FLOORS)
    assert {other for other in IMPORTS[module] if floor(room(other), FLOORS) < here} == set()


@pytest.mark.parametrize("module", OF_CLIENT)
def test_arrows_of_the_client_never_point_up(module: str) -> None:
    """From logging in to tokens, servers, registrations, grants and the store; not back."""
    here = floor(below(CLIENT, module), CLIENT_FLOORS)
    inside = {other for other in IMPORTS[module] if room(other) == "client"}
    up = {each for each in inside if floor(below(CLIENT, each), CLIENT_FLOORS) < here}
    assert up == set()


def test_there_are_no_circles() -> None:
    """Modules can be put in an order in which each needs only those before it."""
    TopologicalSorter(IMPORTS).prepare()


def test_there_are_no_circles_of_rooms() -> None:
    """So can rooms."""
    arrows: dict[str, set[str]] = {}
    for module, others in IMPORTS.items():
        arrows.setdefault(room(module), set()).update({room(each) for each in others} - {""})
    TopologicalSorter({here: there - {here} for here, there in arrows.items()}).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_the_halves_know_nothing_of_each_other(module: str) -> None:
    """`client`, `authority` and the server share what is said here; commands use all of them."""
    here = room(module)
    if here in HALVES:
        inside = {other.removeprefix(f"{PACKAGE}.") for other in IMPORTS[module]}
        shared = HALVES[here] | {here}
        assert {each for each in inside if not _is_within(each, shared)} == set()
    elif here not in {"cli", "operate"}:
        assert {room(other) for other in IMPORTS[module]} & HALVES.keys() == set()


def _is_within(module: str, rooms: set[str]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in rooms)


def offered(package: str) -> set[str]:
    """Return the modules and names that a room offers to those outside."""
    names: set[str] = set(importlib.import_module(package).__all__)
    return names | MODULES_OF_EDGES.get(package.removeprefix(f"{PACKAGE}."), set())


def not_offered(tree: ast.Module, importer: str) -> set[str]:
    """Return what a file imports from rooms it is not in, and that they do not offer."""
    found = set()
    for name, taken in imported_names(tree, PACKAGE):
        path = f"{name}.{taken}" if taken else name
        for package in ROOMS:
            if path.startswith(f"{package}.") and not _is_within(importer, {package}):
                first = path.removeprefix(f"{package}.").partition(".")[0]
                if first not in offered(package) and f"{package}.{first}" not in ROOMS:
                    found.add(path)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_only_what_a_room_offers_is_imported(module: str) -> None:
    """What a room's `__init__` does not offer is private to the room."""
    assert not_offered(TREES[module], module) == set()


@pytest.mark.parametrize("folder", ["example_node", "tests/contract", "benchmarks"])
def test_others_import_only_what_is_offered(folder: str) -> None:
    """The reference Node and the tests of the wire do without what is private to a room."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        assert not_offered(ast.parse(path.read_text("utf-8")), folder) == set(), path.name


@pytest.mark.parametrize("module", [each for each in MODULES if is_pure(each)])
def test_decisions_are_pure(module: str) -> None:
    """No I/O, no clock, no environment, no log: what a decision depends on is passed in."""
    outside = {
        name for name, _ in imported_names(TREES[module]) if name.partition(".")[0] != PACKAGE
    }
    assert outside - (OF_SETTINGS if room(module) == "settings" else PURE) == set()


@pytest.mark.parametrize("module", MODULES)
def test_one_seam_to_the_network(module: str) -> None:
    """The common ground speaks HTTP; the client half, too, offers its users httpx's classes."""
    seam = {f"{PACKAGE}.servers.http", f"{PACKAGE}.servers.transport"}
    if module not in seam and room(module) != "client":
        outside = {name.partition(".")[0] for name, _ in imported_names(TREES[module])}
        assert not outside & {"httpx", "httpx2"}


# What a running server needs, and nobody who only imports what users import.
RUNS = {"cryptography", "httpcore", "httpx", "joserfc", "nmos_auth.settings", "pydantic_settings"}
RUNS |= {"nmos_auth.discovery", "nmos_auth.request.resource_server", "nmos_auth.trust.key_store"}
# What a Node with configured servers never needs: DNS, extras and the other halves.
HEAVY = {"authlib", "dns", "redis", "uvicorn", "websockets", "zeroconf"}
HEAVY |= {f"{PACKAGE}.{each}" for each in ("authority", "client", "operate", "registry")}


A_MIDDLEWARE = """
from nmos_auth import NmosAuthMiddleware, Settings
NmosAuthMiddleware(print, Settings(audience="node.example.com", servers="https://auth.example.com"))
"""


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import nmos_auth", RUNS | HEAVY | {"fastapi", "pydantic", "starlette"}),
        ("from nmos_auth import NmosAuthMiddleware, AccessToken, access_token", RUNS | HEAVY),
        (A_MIDDLEWARE, HEAVY),
    ],
    ids=["package", "middleware", "running"],
)
def test_what_is_heavy_is_imported_when_it_is_needed(code: str, absent: set[str]) -> None:
    """Importing the package costs nothing, and its middleware little more than FastAPI does."""
    code = f"import sys\n{code}\nprint(*({absent!r} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
