"""PyPI `nmos-auth`, the BBC's Authorization Server, in an environment of its own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.client.peers.programs import installed_once, run_installer, started
from tests.support.tls import TestAuthority

__all__ = ["BbcServer", "python", "running"]

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
# What it needs has not been made for newer ones.
PYTHON = "python3.11"


@dataclass(frozen=True)
class BbcServer:
    """One that runs.

    Attributes:
        issuer: its issuer identifier.
    """

    issuer: str


def python() -> Path:
    """Install it, once for all runs, and give its Python; skip the test where that cannot be."""
    base = shutil.which(PYTHON)
    if base is None:
        pytest.skip(f"{PYTHON} is not installed")

    def install(folder: Path) -> None:
        run_installer(folder, base, "-m", "venv", "--clear", "venv")
        pip = (folder / "venv/bin/pip", "install", "--quiet", "--no-deps")
        run_installer(folder, *pip, "--requirement", REQUIREMENTS)

    return installed_once("bbc-nmos-auth", [REQUIREMENTS], install) / "venv/bin/python"


@contextlib.contextmanager
def running(
    tls: TestAuthority, folder: Path, port: int, *, slashes: bool = False
) -> Iterator[BbcServer]:
    """Run it over TLS until the block ends.

    Args:
        tls: issues its certificate.
        folder: for its database and its keys; empty.
        port: where it listens.
        slashes: give it the slashes at the end of URLs that its routes have and its metadata
            has not, as a reverse proxy would.
    """
    certificate = tls.root.issue_cert("localhost")
    given = {
        "port": port,
        "certificate": "".join(part.bytes().decode() for part in certificate.cert_chain_pems),
        "key": certificate.private_key_pem.bytes().decode(),
        "folder": str(folder),
        "slashes": slashes,
    }
    command = [str(python()), "-W", "ignore", str(HERE / "server.py")]
    with started(command, given, folder=folder) as issuer:
        yield BbcServer(issuer)
