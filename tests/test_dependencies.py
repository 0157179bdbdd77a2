"""The FastAPI edge: tokens for handlers, and what the OpenAPI document says of them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient, WebSocketDenialResponse

from nmos_auth import (
    AccessToken,
    ConfigurationError,
    InsufficientScope,
    NmosAuthMiddleware,
    Settings,
    access_token,
)
from nmos_auth.dependencies import event_sources
from tests.support.authority import JWKS, FakeAuthorizationServer
from tests.support.scene import MakeSettings, bearer
from tests.support.waiting import eventually

Token = Annotated[AccessToken, Depends(access_token)]
Json = dict[str, object]

NODE = "/x-nmos/node/v1.3"
STAGED = "/x-nmos/connection/v1.1/single/senders/1/staged"
EVENTS = "/x-nmos/events/v1.0/ws"
WITHOUT_LOG = {"audience": "node1.example.com", "audit_log": "logging"}


ROUTES = APIRouter()


@ROUTES.get("/")
@ROUTES.get("/health")
@ROUTES.get("/x-nmos")
@ROUTES.get(f"{NODE}/devices")
def unasking() -> Json:
    """Handle a request without asking whose it is."""
    return {}


@ROUTES.get("/me")
@ROUTES.get("/x-nmos/")
def me(token: Token) -> Json:
    """Tell a client who it is."""
    return {"sub": token.sub}


@ROUTES.get(f"{NODE}/self")
def node_self(request: Request, token: Token) -> Json:
    """Tell all that a handler can know of a token."""
    return {
        "iss": token.iss,
        "sub": token.sub,
        "aud": token.aud,
        "exp": token.exp,
        "iat": token.iat,
        "nbf": token.nbf,
        "client_id": token.client_id,
        "scopes": sorted(token.scopes),
        "claims": dict(token.claims),
        "url": str(request.url),
    }


@ROUTES.patch(STAGED.replace("/1/", "/{sender}/"))
def staged(sender: str, token: Token) -> Json:
    """Ask for more than the middleware did."""
    if not token.allows("connection", "write", f"bulk/{sender}"):
        raise InsufficientScope
    return {}


@ROUTES.websocket("/monitor")
@ROUTES.websocket(EVENTS)
async def greet(websocket: WebSocket, token: Token) -> None:
    """Tell a client who it is, and what else can be seen of its handshake."""
    await websocket.accept()
    query, url = dict(websocket.query_params), str(websocket.url)
    await websocket.send_json({"sub": token.sub, "query": query, "url": url})
    await websocket.close()


def make_app() -> FastAPI:
    """Make an app with routes of every kind, unprotected as yet."""
    app = FastAPI()
    app.include_router(ROUTES)
    return app


@pytest.mark.parametrize("dependency", [access_token, event_sources])
def test_old_fastapi_can_read_the_annotations(dependency: Callable[..., object]) -> None:
    """FastAPI before 0.123.7 does not resolve annotations of a callable object that are strings."""
    for parameter in inspect.signature(dependency).parameters.values():
        assert not isinstance(parameter.annotation, str)


@pytest.fixture(scope="module")
def node_settings(issuer: FakeAuthorizationServer, make_settings: MakeSettings) -> Settings:
    """Return settings that trust a server."""
    return make_settings(issuer)


def await_keys(client: TestClient, issuer: FakeAuthorizationServer) -> None:
    """Wait until the keys have come; before, answers are 503, which is what Clients see as well."""
    issuer.wait_for_requests(1, JWKS)
    headers = bearer(issuer.token())
    eventually(lambda: client.get(f"{NODE}/self", headers=headers).status_code != 503)


@pytest.fixture(scope="module")
def client(issuer: FakeAuthorizationServer, node_settings: Settings) -> Iterator[TestClient]:
    """Yield a client of the protected app."""
    app = make_app()
    app.add_middleware(NmosAuthMiddleware, settings=node_settings)
    with TestClient(app) as client:
        await_keys(client, issuer)
        yield client


def assert_refused(response: httpx2.Response, status: int, code: str | None) -> None:
    """Check a refusal: status, challenge and NMOS error body."""
    assert response.status_code == status, response.text
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="node1.example.com"')
    if code is None:
        assert "error" not in challenge
    else:
        assert f",error={code}," in challenge
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"code", "error", "debug"}
    assert response.json()["code"] == status


def handshake(client: TestClient, url: str, **headers: str) -> Json:
    """Open a WebSocket and give the first thing it says."""
    with client.websocket_connect(url, headers=headers) as socket:
        said: Json = socket.receive_json()
    return said


# HTTP


def test_a_handler_gets_the_token_of_its_request(
    client: TestClient, issuer: FakeAuthorizationServer
) -> None:
    """Contract: iss sub aud exp iat nbf client_id scopes claims, of this very request."""
    now = int(time.time())
    token = issuer.token(sub="somebody", iat=now - 1, exp=now + 60, nbf=now - 1, private=[1, 2])
    seen = client.get(f"{NODE}/self", headers=bearer(token)).json()
    assert seen["iss"] == issuer.issuer
    assert seen["sub"] == "somebody"
    assert seen["aud"] == ["https://node1.example.com"]
    assert (seen["iat"], seen["exp"], seen["nbf"]) == (now - 1, now + 60, now - 1)
    assert seen["client_id"] == "controller-0123456789"
    assert seen["scopes"] == ["connection", "node"]
    assert seen["claims"]["private"] == [1, 2]


def test_each_request_has_its_own_token(
    client: TestClient, issuer: FakeAuthorizationServer
) -> None:
    """Two tokens in turn are never mixed up."""
    tokens = {sub: issuer.token(sub=sub) for sub in ("first", "second")}
    for sub in ("first", "second", "first"):
        answer = client.get(f"{NODE}/self", headers=bearer(tokens[sub]))
        assert answer.json()["sub"] == sub


def test_a_handler_may_refuse(client: TestClient, issuer: FakeAuthorizationServer) -> None:
    """A refusal that a handler raises is answered as the middleware's own."""
    single = issuer.token(x_nmos_connection={"read": ["*"], "write": ["single/*"]})
    assert_refused(client.patch(STAGED, headers=bearer(single)), 403, "insufficient_scope")
    both = issuer.token(x_nmos_connection={"write": ["single/*", "bulk/*"]})
    assert client.patch(STAGED, headers=bearer(both)).status_code == 200


