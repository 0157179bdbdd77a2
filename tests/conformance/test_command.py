"""`scripts/conformance` as far as it goes without the testing tool."""

import contextlib
import fcntl
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from tests.conformance.rig import Server
from tests.conformance.suites import SUITES, Subject
from tests.support.tls import TestAuthority

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
    """A directory that is not a checkout, and wrong mirrors, are named, each on a line."""
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
    assert "not a suite that runs here: IS-11-01" in finished.stderr


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


def test_runs_of_a_suite_differ_in_their_labels() -> None:
    """Each run has a file and a line of its own, which say how its subject was run."""
    labels = [suite.label for suite in SUITES]
    assert len(set(labels)) == len(labels)
    assert {"IS-04-02, registry", "IS-04-02, registry, Redis"} <= set(labels)
    assert {"IS-05-01", "IS-05-01, without authorization", "IS-05-01, two paths"} <= set(labels)


def test_one_run_of_a_suite_can_be_chosen(tmp_path: Path) -> None:
    """By the name that the table of results has for it."""
    results = ["--results", str(tmp_path / "results"), "--python", "no-python"]
    chosen = conformance(str(tmp_path), "IS-04-02, registry, Redis", *results)
    assert "missing: " in chosen.stderr
    other = conformance(str(tmp_path), "IS-04-02, registry, Postgres", *results)
    assert "not a suite that runs here: IS-04-02, registry, Postgres" in other.stderr


def test_options_stand_anywhere(tmp_path: Path) -> None:
    """Before, between and behind the names of suites."""
    options = ["--mirrors", str(tmp_path), "--python", "no-python"]
    for arguments in (
        [str(tmp_path), *options, "IS-07-01", "IS-05-01"],
        [str(tmp_path), "IS-07-01", *options, "IS-05-01"],
        [*options, str(tmp_path), "IS-07-01"],
    ):
        finished = conformance(*arguments, "--results", str(tmp_path / "results"))
        assert finished.returncode == 2
        assert f"missing: {tmp_path}/nmos-test.py" in finished.stderr


def test_the_settings_are_those_of_the_run_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What this process has in its environment for Nodes does not reach the one that is tested."""
    monkeypatch.setenv("NMOS_AUTH_ENABLED", "false")
    monkeypatch.setenv("EXAMPLE_NODE_LABEL", "another")
    server = Server(tmp_path, tmp_path)
    environment = server.environment(Subject(mode="multicast", legs=2))
    assert "EXAMPLE_NODE_LABEL" not in environment
    assert environment["NMOS_AUTH_ENABLED"] == "true"
    assert environment["NMOS_AUTH_AUDIENCE"] == "nmos-api.local"
    assert environment["EXAMPLE_NODE_TLS_KEY"].count(",") == 1
    assert environment["EXAMPLE_NODE_INTERFACES"] == "lo,lo"
    assert server.environment(Subject(authorization=False))["NMOS_AUTH_ENABLED"] == "false"
    registry = server.environment(Subject("registry", redis=True))
    assert registry["EXAMPLE_REGISTRY_HOST_NAME"] == "api.testsuite.nmos.tv"
    assert registry["EXAMPLE_REGISTRY_REDIS"].startswith("redis://")
    assert "NMOS_AUTH_ENABLED" not in server.environment(Subject("authority"))


def test_the_page_has_the_settings_of_the_tool_that_are_used_here() -> None:
    """Who starts the tool by hand is told the names that `scripts/conformance` sets."""
    page = (ROOT / "docs" / "conformance.md").read_text("utf-8")
    told = re.findall(r"^CONFIG\.(\w+) = ", page, re.MULTILINE)
    tool = (ROOT / "tests" / "conformance" / "tool.py").read_text("utf-8")
    assert told
    assert set(told) <= set(re.findall(r"^ +([A-Z_]+)=", tool, re.MULTILINE))


TOOL = """
import fcntl, pathlib, sys, time

SPECIFICATIONS = {"bcp-007-03": {}}


def check_internal_requirements():
    pass


init_spec_cache = check_internal_requirements


def main(arguments):
    held = open(pathlib.Path(arguments[-1]).parent / "held", "w")
    fcntl.flock(held, fcntl.LOCK_EX)
    held.write("held")
    held.flush()
    time.sleep(600)
"""


def _checkout(directory: Path, tls: TestAuthority) -> Path:
    """Make a checkout of a tool that never ends, with the certificates that it brings."""
    (directory / "nmostesting").mkdir(parents=True)
    for name in ("nmos-test.py", "nmostesting/Config.py", "nmostesting/NMOSTesting.py"):
        (directory / name).write_text(TOOL)
    ca = directory / "test_data/BCP00301/ca"
    for each in ("certs", "intermediate/certs", "intermediate/private"):
        (ca / each).mkdir(parents=True)
    shutil.copy(tls.ca_file, ca / "certs/ca.cert.pem")
    name = "api.testsuite.nmos.tv"
    for key_type in (trustme.KeyType.RSA, trustme.KeyType.ECDSA):
        certificate, key = tls.write_server_files(name, key_type=key_type)
        stem = f"{key_type.name.lower()}.{name}"
        shutil.copy(certificate, ca / f"intermediate/certs/{stem}.cert.chain.pem")
        shutil.copy(key, ca / f"intermediate/private/{stem}.key.pem")
    return directory


def _processes_about(directory: Path) -> list[str]:
    """The processes whose command or environment names a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if str(directory).encode() in text:
                found.append(process.name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(
    tmp_path: Path, tls: TestAuthority, number: signal.Signals
) -> None:
    """The Node, the tool and their namespaces end with the command, however it ends."""
    unshare = ["unshare", "--net", "--pid", "--fork", "--map-root-user", "true"]
    if shutil.which("unshare") is None or subprocess.run(unshare, check=False).returncode:
        pytest.skip("namespaces cannot be made here")
    checkout, results = _checkout(tmp_path / "checkout", tls), tmp_path / "results"
    arguments = [str(checkout), "IS-07-01", "--python", sys.executable, "--results", str(results)]
    with subprocess.Popen([sys.executable, "-m", "tests.conformance", *arguments]) as process:
        held = results / "held"
        deadline = time.monotonic() + 50
        while not held.exists() or held.read_text() != "held":
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(_processes_about(tmp_path)) >= 3
        process.send_signal(number)
        assert process.wait(10) in {128 + number, -number}
    with held.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # which the tool holds for as long as it runs
    deadline = time.monotonic() + 10
    while left := _processes_about(tmp_path):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
