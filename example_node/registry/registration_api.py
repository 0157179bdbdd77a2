"""The Registration API, IS-04 v1.3: only the owner of a resource can change it.

The middleware has already matched the token with the path. `Ownership` decides whether the client
owns the resource: one line in each handler that changes anything (BCP-003-02, Registry Client
Authorization).
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic_core import to_json

from example_node.clock import NANOSECONDS, TaiTime
from example_node.errors import BadRequestError, FullError, NotFoundError, found
from example_node.registry.feed import LARGEST_RESOURCE
from example_node.registry.models import Health, Registration
from example_node.registry.paths import Data
from example_node.registry.registry import COLLECTIONS, Registry
from nmos_auth.registry import Owners, Ownership, ownership_of

VERSION = "v1.3"


def router(registry: Registry, owners: Owners) -> APIRouter:  # noqa: C901 - a list of routes
    """Make the routes below /x-nmos/registration/v1.3."""
    api = APIRouter(tags=["IS-04 Registration API"])
    Owned = Annotated[Ownership, Depends(ownership_of(owners))]  # noqa: N806 - a type

    @api.get("")
    async def get_base() -> tuple[str, ...]:
        return "resource/", "health/"

    @api.post("/resource", status_code=201)
    async def post_resource(
        body: Registration, ownership: Owned, response: Response
    ) -> dict[str, Any]:
        collection, data = f"{body.type}s", body.data.model_dump(exclude_unset=True)
        if len(to_json(data)) > LARGEST_RESOURCE:
            raise BadRequestError(f"A resource may have at most {LARGEST_RESOURCE} bytes.")
        _check(registry, collection, data)
        if await ownership.register(body.type, data):
            # It may be left over from another client, whose heartbeats ended.
            registry.remove(collection, data["id"])
        # Other requests may have been answered meanwhile: one that removed the parent, say.
        _check(registry, collection, data)
        if data["id"] in registry[collection]:
            response.status_code = 200
        registry.register(collection, data)
        response.headers["Location"] = (
            f"/x-nmos/registration/{VERSION}/resource/{collection}/{data['id']}"
        )
        return data

    @api.get("/resource/{collection}/{resource_id}")
    async def get_resource(collection: str, resource_id: str) -> Data:
        if collection not in COLLECTIONS:
            raise NotFoundError("There is no such resource.")
        return found(registry[collection], resource_id).data

    @api.delete("/resource/{collection}/{resource_id}", status_code=204)
    async def delete_resource(collection: str, resource_id: str, ownership: Owned) -> None:
        if not await ownership.delete(collection, resource_id) or not registry.remove(
            collection, resource_id
        ):
            raise NotFoundError("There is no such resource.")

    @api.get("/health/nodes/{node_id}")
    async def get_health(node_id: str) -> Health:
        return _health(registry, node_id)

    @api.post("/health/nodes/{node_id}")
    async def post_health(node_id: str, ownership: Owned) -> Health:
        if not await ownership.heartbeat(node_id):
            raise NotFoundError("There is no such Node.")
        registry.heartbeat(node_id)
        return _health(registry, node_id)

    return api


def _check(registry: Registry, collection: str, data: Data) -> None:
    """Refuse what does not fit (IS-04 "Behaviour: Registration", Node Encounters HTTP 400)."""
    known = registry[collection].get(data["id"])
    if known is None and registry.is_full:
        raise FullError("There are too many resources.")
    if known and TaiTime.parse(data["version"]) < TaiTime.parse(known.data["version"]):
        raise BadRequestError("The version is earlier than that of the registered resource.")
    if registry.is_of_another_type(collection, data):
        raise BadRequestError("The id belongs to a resource of another type.")
    if not registry.has_parent_of(collection, data):
        raise BadRequestError("The parent of the resource is not registered.")


def _health(registry: Registry, node_id: str) -> Health:
    latest = registry.health(node_id)
    if latest is None:
        raise NotFoundError("There is no such Node.")
    return Health(health=str(latest.total // NANOSECONDS))
