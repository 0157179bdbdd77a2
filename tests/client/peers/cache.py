"""Where programs of others are installed once for all runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.peers import unavailable

__all__ = ["installed_once", "run_installer"]


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
