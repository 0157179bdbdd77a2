"""What the package offers to the tests of Nodes, used as such a test uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from nmos_auth import AccessToken, ConfigurationError, NmosAuthMiddleware, access_token
from nmos_auth.testing import StandInAuthorizationServer, authorization_server

SELF = "/x-nmos/node/v1.3/self"
READ = {"node": ["self"]}


@pytest.fixture(scope="module")
def server() -> Iterator[StandInAuthorizationServer]:
    """Run one stand-in for all."""
    with authorization_server() as running:
        yield running


@pytest.fixture
def node(server: StandInAuthorizationServer) -> Iterator[TestClient]:
    """Give a client of a protected Node."""
    app = FastAPI()
    app.add_middleware(NmosAuthMiddleware, settings=server.settings())

    @app.get(SELF)
    async def node_self(token: Annotated[AccessToken, Depends(access_token)]) -> str:
        return token.client_id

    with TestClient(app) as client:
        yield client


def test_the_first_request_is_answered_at_once(
    server: StandInAuthorizationServer, node: TestClient
) -> None:
    """No key has to be fetched first, and the handler sees who asks."""
    token = server.token(read=READ, client_id="controller-of-this-test")
    answer = node.get(SELF, headers=server.headers(token))
    assert (answer.status_code, answer.json()) == (200, "controller-of-this-test")


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (lambda server: server.token(read=READ), 200),
        (lambda server: server.token(read={"node": ["devices"]}), 403),
        (lambda server: server.token(write={"node": ["*"]}), 403),
        (lambda server: server.token(), 403),
        (lambda server: server.token(read=READ, lifetime=-10), 401),
        (lambda server: server.token(read=READ, claims={"aud": ["other.example.com"]}), 403),
        (lambda server: server.token(read=READ, claims={"iss": "https://nobody.example.com"}), 401),
        (lambda server: server.token(read=READ, claims={"client_id": None, "azp": "a"}), 200),
        (lambda server: server.token(read=READ, claims={"sub": None}), 401),
    ],
)
def test_tokens_of_any_kind(
    server: StandInAuthorizationServer,
    node: TestClient,
    make: Callable[[StandInAuthorizationServer], str],
    status: int,
) -> None:
    """Each part of a token can be made wrong, and the middleware answers as it would elsewhere."""
    assert node.get(SELF, headers=server.headers(make(server))).status_code == status


def test_no_token(node: TestClient) -> None:
    """The Node is protected as it will be in earnest."""
    assert node.get(SELF).status_code == 401


def test_another_server_is_not_trusted(node: TestClient) -> None:
    """Two stand-ins have two keys and two issuers."""
    with authorization_server() as other:
        token = other.token(read=READ)
    assert node.get(SELF, headers=other.headers(token)).status_code == 401


def test_the_middleware_fetches_from_it(server: StandInAuthorizationServer) -> None:
    """It is a real server: the key comes by the network where none is kept."""
    app = FastAPI()
    app.add_middleware(NmosAuthMiddleware, settings=server.settings(keys_file=None))
    headers = server.headers(server.token(read=READ))
    with TestClient(app) as client:
        while (answer := client.get(SELF, headers=headers)).status_code == 503:
            assert answer.headers["retry-after"] == "1"
    assert answer.status_code == 404  # authorized, and the app has no such route


def test_settings_are_checked(server: StandInAuthorizationServer) -> None:
    """Changes are as good or bad as in the environment."""
    assert server.settings(leeway=5).leeway == 5
    with pytest.raises(ConfigurationError, match="NMOS_AUTH_LEEWAY"):
        server.settings(leeway=-1)


def test_nothing_is_left_behind() -> None:
    """The directory goes with the server."""
    with authorization_server() as server:
        keys_file = server.settings().keys_file
        assert keys_file is not None
        assert keys_file.is_file()
    assert not keys_file.parent.exists()