def test_the_middleware_decides_before_the_handler(
    client: TestClient, issuer: FakeAuthorizationServer
) -> None:
    """A handler under `/x-nmos` sees only requests that its token permits."""
    assert_refused(client.get(f"{NODE}/self"), 401, None)
    assert_refused(client.get(f"{NODE}/devices"), 401, None)
    other = issuer.token(x_nmos_node={"read": ["devices"]})
    assert_refused(client.get(f"{NODE}/self", headers=bearer(other)), 403, "insufficient_scope")
    assert client.get(f"{NODE}/devices", headers=bearer(other)).status_code == 200


@pytest.mark.parametrize("path", ["/me", "/x-nmos/"])
def test_where_the_middleware_does_not_look_the_dependency_does(
    path: str, client: TestClient, issuer: FakeAuthorizationServer
) -> None:
    """Contract: "No token passed and route public: 401 from the dependency"."""
    assert_refused(client.get(path), 401, None)
    assert_refused(client.get(path, headers={"authorization": "Basic YTpi"}), 401, None)
    assert_refused(client.get(path, headers=bearer("rubbish")), 401, "invalid_token")
    expired = issuer.token(iat=None, exp=int(time.time()) - 1)
    assert_refused(client.get(path, headers=bearer(expired)), 401, "invalid_token")
    elsewhere = issuer.token(aud=["https://node2.example.com"])
    assert_refused(client.get(path, headers=bearer(elsewhere)), 403, "insufficient_scope")
    malformed = client.get(path, headers={"authorization": "Bearer a b"})
    assert_refused(malformed, 400, "invalid_request")
    answer = client.get(path, headers=bearer(issuer.token(sub="somebody")))
    assert answer.json() == {"sub": "somebody"}


