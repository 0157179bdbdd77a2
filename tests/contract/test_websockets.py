"""WebSocket handshakes (IS-10 Resource Servers, Operation with WebSocket; BCP-003-02)."""

from __future__ import annotations

from tests.contract.rows import (
    BAD_TARGET,
    FORBIDDEN,
    GOOD,
    INVALID_REQUEST,
    INVALID_TOKEN,
    NO_CREDENTIALS,
    UPGRADED,
    Answer,
    Maker,
    Row,
    TableMint,
    parametrized,
)
from tests.contract.scene import Scene
from tests.support.sockets import Header
from tests.support.tokens import NULL

HANDSHAKE = "IS-10 Resource Servers, Operation with WebSocket"
QUERY = "IS-10 Resource Servers, Operation with WebSocket: access_token in the query"
BOTH = "RFC 6750 Section 3.1: more than one method for including an access token"
REPEATED = "RFC 6750 Section 3.1: repeats the same parameter"
EVENTS = "BCP-003-02, IS-07 WebSocket Authorization; design: events claim or scope"
PATH = "IS-10 Resource Servers, Path Validation"
DEVICE = "/x-nmos/events/v1.0/devices/58f6b536-ca4c-43fd-880a-9df2501fc125"
NODE_WS = "/x-nmos/node/v1.3/ws"


def events(mint: TableMint) -> str:
    """Return a token for the events scope, and nothing more."""
    return mint.only(scope="events")


def events_claim(mint: TableMint) -> str:
    """Return a token that may read one source of events."""
    return mint.only(x_nmos_events={"read": ["sources/9f463872-9621-4939-aa3a-dc3c82d8578b"]})


def expired(mint: TableMint) -> str:
    """Return a token for events that ended a minute ago."""
    return mint.only(scope="events", exp=mint.now - 60)


def _ws(
    name: str,
    source: str,
    *answers: Answer,
    target: str = DEVICE,
    token: Maker | None = events,
    headers: tuple[Header, ...] = (),
    reached: str | None = None,
    decided: bool = True,
) -> Row:
    return Row(
        name,
        source,
        answers,
        target,
        token=token,
        headers=headers,
        websocket=True,
        reached=reached,
        decided=decided,
    )


def _query(
    name: str,
    source: str,
    *answers: Answer,
    query: str,
    seen: str | None = None,
    passed: Maker = events,
    target: str = DEVICE,
    token: Maker | None = None,
    headers: tuple[Header, ...] = (),
    decided: bool = True,
) -> Row:
    return Row(
        name,
        source,
        answers,
        f"{target}?{query}",
        token=token,
        headers=headers,
        query_token=passed,
        websocket=True,
        query=seen,
        decided=decided,
    )


HEADERS = [
    _ws("header", HANDSHAKE, UPGRADED, reached=DEVICE),
    _ws("header-lower-case", HANDSHAKE, UPGRADED, headers=(("Authorization", "bearer {token}"),)),
    _ws("basic", HANDSHAKE, NO_CREDENTIALS, token=None, headers=(("Authorization", "Basic dTpw"),)),
    _ws(
        "unsigned",
        HANDSHAKE,
        INVALID_TOKEN,
        token=lambda mint: events(mint).rpartition(".")[0] + ".",
    ),
    _ws(
        "malformed", HANDSHAKE, INVALID_REQUEST, token=None, headers=(("Authorization", "Bearer"),)
    ),
    _ws(
        "latin-1",
        HANDSHAKE,
        INVALID_REQUEST,
        token=None,
        headers=(("Authorization", b"Bearer \xe9.b.c"),),
    ),
    _ws(
        "two-headers",
        REPEATED,
        INVALID_REQUEST,
        headers=(("Authorization", "Bearer {token}"), ("Authorization", "Bearer {token}")),
    ),
    _ws(
        "subprotocol-is-no-credential",
        HANDSHAKE,
        NO_CREDENTIALS,
        headers=(("Sec-WebSocket-Protocol", "{token}"),),
    ),
    _ws(
        "origin",
        "RFC 6455 Section 10.2",
        NO_CREDENTIALS,
        token=None,
        headers=(("Origin", "https://a.example"),),
    ),
]

