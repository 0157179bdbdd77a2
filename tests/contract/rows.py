"""What a row of the table is, and how an answer is judged against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from tests.support.sockets import HANDSHAKE, Header, Reply, request_bytes
from tests.support.tokens import Mint, SigningKey

__all__ = [
    "BAD_TARGET",
    "FORBIDDEN",
    "GOOD",
    "INVALID_REQUEST",
    "INVALID_TOKEN",
    "NODE",
    "NO_CREDENTIALS",
    "OK",
    "REFUSED_BY_SERVER",
    "SELF",
    "UNAVAILABLE",
    "UPGRADED",
    "Answer",
    "Maker",
    "Row",
    "TableMint",
    "bearer",
    "judge",
    "judge_refused",
    "only",
    "parametrized",
]


@dataclass(frozen=True, kw_only=True)
class TableMint(Mint):
    """Makes the tokens of the trusted issuer, an hour old, and of those who would pass for it.

    Of a token that old it is known at once whether its key is public.

    Attributes:
        age: likewise.
        second: another key that the issuer publishes.
        stranger: a key that no server publishes.
        listener: a port of this host where nothing must ever connect.
    """

    age: float = 3600
    second: SigningKey
    stranger: SigningKey
    listener: int


Maker = Callable[[TableMint], str]

NODE = "/x-nmos/node/v1.3/"
SELF = NODE + "self"


@dataclass(frozen=True)
class Answer:
    """An answer the texts allow.

    Attributes:
        status: the status code.
        error: the RFC 6750 error code; None where no code may be sent.
        challenged: whether `WWW-Authenticate` must be there (IS-10 Resource Servers, Accessing
            Protected Resources).
        server: whether the server may have given the answer before any application saw the request.
    """

    status: int
    error: str | None = None
    challenged: bool = False
    server: bool = False


OK = Answer(200)
UPGRADED = Answer(101)
NO_CREDENTIALS = Answer(401, None, challenged=True)
INVALID_TOKEN = Answer(401, "invalid_token", challenged=True)
FORBIDDEN = Answer(403, "insufficient_scope", challenged=True)
INVALID_REQUEST = Answer(400, "invalid_request", challenged=True)
BAD_TARGET = Answer(400)
UNAVAILABLE = Answer(503)
REFUSED_BY_SERVER = Answer(400, server=True)


def GOOD(mint: TableMint) -> str:  # noqa: N802 - read as a value in the rows
    """Return a token that may read all of node and connection, and write `single/*` there."""
    return mint.token()


def only(**claims: object) -> Maker:
    """Make tokens that grant nothing but what is given."""
    return lambda mint: mint.only(**claims)


@dataclass(frozen=True)
class Row:
    """One request and the answers to it that the texts allow.

    Attributes:
        id: what the row is called in a report.
        source: the sentence it stands on.
        answers: what is allowed.
        target: the request target, sent as it stands.
        method: the method, sent as it stands.
        token: makes the token sent as `Authorization: Bearer`; None sends none.
        headers: further header fields; `{token}` and `{port}` in them are filled in.
        query_token: makes the token that fills `{token}` in the target.
        websocket: whether it is a WebSocket handshake.
        reached: the path the application must see, where it is reached.
        query: the query string the application must see.
        lists: header fields of the answer, and members their lists must have.
        decided: whether the middleware decides it, and so logs it; the application's own paths it
            does not.
        body: the request's body.
    """

    id: str
    source: str
    answers: tuple[Answer, ...]
    target: str | bytes = SELF
    method: str = "GET"
    token: Maker | None = GOOD
    headers: tuple[Header, ...] = ()
    query_token: Maker | None = None
    websocket: bool = False
    reached: str | None = None
    query: str | None = None
    lists: tuple[tuple[str, str], ...] = ()
    decided: bool = True
    body: bytes = b""

    def request(self, mint: TableMint) -> tuple[bytes, tuple[str, ...]]:
        """Return the request, and the tokens in it, which no log and no answer may repeat."""
        fields: list[Header] = [*(HANDSHAKE if self.websocket else ()), *self.headers]
        tokens = []
        target = self.target
        if self.token is not None:
            text = self.token(mint)
            tokens.append(text)
            if any("{token}" in value for _, value in fields if isinstance(value, str)):
                fields = [(name, _filled(value, text)) for name, value in fields]
            else:
                fields.append(bearer(text))
        if self.query_token is not None:
            text = self.query_token(mint)
            tokens.append(text)
            assert isinstance(target, str)
            target = target.replace("{token}", text)
        return request_bytes(self.method, target, fields, self.body), tuple(tokens)


def _filled(value: str | bytes, token: str) -> str | bytes:
    return value.replace("{token}", token) if isinstance(value, str) else value


def bearer(token: str) -> Header:
    """Return the header field that carries a token."""
    return "Authorization", f"Bearer {token}"


def parametrized(rows: Iterable[Row]) -> pytest.MarkDecorator:
    """Parametrize a test with rows."""
    listed = list(rows)
    names = [row.id for row in listed]
    assert len(set(names)) == len(names), sorted({each for each in names if names.count(each) > 1})
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in listed])


def judge(row: Row, reply: Reply) -> Answer:
    """Judge a reply by its row, and return which of the allowed answers it is.

    Raises:
        AssertionError: it is none of them.
    """
    allowed = [answer for answer in row.answers if answer.status == reply.status]
    assert allowed, (
        f"{reply.status} is none of {[answer.status for answer in row.answers]}; {row.source}; "
        f"{reply.headers} {reply.body!r}"
    )
    answer = allowed[0]
    if answer.status == 404:
        return answer  # the application's own
    if answer.server and reply.header("content-type") != "application/json":
        return answer
    if answer.status < 300:
        _judge_passed(row, reply)
    else:
        judge_refused(answer, reply, head=row.method == "HEAD")
    for name, member in row.lists:
        assert member.lower() in reply.listed(name), f"{name} lacks {member}: {reply.header(name)}"
    return answer


def _judge_passed(row: Row, reply: Reply) -> None:
    assert not reply.all("www-authenticate")
    if not reply.body:
        assert row.reached is None, "the application's answer is missing"
        return
    seen = reply.json()
    assert isinstance(seen, dict)
    if row.reached is not None:
        assert seen["path"] == row.reached
    if row.query is not None:
        assert seen["query"] == row.query
    assert "access_token" not in seen.get("query", "")


_CHALLENGE = re.compile(
    r'Bearer realm="[^",\\]+"'
    r'(?:,error=(?P<error>[a-z_]+),error_description="[\x20\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")?'
)


def judge_refused(answer: Answer, reply: Reply, *, head: bool = False) -> None:
    """Hold a refusal against the contract: challenge, body, type, length, CORS.

    Raises:
        AssertionError: something of it is not as it must be.
    """
    challenge = reply.header("www-authenticate")
    assert challenge is not None or not answer.challenged, "WWW-Authenticate is missing"
    if challenge is not None:
        parts = _CHALLENGE.fullmatch(challenge)
        assert parts is not None, f"no challenge as it must be: {challenge}"
        if answer.challenged:
            assert parts["error"] == answer.error, challenge
    assert reply.header("content-type") == "application/json"
    length = reply.header("content-length")
    if head:
        assert reply.body == b""
    else:
        assert length == str(len(reply.body))
        document = reply.json()
        assert isinstance(document, dict)
        assert set(document) == {"code", "error", "debug"}
        assert document["code"] == reply.status
        assert isinstance(document["error"], str)
        assert document["error"]
        assert document["debug"] is None or isinstance(document["debug"], str)
    assert reply.header("access-control-allow-origin") == "*"
    assert {"www-authenticate", "retry-after"} <= reply.listed("access-control-expose-headers")
    retry_after = reply.header("retry-after")
    if answer.status == 503:
        assert retry_after is not None, "Retry-After is missing"
        assert re.fullmatch(r"[1-9][0-9]*", retry_after), retry_after
    else:
        assert retry_after is None
