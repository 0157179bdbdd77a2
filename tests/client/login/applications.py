"""A web Controller with a login, and browsers that use it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from nmos_auth.client.login import EndReason, LoginRoutes, Session

__all__ = [
    "WEB",
    "Ends",
    "WebBrowser",
    "application",
    "browsing",
    "controller",
    "logging_in",
    "state_of",
]

WEB = "https://controller.example.com"


@dataclass
class Ends:
    """Remembers which sessions ended, and why."""

    reasons: list[EndReason] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    _one_more: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, session: Session, reason: EndReason) -> None:
        """Be told."""
        self.sessions.append(session)
        self.reasons.append(reason)
        self._one_more.set()

    async def until(self, number: int) -> None:
        """Wait until so many have ended."""
        async with asyncio.timeout(10):
            while len(self.reasons) < number:
                await self._one_more.wait()
                self._one_more.clear()


def controller(redirect_uri: str = f"{WEB}/callback", **changes: object) -> dict[str, object]:
    """Return the settings of a web Controller."""
    return {
        "scope": "query connection",
        "grant": "authorization_code",
        "auth_method": "none",
        "redirect_uri": redirect_uri,
        **changes,
    }


def application(login: LoginRoutes) -> Starlette:
    """Return an application that tells who is logged in, by the token."""

    async def who(request: Request) -> Response:
        session = await login.current(request)
        if session is None:
            return JSONResponse(None)
        return JSONResponse((await session.tokens.token()).value.get_secret_value())

    return Starlette(routes=[Route("/who", who), *login.routes])


@dataclass(frozen=True)
class WebBrowser:
    """A browser at the application."""

    http: httpx.AsyncClient

    async def begin(self, path: str = "/login") -> str:
        """Begin a login, and return its state."""
        started = await self.http.get(path)
        assert started.status_code == 303, started.text
        return state_of(started.headers["location"])

    async def come_back(self, state: str, path: str = "/callback", **more: str) -> httpx.Response:
        """Come back from the Authorization Server."""
        parameters = {"state": state, "code": "code-1", **more}
        return await self.http.get(f"{path}?{urlencode(parameters)}")

    async def log_in(self) -> None:
        """Log in at an application without a prefix."""
        assert (await self.come_back(await self.begin())).status_code == 303

    async def who(self, path: str = "/who") -> str | None:
        """Ask who is logged in."""
        answer: str | None = (await self.http.get(path)).json()
        return answer


@contextlib.asynccontextmanager
async def browsing(
    app: ASGIApp, base_url: str = WEB, root_path: str = ""
) -> AsyncIterator[WebBrowser]:
    """Open a browser at an application."""
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as http:
        yield WebBrowser(http)


@contextlib.asynccontextmanager
async def logging_in(login: LoginRoutes) -> AsyncIterator[WebBrowser]:
    """Open a browser at an application with this login."""
    async with login, browsing(application(login)) as browser:
        yield browser


def state_of(url: str) -> str:
    """Return the state in an authorization request."""
    return dict(parse_qsl(urlsplit(url).query))["state"]
