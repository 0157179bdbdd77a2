"""A protected Node with Litestar: the middleware is put round the app."""

from litestar import Litestar, Request, get

from nmos_auth import AccessToken, NmosAuthMiddleware


@get("/x-nmos/node/v1.3/self")
async def node_self(request: Request) -> dict[str, str]:
    token: AccessToken = request.scope["nmos_auth.access_token"]
    return {"asked_by": token.client_id}


app = NmosAuthMiddleware(Litestar([node_self]))
