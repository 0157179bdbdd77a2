"""The Query API, IS-04 v1.3, and the WebSockets of its subscriptions.

The middleware has matched the token with the path of every request below /x-nmos; so it is known
that who makes a subscription may write `subscriptions`. What is left to decide here is whether
who connects to one may read all that it can return (BCP-003-02, Registry WebSocket Authorization).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response, WebSocket

from example_node.errors import ForbiddenError, NotFoundError, found, read
from example_node.registry.models import Subscription, SubscriptionRequest
from example_node.registry.paging import Paging
from example_node.registry.paths import Data
from example_node.registry.queries import Query, parameters_of
from example_node.registry.registry import COLLECTIONS, Record, Registry
from example_node.registry.subscriptions import Subscriptions
from nmos_auth import AccessToken, access_token
from nmos_auth.registry import check_subscription

VERSION = "v1.3"
BASE = f"/x-nmos/query/{VERSION}"

WEBSOCKETS = "/ws"
"""The path of every `ws_href`: outside /x-nmos, where `access_token` verifies the token. Its claims
are checked once the subscription is known."""

_DEFAULT_RATE_MS = 100
_STEP = 250


def router(registry: Registry, subscriptions: Subscriptions, origin: str) -> APIRouter:
    """Make the routes below /x-nmos/query/v1.3."""
    api = APIRouter(tags=["IS-04 Query API"])

    @api.get("")
    async def get_base() -> list[str]:
        return [f"{name}/" for name in (*COLLECTIONS, "subscriptions")]

    # The routes of subscriptions come first, because those of collections match them too.
    _add_subscriptions(api, subscriptions, origin)
    _add_collections(api, registry, origin)

    @api.websocket("/{collection}")
    async def upgrade(collection: str, socket: WebSocket) -> None:
        """Make a subscription by the request that connects to it; the middleware has checked both.

        "a corresponding entry in `/subscriptions` for a non-persistent Subscription MUST also be
        created with matching attributes".
        """
        if collection not in COLLECTIONS:
            await socket.close()
            return
        asked = {
            "resource_path": f"/{collection}",
            "params": dict(parameters_of(socket.url.query)),
            "persist": False,
            "max_update_rate_ms": _DEFAULT_RATE_MS,
        }
        subscription, _ = subscriptions.create(read(SubscriptionRequest, asked))
        await subscriptions.serve(socket, subscription)

    return api


def _add_subscriptions(api: APIRouter, subscriptions: Subscriptions, origin: str) -> None:
    @api.get("/subscriptions")
    async def get_subscriptions(request: Request, response: Response) -> list[Data]:
        url = f"{origin}{BASE}/subscriptions"
        return await _listed(request, response, url, subscriptions.records)

    @api.post("/subscriptions", status_code=201)
    async def post_subscription(body: SubscriptionRequest, response: Response) -> Subscription:
        subscription, created = subscriptions.create(body)
        if not created:
            response.status_code = 200
        response.headers["Location"] = f"{BASE}/subscriptions/{subscription.id}"
        return subscription

    @api.get("/subscriptions/{subscription_id}")
    async def get_subscription(subscription_id: str) -> Subscription:
        return found(subscriptions, subscription_id)

    @api.delete("/subscriptions/{subscription_id}", status_code=204)
    async def delete_subscription(subscription_id: str) -> None:
        if not found(subscriptions, subscription_id).persist:
            raise ForbiddenError("A subscription that is not persistent ends by itself.")
        await subscriptions.delete(subscription_id)


def _add_collections(api: APIRouter, registry: Registry, origin: str) -> None:
    @api.get("/{collection}")
    async def get_collection(collection: str, request: Request, response: Response) -> list[Data]:
        records = [*_records(registry, collection).values()]
        return await _listed(request, response, f"{origin}{BASE}/{collection}", records)

    @api.get("/{collection}/{resource_id}")
    async def get_resource(collection: str, resource_id: str) -> Data:
        return found(_records(registry, collection), resource_id).data


async def _listed(
    request: Request, response: Response, url: str, records: Sequence[Record]
) -> list[Data]:
    query = Query.parse(parameters_of(request.url.query))
    matching = await _matching(records, query)
    page = Paging.parse(request.query_params).page_of(records, matching)
    response.headers.update(page.headers(url, query.parameters))
    return page.data


def serve_websockets(app: FastAPI, subscriptions: Subscriptions) -> None:
    """Add the route that every `ws_href` leads to."""

    @app.websocket(f"{WEBSOCKETS}/{{subscription_id}}")
    async def connect(
        subscription_id: str,
        socket: WebSocket,
        token: Annotated[AccessToken, Depends(access_token)],
    ) -> None:
        subscription = subscriptions.get(subscription_id)
        if subscription is None:
            await socket.close()
            return
        check_subscription(token, subscription.resource_path)
        await subscriptions.serve(socket, subscription)


def _records(registry: Registry, collection: str) -> Mapping[str, Record]:
    if collection not in COLLECTIONS:
        raise NotFoundError("There is no such resource.")
    return registry[collection]


async def _matching(records: Sequence[Record], query: Query) -> Sequence[Record]:
    """Return the records that pass a query; other tasks have their turn meanwhile."""
    if query.passes_all:
        return records
    matching: list[Record] = []
    for start in range(0, len(records), _STEP):
        if start:
            await asyncio.sleep(0)
        part = records[start : start + _STEP]
        matching += [record for record in part if query.matches(record.data)]
    return matching
