"""The Node API, IS-04 v1.3: read-only."""

from fastapi import APIRouter

from example_node.errors import NotProvidedError, found
from example_node.resources import (
    Collection,
    Device,
    Flow,
    Node,
    Receiver,
    Resources,
    ResourceT,
    Sender,
    Source,
)

CHILDREN = ("self/", "sources/", "flows/", "devices/", "senders/", "receivers/")


def router(resources: Resources) -> APIRouter:
    """Make the routes below /x-nmos/node/v1.3."""
    api = APIRouter(tags=["IS-04 Node API"])

    @api.get("")
    async def get_base() -> tuple[str, ...]:
        return CHILDREN

    @api.get("/self")
    async def get_self() -> Node:
        return resources.node

    _add(api, "devices", resources.devices, Device, list[Device])
    _add(api, "sources", resources.sources, Source, list[Source])
    _add(api, "flows", resources.flows, Flow, list[Flow])
    _add(api, "senders", resources.senders, Sender, list[Sender])
    _add(api, "receivers", resources.receivers, Receiver, list[Receiver])

    @api.put("/receivers/{receiver_id}/target")
    async def put_receiver_target(receiver_id: str) -> None:
        """Refuse a deprecated request: v1.3 Nodes may answer 501 (IS-04 "Behaviour: Nodes")."""
        found(resources.receivers, receiver_id)
        raise NotProvidedError("Receivers are connected through the Connection API (IS-05).")

    return api


def _add(
    api: APIRouter, name: str, collection: Collection[ResourceT], one: object, all_: object
) -> None:
    """Add the routes of one kind of resource, whose answers have these types."""

    @api.get(f"/{name}", name=f"get_{name}", response_model=all_)
    async def get_all() -> list[ResourceT]:
        return list(collection.values())

    @api.get(f"/{name}/{{resource_id}}", name=f"get_one_of_{name}", response_model=one)
    async def get_one(resource_id: str) -> ResourceT:
        return found(collection, resource_id)
