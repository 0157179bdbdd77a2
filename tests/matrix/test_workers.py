"""Several processes of one Node, forked before or after the app was made."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from tests.matrix.processes import Program, running
from tests.support.audit import lines_of
from tests.support.authority import FakeAuthorizationServer
from tests.support.tls import TestAuthority

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SELF = "/x-nmos/node/v1.3/self"
WORKERS = 3


def gunicorn(*options: str) -> Program:
    """Return gunicorn's command line, with uvicorn's worker."""
    common = ["-k", "uvicorn_worker.UvicornWorker", "-w", str(WORKERS), "--graceful-timeout", "5"]
    return Program(
        ("gunicorn", "uvicorn_worker"),
        lambda app, port: ["gunicorn", *common, *options, "-b", f"127.0.0.1:{port}", app],
    )


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["forked first", "preloaded"])
def test_each_worker_has_keys_of_its_own(
    options: list[str], authority: FakeAuthorizationServer, tls: TestAuthority, tmp_path: Path
) -> None:
    """`/ready` tells when; from then on no worker answers 503, and one log has all their lines."""
    audit_log = tmp_path / "audit.log"
    environment = {
        "NMOS_AUTH_AUDIENCE": "node1.example.com",
        "NMOS_AUTH_SERVERS": authority.issuer,
        "NMOS_AUTH_CA_FILE": str(tls.ca_file),
        "NMOS_AUTH_AUDIT_LOG": str(audit_log),
        "NMOS_AUTH_KEYS_FILE": str(tmp_path / "keys.json"),
    }
    program = gunicorn(*options)
    with running(program, "tests.matrix.workers:app", environment, tmp_path / "log") as port:

        def get(path: str, token: str = "") -> httpx.Response:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            url = f"http://127.0.0.1:{port}{path}"
            return httpx.get(url, headers=headers, trust_env=False, timeout=30)

        deadline = time.monotonic() + 40
        in_a_row = 0
        while in_a_row < 10 * WORKERS:
            assert time.monotonic() < deadline, "not ready"
            in_a_row = in_a_row + 1 if get("/ready").status_code == 200 else 0
        before = len(lines_of(audit_log))
        seen: set[int] = set()
        asked = 0
        while len(seen) < WORKERS or asked < 100:
            assert time.monotonic() < deadline + 40, seen
            answer = get(SELF, authority.token())
            assert answer.status_code == 200, answer.text
            seen.add(answer.json()["worker"])
            asked += 1
        assert get(SELF).status_code == 401
    outcomes = [line["outcome"] for line in lines_of(audit_log)[before:]]
    assert outcomes.count("authorized") == asked
    assert authority.count("/jwks") <= 2 * WORKERS
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")
