"""The whole table again, under a server that reads requests with httptools."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.conftest import MakeSettings
from tests.contract.own_answers import own_answers
from tests.contract.rows import Row, TableMint, judge
from tests.contract.scene import Scene, at_rest, echo_app, held
from tests.contract.test_audit import TABLE

pytest.importorskip("httptools")

OWN = own_answers("uvicorn, httptools", TABLE)


@pytest.fixture(scope="module")
def under_httptools(mint: TableMint, make_settings: MakeSettings) -> Iterator[Scene]:
    """Serve the app, at rest."""
    with held(echo_app(make_settings()), mint, http="httptools") as running:
        yield at_rest(running)


@pytest.mark.parametrize("row", [pytest.param(each, id=each.id) for each in TABLE])
def test_answers_depend_on_no_parser(under_httptools: Scene, row: Row) -> None:
    """What httptools lets pass is answered as in the table; what it refuses is documented."""
    reply = under_httptools.ask(row)
    if row.id in OWN:
        assert str(reply.status) == OWN[row.id]
    else:
        judge(row, reply)
