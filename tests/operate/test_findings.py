"""Findings, as people and programs read them."""

from __future__ import annotations

import json

import pytest

from nmos_auth.operate.findings import Finding, Level, as_json, as_lines, exit_code, worst

OK = Finding.ok("settings", "all variables are valid")
WARNING = Finding.warning("audience", "another name", "set it")
FAILURE = Finding.failure("https://auth.example.com", "no connection", "check that it runs")


@pytest.mark.parametrize(
    ("findings", "level", "code"),
    [
        ([], Level.OK, 0),
        ([OK], Level.OK, 0),
        ([OK, WARNING], Level.WARNING, 0),
        ([FAILURE, WARNING, OK], Level.FAILURE, 1),
    ],
)
def test_only_failures_fail(findings: list[Finding], level: Level, code: int) -> None:
    """A warning is for people; an exit code of 1 says that something does not work."""
    assert worst(findings) is level
    assert exit_code(findings) == code


def test_a_finding_fits_the_terminal() -> None:
    """Every line is within the width, the cure stands below, and nothing is lost."""
    finding = Finding.failure("a server", "word " * 60, "cure " * 30)
    lines = as_lines(finding, width=60).split("\n")
    assert all(len(line) <= 60 for line in lines)
    assert lines[0].startswith("failure  a server: word")
    assert " ".join(" ".join(lines).split()).count("word") == 60
    assert sum("→" in line for line in lines) == 1


def test_json_says_the_same() -> None:
    """`worst` of all, and each finding with its cure or null."""
    document = json.loads(as_json([OK, FAILURE]))
    assert document["worst"] == "failure"
    assert document["findings"][0] == {
        "level": "ok",
        "subject": "settings",
        "text": "all variables are valid",
        "cure": None,
    }
    assert document["findings"][1]["cure"] == "check that it runs"
