"""A Controller in a browser: users log in, and their tokens stay on the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from nmos_auth.client import AuthorizationClient
from nmos_auth.client.login import LoginRoutes, Session

client = AuthorizationClient()  # NMOS_AUTH_CLIENT_GRANT=authorization_code
login = LoginRoutes(client, after_login="/me")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with client, login:
        yield


app = FastAPI(lifespan=lifespan)
app.router.routes.extend(login.routes)


@app.get("/me")
async def me(session: Annotated[Session | None, Depends(login.current)]) -> Response:
    if session is None:
        return RedirectResponse("/login?next=/me", 303)
    hint = (await session.tokens.token()).claims_hint() or {}
    return PlainTextResponse(f"{hint.get('sub')} may use {', '.join(sorted(session.scope))}")
