"""Reports: on the terminal, for programs, for build servers, and one page to hand on."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest

from nmos_auth.probe.catalogue import CATALOGUE
from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.observing import Observed, observe
from nmos_auth.probe.page import as_html
from nmos_auth.probe.reports import Report, as_json, as_junit, as_line, summary
from nmos_auth.probe.rows import Force, Row, is_10, practice
from nmos_auth.probe.table import ROWS
from nmos_auth.probe.wire import Reply

SOURCE = is_10("Behaviour: Access Tokens", "tokens are signed by RS512")
RESULTS = [
    Result("jose-a", "jose", "alg none", SOURCE, Verdict.PASS, "GET /x", "401"),
    Result(
        "jose-b",
        "jose",
        "<script>alert(1)</script>",
        practice("no"),
        Verdict.FAIL,
        "GET /\x00y",
        "200",
        "Anybody & all.",
    ),
    Result("keys-c", "keys", "rotation", SOURCE, Verdict.UNTESTED, came="no such path"),
]

REPORT = Report("https://node1.example.com", RESULTS)


def test_a_line_says_what_came_and_what_it_means() -> None:
    """A fault has its meaning and its sentence below it."""
    assert as_line(RESULTS[0], 100) == "pass           jose-a: alg none → 401"
    lines = as_line(RESULTS[1], 100).split("\n")
    assert lines[0].startswith("fail           jose-b")
    assert lines[1].strip() == "Anybody & all."
    assert lines[2].strip() == "good practice, not in any specification: no"


def test_the_summary_counts() -> None:
    """The worst first."""
    assert summary(RESULTS) == "1 fail, 1 could not test, 1 pass"


def test_json_has_everything() -> None:
    """Each row with its source, verdict, and what was sent and came."""
    (told,) = json.loads(as_json([REPORT]))["devices"]
    assert told["counts"] == {"pass": 1, "fail": 1, "could not test": 1}
    assert told["results"][0]["source"]["document"] == "IS-10"
    assert told["results"][1]["meaning"] == "Anybody & all."


def test_junit_can_be_read() -> None:
    """A suite for each group, with failures and what was skipped; any text is XML that parses."""
    root = ET.fromstring(as_junit([REPORT]))  # noqa: S314 - our own
    suites = {each.get("name"): each for each in root}
    assert suites["jose"].get("tests") == "2"
    assert suites["jose"].get("failures") == "1"
    assert suites["keys"].get("skipped") == "1"
    assert [each.tag for each in suites["jose"][1]] == ["failure"]


def test_the_page_stands_alone() -> None:
    """No external part, no script, and no text of a device that a browser would run."""
    page = as_html([Report("https://node1.example.com/<x>", RESULTS)], date="today")
    assert not re.search(r"(?:src|href)=|@import|url\(|<script|<link|<img", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.index("jose-b") < page.index("jose-a")


def test_every_row_has_an_id_of_its_own() -> None:
    """Reports of two runs can be compared by them."""
    names = [row.id for row in CATALOGUE]
    assert len(names) == len(set(names)) > 400


def test_every_row_says_what_it_means() -> None:
    """A title, a sentence of a text or of practice, and what a failure means."""
    for row in CATALOGUE:
        assert row.title, row.id
        assert row.source.says, row.id
        assert row.meaning.endswith("."), row.id
        named = bool(row.source.document and row.source.section)
        assert named is not (row.source.force is Force.PRACTICE), row.id


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_no_status_is_right_and_only_tolerable(row: Row) -> None:
    """Each status has one verdict."""
    assert row.passes.isdisjoint(row.warns)


@pytest.mark.parametrize(("seconds", "verdict"), [(0.2, Verdict.PASS), (1.2, Verdict.WARNING)])
def test_slow_answers_are_named(seconds: float, verdict: Verdict) -> None:
    """Above a second a Controller stands still."""
    reply = Reply(200, [], b"", seconds)
    (prompt,) = [
        each
        for each in observe([Observed("GET /x-nmos/", reply, None, api=False)])
        if each.id == "answers-prompt"
    ]
    assert prompt.verdict is verdict
