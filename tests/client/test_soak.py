"""A Node that stays authorized while everything around it restarts and changes keys.

`ASGI_NMOS_AUTH_SOAK` says for how many seconds; three minutes otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from nmos_auth import NmosAuthMiddleware, Settings
from nmos_auth.client import AuthorizationClient, BearerAuth, jwks_route
from tests.authority.support import Served
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import DevelopmentServer
from tests.support.servers import free_port, serving
from tests.support.tls import TestAuthority
from tests.support.tokens import parts_of

SECONDS = float(os.environ.get("ASGI_NMOS_AUTH_SOAK", "180"))
# Seconds: of a token's life, between requests, and for the Resource Server between key fetches,
# which is how long a key has to be published before it signs.
TOKEN_LIFETIME = 30
HEARTBEAT = 5.0
KEY_REFRESH = 5.0
PATH = "/x-nmos/registration/v1.3/health/nodes/3b8be755-08ff-452b-b217-c9151eb21193"

logger = logging.getLogger(__name__)


@dataclass
class Watched:
    """Notes how long each token has left when it arrives, before anything else sees it.

    Attributes:
        left: seconds, for every request.
        tokens: how often each token came.
        statuses: of the answers.
    """

    left: list[float] = field(default_factory=list)
    tokens: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Put it around an app."""

        async def watching(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            token = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
            _, claims = parts_of(token)
            self.left.append(float(str(claims["exp"])) - time.time())
            self.tokens[str(claims["jti"])] += 1

            async def noting(message: dict[str, object]) -> None:
                if message["type"] == "http.response.start":
                    self.statuses[int(str(message["status"]))] += 1
                await send(message)

            await app(scope, receive, noting)  # type: ignore[arg-type]

        return watching


def healthy(_: Request) -> Response:
    """Answer a heartbeat."""
    return Response("{}")


@contextlib.asynccontextmanager
async def running(development: DevelopmentServer) -> AsyncIterator[Served]:
    """Run it without holding up this loop while it starts and stops."""
    with contextlib.ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, development.running())
        yield server
        await asyncio.to_thread(stack.close)


async def disturb(
    development: DevelopmentServer, rotate: Callable[[], object], chance: random.Random
) -> None:
    """Restart the server and change the keys of both sides, on and on."""
    for number in range(10**6):
        async with running(development) as server:
            await asyncio.sleep(chance.uniform(8, 12))
            await asyncio.to_thread(rotate)
            await asyncio.sleep(chance.uniform(4, 6))
            # Every fifth time a key is withdrawn, and one signs that nobody has seen.
            keys = server.authority.keys
            await asyncio.to_thread(keys.replace if number % 5 == 4 else keys.rotate)
            await asyncio.sleep(chance.uniform(12, 18))
        logger.info("restart %d", number)
        await asyncio.sleep(chance.uniform(0, 9))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
async def test_staying_authorized(
    tls: TestAuthority, make_settings: MakeClientSettings, tmp_path: Path
) -> None:
    """No request fails and no expired token is sent, whatever restarts and rotates."""
    chance = random.Random(1)  # noqa: S311 - to be the same with every run
    development = DevelopmentServer(
        tls, tmp_path / "authority.db", token_lifetime=TOKEN_LIFETIME, port=free_port()
    )
    issuer, jwks_port = f"https://localhost:{development.port}", free_port()
    with development.running() as server:
        initial = server.authority.initial_access_token()
    settings = make_settings(
        issuer,
        auth_method="private_key_jwt",
        jwks_uri=f"https://localhost:{jwks_port}/jwks",
        store=tmp_path / "client.json",
        initial_access_token=initial,
    )
    resource = Settings(
        audience="localhost",
        servers=issuer,
        ca_file=tls.ca_file,
        refresh_interval=KEY_REFRESH,
        audit_log=str(tmp_path / "audit.log"),
    )
    watched = Watched()
    registry = Starlette(routes=[Route(PATH, healthy, methods=["POST"])])
    protected = watched.around(NmosAuthMiddleware(registry, settings=resource))
    answers: Counter[int] = Counter()
    async with AuthorizationClient(settings) as client:
        context = tls.server_context("localhost")
        jwks = Starlette(routes=[jwks_route(client.keys)])
        with (
            serving(jwks, tls=context, port=jwks_port),
            serving(protected, tls=context, lifespan="on") as port,
        ):
            origin = f"https://localhost:{port}"
            disturbance = asyncio.create_task(
                disturb(development, lambda: client.keys.rotate(announced=0), chance)
            )
            auth = BearerAuth(client.tokens(), [origin])
            async with httpx.AsyncClient(auth=auth, verify=tls.client_context()) as http:
                await asyncio.sleep(2)
                ends = time.monotonic() + SECONDS
                while time.monotonic() < ends:
                    answers[(await http.post(f"{origin}{PATH}")).status_code] += 1
                    await asyncio.sleep(HEARTBEAT)
            disturbance.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await disturbance
    counted = development.counted
    logger.info("answers %s, as sent %s", dict(answers), dict(watched.statuses))
    logger.info("%d tokens, least time left %.1f s", len(watched.tokens), min(watched.left))
    logger.info("requests to the Authorization Server: %s", dict(counted.counts))
    assert min(watched.left) > 0
    assert set(answers) == {200}
    assert len(watched.tokens) > SECONDS / TOKEN_LIFETIME
    assert counted["POST /register"] == 1
    assert counted["POST /token"] < 2 * SECONDS / (TOKEN_LIFETIME / 2) + 10
