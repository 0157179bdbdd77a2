"""A Node that says which process answered, for servers of several."""

import os

from fastapi import FastAPI

from nmos_auth import NmosAuthMiddleware
from nmos_auth.status import status_routes

__all__ = ["app"]

app = FastAPI()
app.add_middleware(NmosAuthMiddleware)
app.router.routes.extend(status_routes())


@app.get("/x-nmos/node/v1.3/self")
async def node_self() -> dict[str, int]:
    """Say it."""
    return {"worker": os.getpid()}
