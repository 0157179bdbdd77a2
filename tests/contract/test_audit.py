"""One line for every decision, and no secret in any (IS-10 Audit Requirements)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from nmos_auth import Settings
from tests.contract import (
    probe_rows,
    test_answers,
    test_audience,
    test_base_paths,
    test_claims,
    test_cors,
    test_credentials,
    test_issuers,
    test_jose,
    test_methods,
    test_paths,
    test_permissions,
    test_times,
    test_websockets,
)
from tests.contract.conftest import MakeSettings
from tests.contract.rows import Row, TableMint
from tests.contract.scene import at_rest, echo_app, held
from tests.support.sockets import exchange

TABLE: list[Row] = [
    *test_audience.ROWS,
    *test_base_paths.ROWS,
    *test_claims.ROWS,
    *test_cors.ROWS,
    *test_credentials.ROWS,
    *test_issuers.ROWS,
    *test_jose.ROWS,
    *test_methods.ROWS,
    *test_paths.ROWS,
    *test_permissions.ROWS,
    *probe_rows.ROWS,
    *test_times.ROWS,
    *test_websockets.ROWS,
]

MARK = "/x-nmos/mark/v1.0/"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
Line = dict[str, object]


@dataclass(frozen=True)
class Replay:
    """The whole table, sent to a server of its own, each request twice.

    Attributes:
        answered: id, method and status of each request that had to be decided.
        lines: what was logged.
        text: the same, as it was written.
        tokens: every token that was sent.
    """

    answered: list[tuple[str, str, int]]
    lines: list[Line]
    text: str
    tokens: list[str]


def _replay(rows: Sequence[Row], mint: TableMint, settings: Settings, *, warm: bool) -> Replay:
    answered: list[tuple[str, str, int]] = []
    tokens: list[str] = []
    with held(echo_app(settings), mint) as scene:
        if warm:
            at_rest(scene)
        scene.get(MARK)
        for row in rows:
            if any(answer.server for answer in row.answers):
                continue
            request, sent = row.request(mint)
            tokens += sent
            for _ in ("first", "again"):
                reply = exchange(scene.port, request)
                if row.decided:
                    answered.append((row.id, row.method, reply.status))
    text = Path(settings.audit_log).read_text("ascii")
    lines: list[Line] = [json.loads(line) for line in text.splitlines()]
    first = [line["path"] for line in lines].index(MARK) + 1
    return Replay(answered, lines[first:], text, tokens)


@pytest.fixture(scope="module")
def replay(mint: TableMint, make_settings: MakeSettings) -> Replay:
    """Send the table to a server that has its keys."""
    return _replay(TABLE, mint, make_settings(), warm=True)


@pytest.fixture(scope="module")
def keyless_replay(absent: TableMint, make_settings: MakeSettings) -> Replay:
    """Send the rows for a server that never had a key."""
    settings = make_settings(servers=absent.issuer)
    return _replay(test_answers.ROWS, absent, settings, warm=False)


@pytest.fixture(params=["replay", "keyless_replay"])
def either(request: pytest.FixtureRequest) -> Replay:
    """Return one replay and the other."""
    chosen: Replay = request.getfixturevalue(request.param)
    return chosen


def test_every_decision_has_its_line(either: Replay) -> None:
    """There is one line for each decision, in their order, with the status that was sent."""
    for (name, method, status), line in zip(either.answered, either.lines, strict=False):
        assert (line["method"], line["status"]) == (method, status), f"{name}: {line}"
    assert len(either.lines) == len(either.answered)


def test_lines_say_what_became_of_the_request(either: Replay) -> None:
    """A line says that a request was authorized or rejected, as its status has it, and why."""
    for line in either.lines:
        status = line["status"]
        assert isinstance(status, int)
        assert line["outcome"] == ("authorized" if status < 400 else "rejected"), line
        assert isinstance(line["reason"], str)
        assert line["reason"]


def test_lines_say_what_exactly_was_wrong(either: Replay) -> None:
    """Where something was: in words for operators, and never in an answer."""
    for line in either.lines:
        detail = line["detail"]
        if line["outcome"] == "authorized":
            assert detail is None, line
        else:
            assert isinstance(detail, str), line
            assert 0 < len(detail) <= 256, line


def test_lines_say_when_and_where(either: Replay) -> None:
    """A line has an accurate UTC time, the path without its query, and the peer."""
    times = [line["time"] for line in either.lines]
    assert all(isinstance(time, str) and TIME.fullmatch(time) for time in times)
    assert times == sorted(times, key=str)
    queries = [line["path"] for line in either.lines if "?" in str(line["path"])]
    assert set(queries) <= {"/x-nmos/node/v1.3/a?b"}, "only an escaped question mark is a path's"
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+", str(line["peer"])) for line in either.lines)


def test_no_line_has_a_secret(either: Replay) -> None:
    """No token stands in the log, nor its signature, nor the name it is passed by in a query."""
    secrets = {token for token in either.tokens if len(token) > 8}
    secrets |= {token.rpartition(".")[2] for token in secrets if len(token) > 100}
    assert len(secrets) > 10
    assert not [secret[:8] for secret in secrets if len(secret) > 8 and secret in either.text]
    assert "access_token" not in either.text


def test_lines_tell_of_the_token(mint: TableMint, make_settings: MakeSettings) -> None:
    """A line has the details of the token passed, rejected ones included; without jti, a digest."""
    named, unnamed = mint.token(jti="a-name"), mint.token(jti=None)
    stranger = mint.signed(mint.claims(jti="forged"), key=mint.stranger)
    settings = make_settings()
    with held(echo_app(settings), mint) as scene:
        at_rest(scene)
        scene.get(MARK)
        for token in (named, unnamed, stranger, "rubbish", None):
            scene.get(token=token)
    lines = [json.loads(line) for line in Path(settings.audit_log).read_text().splitlines()]
    told = lines[[line["path"] for line in lines].index(MARK) + 1 :]
    assert len(told) == 5
    for line in told[:2]:
        assert line["iss"] == mint.issuer
        assert line["sub"] == "operator@example.com"
        assert line["client_id"] == "controller-0123456789"
        assert set(line["scope"].split()) == {"node", "connection"}
    assert told[0]["jti"] == "a-name"
    assert sha256(unnamed.encode()).hexdigest().startswith(told[1]["token"].removeprefix("sha256:"))
    assert told[2].get("jti") == "forged" or told[2]["token"].startswith("sha256:")
    assert told[3]["token"].startswith("sha256:")
    assert told[4]["sub"] is None
