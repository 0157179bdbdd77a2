"""A protected Node with Quart: the middleware is put round its ASGI app."""

from quart import Quart, request

from nmos_auth import AccessToken, NmosAuthMiddleware

app = Quart(__name__)


@app.get("/x-nmos/node/v1.3/self")
async def node_self() -> dict[str, str]:
    token: AccessToken = request.scope["nmos_auth.access_token"]
    return {"asked_by": token.client_id}


app.asgi_app = NmosAuthMiddleware(app.asgi_app)
