"""`nmos-auth probe`, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nmos_auth.cli import main
from tests.probe.broken_node import BrokenNode
from tests.probe.broken_registry import BrokenRegistry
from tests.probe.scene import AUDIENCE
from tests.support.servers import free_port, serving


def probe(*faults: str, directory: Path, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Run the command on a Node that trusts its server; return code, output and errors."""
    port = free_port()
    node = BrokenNode(f"http://127.0.0.1:{port}", AUDIENCE, frozenset(faults))
    with serving(node, lifespan="off") as device:
        done = subprocess.run(
            [
                *(
                    Path(sys.executable).with_name("nmos-auth"),
                    "probe",
                    f"http://127.0.0.1:{device}",
                ),
                *("--http", "--listen", f"127.0.0.1:{port}", "--audience", AUDIENCE),
                *("--rate", "10000", "--wait", "10", *options),
            ],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    return done.returncode, done.stdout, done.stderr


QUIET = {"pass", "not applicable"}
SUITES = ("--suite", "credentials", "permissions", "answers")


def test_a_node_that_is_right(tmp_path: Path) -> None:
    """Exit code 0, every report written, what to set before and after, and no token anywhere."""
    reports = ("--json", "r.json", "--junit", "r.xml", "--html", "r.html")
    code, out, err = probe(directory=tmp_path, options=(*SUITES, *reports))
    assert code == 0, out + err
    assert "pass           credentials-good" in out
    assert "The device must trust the issuer http://127.0.0.1:" in err
    assert "from the device's settings" in err
    assert json.loads((tmp_path / "r.json").read_text())["devices"][0]["counts"].keys() <= QUIET
    assert (tmp_path / "r.xml").read_text().startswith("<?xml")
    assert "<!doctype html>" in (tmp_path / "r.html").read_text()
    shown = out + err + "".join(each.read_text() for each in tmp_path.iterdir())
    assert "eyJ" not in shown


def test_a_node_that_is_wrong(tmp_path: Path) -> None:
    """Exit code 1, and the fault in words."""
    code, out, _ = probe("regular expressions", directory=tmp_path, options=SUITES)
    assert code == 1
    assert "fail           permissions-regex-dot" in out
    assert "Clients can do more than the operator granted." in out


def test_results_and_nothing_else_on_standard_output(tmp_path: Path) -> None:
    """`--json -` is for a program that reads standard output."""
    options = ("--suite", "credentials", "--json", "-")
    code, out, _ = probe(directory=tmp_path, options=options)
    assert code == 0
    assert json.loads(out)["devices"][0]["counts"].keys() <= QUIET


def test_a_report_and_nothing_else_on_standard_output(tmp_path: Path) -> None:
    """So may every report be."""
    code, out, _ = probe(directory=tmp_path, options=("--suite", "credentials", "--junit", "-"))
    assert code == 0
    assert out.startswith("<?xml")


def test_a_device_of_two_ports(tmp_path: Path) -> None:
    """Each URL has results of its own, and the worst of them is the exit code."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    good = BrokenNode(issuer, AUDIENCE)
    bad = BrokenRegistry(issuer, AUDIENCE, frozenset({"heartbeats unchecked"}))
    with serving(good, lifespan="off") as first, serving(bad, lifespan="off") as second:
        urls = [f"http://127.0.0.1:{each}" for each in (first, second)]
        options = ["--http", "--listen", f"127.0.0.1:{port}", "--audience", AUDIENCE, "--writes"]
        report = tmp_path / "r.json"
        suites = ["--suite", "credentials", "registry", "--rate", "10000"]
        assert main(["probe", *urls, *options, *suites, "--json", str(report)]) == 1
    devices = json.loads(report.read_text())["devices"]
    assert [each["device"] for each in devices] == urls
    assert ["fail" in each["counts"] for each in devices] == [False, True]


def test_a_device_that_trusts_nobody(tmp_path: Path) -> None:
    """Exit code 3: where no good token is accepted, the rest says nothing."""
    node = BrokenNode("http://127.0.0.1:1", AUDIENCE)
    with serving(node, lifespan="off") as device:
        code = main(["probe", f"http://127.0.0.1:{device}", "--http", "--wait", "0", *SUITES])
    assert code == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["probe"], "URL is required"),
        (["probe", "node1.example.com"], "https://HOST[:PORT]"),
        (["probe", "https://node1.example.com/x-nmos"], "without a path"),
        (["probe", "http://127.0.0.1:1", "--http", "--wait", "0"], "does not answer"),
        (["probe", "http://127.0.0.1:1", "--listen", "here"], "HOST:PORT"),
        (["probe", "http://127.0.0.1:1", "--listen", "127.0.0.1:65536"], "HOST:PORT"),
        (["probe", "http://127.0.0.1:1", "--listen", "a..b:0"], "--listen: 'a..b' is not a host"),
        (["probe", "http://127.0.0.1:1", "--name", "straße"], "--name: 'straße' is not a host"),
        (["probe", "http://127.0.0.1:1", "--other-name", "a:1"], "--other-name: 'a:1' is not"),
        (["probe", "http://127.0.0.1:1", "--certificate", "x"], "require each other"),
        (["probe", "https://127.0.0.1:1", "--ca-file", "/nowhere"], "--ca-file: /nowhere"),
        (["probe", "http://127.0.0.1:1", "--html", "/nowhere/x"], "/nowhere/x cannot be written"),
        (["probe", "http://127.0.0.1:1", "--websocket", "/a b"], "--websocket: write"),
        (["probe", "http://127.0.0.1:1", "--node-id", "7"], "--node-id: must be a UUID"),
        (["probe", "http://127.0.0.1:1", "--wait", "nan"], "--wait: must be a number"),
    ],
)
def test_a_command_line_that_is_wrong(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and a line that says what to write."""
    try:
        code = main(arguments)
    except SystemExit as error:  # of the parser
        code = int(str(error.code))
    assert code == 2
    assert words in capsys.readouterr().err


def test_the_rows_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With their sources, and without a device."""
    assert main(["probe", "--list"]) == 0
    assert 'IS-10 "Behaviour: Access Tokens, exp", MUST' in capsys.readouterr().out
    assert main(["probe", "--list", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0].keys() == {"id", "title", "source"}
