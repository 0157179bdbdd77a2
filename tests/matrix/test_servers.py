"""The contract's table under each server; what servers answer themselves stands in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.conftest import AUDIENCE, listener, mint
from tests.contract.own_answers import CLOSED, own_answers
from tests.contract.rows import Row, TableMint, judge
from tests.contract.scene import AccessLog, Scene, at_rest
from tests.contract.test_audit import TABLE
from tests.matrix.processes import SERVERS, running
from tests.support.audit import lines_of
from tests.support.authority import FakeAuthorizationServer
from tests.support.sockets import exchange
from tests.support.tls import TestAuthority

__all__ = ["listener", "mint"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

DECIDED = sum(row.decided and not any(each.server for each in row.answers) for row in TABLE)


def _answered(scene: Scene, row: Row, own: str | None) -> str | None:
    """Return what is wrong with the answer to a row, or None."""
    request, _ = row.request(scene.mint)
    try:
        reply = exchange(scene.port, request)
    except ValueError:
        return None if own == CLOSED else "the connection was closed"
    if own is not None:
        return None if own == str(reply.status) else f"{reply.status}, and not {own}, as documented"
    try:
        judge(row, reply)
    except AssertionError as error:
        return f"{reply.status}: {error}"
    return None


@pytest.mark.parametrize("server", SERVERS)
def test_the_table(
    server: str,
    mint: TableMint,
    issuer: FakeAuthorizationServer,
    tls: TestAuthority,
    tmp_path: Path,
) -> None:
    """Each answer is one that the texts allow, or the one that is documented as the server's own.

    Each decision has its line in the audit log, and no log shows a token.
    """
    own = own_answers(server, TABLE)
    log, audit_log = tmp_path / "server.log", tmp_path / "audit.log"
    environment = {
        "NMOS_AUTH_AUDIENCE": AUDIENCE,
        "NMOS_AUTH_SERVERS": issuer.issuer,
        "NMOS_AUTH_CA_FILE": str(tls.ca_file),
        "NMOS_AUTH_AUDIT_LOG": str(audit_log),
        "NMOS_AUTH_REFETCH_INTERVAL": "3600",
    }
    with running(SERVERS[server], "tests.matrix.application:app", environment, log) as port:
        scene = at_rest(Scene(port, mint, AccessLog()))
        wrong = {row.id: _answered(scene, row, own.get(row.id)) for row in TABLE}
    assert {name: said for name, said in wrong.items() if said} == {}
    assert len(lines_of(audit_log)) >= DECIDED - len(own)
    assert mint.token().partition(".")[0] not in log.read_text("utf-8")
    assert mint.token().partition(".")[0] not in audit_log.read_text("utf-8")
