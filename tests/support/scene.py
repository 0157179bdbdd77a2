"""A Node that trusts Authorization Servers: served on loopback, asked with tokens.

    with protected(make_settings(authority)) as node:
        assert node.status(authority.token()) == 200

`authority`, `make_settings` and their variants are fixtures of every room.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from nmos_auth import NmosAuthMiddleware, Settings
from tests.support.authority import FakeAuthorizationServer
from tests.support.servers import serving
from tests.support.tls import TestAuthority
from tests.support.tokens import SigningKey, claims_of, signing_key

__all__ = [
    "PROMPT",
    "SELF",
    "MakeSettings",
    "Node",
    "assert_untouched",
    "bearer",
    "foreign_token",
    "http_client",
    "node_app",
    "protected",
    "settings_for",
]

SELF = "/x-nmos/node/v1.3/self"

# Far below the least that any fetch from a stalled server may take, and far above what a busy
# machine needs for one request on loopback.
PROMPT = 1.0


class MakeSettings(Protocol):
    """Makes settings that trust servers."""

    def __call__(self, *servers: FakeAuthorizationServer, **changes: object) -> Settings:
        """Make them."""
        ...


def settings_for(
    tls: TestAuthority, *servers: FakeAuthorizationServer, **changes: object
) -> Settings:
    """Make settings that trust these servers, look for no others, and log to the logging module.

    Args:
        tls: what vouches for the servers.
        servers: in order of preference.
        changes: in place of what the settings have, as the arguments of `Settings`.
    """
    values: dict[str, object] = {
        "audience": "node1.example.com",
        "servers": tuple(server.issuer for server in servers),
        "ca_file": tls.ca_file,
        "audit_log": "logging",
        "discovery": "off",
    }
    return Settings(**(values | changes))


async def _self(_: Request) -> JSONResponse:
    return JSONResponse({"id": "self"})


def node_app(settings: Settings) -> Starlette:
    """Make a Node of one resource, protected."""
    middleware = Middleware(NmosAuthMiddleware, settings=settings)
    return Starlette(routes=[Route(SELF, _self)], middleware=[middleware])


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"authorization": f"Bearer {token}"}


class Node:
    """A client of a protected Node; every answer must be prompt, whatever servers do.

    Attributes:
        base_url: the Node's origin.
    """

    def __init__(self, client: httpx2.Client) -> None:
        self.base_url = client.base_url
        self._client = client

    def get(self, token: str) -> httpx2.Response:
        """Ask for a protected resource."""
        response = self._client.get(SELF, headers=bearer(token))
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


def http_client(origin: str, tls: TestAuthority | None = None) -> httpx2.Client:
    """Return a client of a server, which trusts no other than `tls` vouches for.

    By default clients read this machine's root certificates, which takes longer than most tests.
    """
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if tls is None else tls.client_context()
    return httpx2.Client(base_url=origin, verify=trust, trust_env=False)


@contextlib.contextmanager
def protected(
    settings: Settings,
    make_app: Callable[[Settings], ASGIApp] = node_app,
    *,
    tls: TestAuthority | None = None,
) -> Iterator[Node]:
    """Serve a protected Node until the block ends.

    Args:
        settings: of its middleware.
        make_app: makes the app, middleware included.
        tls: what vouches for the Node, as `localhost`; None serves it over http.
    """
    context = None if tls is None else tls.server_context("localhost")
    with serving(make_app(settings), tls=context, lifespan="on") as port:
        origin = f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
        with http_client(origin, tls) as client:
            yield Node(client)


def foreign_token(
    server: FakeAuthorizationServer, key: SigningKey | None = None, **claims: object
) -> str:
    """Sign a token that names `server` as its issuer with a key that it does not publish."""
    return (key or signing_key(9)).sign(claims_of(server.issuer, **claims))


def assert_untouched(listener: socket.socket) -> None:
    """Check that no connection was made."""
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.accept()
