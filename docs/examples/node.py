"""A protected Node: every path under /x-nmos needs a token that permits it."""

from typing import Annotated

from fastapi import Depends, FastAPI

from nmos_auth import AccessToken, NmosAuthMiddleware, access_token
from nmos_auth.status import status_routes

app = FastAPI()
app.add_middleware(NmosAuthMiddleware)
app.router.routes.extend(status_routes())


@app.get("/x-nmos/")
async def apis() -> list[str]:
    return ["node/"]


@app.get("/x-nmos/node/v1.3/self")
async def node_self(token: Annotated[AccessToken, Depends(access_token)]) -> dict[str, str]:
    return {"id": "3b8be755-08ff-452b-b217-c9151eb21193", "asked_by": token.client_id}
