"""What the answers consist of, and what they are while there is no key."""

from __future__ import annotations

import pytest

from tests.contract.conftest import MakeSettings
from tests.contract.rows import (
    BAD_TARGET,
    FORBIDDEN,
    INVALID_REQUEST,
    INVALID_TOKEN,
    NO_CREDENTIALS,
    OK,
    SELF,
    UNAVAILABLE,
    Row,
    TableMint,
    bearer,
    parametrized,
)
from tests.contract.scene import Scene, echo_app, held
from tests.support.sockets import exchange, request_bytes

NEVER = "contract: no key of a trusted issuer ever had yet, 503"
FIRST = "design: unverified data may only make an answer more negative"


ROWS = [
    Row("token", NEVER, (UNAVAILABLE,)),
    Row("token-head", NEVER, (UNAVAILABLE,), method="HEAD"),
    Row("token-write", NEVER, (UNAVAILABLE,), "/x-nmos/connection/v1.1/single/a", "PATCH"),
    Row(
        "token-by-stranger",
        NEVER,
        (UNAVAILABLE,),
        token=lambda mint: mint.signed(mint.claims(), key=mint.stranger),
    ),
    Row("token-websocket", NEVER, (UNAVAILABLE,), "/x-nmos/events/v1.0/ws", websocket=True),
    Row(
        "token-websocket-query",
        NEVER,
        (UNAVAILABLE,),
        "/x-nmos/events/v1.0/ws?access_token={token}",
        token=None,
        query_token=TableMint.token,
        websocket=True,
    ),
    Row("no-token", FIRST, (NO_CREDENTIALS,), token=None),
    Row("rubbish", FIRST, (INVALID_TOKEN,), token=lambda _: "rubbish"),
    Row("malformed", FIRST, (INVALID_REQUEST,), token=None, headers=(("Authorization", "Bearer"),)),
    Row(
        "alg-none",
        FIRST,
        (INVALID_TOKEN,),
        token=lambda mint: mint.signed(mint.claims(), mint.header(alg="none")),
    ),
    Row("exp-missing", FIRST, (INVALID_TOKEN,), token=lambda mint: mint.token(exp=None)),
    Row("expired", FIRST, (INVALID_TOKEN, UNAVAILABLE), token=TableMint.expired),
    Row(
        "untrusted",
        FIRST,
        (INVALID_TOKEN,),
        token=lambda mint: mint.token(iss="https://as.example.com"),
    ),
    Row("target", FIRST, (BAD_TARGET,), "/x-nmos//node"),
    Row("public", "IS-10 Resource Servers, Path Validation", (OK,), "/x-nmos/"),
    Row("options", "design: OPTIONS always passes", (OK,), SELF, "OPTIONS"),
    Row(
        "outside",
        "design: paths outside are the application's own",
        (OK,),
        "/status",
        decided=False,
    ),
    Row("method", FIRST, (UNAVAILABLE, FORBIDDEN), SELF, "PROPFIND"),
]


@parametrized(ROWS)
def test_without_keys(keyless: Scene, row: Row) -> None:
    """Until a key was had, what might be a good token waits, and nothing else does."""
    keyless.check(row)


def test_first_retries_come_soon(absent: TableMint, make_settings: MakeSettings) -> None:
    """The first `Retry-After` sends the client back within a second or two."""
    with held(echo_app(make_settings(servers=absent.issuer)), absent) as fresh:
        reply = fresh.ask(ROWS[0])
    assert reply.header("retry-after") in {"1", "2"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "PROPFIND"])
def test_realm_is_the_same_everywhere(scene: Scene, method: str) -> None:
    """One realm names this server, whatever is asked."""
    replies = [
        scene.ask(Row("realm", "RFC 9110 Section 11.5", (), target, method, token=None))
        for target in (SELF, "/x-nmos/connection/v1.1/single/senders")
    ]
    assert len({reply.header("www-authenticate") for reply in replies}) == 1


def test_a_connection_lends_its_token_to_no_later_request(scene: Scene) -> None:
    """On one connection, a request without a token is refused after one with a token passed."""
    kept = ("Connection", "keep-alive")
    first = request_bytes("GET", SELF, [kept, bearer(scene.mint.token())])
    reply = exchange(scene.port, first + request_bytes("GET", SELF))
    assert reply.status == 200
    assert b"HTTP/1.1 401" in reply.body


def test_refusals_cost_no_body(scene: Scene) -> None:
    """A request is refused at once, though most of its body has yet to be sent."""
    headers = [("Content-Length", "1000000"), ("Connection", "close")]
    request = request_bytes("PATCH", "/x-nmos/connection/v1.1/bulk/senders", headers)
    assert exchange(scene.port, request).status == 401
