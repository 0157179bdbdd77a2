"""Reading what an audit log wrote, while it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from nmos_auth.audit.log import AuditLog
from nmos_auth.audit.records import NO_TOKEN, Decision, Outcome

__all__ = ["AuditLine", "lines_of", "paths_in", "record"]


class AuditLine(TypedDict):
    """What a line says."""

    time: str
    outcome: str
    status: int | None
    reason: str
    method: str
    path: str
    peer: str | None
    detail: str | None
    verified: bool
    iss: str | None
    sub: str | None
    client_id: str | None
    scope: str | None
    jti: NotRequired[str]
    token: NotRequired[str | None]
    lines: NotRequired[int]


def lines_of(file: Path) -> list[AuditLine]:
    """Parse every line of `file`, the last of which has to be whole too."""
    text = file.read_bytes() if file.exists() else b""
    assert not text or text.endswith(b"\n")
    return [cast("AuditLine", json.loads(line)) for line in text.splitlines()]


def paths_in(file: Path) -> list[str]:
    """Return the paths of the requests that `file` tells of, in its order."""
    return [line["path"] for line in lines_of(file)]


def record(log: AuditLog, path: str) -> None:
    """Record a request without a token."""
    decision = Decision.on(Outcome.REJECTED, "no credentials", "GET", path, NO_TOKEN)
    log.record(decision, 401, ("192.0.2.1", 50000))