def test_public_routes_ask_for_nothing(client: TestClient) -> None:
    """A route without the dependency outside `/x-nmos` is the app's own."""
    assert client.get("/").status_code == 200
    assert client.get("/x-nmos").status_code == 200
    assert client.get("/health", headers=bearer("rubbish")).status_code == 200
    assert client.get("/docs").status_code == 200


def test_a_token_in_a_query_counts_for_nothing_and_is_struck(
    client: TestClient, issuer: FakeAuthorizationServer
) -> None:
    """Design, decisions: on WebSockets only, "and are struck … on HTTP too"."""
    token = issuer.token()
    assert_refused(client.get(f"{NODE}/self?access_token={token}"), 401, None)
    answer = client.get(f"{NODE}/self?a=1&access_token={token}&b=2", headers=bearer(token))
    assert answer.json()["url"].endswith("/self?a=1&b=2")
    assert token not in answer.text


def test_starlette_handlers_find_the_token_in_the_state(
    issuer: FakeAuthorizationServer, node_settings: Settings
) -> None:
    """A handler without FastAPI's dependencies asks `request.state` for the same token."""

    async def node_self(request: StarletteRequest) -> JSONResponse:
        token: AccessToken = request.state.access_token
        return JSONResponse({"sub": token.sub})

    middleware = Middleware(NmosAuthMiddleware, settings=node_settings)
    app = Starlette(routes=[Route(f"{NODE}/self", node_self)], middleware=[middleware])
    with TestClient(app) as client:
        await_keys(client, issuer)
        answer = client.get(f"{NODE}/self", headers=bearer(issuer.token(sub="somebody")))
    assert answer.json() == {"sub": "somebody"}


# WebSocket


def test_a_websocket_handler_gets_the_token_of_its_handshake(
    client: TestClient, issuer: FakeAuthorizationServer
) -> None:
    """Contract: "a dependency for HTTP and WebSocket routes alike"."""
    token = issuer.token(sub="somebody", scope="events")
    said = handshake(client, EVENTS, authorization=f"Bearer {token}")
    assert said["sub"] == "somebody"


def test_a_websocket_token_may_come_in_the_query(
    client: TestClient, issuer: FakeAuthorizationServer
) -> None:
    """IS-10 "Operation with WebSocket": it counts, and the handler never sees it."""
    token = issuer.token(sub="somebody", scope="events")
    said = handshake(client, f"{EVENTS}?a=1&access_token={token}")
    assert said["sub"] == "somebody"
    assert said["query"] == {"a": "1"}
    assert token not in str(said["url"])


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"scope": "events", "iat": None, "exp": 1}, 401, "invalid_token"),
        ({"scope": "events", "aud": ["https://node2.example.com"]}, 403, "insufficient_scope"),
        ({"scope": "node"}, 403, "insufficient_scope"),
    ],
)
def test_handshakes_are_denied_with_an_answer(
    changes: Json, status: int, code: str, client: TestClient, issuer: FakeAuthorizationServer
) -> None:
    """Design, decisions: "Rejections are real 401/403/503 answers"."""
    token = issuer.token(**changes)
    with pytest.raises(WebSocketDenialResponse) as caught:
        handshake(client, f"{EVENTS}?access_token={token}")
    assert_refused(caught.value, status, code)


@pytest.mark.parametrize("path", [EVENTS, "/monitor"])
def test_handshakes_without_a_token_are_denied(path: str, client: TestClient) -> None:
    """Under `/x-nmos` the middleware denies, elsewhere the dependency: 401 either way."""
    with pytest.raises(WebSocketDenialResponse) as caught:
        handshake(client, path)
    assert_refused(caught.value, 401, None)


def test_two_tokens_in_a_handshake_are_too_many(
    client: TestClient, issuer: FakeAuthorizationServer
) -> None:
    """RFC 6750 Section 3.1: "uses more than one method for including an access token"."""
    token = issuer.token(scope="events")
    with pytest.raises(WebSocketDenialResponse) as caught:
        handshake(client, f"{EVENTS}?access_token={token}", authorization=f"Bearer {token}")
    assert_refused(caught.value, 400, "invalid_request")


