"""`scripts/conformance` as far as it goes without the testing tool."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.rig import Server
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
    """A suite for what the examples are not has no place here."""
    finished = conformance(str(tmp_path), "IS-11-01")
    assert finished.returncode == 2
    assert "no suite of ours: IS-11-01" in finished.stderr


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


def test_one_test_of_a_suite_is_selected() -> None:
    """The tool's `--selection` takes one name, so each test is a run of its own."""
    first, second = (each for each in SUITES if each.name == "IS-04-02")
    assert (first.label, second.label) == ("IS-04-02 test_33", "IS-04-02 test_33_1")
    assert " --selection test_33 " in f" {' '.join(first.arguments('a.example.com', 1))} "


def test_the_settings_are_those_of_the_run_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What this process has in its environment for Nodes does not reach the one that is tested."""
    monkeypatch.setenv("NMOS_AUTH_ENABLED", "false")
    monkeypatch.setenv("EXAMPLE_NODE_LABEL", "another")
    server = Server(tmp_path, tmp_path)
    environment = server.environment("node", "multicast")
    assert not {"NMOS_AUTH_ENABLED", "EXAMPLE_NODE_LABEL"} & environment.keys()
    assert environment["NMOS_AUTH_AUDIENCE"] == "nmos-api.local"
    assert environment["EXAMPLE_NODE_TLS_KEY"].count(",") == 1
    registry = server.environment("registry", "unicast")
    assert registry["EXAMPLE_REGISTRY_HOST_NAME"] == "api.testsuite.nmos.tv"
