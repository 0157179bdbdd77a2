"""A handler that decides item by item: a bulk request names several Senders in its body."""

from typing import Annotated

from fastapi import Depends, FastAPI

from nmos_auth import AccessToken, InsufficientScope, NmosAuthMiddleware, access_token

app = FastAPI()
app.add_middleware(NmosAuthMiddleware)


@app.post("/x-nmos/connection/v1.1/bulk/senders")
async def bulk(
    changes: list[dict[str, object]], token: Annotated[AccessToken, Depends(access_token)]
) -> list[dict[str, object]]:
    for change in changes:
        if not token.allows("connection", "write", f"single/senders/{change['id']}/staged"):
            raise InsufficientScope
    return [{"id": change["id"], "code": 200} for change in changes]
