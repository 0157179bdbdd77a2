"""The demonstration, as its user runs it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

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


@pytest.mark.timeout(120)
def test_every_answer_is_right() -> None:
    """`scripts/demo --once` ends by itself, every row as wanted."""
    with demonstration("--once") as process:
        output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, output + errors
    assert "WRONG" not in output
    rows = output.splitlines()[1:]
    assert len(rows) > 20
    assert all(row.startswith("ok  ") for row in rows)


@pytest.mark.slow  # it plays the whole story once more
@pytest.mark.timeout(120)
def test_it_serves_on_and_leaves_nothing_behind() -> None:
    """After the table it prints ways in and serves on; it ends when told, and cleans up."""
    with demonstration() as process:
        assert process.stdout is not None
        logs, pages = None, ""
        for line in process.stdout:
            if line.startswith("Logs"):
                logs = Path(line.split()[-1])
            if line.strip().startswith("https://"):
                pages = line.strip()
            if line.startswith("Everything is removed"):
                break
        assert logs is not None
        # What is at the URL is this machine's, whatever its certificate says.
        assert "Reference Controller" in httpx.get(pages, verify=False).text  # noqa: S501
        assert (logs / "node-studio-a-audit.log").exists()
        assert (logs / "registry-audit.log").exists()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert not logs.exists()
