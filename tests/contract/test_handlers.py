"""What handlers get, what they may refuse, and what the OpenAPI document says."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket

from nmos_auth import (
    AccessToken,
    InsufficientScope,
    InvalidToken,
    NmosAuthMiddleware,
    Settings,
    access_token,
)
from tests.contract.conftest import MakeSettings
from tests.contract.rows import (
    FORBIDDEN,
    GOOD,
    INVALID_REQUEST,
    INVALID_TOKEN,
    NO_CREDENTIALS,
    NODE,
    OK,
    SELF,
    UPGRADED,
    Answer,
    Row,
    TableMint,
    parametrized,
)
from tests.contract.scene import Scene, at_rest, echo_app, held
from tests.support.sockets import Reply, exchange, request_bytes

DEPENDENCY = "contract: a dependency for HTTP and WebSocket routes alike"
PUBLIC = "contract: no token passed and route public, 401 from the dependency"
OUTSIDE = "contract: the dependency gives the access token of this request"
REFUSED = "BCP-003-02, Registry Client Authorization: 403 with insufficient_scope"
EVENTS_WS = "/x-nmos/events/v1.0/ws"
SINGLE = "/x-nmos/connection/v1.1/single/"

MARK = "/x-nmos/mark/v1.0/"
Line = dict[str, object]
Token = Annotated[AccessToken, Depends(access_token)]


def _told(token: AccessToken) -> dict[str, object]:
    return {
        "iss": token.iss,
        "sub": token.sub,
        "aud": list(token.aud),
        "exp": token.exp,
        "iat": token.iat,
        "nbf": token.nbf,
        "client_id": token.client_id,
        "scopes": sorted(token.scopes),
        "claims": dict(token.claims),
        "may_write": token.allows("connection", "write", "single/senders"),
        "may_write_bulk": token.allows("connection", "write", "bulk/senders"),
        "may_read_base": token.allows("node", "read", ""),
        "may_read_query": token.allows("query", "read", "nodes"),
    }


def handling(settings: Settings) -> FastAPI:
    """Make a protected app whose handlers use the dependency and refuse."""
    app = FastAPI()
    app.add_middleware(NmosAuthMiddleware, settings=settings)

    @app.get(SELF)
    @app.get("/x-nmos/")
    @app.get("/status")
    async def tell(request: Request, token: Token) -> dict[str, object]:
        return _told(token) | {"state": request.scope["state"].get("access_token") == token}

    @app.get(NODE + "plain")
    async def plain(request: Request) -> dict[str, str]:
        return {"sub": request.state.access_token.sub}

    @app.get("/open")
    @app.get("/x-nmos")
    async def open_() -> dict[str, str]:
        return {}

    @app.websocket(EVENTS_WS)
    @app.websocket("/ws")
    async def talk(websocket: WebSocket, token: Token) -> None:
        await websocket.accept()
        await websocket.send_json(_told(token))
        await websocket.close()

    _add_refusing(app)
    return app


def _add_refusing(app: FastAPI) -> None:
    @app.websocket(EVENTS_WS + "/refused")
    async def refuse_handshake(websocket: WebSocket) -> None:
        raise InsufficientScope

    @app.get(SINGLE + "refused")
    @app.get("/refused")
    async def refuse() -> None:
        raise InsufficientScope

    @app.patch(SINGLE + "refused")
    async def refuse_write(token: Token) -> None:
        if token.client_id != "somebody else":
            raise InsufficientScope(token=token)

    @app.get(SINGLE + "invalid")
    async def invalid() -> None:
        raise InvalidToken

    @app.get(SINGLE + "missing")
    async def missing() -> None:
        raise HTTPException(404)


@pytest.fixture(scope="module")
def handlers(mint: TableMint, make_settings: MakeSettings) -> Iterator[Scene]:
    """Serve the app with handlers."""
    with held(handling(make_settings()), mint) as running:
        yield at_rest(running)


def elsewhere(mint: TableMint) -> str:
    """Return a good token for another server."""
    return mint.token(aud=["other.example.com"])


def bare(mint: TableMint) -> str:
    """Return a good token that grants nothing."""
    return mint.only()


ROWS = [
    Row("protected", DEPENDENCY, (OK,)),
    Row("protected-no-token", DEPENDENCY, (NO_CREDENTIALS,), token=None),
    Row("protected-without-dependency", "design: scope state for handlers", (OK,), NODE + "plain"),
    Row("public-good-token", PUBLIC, (OK,), "/x-nmos/"),
    Row("public-bare-token", PUBLIC, (OK,), "/x-nmos/", token=bare),
    Row("public-no-token", PUBLIC, (NO_CREDENTIALS,), "/x-nmos/", token=None),
    Row("public-expired", PUBLIC, (INVALID_TOKEN,), "/x-nmos/", token=TableMint.expired),
    Row("public-wrong-audience", PUBLIC, (FORBIDDEN,), "/x-nmos/", token=elsewhere),
    Row("public-without-dependency", PUBLIC, (OK,), "/x-nmos", token=None),
    Row("outside-good-token", OUTSIDE, (OK,), "/status"),
    Row("outside-bare-token", OUTSIDE, (OK,), "/status", token=bare),
    Row("outside-no-token", OUTSIDE, (NO_CREDENTIALS,), "/status", token=None),
    Row("outside-rubbish", OUTSIDE, (INVALID_TOKEN,), "/status", token=lambda _: "rubbish"),
    Row("outside-expired", OUTSIDE, (INVALID_TOKEN,), "/status", token=TableMint.expired),
    Row("outside-wrong-audience", OUTSIDE, (FORBIDDEN,), "/status", token=elsewhere),
    Row(
        "outside-malformed",
        OUTSIDE,
        (INVALID_REQUEST,),
        "/status",
        token=None,
        headers=(("Authorization", "Bearer"),),
    ),
    Row(
        "outside-query",
        "design: query tokens count on WebSockets only",
        (NO_CREDENTIALS,),
        "/status?access_token={token}",
        token=None,
        query_token=GOOD,
    ),
    Row(
        "websocket",
        DEPENDENCY,
        (UPGRADED,),
        EVENTS_WS,
        token=lambda mint: mint.only(scope="events"),
        websocket=True,
    ),
    Row(
        "websocket-query",
        DEPENDENCY,
        (UPGRADED,),
        EVENTS_WS + "?access_token={token}",
        token=None,
        query_token=lambda mint: mint.only(scope="events"),
        websocket=True,
    ),
    Row("websocket-outside", OUTSIDE, (UPGRADED,), "/ws", websocket=True),
    Row("websocket-outside-none", OUTSIDE, (NO_CREDENTIALS,), "/ws", token=None, websocket=True),
    Row(
        "websocket-outside-expired",
        OUTSIDE,
        (INVALID_TOKEN,),
        "/ws",
        token=TableMint.expired,
        websocket=True,
    ),
    Row(
        "websocket-outside-query",
        OUTSIDE,
        (UPGRADED,),
        "/ws?access_token={token}",
        token=None,
        query_token=GOOD,
        websocket=True,
    ),
    Row("refused", REFUSED, (FORBIDDEN,), SINGLE + "refused"),
    Row("refused-write", REFUSED, (FORBIDDEN,), SINGLE + "refused", "PATCH"),
    Row("refused-outside", REFUSED, (FORBIDDEN,), "/refused", token=None, decided=False),
    Row("refused-invalid", "RFC 6750 Section 3.1", (INVALID_TOKEN,), SINGLE + "invalid"),
    Row(
        "refused-handshake",
        "IS-10 Resource Servers: SHALL NOT upgrade the connection",
        (FORBIDDEN,),
        EVENTS_WS + "/refused",
        token=lambda mint: mint.only(scope="events"),
        websocket=True,
    ),
    Row("missing", "design: the application answers", (Answer(404),), SINGLE + "missing"),
]


@parametrized(ROWS)
def test_handlers(handlers: Scene, row: Row) -> None:
    """The dependency gives a verified token or refuses as the middleware does."""
    handlers.check(row)


@pytest.mark.parametrize("target", [SELF, "/x-nmos/", "/status"])
def test_the_token_is_this_requests(handlers: Scene, target: str) -> None:
    """Every field of the token has what was signed."""
    claims = handlers.mint.claims(nbf=1, x_nmos_query={"read": ["nodes"]})
    told = handlers.get(target, handlers.mint.signed(claims)).json()
    assert isinstance(told, dict)
    for name in ("iss", "sub", "aud", "exp", "iat", "nbf", "client_id"):
        assert told[name] == claims[name]
    assert told["claims"] == claims
    assert told["scopes"] == ["connection", "node"]
    assert (told["may_write"], told["may_write_bulk"]) == (True, False)
    assert (told["may_read_base"], told["may_read_query"]) == (True, True)
    assert told["state"] is (target == SELF)


def test_azp_stands_in_for_client_id(handlers: Scene) -> None:
    """Where `client_id` is absent, `azp` is the client's identifier (IS-10, azp)."""
    told = handlers.get(token=handlers.mint.token(client_id=None, azp="openid client")).json()
    assert isinstance(told, dict)
    assert told["client_id"] == "openid client"
    both = handlers.get(token=handlers.mint.token(client_id="a client", azp="other")).json()
    assert isinstance(both, dict)
    assert both["client_id"] == "a client"


