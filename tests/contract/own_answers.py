"""What servers answer before the middleware sees a request, as the documentation lists it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.contract.rows import UPGRADED, Row

__all__ = ["CLOSED", "own_answers"]

CLOSED = "nothing"
"""What is listed where the server closes the connection."""

_PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"
_REFUSED_HANDSHAKES = "each refused handshake"


def own_answers(server: str, table: Sequence[Row]) -> dict[str, str]:
    """Return a server's own answers, a status or `CLOSED`, by the id of the row.

    Args:
        server: as the documentation calls it.
        table: all rows.
    """
    own: dict[str, str] = {}
    for line in _PAGE.read_text("utf-8").splitlines():
        cells = [each.strip() for each in line.strip("|").split("|")]
        if cells[0] != server:
            continue
        _, answer, _, rows = cells
        ids = re.findall(r"`([^`]+)`", rows)
        if rows == _REFUSED_HANDSHAKES:
            ids = [row.id for row in table if row.websocket and UPGRADED not in row.answers]
        own |= dict.fromkeys(ids, answer)
    assert own.keys() <= {row.id for row in table}, "rows are listed that the table has not"
    return own
