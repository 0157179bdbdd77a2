"""A Node that trusts Authorization Servers: served on loopback, asked with tokens."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from nmos_auth import NmosAuthMiddleware, Settings
from tests.support.authority import FakeAuthorizationServer
from tests.support.servers import serving
from tests.support.tokens import SigningKey, claims_of, signing_key

__all__ = [
    "PROMPT",
    "SELF",
    "Node",
    "assert_untouched",
    "foreign_token",
    "node_app",
    "protected",
]

SELF = "/x-nmos/node/v1.3/self"

# Far below the least that any fetch from a stalled server may take, and far above what a busy
# machine needs for one request on loopback.
PROMPT = 1.0


async def _self(_: Request) -> JSONResponse:
    return JSONResponse({"id": "self"})


def node_app(settings: Settings) -> Starlette:
    """Make a Node of one resource, protected."""
    middleware = Middleware(NmosAuthMiddleware, settings=settings)
    return Starlette(routes=[Route(SELF, _self)], middleware=[middleware])


class Node:
    """A client of a protected Node; every answer must be prompt, whatever servers do."""

    def __init__(self, client: httpx2.Client) -> None:
        self.base_url = client.base_url
        self._client = client

    def get(self, token: str) -> httpx2.Response:
        """Ask for a protected resource."""
        response = self._client.get(SELF, headers={"authorization": f"Bearer {token}"})
        assert response.elapsed.total_seconds() < PROMPT, "the request waited for a server"
        return response

    def status(self, token: str) -> int:
        """Ask for a protected resource and give the status of the answer."""
        return self.get(token).status_code

    def until(
        self, token: Callable[[], str], status: int = 200, *, within: float = 10
    ) -> httpx2.Response:
        """Ask again and again, with a new token each time, until the status is this."""
        deadline = time.monotonic() + within
        while (response := self.get(token())).status_code != status:
            assert time.monotonic() < deadline, f"still {response.status_code} {response.text}"
            time.sleep(0.01)
        return response


@contextlib.contextmanager
def protected(settings: Settings) -> Iterator[Node]:
    """Serve a protected Node until the block ends."""
    with (
        serving(node_app(settings), lifespan="on") as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        yield Node(client)


def foreign_token(
    server: FakeAuthorizationServer, key: SigningKey | None = None, **claims: object
) -> str:
    """Sign a token that names `server` as its issuer with a key that it does not publish."""
    return (key or signing_key(9)).sign(claims_of(server.issuer, **claims))


def assert_untouched(listener: socket.socket) -> None:
    """Check that nobody connected."""
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.accept()