@pytest.mark.parametrize("where", ["header", "query"])
def test_websockets_outside_the_apis_are_verified_by_the_dependency(
    where: str, client: TestClient, issuer: FakeAuthorizationServer
) -> None:
    """The dependency finds a handshake's token by either way."""
    token = issuer.token(sub="somebody")
    if where == "header":
        said = handshake(client, "/monitor", authorization=f"Bearer {token}")
    else:
        said = handshake(client, f"/monitor?access_token={token}")
    assert said["sub"] == "somebody"


# Without authorization


def test_without_the_middleware_the_dependency_says_what_is_missing() -> None:
    """A forgotten `add_middleware` is a mistake in the app, and never an open door."""
    with (
        TestClient(make_app()) as client,
        pytest.raises(ConfigurationError, match="add_middleware"),
    ):
        client.get(f"{NODE}/self")
    with TestClient(make_app(), raise_server_exceptions=False) as client:
        assert client.get("/me", headers=bearer("rubbish")).status_code == 500


def test_while_disabled_every_handler_gets_a_token_that_allows_everything() -> None:
    """Contract, ENABLED: "false: everything passes"."""
    app = make_app()
    app.add_middleware(NmosAuthMiddleware, settings=Settings(enabled=False, **WITHOUT_LOG))
    with TestClient(app) as client:
        assert client.get("/me").status_code == 200
        assert client.get(f"{NODE}/self").status_code == 200
        assert client.patch(STAGED).status_code == 200
        assert handshake(client, EVENTS)["sub"] == ""
        assert handshake(client, "/monitor")["sub"] == ""


def test_a_middleware_in_front_that_is_disabled_opens_nothing(settings: Settings) -> None:
    """Its token, which allows everything, is nobody's behind one that is enabled."""
    app = make_app()
    app.add_middleware(NmosAuthMiddleware, settings=settings)
    app.add_middleware(NmosAuthMiddleware, settings=Settings(enabled=False, **WITHOUT_LOG))
    with TestClient(app) as client:
        assert client.get("/me").status_code == 401
        assert client.get("/x-nmos/").status_code == 401
        assert client.get(f"{NODE}/self").status_code == 401


# OpenAPI


@pytest.fixture(scope="module")
def document(client: TestClient) -> Json:
    """Return the OpenAPI document of the protected app."""
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    found: Json = answer.json()
    return found


def operation(document: Json, method: str, path: str) -> Json:
    """Return one operation of the document."""
    paths = document["paths"]
    assert isinstance(paths, dict)
    found: Json = paths[path][method]
    return found


def test_the_document_has_one_bearer_scheme(document: Json) -> None:
    """OpenAPI 3.1, Security Scheme Object: http, bearer; its presence gives `/docs` Authorize."""
    components = document["components"]
    assert isinstance(components, dict)
    (scheme,) = components["securitySchemes"].values()
    assert scheme["type"] == "http"
    assert scheme["scheme"] == "bearer"
    assert scheme["bearerFormat"] == "JWT"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/me"),
        ("get", "/x-nmos/"),
        ("get", f"{NODE}/self"),
        ("get", f"{NODE}/devices"),
        ("patch", STAGED.replace("/1/", "/{sender}/")),
    ],
)
def test_protected_routes_show_the_scheme(method: str, path: str, document: Json) -> None:
    """A route is protected by where it is or by its dependency, and says so once."""
    components = document["components"]
    assert isinstance(components, dict)
    (name,) = components["securitySchemes"]
    assert operation(document, method, path)["security"] == [{name: []}]


@pytest.mark.parametrize("path", ["/", "/health", "/x-nmos"])
def test_other_routes_show_none(path: str, document: Json) -> None:
    """A route that asks for nothing does not say it does."""
    assert "security" not in operation(document, "get", path)


def test_the_token_is_no_parameter(document: Json) -> None:
    """The dependency adds no query, header or body parameter of its own."""
    shown = operation(document, "get", f"{NODE}/self")
    assert "parameters" not in shown
    assert "requestBody" not in shown


def test_the_document_is_the_same_every_time(client: TestClient, document: Json) -> None:
    """Describing the security twice adds nothing."""
    assert client.get("/openapi.json").json() == document
