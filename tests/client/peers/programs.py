"""Programs of others: installed once for all runs, and run while a test needs them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.peers import unavailable

__all__ = ["installed_once", "run_installer", "started"]


def installed_once(name: str, files: Sequence[Path], install: Callable[[Path], None]) -> Path:
    """Return the folder in which something is installed, and install it where it is not.

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


@contextlib.contextmanager
def started(
    command: Sequence[str], options: Mapping[str, object], *, folder: Path
) -> Iterator[str]:
    """Run an Authorization Server until the block ends, and yield its issuer.

    Args:
        command: reads `options` as a line of JSON, prints `{"issuer"}` as JSON when it serves, and
            ends when its standard input does, so that none outlives a test that is killed.
        options: what it is told.
        folder: where it runs.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            process.stdin.write(json.dumps(options) + "\n")
            process.stdin.flush()
            # Their libraries print what they do as well.
            ready = next((line for line in process.stdout if line.startswith("{")), None)
            assert ready is not None, f"{command[0]} did not start"
            yield json.loads(ready)["issuer"]
        finally:
            process.stdin.close()
            process.wait(10)
