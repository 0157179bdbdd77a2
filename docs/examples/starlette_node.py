"""A protected Node with Starlette only: the middleware does not need FastAPI."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from nmos_auth import NmosAuthMiddleware, access_token


async def node_self(request: Request) -> JSONResponse:
    token = await access_token(request)
    return JSONResponse({"asked_by": token.client_id})


app = Starlette(
    routes=[Route("/x-nmos/node/v1.3/self", node_self)],
    middleware=[Middleware(NmosAuthMiddleware)],
)
