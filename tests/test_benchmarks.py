"""The benchmarks run; what they measure is nobody's business here."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import (
    alternatives,
    controller,
    first_sight,
    growth,
    hostile,
    in_process,
    many_tokens,
    memory,
    owners,
    startup,
    under_load,
    workers,
)
from benchmarks.effort import Effort
from benchmarks.report import Section, check_as_text, section_as_json, section_as_text

TINY = Effort(
    rounds=1,
    requests=10,
    load_starts=1,
    load_rounds=1,
    load_seconds=0.02,
    alternative_rounds=1,
    tokens=4,
    tokens_rounds=1,
    worker_rounds=1,
    workers=(1,),
    sight_rounds=2,
    start_rounds=1,
    memory_requests=100,
    growth_rounds=1,
    growth_memories=4,
    nodes=(2, 4, 6),
    owners_rounds=1,
    hostile_rounds=1,
    hostile_requests=1,
    receivers=100,
    page_seconds=1,
    settle=0,
)


# Of each store that there is: three numbers of Nodes, and the end of the most.
_STORES = 1 + owners.has_redis()


@pytest.mark.parametrize(
    ("measure", "rows", "budgets"),
    [
        (in_process.measure, [5, 8, 9], 7),
        (under_load.measure, [3] * len(under_load.stacks()), 2 * len(under_load.stacks())),
        # As under-load in another order: `pytest -m slow`.
        pytest.param(alternatives.measure, [6], 0, marks=pytest.mark.slow),
        pytest.param(many_tokens.measure, [3], 2, marks=pytest.mark.slow),
        pytest.param(
            workers.measure,
            [len(workers.arrangements([1], Path()))],
            0,
            marks=pytest.mark.slow,  # each server starts twice: `pytest -m slow`
        ),
        (first_sight.measure, [6], 3),
        (startup.measure, [4, 2], 3),
        (memory.measure_here, [6], 3),
        (growth.measure, [22, 7], 0),
        (owners.measure, [3 * _STORES, _STORES], 2 * _STORES),
        (hostile.measure, [24], 1),
        # It needs Chromium and a whole plant: `pytest -m slow`.
        pytest.param(controller.measure, [3], 3, marks=pytest.mark.slow),
    ],
    ids=list(command.QUESTIONS),
)
async def test_a_question_is_answered_with_tables_and_verdicts(
    measure: Callable[[Path, Effort], Awaitable[Section]],
    rows: list[int],
    budgets: int,
    tmp_path: Path,
) -> None:
    """Every row is measured, every budget judged, and both can be read and parsed."""
    section = await measure(tmp_path, TINY)

    assert [len(table.rows) for table in section.tables] == rows
    assert len(section.checks) == budgets
    text = section_as_text(section)
    assert all(str(row[0]) in text for table in section.tables for row in table.rows)
    assert all(each.budget in check_as_text(each) for each in section.checks)
    parsed = json.loads(json.dumps(section_as_json(section), allow_nan=False))
    assert [len(table["rows"]) for table in parsed["tables"]] == rows
    for table, written in zip(section.tables, parsed["tables"], strict=True):
        assert all(list(row) == list(table.columns) for row in written["rows"])


def test_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It measures what it is asked, prints tables and checks, and writes them down."""
    monkeypatch.setattr(command, "QUICK", TINY)
    logger = logging.getLogger("nmos_auth")
    level = logger.level
    try:
        assert command.main(["growth", "--quick", "--json", str(tmp_path / "measured")]) == 0
    finally:
        logger.setLevel(level)
    document = json.loads((tmp_path / "measured").read_text())
    (section,) = document["sections"]
    told = capsys.readouterr().out
    assert all(table["title"] in told for table in section["tables"])
    assert document["machine"]["fastapi"] in told


def test_a_question_that_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, and nothing is measured."""
    with pytest.raises(SystemExit):
        command.main(["growth", "growths"])
    assert "no such question: growths" in capsys.readouterr().err
