"""Tables and checks, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.timing import Spread

__all__ = [
    "BudgetCheck",
    "Cell",
    "Section",
    "Table",
    "check_as_text",
    "over_the_floor",
    "section_as_json",
    "section_as_text",
]

_BUDGET_OF_FLOOR = 1.5

Cell = str | int | float | Spread | None
Json = dict[str, object]


@dataclass(frozen=True)
class Table:
    """One table; the first column names the row.

    Attributes:
        title: what was measured, units included where columns do not say them.
        columns: their headings.
        rows: a cell for every column.
        notes: how it was measured, and the budget if there is one.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BudgetCheck:
    """Whether a budget is met."""

    budget: str
    measured: str
    met: bool


def over_the_floor(app: str, ours: Spread, thin: Spread) -> BudgetCheck:
    """Judge what the middleware costs over what the thinnest one costs.

    Args:
        app: the open app that both are compared with.
        ours: microseconds of CPU that the middleware adds to it.
        thin: what the thinnest middleware adds.
    """
    return BudgetCheck(
        f"CPU over {app}: at most {_BUDGET_OF_FLOOR:g} times a thin middleware's",
        f"{ours.median:.1f} us, {ours.median / max(thin.median, 0.1):.2f} times"
        f" {thin.median:.1f} us",
        met=ours.median <= _BUDGET_OF_FLOOR * thin.median,
    )


@dataclass(frozen=True)
class Section:
    """The answer to one question."""

    name: str
    tables: list[Table]
    checks: list[BudgetCheck] = field(default_factory=list)


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 20 else f"{value:.2f}"


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case str():
            return cell
        case int():
            return f"{cell:,}"
        case float():
            return _number(cell)
        case Spread():
            return f"{_number(cell.median)} [{_number(cell.low)} .. {_number(cell.high)}]"


def _json(cell: Cell) -> object:
    if isinstance(cell, Spread):
        return {"q1": cell.low, "median": cell.median, "q3": cell.high}
    return cell


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _table_as_text(table: Table) -> str:
    cells = [table.columns, *([_text(cell) for cell in row] for row in table.rows)]
    heading, *rows = _aligned(cells)
    rule = "-" * max(map(len, (heading, *rows)))
    return "\n".join([table.title, rule, heading, rule, *rows, rule, *table.notes, ""])


def section_as_text(section: Section) -> str:
    """Render the tables of a section; `x [y .. z]` is a median and its quartiles."""
    return "\n".join(_table_as_text(table) for table in section.tables)


def check_as_text(check: BudgetCheck) -> str:
    """Render one line."""
    return f"{'met    ' if check.met else 'NOT met'}  {check.budget}: {check.measured}"


def section_as_json(section: Section) -> Json:
    """Return a section as a JSON object."""
    return {
        "name": section.name,
        "tables": [
            {
                "title": table.title,
                "rows": [
                    dict(zip(table.columns, map(_json, row), strict=True)) for row in table.rows
                ],
                "notes": table.notes,
            }
            for table in section.tables
        ],
        "checks": [
            {"budget": each.budget, "measured": each.measured, "met": each.met}
            for each in section.checks
        ],
    }