def test_websocket_handlers_get_the_token(handlers: Scene) -> None:
    """A WebSocket handler gets the token that came with the handshake."""
    for row in (row for row in ROWS if row.websocket and row.answers == (UPGRADED,)):
        told = handlers.ask(row).json()
        assert isinstance(told, dict)
        assert told["sub"] == "operator@example.com"


def test_claims_are_read_only() -> None:
    """No handler can change what a token says for the next."""
    assert "__setitem__" not in dir(type(AccessToken.unrestricted().claims))


def _logged(rows: list[Row], mint: TableMint, settings: Settings) -> tuple[list[Line], list[Line]]:
    """Send rows to a server of their own, twice; return the answers and its audit log."""
    sent: list[Line] = []
    with held(handling(settings), mint) as scene:
        at_rest(scene)
        scene.get(MARK)
        for row in rows:
            path, _, _ = str(row.target).partition("?")
            request, _ = row.request(mint)
            sent += [
                {"path": path, "status": exchange(scene.port, request).status}
                for _ in ("first", "again")
            ]
    lines: list[Line] = [
        json.loads(line) for line in Path(settings.audit_log).read_text().splitlines()
    ]
    return sent, lines[[line["path"] for line in lines].index(MARK) + 1 :]


def test_what_handlers_refuse_is_logged(mint: TableMint, make_settings: MakeSettings) -> None:
    """Each request that a handler decides in the end has one line, with the status it got."""
    sent, lines = _logged([row for row in ROWS if row.decided], mint, make_settings())
    assert [{"path": line["path"], "status": line["status"]} for line in lines] == sent
    refused = [line for line in lines if line["path"] == SINGLE + "refused"]
    assert {line["outcome"] for line in refused} == {"rejected"}
    assert {line["sub"] for line in refused} == {"operator@example.com"}


