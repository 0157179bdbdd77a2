"""A run as lines, as JSON and as JUnit XML."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from nmos_auth.command import hanging, printable
from nmos_auth.probe.judging import Judged, Result, Verdict
from nmos_auth.probe.rows import Source

__all__ = ["ORDER", "Report", "as_json", "as_junit", "as_line", "rows_as_json", "summary"]

ORDER = (Verdict.FAIL, Verdict.WARNING, Verdict.UNTESTED, Verdict.PASS, Verdict.INAPPLICABLE)
"""The verdicts; those that require action come first."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one device.

    Attributes:
        url: the device.
        results: those of all rows that were tried.
    """

    url: str
    results: list[Result]

    @property
    def accepted(self) -> bool:
        """Whether the device accepted a good token; most rows are not conclusive otherwise."""
        return any(
            each.id == "credentials-good" and each.verdict is Verdict.PASS for each in self.results
        )


def as_line(result: Result, width: int) -> str:
    """Return a result as one line, or as three if it is a fault; long lines are wrapped.

    Args:
        result: what became of a row.
        width: columns of the terminal.
    """
    came = f" → {result.came}" if result.came else ""
    lines = [f"{result.id}: {result.title}{came}"]
    if result.meaning:
        lines += [result.meaning, str(result.source)]
    firsts = [f"{result.verdict.value:<15}", *[" " * 15] * 2]
    return "\n".join(
        hanging(first, line, width) for first, line in zip(firsts, lines, strict=False)
    )


def summary(results: Sequence[Result]) -> str:
    """Return a line that counts the results of each verdict."""
    counts = Counter(each.verdict for each in results)
    return ", ".join(f"{counts[each]} {each.value}" for each in ORDER if counts[each])


def _as_object(result: Result) -> dict[str, object]:
    return {
        "id": result.id,
        "suite": result.suite,
        "title": result.title,
        "source": _source_as_object(result.source),
        "verdict": result.verdict.value,
        "sent": result.sent or None,
        "came": result.came or None,
        "meaning": result.meaning or None,
    }


def _source_as_object(source: Source) -> dict[str, str | None]:
    return {
        "document": source.document or None,
        "section": source.section or None,
        "force": source.force.value,
        "says": source.says,
    }


def rows_as_json(rows: Sequence[Judged]) -> str:
    """Return all rows with their sources as one JSON object."""
    listed = [
        {"id": row.id, "title": row.title, "source": _source_as_object(row.source)} for row in rows
    ]
    return json.dumps({"rows": listed}, indent=2)


def as_json(reports: Sequence[Report]) -> str:
    """Return the whole run as one JSON object."""
    devices = [
        {
            "device": report.url,
            "counts": Counter(each.verdict.value for each in report.results),
            "results": [_as_object(each) for each in report.results],
        }
        for report in reports
    ]
    return json.dumps({"devices": devices}, indent=2)


def as_junit(reports: Sequence[Report]) -> str:
    """Return the run as JUnit XML, which build servers show: a suite for each group of a device."""
    root = ET.Element("testsuites", name="nmos-auth probe")
    for report in reports:
        for suite in dict.fromkeys(each.suite for each in report.results):
            _add_suite(root, report, suite)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _add_suite(root: ET.Element, report: Report, suite: str) -> None:
    members = [each for each in report.results if each.suite == suite]
    counts = Counter(each.verdict for each in members)
    element = ET.SubElement(
        root,
        "testsuite",
        name=suite,
        hostname=report.url,
        tests=str(len(members)),
        failures=str(counts[Verdict.FAIL]),
        skipped=str(counts[Verdict.UNTESTED] + counts[Verdict.INAPPLICABLE]),
    )
    for each in members:
        _add_case(element, each)


def _add_case(suite: ET.Element, result: Result) -> None:
    case = ET.SubElement(suite, "testcase", classname=result.suite, name=result.id)
    # XML 1.0 cannot express most control characters.
    text = printable(f"{result.title}\n{result.sent}\n{result.came}\n{result.source}")
    if result.verdict is Verdict.FAIL:
        failure = ET.SubElement(case, "failure", message=printable(result.meaning))
        failure.text = text
    elif result.verdict in {Verdict.UNTESTED, Verdict.INAPPLICABLE}:
        ET.SubElement(case, "skipped", message=printable(result.came))
    else:
        ET.SubElement(case, "system-out").text = text
