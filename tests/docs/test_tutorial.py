"""The tutorial, from an empty folder: its files and its commands, as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.servers import free_port

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def blocks() -> list[str]:
    """Return the shell blocks of the tutorial, on ports that are free here."""
    text = (DOCS / "tutorial.md").read_text("utf-8")
    server, node = str(free_port()), str(free_port())
    found = _BLOCK.findall(text)
    return [each.replace("8090", server).replace("8080", node) for each in found]


def wait_for(url: str) -> None:
    """Wait until a URL answers 200."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - http on loopback
                return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.1)


def test_the_tutorial(tmp_path: Path, blocks: list[str]) -> None:
    """Server and Node start, the first request is refused, the second one knows the client."""
    for name in ("node.py", "clients.toml"):
        shutil.copy(DOCS / "examples" / name, tmp_path)
    install, serve, start, refused, asked, explained = blocks
    assert "pip install" in install
    clean = {key: value for key, value in os.environ.items() if not key.startswith("NMOS_AUTH_")}
    environment = {**clean, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(block: str) -> str:
        done = subprocess.run(
            ["bash", "-c", f"{settings}\n{block}"],  # noqa: S607 - as its reader would
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        return done.stdout + done.stderr

    settings = "\n".join(line for line in start.splitlines() if line.startswith("export"))
    running: list[subprocess.Popen[bytes]] = []

    def start_up(block: str) -> None:
        running.append(
            subprocess.Popen(
                ["bash", "-c", block],  # noqa: S607 - likewise
                cwd=tmp_path,
                env=environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    try:
        start_up(serve)
        start_up(start)
        (node,) = re.findall(r"http://127\.0\.0\.1:\d+(?=/x-nmos)", refused)
        wait_for(f"{node}/ready")
        answer = run(refused)
        assert "401 Unauthorized" in answer
        assert "www-authenticate: Bearer" in answer
        assert '"asked_by":"controller-0123456789"' in run(asked)
        told = run(explained)
        assert "node: read *" in told
        assert "there is no claim x-nmos-connection" in told
        assert "refused: 403 insufficient_scope" in told
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)
