"""`scripts/conformance` as far as it goes without the testing tool."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.rig import Node
from tests.conformance.suites import SUITES

ROOT = Path(__file__).parents[2]


def conformance(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in this environment."""
    return subprocess.run(
        [sys.executable, "-m", "tests.conformance", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    """A directory that is no checkout, and mirrors that are none, are named, each on a line."""
    results = tmp_path / "results"
    finished = conformance(
        str(tmp_path),
        "--mirrors",
        str(tmp_path),
        "--python",
        "no-python",
        "--results",
        str(results),
    )
    assert finished.returncode == 2
    missing = [line for line in finished.stderr.splitlines() if line.startswith("missing: ")]
    for each in (f"{tmp_path}/nmos-test.py", f"{tmp_path}/is-04.git", "no-python"):
        assert any(each in line for line in missing)
    assert "Traceback" not in finished.stderr


def test_a_tool_that_cannot_start_is_shown(tmp_path: Path) -> None:
    """Where the tool lacks a module, its own words and the remedy are printed."""
    (tmp_path / "nmos-test.py").touch()
    finished = conformance(
        str(tmp_path), "--python", sys.executable, "--results", str(tmp_path / "results")
    )
    assert finished.returncode == 2
    # Where a command is missing, that comes first.
    if "missing: " not in finished.stderr:
        assert "No module named 'nmostesting'" in finished.stderr
        assert f"{sys.executable} -m pip install -r {tmp_path}/requirements.txt" in finished.stderr


def test_an_unknown_suite_is_refused(tmp_path: Path) -> None:
    """A suite for something that is no Node has no place here."""
    finished = conformance(str(tmp_path), "IS-04-02")
    assert finished.returncode == 2
    assert "no suite for a Node: IS-04-02" in finished.stderr


def test_the_arguments_name_each_api_once() -> None:
    """A suite of two APIs has two of everything (the tool's `validate_args`)."""
    suite = next(each for each in SUITES if each.name == "IS-08-02")
    assert suite.arguments("node.example.com", 8080) == [
        *("suite", "IS-08-02"),
        *("--host", "node.example.com", "node.example.com"),
        *("--port", "8080", "8080"),
        *("--version", "v1.3", "v1.0"),
        *("--selector", "null", "null"),
    ]


def test_the_nodes_settings_are_those_of_the_run_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What this process has in its environment for Nodes does not reach the one that is tested."""
    monkeypatch.setenv("NMOS_AUTH_ENABLED", "false")
    monkeypatch.setenv("EXAMPLE_NODE_LABEL", "another")
    environment = Node(tmp_path, tmp_path).environment("multicast")
    assert not {"NMOS_AUTH_ENABLED", "EXAMPLE_NODE_LABEL"} & environment.keys()
    assert environment["NMOS_AUTH_AUDIENCE"] == "nmos-api.local"
    assert environment["EXAMPLE_NODE_TLS_KEY"].count(",") == 1
