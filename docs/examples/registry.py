"""A Registration API that holds to BCP-003-02: whoever registers a Node owns it."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Response

from nmos_auth import NmosAuthMiddleware
from nmos_auth.registry import MemoryOwners, Ownership, ownership_of

app = FastAPI()
app.add_middleware(NmosAuthMiddleware)
registered: dict[str, dict[str, Any]] = {}
Owned = Annotated[Ownership, Depends(ownership_of(MemoryOwners()))]


@app.post("/x-nmos/registration/v1.3/resource")
async def register(body: dict[str, Any], ownership: Owned, response: Response) -> dict[str, Any]:
    created = await ownership.register(body.get("type"), body.get("data"))
    registered[body["data"]["id"]] = body["data"]
    response.status_code = 201 if created else 200
    return registered[body["data"]["id"]]


@app.post("/x-nmos/registration/v1.3/health/nodes/{node_id}")
async def heartbeat(node_id: str, ownership: Owned, response: Response) -> dict[str, str]:
    if not await ownership.heartbeat(node_id):
        response.status_code = 404
    return {"health": "0"}


@app.delete("/x-nmos/registration/v1.3/resource/{collection}/{resource_id}")
async def delete(collection: str, resource_id: str, ownership: Owned) -> Response:
    known = await ownership.delete(collection, resource_id)
    registered.pop(resource_id, None)
    return Response(status_code=204 if known else 404)