def test_what_handlers_refuse_outside_is_logged(
    mint: TableMint, make_settings: MakeSettings
) -> None:
    """A refusal is logged wherever it happens, outside `/x-nmos` too."""
    row = next(row for row in ROWS if row.id == "refused-outside")
    sent, lines = _logged([row], mint, make_settings())
    assert [{"path": line["path"], "status": line["status"]} for line in lines] == sent


def test_openapi_shows_what_is_protected(handlers: Scene) -> None:
    """Protected routes and those that use the dependency show the bearer scheme; others do not."""
    document = handlers.get("/openapi.json").json()
    assert isinstance(document, dict)
    schemes = document["components"]["securitySchemes"]
    (name,) = [each for each, scheme in schemes.items() if scheme.get("scheme") == "bearer"]
    assert schemes[name]["type"] == "http"
    paths = document["paths"]
    for path, method in (
        (SELF, "get"),
        (NODE + "plain", "get"),
        (SINGLE + "refused", "get"),
        (SINGLE + "refused", "patch"),
        ("/status", "get"),
        ("/x-nmos/", "get"),
    ):
        assert {name: []} in paths[path][method]["security"], path
    for path in ("/open", "/x-nmos", "/refused"):
        assert not paths[path]["get"].get("security"), path
    assert handlers.get("/docs").status == 200


@pytest.fixture
def disabled(
    mint: TableMint, make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> Iterator[Scene]:
    """Serve the app with handlers, authorization off."""
    with caplog.at_level(logging.WARNING), held(handling(make_settings(enabled=False)), mint) as it:
        yield it


def test_disabled_lets_everything_pass(disabled: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """With ENABLED false every request passes, and the log has said so."""

    def ask(method: str, target: str, *headers: tuple[str, str]) -> Reply:
        return exchange(disabled.port, request_bytes(method, target, headers))

    assert ask("GET", NODE + "plain").status == 200
    assert ask("GET", SELF, ("Authorization", "Bearer rubbish")).status == 200
    assert ask("GET", SELF, ("Authorization", "Bearer")).status == 200
    assert ask("GET", SINGLE + "missing").status == 404
    assert any("NMOS_AUTH_ENABLED" in record.getMessage() for record in caplog.get_records("setup"))


def test_disabled_gives_a_token_that_allows_all(disabled: Scene) -> None:
    """With ENABLED false handlers get a token to which nothing is forbidden."""
    told = disabled.get().json()
    assert isinstance(told, dict)
    assert told["may_write"]
    assert told["may_write_bulk"]
    assert told["may_read_query"]
    assert told["state"] is True
    upgraded = disabled.ask(Row("ws", DEPENDENCY, (), "/ws", token=None, websocket=True))
    assert upgraded.status == 101


def test_disabled_still_strikes_tokens(mint: TableMint, make_settings: MakeSettings) -> None:
    """Tokens in a query are kept from logs even then."""
    with held(echo_app(make_settings(enabled=False)), mint) as scene:
        row = Row("query", "", (OK,), SELF + "?a=1&access_token={token}", query_token=GOOD)
        reply = scene.ask(row)
    assert reply.json() == {"path": SELF, "query": "a=1"}