QUERIES = [
    _query("query", QUERY, UPGRADED, query="access_token={token}", seen=""),
    _query("query-last", QUERY, UPGRADED, query="a=1&access_token={token}", seen="a=1"),
    _query(
        "query-first", QUERY, UPGRADED, query="access_token={token}&a=1&b=%20", seen="a=1&b=%20"
    ),
    _query(
        "query-other-scheme",
        QUERY,
        UPGRADED,
        INVALID_REQUEST,
        query="access_token={token}",
        headers=(("Authorization", "Basic dTpw"),),
    ),
    _query(
        "query-rubbish", QUERY, INVALID_TOKEN, query="access_token=rubbish", passed=lambda _: ""
    ),
    _query("query-wrong-claims", QUERY, FORBIDDEN, query="access_token={token}", passed=GOOD),
    _query("query-empty", QUERY, INVALID_REQUEST, NO_CREDENTIALS, query="access_token="),
    _query("query-no-value", QUERY, INVALID_REQUEST, NO_CREDENTIALS, query="access_token"),
    _query("query-with-scheme", QUERY, INVALID_REQUEST, query="access_token=Bearer%20{token}"),
    _query("query-malformed", QUERY, INVALID_REQUEST, query="access_token=%C3%A9.b.c"),
    _query("query-bad-utf-8", QUERY, INVALID_REQUEST, query="access_token=%FF"),
    _query(
        "query-encoded-value",
        QUERY,
        UPGRADED,
        query="access_token={token}",
        passed=lambda mint: events(mint).replace(".", "%2E"),
        seen="",
    ),
    _query("query-encoded-name", QUERY, UPGRADED, query="access%5Ftoken={token}", seen=""),
    _query(
        "query-encoded-letters", QUERY, UPGRADED, query="a=1&%61ccess_toke%6E={token}", seen="a=1"
    ),
    _query(
        "query-other-case",
        QUERY,
        NO_CREDENTIALS,
        query="Access_Token=aaa.bbb.ccc",
        passed=lambda _: "",
    ),
    _query(
        "query-other-name", QUERY, NO_CREDENTIALS, query="token=aaa.bbb.ccc", passed=lambda _: ""
    ),
    _query(
        "query-longer-name",
        QUERY,
        NO_CREDENTIALS,
        query="xaccess_toke=aaa.bbb.ccc",
        passed=lambda _: "",
    ),
    _query(
        "query-by-semicolon", QUERY, NO_CREDENTIALS, query="a=1;b=aaa.bbb.ccc", passed=lambda _: ""
    ),
    _query(
        "query-good-and-rubbish",
        REPEATED,
        INVALID_REQUEST,
        query="access_token={token}&access_token=x",
    ),
    _query(
        "query-twice-encoded",
        REPEATED,
        INVALID_REQUEST,
        query="access_token={token}&access%5ftoken={token}",
    ),
    _query(
        "query-good-and-empty",
        REPEATED,
        INVALID_REQUEST,
        query="access_token={token}&access_token=",
    ),
    _query(
        "both-header-rubbish",
        BOTH,
        INVALID_REQUEST,
        query="access_token={token}",
        token=lambda _: "a.b.c",
    ),
    _query(
        "query-under-node",
        QUERY,
        UPGRADED,
        query="access_token={token}",
        target=NODE_WS,
        passed=GOOD,
        seen="",
    ),
    _query(
        "query-outside",
        "design: struck from what any log can see",
        UPGRADED,
        query="access_token={token}&a=1",
        target="/ws",
        passed=GOOD,
        seen="a=1",
        decided=False,
    ),
]

