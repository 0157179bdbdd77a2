"""The Node API, IS-04 v1.3: read-only."""

from fastapi import APIRouter

from example_node.errors import NotProvidedError, found
from example_node.resources import Device, Flow, Node, Receiver, Resources, Sender, Source

CHILDREN = ("self/", "sources/", "flows/", "devices/", "senders/", "receivers/")


def router(resources: Resources) -> APIRouter:  # noqa: C901 - a list of routes
    """Make the routes below /x-nmos/node/v1.3."""
    api = APIRouter(tags=["IS-04 Node API"])

    @api.get("")
    async def get_base() -> tuple[str, ...]:
        return CHILDREN

    @api.get("/self")
    async def get_self() -> Node:
        return resources.node

    @api.get("/devices")
    async def get_devices() -> list[Device]:
        return list(resources.devices.values())

    @api.get("/devices/{device_id}")
    async def get_device(device_id: str) -> Device:
        return found(resources.devices, device_id)

    @api.get("/sources")
    async def get_sources() -> list[Source]:
        return list(resources.sources.values())

    @api.get("/sources/{source_id}")
    async def get_source(source_id: str) -> Source:
        return found(resources.sources, source_id)

    @api.get("/flows")
    async def get_flows() -> list[Flow]:
        return list(resources.flows.values())

    @api.get("/flows/{flow_id}")
    async def get_flow(flow_id: str) -> Flow:
        return found(resources.flows, flow_id)

    @api.get("/senders")
    async def get_senders() -> list[Sender]:
        return list(resources.senders.values())

    @api.get("/senders/{sender_id}")
    async def get_sender(sender_id: str) -> Sender:
        return found(resources.senders, sender_id)

    @api.get("/receivers")
    async def get_receivers() -> list[Receiver]:
        return list(resources.receivers.values())

    @api.get("/receivers/{receiver_id}")
    async def get_receiver(receiver_id: str) -> Receiver:
        return found(resources.receivers, receiver_id)

    @api.put("/receivers/{receiver_id}/target")
    async def put_receiver_target(receiver_id: str) -> None:
        """Refuse what is deprecated: v1.3 Nodes may answer 501 (IS-04 "Behaviour: Nodes")."""
        found(resources.receivers, receiver_id)
        raise NotProvidedError("Receivers are connected through the Connection API (IS-05).")

    return api
