"""Where programs of others are installed once for all runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["installed_once", "run_installer", "unavailable"]

# Set where a missing peer is a failure and no reason to skip.
REQUIRED = "ASGI_NMOS_AUTH_TEST_PEERS"


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where that is asked for."""
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{reason}, and {REQUIRED}=required")
    pytest.skip(reason)


def installed_once(name: str, files: Sequence[Path], install: Callable[[Path], None]) -> Path:
    """Give the folder in which something is installed, and install it where it is not.

    Args:
        name: of the program.
        files: what says what is installed: another content, another folder.
        install: installs it into a folder, for one process at a time.
    """
    content = b"".join(file.read_bytes() for file in files)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asgi-nmos-auth"
    folder = cache / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            install(folder)
            (folder / "complete").touch()
    return folder


def run_installer(folder: Path, *command: str | Path) -> None:
    """Run an installer in a folder, and skip the test where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        unavailable(f"{Path(command[0]).name} failed: {done.stderr[-500:]}")
