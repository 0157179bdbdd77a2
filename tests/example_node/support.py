"""What the tests of the Node share: paths, a clock moved by hand, a running app."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI

from example_node.clock import TaiTime
from example_node.connection.endpoint import Endpoint
from example_node.resources import RTP
from tests.support.lifespans import lifespan

UNKNOWN = "11111111-1111-4111-8111-111111111111"
HOST = "node.example.com"
ORIGIN = f"https://{HOST}:8443"
NODE = "/x-nmos/node/v1.3"
EVENTS = "/x-nmos/events/v1.0"
SINGLE = "/x-nmos/connection/v1.1/single"
BULK = "/x-nmos/connection/v1.1/bulk"
MAPPING = "/x-nmos/channelmapping/v1.0"


class ManualClock:
    """A clock that stands still until a test moves it.

    Attributes:
        ahead: by how much somebody has set it forwards; lengths of time go on as before.
    """

    ahead = TaiTime(0)

    def __init__(self) -> None:
        self._now = TaiTime.parse("1000:0")
        self._sleepers: list[tuple[TaiTime, Callable[[], TaiTime], asyncio.Event]] = []

    def now(self) -> TaiTime:
        """The present instant."""
        return self._now + self.ahead

    async def sleep_until(self, instant: TaiTime) -> None:
        """Return once the clock has been moved to the instant."""
        await self._reach(instant, self.now)

    def elapsed(self) -> TaiTime:
        """The time since some instant."""
        return self._now

    async def sleep(self, interval: TaiTime) -> None:
        """Return once the clock has been moved by the interval."""
        await self._reach(self._now + interval, self.elapsed)

    async def _reach(self, instant: TaiTime, read: Callable[[], TaiTime]) -> None:
        if instant > read():
            woken = asyncio.Event()
            self._sleepers.append((instant, read, woken))
            await woken.wait()

    async def advance(self, interval: str) -> None:
        """Move the clock forwards, and let those who waited for that go on."""
        self._now += TaiTime.parse(interval)
        for instant, read, woken in self._sleepers:
            if instant <= read():
                woken.set()
        await self.settle()

    async def settle(self) -> None:
        """Let every task that can run do so; an activation needs a single turn."""
        for _ in range(5):
            await asyncio.sleep(0)


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Start and stop an app as a server does, and give a client of it."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        lifespan(app),
        httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client,
    ):
        yield client


def rtp_only(endpoints: Mapping[str, Endpoint[Any, Any]]) -> list[str]:
    """Return the ids of the Senders or Receivers whose transport is RTP."""
    return [each for each, endpoint in endpoints.items() if endpoint.transport_type == RTP]


def assert_error(response: httpx2.Response, status: int) -> None:
    """Check that an answer is an NMOS error, with CORS headers where the request has an origin."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    if "origin" in response.request.headers:
        assert response.headers["access-control-allow-origin"] == "*"
    body = response.json()
    assert body.keys() == {"code", "error", "debug"}
    assert body["code"] == status
    assert isinstance(body["error"], str)
    assert body["error"]
    assert body["debug"] is None or isinstance(body["debug"], str)
