"""PyPI `nmos-auth`, the BBC's Authorization Server, in an environment of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.client.peers.cache import installed_once, run_installer
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
    # It ends when its standard input does, so that none outlives a test that is killed.
    process = subprocess.Popen(
        [python(), "-W", "ignore", HERE / "server.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            # Its libraries print what they do as well.
            ready = any(line.startswith("{") for line in process.stdout)
            assert ready, "nmos-auth did not start"
            yield BbcServer(f"https://localhost:{port}")
        finally:
            process.stdin.close()
            process.wait(10)
