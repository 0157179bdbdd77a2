"""A run as a table, as JSON, as JUnit XML and as one HTML page that stands alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from html import escape
from xml.etree import ElementTree as ET

from nmos_auth.command import hanging
from nmos_auth.probe.judging import Result, Trial, Verdict
from nmos_auth.probe.rows import Source

__all__ = ["as_html", "as_json", "as_junit", "as_line", "rows_as_json", "summary"]

_ORDER = (Verdict.FAIL, Verdict.WARNING, Verdict.UNTESTED, Verdict.PASS, Verdict.INAPPLICABLE)


def as_line(result: Result, width: int = 100) -> str:
    """Return a result as a line, and as three where it is a fault; long ones are wrapped.

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
    """Return how many of each verdict there are, in a line."""
    counts = Counter(each.verdict for each in results)
    return ", ".join(f"{counts[each]} {each.value}" for each in _ORDER if counts[each])


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


def rows_as_json(rows: Sequence[Trial]) -> str:
    """Return all rows with their sources as one JSON object."""
    listed = [
        {"id": row.id, "title": row.title, "source": _source_as_object(row.source)} for row in rows
    ]
    return json.dumps({"rows": listed}, indent=2)


def as_json(url: str, results: Sequence[Result]) -> str:
    """Return the whole run as one JSON object."""
    counts = Counter(each.verdict.value for each in results)
    return json.dumps(
        {"device": url, "counts": counts, "results": [_as_object(each) for each in results]},
        indent=2,
    )


def as_junit(url: str, results: Sequence[Result]) -> str:
    """Return the run as JUnit XML, which build servers show: a suite for each group."""
    root = ET.Element("testsuites", name=f"nmos-auth probe {url}")
    for suite in dict.fromkeys(each.suite for each in results):
        members = [each for each in results if each.suite == suite]
        counts = Counter(each.verdict for each in members)
        element = ET.SubElement(
            root,
            "testsuite",
            name=suite,
            tests=str(len(members)),
            failures=str(counts[Verdict.FAIL]),
            skipped=str(counts[Verdict.UNTESTED] + counts[Verdict.INAPPLICABLE]),
        )
        for each in members:
            _add_case(element, each)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _add_case(suite: ET.Element, result: Result) -> None:
    case = ET.SubElement(suite, "testcase", classname=result.suite, name=result.id)
    text = _printable(f"{result.title}\n{result.sent}\n{result.came}\n{result.source}")
    if result.verdict is Verdict.FAIL:
        failure = ET.SubElement(case, "failure", message=result.meaning)
        failure.text = text
    elif result.verdict in {Verdict.UNTESTED, Verdict.INAPPLICABLE}:
        ET.SubElement(case, "skipped", message=_printable(result.came))
    else:
        ET.SubElement(case, "system-out").text = text


def _printable(text: str) -> str:
    # XML 1.0 has no way to write most control characters.
    return "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text)


_STYLE = """
:root { color-scheme: light dark; --line: #8884; --fail: #c62828; --warning: #b26a00;
  --pass: #2e7d32; --other: #666; }
@media (prefers-color-scheme: dark) { :root { --fail: #ff8a80; --warning: #ffcc80;
  --pass: #a5d6a7; --other: #aaa; } }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; }
tr { border-top: 1px solid var(--line); }
td:first-child { white-space: nowrap; font-weight: 600; }
.fail { color: var(--fail); } .warning { color: var(--warning); } .pass { color: var(--pass); }
.other { color: var(--other); }
code { overflow-wrap: anywhere; } small { color: var(--other); }
"""


def as_html(url: str, results: Sequence[Result], *, date: str) -> str:
    """Return the run as one page without any external part.

    Args:
        url: the device.
        results: of all rows.
        date: when it ran, for people.
    """
    ranked = sorted(results, key=lambda each: _ORDER.index(each.verdict))
    rows = "\n".join(_html_row(each) for each in ranked)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>NMOS authorization of {escape(url)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>NMOS authorization of <code>{escape(url)}</code></h1>
<p>{escape(date)}: {escape(summary(results))}.</p>
<table>
<thead><tr><th>Verdict</th><th>What was tried</th><th>Answer</th><th>The sentence</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</main>
</body>
</html>
"""


def _html_row(result: Result) -> str:
    shown = result.verdict.value
    kind = shown if shown in {"fail", "warning", "pass"} else "other"
    meaning = f"<br><strong>{escape(result.meaning)}</strong>" if result.meaning else ""
    sent = f"<br><small><code>{escape(result.sent)}</code></small>" if result.sent else ""
    return (
        f'<tr><td class="{kind}">{escape(shown)}</td>'
        f"<td>{escape(result.title)}{meaning}{sent}<br><small>{escape(result.id)}</small></td>"
        f"<td>{escape(result.came)}</td><td>{escape(str(result.source))}</td></tr>"
    )
