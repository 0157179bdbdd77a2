"""What an extra brings is asked for by its name where it is missing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Imports every module of the package, and prints those that fail without naming an extra.
EVERY_MODULE = """
import importlib, pathlib, sys
import nmos_auth
from nmos_auth.errors import MissingExtra

root = pathlib.Path(nmos_auth.__file__).parent
for path in sorted(root.rglob("*.py")):
    name = ".".join(["nmos_auth", *path.relative_to(root).with_suffix("").parts])
    try:
        importlib.import_module(name.removesuffix(".__init__"))
    except MissingExtra as error:
        assert "pip install 'asgi-nmos-auth[" in str(error), error
        print(name, error.name)
    except ModuleNotFoundError as error:
        if (name, error.name) not in {
            ("nmos_auth.client.httpx2_auth", "httpx2"),  # it is there for those who have it
            ("nmos_auth.pytest_plugin", "pytest"),
        }:
            raise
"""
# Commands that need one extra each; `example` is tried by its demonstration.
EXTRAS = {
    "authority": "nmos-auth serve --print-dns --issuer https://auth.example.com",
    "completion": "python -c 'import argcomplete'",
    "mdns": "python -c 'import nmos_auth.discovery.multicast'",
    "metrics": "python -c 'import nmos_auth.operate.metrics'",
    "probe": "nmos-auth probe --list",
    "redis": "python -c 'import nmos_auth.registry.redis, nmos_auth.client.login.redis'",
}
# What no other dependency brings.
OF_EXTRAS = ["authlib", "ifaddr", "redis", "trustme", "uvicorn", "zeroconf"]


def test_every_module_names_the_extra_that_it_requires() -> None:
    """Each module is imported without any extra, or says what to install."""
    blocked = f"import sys\nfor name in {OF_EXTRAS}: sys.modules[name] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", blocked + EVERY_MODULE],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    missing = {line.split()[1] for line in done.stdout.splitlines()}
    assert {"authlib", "ifaddr", "redis"} <= missing <= set(OF_EXTRAS)


def test_each_extra_is_tried() -> None:
    """test_distribution.py has a command for each that pyproject.toml offers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {*EXTRAS, "example"} == project["optional-dependencies"].keys()


def test_where_it_does_not_run() -> None:
    """At import, in one sentence with the cure."""
    program = "import os; os.name = 'nt'; import nmos_auth"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: nmos_auth runs on Linux, macOS and other POSIX systems: on Windows, use WSL."
    )
