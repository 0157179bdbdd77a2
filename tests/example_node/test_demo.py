"""The demonstration, as its user runs it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def demonstration(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demonstration in a process of its own, which does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "example_node.demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "error", "NMOS_AUTH_LEEWAY": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_every_answer_is_right() -> None:
    """`scripts/demo --once` ends by itself, every row as wanted."""
    with demonstration("--once") as process:
        output, errors = process.communicate(timeout=50)
    assert process.returncode == 0, output + errors
    assert "WRONG" not in output
    rows = output.splitlines()[1:]
    assert len(rows) > 20
    assert all(row.startswith("ok  ") for row in rows)


def test_it_serves_on_and_leaves_nothing_behind() -> None:
    """After the table it prints a way in, serves until it is told to end, and cleans up."""
    with demonstration() as process:
        assert process.stdout is not None
        logs = None
        for line in process.stdout:
            if line.startswith("Logs"):
                logs = Path(line.split()[-1])
            if line.startswith("Everything is removed"):
                break
        assert logs is not None
        assert (logs / "node-audit.log").exists()
        assert (logs / "registry-audit.log").exists()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert not logs.exists()
