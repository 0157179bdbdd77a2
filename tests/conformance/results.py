"""The tool's results, and the tables that people read."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

__all__ = ["Result", "Run", "counts_table", "exit_status", "notable_lines"]

# The tool lists its own preparations as tests that are "Not Applicable".
_PREPARATIONS = {"__init__", "set_up_tests", "tear_down_tests"}
_ALWAYS_SHOWN = ("Pass", "Fail", "Warning")


class Result(BaseModel):
    """What came of one test."""

    name: str
    state: str
    description: str | None = None
    detail: str | None = None


class Run(BaseModel):
    """The file that the tool writes for one suite."""

    results: tuple[Result, ...]

    @property
    def tests(self) -> list[Result]:
        """The results of real tests."""
        return [result for result in self.results if result.name not in _PREPARATIONS]


def counts_table(runs: Mapping[str, Run | None]) -> list[str]:
    """Count the results in each state, one line a suite; None is a suite that was aborted."""
    counts = {
        label: Counter(result.state for result in run.tests) if run else None
        for label, run in runs.items()
    }
    seen = {state for each in counts.values() if each for state in each}
    states = [*_ALWAYS_SHOWN, *sorted(seen.difference(_ALWAYS_SHOWN))]
    width = max(map(len, ["suite", *counts]))
    lines = ["  ".join([f"{'suite':{width}}", *states])]
    for label, each in counts.items():
        cells = [f"{each[state]:{len(state)}}" for state in states] if each else ["aborted"]
        lines.append("  ".join([f"{label:{width}}", *cells]))
    return lines


def notable_lines(label: str, results: Sequence[Result]) -> list[str]:
    """Return a line for each result that is not a Pass."""
    return [
        f"{label}  {result.name}  {result.state}: "
        + " | ".join(" ".join(text.split()) for text in (result.description, result.detail) if text)
        for result in results
        if result.state != "Pass"
    ]


def exit_status(runs: Mapping[str, Run | None]) -> int:
    """Return 1 where a test failed or a suite was aborted."""
    failed = any(
        run is None or any(result.state == "Fail" for result in run.tests) for run in runs.values()
    )
    return int(failed)
