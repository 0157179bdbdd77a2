"""A run as one HTML page that a person can pass on: it requires no other file and no script."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.reports import ORDER, Report

__all__ = ["as_html"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --page: #fff;
  --shade: #f6f8fa; --fail: #b3261e; --warning: #8a5300; --pass: #1a6b34; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa4b0; --line: #3a424c;
  --page: #14171b; --shade: #1d2126; --fail: #ff8a80; --warning: #ffc46b; --pass: #84d39b; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 75rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h1 + p { color: var(--soft); margin: .25rem 0 0; }
h2 code { overflow-wrap: anywhere; }
ul.counts { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; padding: 0; }
ul.counts li { border: 1px solid var(--line); border-radius: .4rem; padding: .15rem .6rem; }
ul.counts b { font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; }
th { color: var(--soft); font-weight: 600; }
th, td { text-align: left; vertical-align: top; padding: .5rem .6rem; }
tbody tr { border-top: 1px solid var(--line); }
td:first-child { white-space: nowrap; font-weight: 600; }
td:nth-child(3) { min-width: 8rem; }
td strong { display: block; }
.fail { color: var(--fail); } .warning { color: var(--warning); } .pass { color: var(--pass); }
.other { color: var(--soft); }
code { font-size: .85em; overflow-wrap: anywhere; } small { color: var(--soft); display: block; }
details { border-top: 1px solid var(--line); padding: .25rem 0; }
summary { cursor: pointer; padding: .35rem 0; }
details table { background: var(--shade); }
@media (max-width: 45rem) { thead { display: none; } td { display: block; padding: .1rem .6rem; }
  td:nth-child(3)::before { content: "answer: "; color: var(--soft); }
  tbody tr { display: block; padding: .5rem 0; } }
@media print { body { font-size: 11px; padding: 0; } tr { break-inside: avoid; } }
"""

_CODE = re.compile("`([^`]+)`")
_KINDS = {Verdict.FAIL: "fail", Verdict.WARNING: "warning", Verdict.PASS: "pass"}
_FINDINGS = (Verdict.FAIL, Verdict.WARNING)


def as_html(reports: Sequence[Report], *, date: str) -> str:
    """Return the run as one page without any external part.

    Args:
        reports: of each device.
        date: when it ran, in words for people.
    """
    devices = "\n".join(map(_device, reports))
    title = ", ".join(each.url for each in reports)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>NMOS authorization of {escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>NMOS authorization</h1>
<p>Checked against AMWA IS-10 v1.0, BCP-003-02 and the RFCs that they cite, on {escape(date)}</p>
{devices}
</main>
</body>
</html>
"""


def _device(report: Report) -> str:
    counts = Counter(each.verdict for each in report.results)
    chips = "".join(
        f'<li><span class="{_kind(each)}"><b>{counts[each]}</b> {each.value}</span></li>'
        for each in ORDER
        if counts[each]
    )
    findings = [each for each in report.results if each.verdict in _FINDINGS]
    findings.sort(key=lambda each: ORDER.index(each.verdict))
    told = _table(findings) if findings else "<p>No row failed or gave a warning.</p>"
    others = "\n".join(
        _folded(each, [result for result in report.results if result.verdict is each])
        for each in ORDER
        if counts[each] and each not in _FINDINGS
    )
    return (
        f"<section>\n<h2><code>{escape(report.url)}</code></h2>\n"
        f'<ul class="counts">{chips}</ul>\n{told}\n{others}\n</section>'
    )


def _folded(verdict: Verdict, results: Sequence[Result]) -> str:
    return (
        f'<details>\n<summary><b class="{_kind(verdict)}">{verdict.value}</b>:'
        f" {len(results)} rows</summary>\n{_table(results)}\n</details>"
    )


def _table(results: Iterable[Result]) -> str:
    rows = "\n".join(map(_row, results))
    return (
        "<table>\n<thead><tr><th>Verdict</th><th>What was tried</th><th>Answer</th>"
        f"<th>Requirement</th></tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _row(result: Result) -> str:
    meaning = f"<strong>{_prose(result.meaning)}</strong>" if result.meaning else ""
    sent = f"<small><code>{escape(result.sent)}</code></small>" if result.sent else ""
    return (
        f'<tr><td class="{_kind(result.verdict)}">{result.verdict.value}</td>'
        f"<td>{_prose(result.title)}{meaning}{sent}<small>{escape(result.id)}</small></td>"
        f"<td>{escape(result.came)}</td><td>{_prose(str(result.source))}</td></tr>"
    )


def _prose(text: str) -> str:
    """Escape a text of the table, in which code is between backticks."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _kind(verdict: Verdict) -> str:
    return _KINDS.get(verdict, "other")
