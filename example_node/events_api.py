"""The HTTP and WebSocket side of the Events API, IS-07 v1.0.

The middleware has already checked that a token allows the request's method and path. For a
WebSocket it has only checked that the token is for events; `event_sources` decides on the Sources.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, WebSocket

from example_node.clock import Clock
from example_node.errors import FullError, found
from example_node.events.event_types import TypeDefinition
from example_node.events.messages import State
from example_node.events.node_events import NodeEvents
from example_node.events.subscriptions import MOST_SUBSCRIBERS, Subscriber
from nmos_auth import EventSources, event_sources

BASE = ("sources/",)
SOURCE_CHILDREN = ("state/", "type/")


def router(events: NodeEvents, clock: Clock) -> APIRouter:
    """Make the routes below /x-nmos/events/v1.0."""
    sources = events.sources
    subscribers: set[Subscriber] = set()
    api = APIRouter(tags=["IS-07 Events API"])

    @api.get("")
    async def get_base() -> tuple[str, ...]:
        return BASE

    @api.get("/sources")
    async def get_sources() -> list[str]:
        return [f"{source_id}/" for source_id in sources]

    @api.get("/sources/{source_id}")
    async def get_source(source_id: str) -> tuple[str, ...]:
        found(sources, source_id)
        return SOURCE_CHILDREN

    @api.get("/sources/{source_id}/state", response_model_exclude_none=True)
    async def get_source_state(source_id: str) -> State:
        return found(sources, source_id).state

    @api.get("/sources/{source_id}/type", response_model_exclude_none=True)
    async def get_source_type(source_id: str) -> TypeDefinition:
        return found(sources, source_id).definition

    @api.websocket(f"/devices/{events.links.device_id}")
    async def connect(
        websocket: WebSocket, permitted: Annotated[EventSources, Depends(event_sources)]
    ) -> None:
        if len(subscribers) >= MOST_SUBSCRIBERS:
            raise FullError("Too many clients are connected.")
        subscriber = Subscriber(websocket, permitted, sources, clock)
        subscribers.add(subscriber)
        try:
            await subscriber.serve()
        finally:
            subscribers.discard(subscriber)

    return api