PATHS = [
    _ws("events-claim", EVENTS, UPGRADED, token=events_claim),
    _ws(
        "events-claim-of-all",
        EVENTS,
        UPGRADED,
        token=lambda mint: mint.only(x_nmos_events={"read": ["sources/*"]}),
    ),
    _ws("events-neither", EVENTS, FORBIDDEN, token=GOOD),
    _ws("events-claim-string", EVENTS, FORBIDDEN, token=lambda mint: mint.only(x_nmos_events="*")),
    _ws("events-claim-null", EVENTS, FORBIDDEN, token=lambda mint: mint.only(x_nmos_events=NULL)),
    _ws(
        "events-other-scope", EVENTS, FORBIDDEN, token=lambda mint: mint.only(scope="event events2")
    ),
    _ws("events-base", EVENTS, UPGRADED, target="/x-nmos/events/v1.0"),
    _ws("events-deep", EVENTS, UPGRADED, target="/x-nmos/events/v1.0/a/b/c"),
    _ws(
        "events-unversioned",
        "design: base paths are /x-nmos/api and vN.N",
        FORBIDDEN,
        target="/x-nmos/events/ws",
    ),
    _ws("events-other-case", EVENTS, FORBIDDEN, target="/x-nmos/Events/v1.0/ws"),
    _ws("node-read", PATH, UPGRADED, target=NODE_WS, token=GOOD, reached=NODE_WS),
    _ws(
        "node-specifier",
        PATH,
        UPGRADED,
        target=NODE_WS,
        token=lambda mint: mint.only(x_nmos_node={"read": ["ws"]}),
    ),
    _ws(
        "node-other-specifier",
        PATH,
        FORBIDDEN,
        target=NODE_WS,
        token=lambda mint: mint.only(scope="node", x_nmos_node={"read": ["self"]}),
    ),
    _ws(
        "node-write-alone",
        PATH,
        FORBIDDEN,
        target=NODE_WS,
        token=lambda mint: mint.only(x_nmos_node={"write": ["*"]}),
    ),
    _ws(
        "node-scope-alone",
        PATH,
        FORBIDDEN,
        target=NODE_WS,
        token=lambda mint: mint.only(scope="node"),
    ),
    _ws("node-events-token", PATH, FORBIDDEN, target=NODE_WS),
    _ws("node-no-token", PATH, NO_CREDENTIALS, target=NODE_WS, token=None),
    _ws(
        "outside",
        "design: paths outside are the application's own",
        UPGRADED,
        target="/ws",
        token=None,
        decided=False,
    ),
    _ws(
        "outside-rubbish",
        "design: paths outside are the application's own",
        UPGRADED,
        target="/ws",
        token=lambda _: "rubbish",
        decided=False,
    ),
    _ws(
        "dots",
        "design: one path",
        UPGRADED,
        target="/x-nmos/node/../events/v1.0/./ws",
        reached="/x-nmos/events/v1.0/ws",
    ),
    _ws(
        "dots-to-node",
        "design: one path",
        FORBIDDEN,
        target="/x-nmos/events/v1.0/../../node/v1.3/ws",
    ),
    _ws(
        "dots-encoded",
        "design: one path",
        NO_CREDENTIALS,
        target="/ws/%2e%2e/x-nmos/node/v1.3/ws",
        token=None,
    ),
    _ws(
        "encoded-letter",
        "design: one path",
        UPGRADED,
        target="/x-nmos/%65vents/v1.0/ws",
        reached="/x-nmos/events/v1.0/ws",
    ),
    _ws("double-slash", "design: one path", BAD_TARGET, target="/x-nmos//events/v1.0/ws"),
    _ws("slash-encoded", "design: one path", BAD_TARGET, target="/x-nmos/events%2fv1.0/ws"),
    _ws("backslash-encoded", "design: one path", BAD_TARGET, target="/x-nmos/events/v1.0/%5cws"),
    _ws("nul", "design: one path", BAD_TARGET, target="/x-nmos/events/v1.0/ws%00"),
    _ws("bad-utf-8", "design: one path", BAD_TARGET, target="/x-nmos/events/v1.0/%ff"),
    _ws("bad-escape", "design: one path", BAD_TARGET, target="/x-nmos/events/v1.0/%zz"),
    _ws(
        "other-case-root",
        "design: /X-NMOS is no way round",
        NO_CREDENTIALS,
        BAD_TARGET,
        target="/X-NMOS/events/v1.0/ws",
        token=None,
    ),
]

ROWS = [*HEADERS, *QUERIES, *PATHS]


@parametrized(ROWS)
def test_websockets(scene: Scene, row: Row) -> None:
    """No connection is upgraded without a valid token, and the refusal is an HTTP answer."""
    scene.check(row)


def test_access_log_has_handshakes(scene: Scene) -> None:
    """The server's own access log shows handshakes, passed and refused, without their tokens."""
    before = len(scene.access_log.lines)
    query = "a=1&access_token={token}"
    scene.check(_query("passed", QUERY, UPGRADED, query=query))
    scene.check(_query("refused", QUERY, INVALID_TOKEN, query=query, passed=expired))
    lines = [line for line in scene.access_log.lines[before:] if DEVICE in line]
    assert len(lines) >= 2
    assert all(f"{DEVICE}?a=1" in line and "token" not in line for line in lines)
