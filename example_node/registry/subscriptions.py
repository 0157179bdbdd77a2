"""Subscriptions of the Query API, and their WebSockets (IS-04 "Behaviour: Querying")."""

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from example_node.clock import NANOSECONDS, TaiTime
from example_node.errors import BadRequestError, FullError
from example_node.registry.feed import Feed
from example_node.registry.models import Subscription, SubscriptionRequest
from example_node.registry.queries import Query
from example_node.registry.registry import Record, Registry

MOST_SUBSCRIPTIONS = 500
MOST_SOCKETS = 1000

_UNUSED = TaiTime(60 * NANOSECONDS)
"""For how long a subscription that is not persistent is kept before its first WebSocket."""

_CLOSING_TIME = 1.0


@dataclass(frozen=True, slots=True)
class _Entry:
    """A subscription that was made.

    Attributes:
        subscription: the subscription.
        created: when it was made.
        unused_until: for how long it is kept before its first WebSocket, in time elapsed.
    """

    subscription: Subscription
    created: TaiTime
    unused_until: TaiTime


class Subscriptions(Mapping[str, Subscription]):
    """The subscriptions, by id.

    Args:
        registry: the Registry that they follow.
        ws_base: the beginning of every `ws_href`.
        secure: whether WebSockets use TLS.
        authorization: whether WebSockets require a token.
    """

    def __init__(
        self, registry: Registry, ws_base: str, *, secure: bool, authorization: bool
    ) -> None:
        self._registry = registry
        self._ws_base = ws_base
        self._secure = secure
        self._authorization = authorization
        self._source_id = str(uuid.uuid4())
        self._subscriptions: dict[str, _Entry] = {}
        self._sockets: dict[str, set[WebSocket]] = {}
        self._open = 0

    def __getitem__(self, subscription_id: str) -> Subscription:
        """Return one."""
        return self._subscriptions[subscription_id].subscription

    def __iter__(self) -> Iterator[str]:
        """Iterate over their ids."""
        return iter(self._subscriptions)

    def __len__(self) -> int:
        """Count them."""
        return len(self._subscriptions)

    @property
    def records(self) -> list[Record]:
        """Return all of them, as resources that can be paged; they never change."""
        return [
            Record(each.subscription.model_dump(), each.created, each.created)
            for each in self._subscriptions.values()
        ]

    def create(self, request: SubscriptionRequest) -> tuple[Subscription, bool]:
        """Return the requested subscription, and whether it is new.

        Raises:
            BadRequestError: `secure` or `authorization` is not what this Query API has.
            NotProvidedError: a query parameter is not supported.
            FullError: there are too many already.
        """
        if request.secure not in {None, self._secure}:
            raise BadRequestError("WebSockets are as secure here as HTTP is.")
        if request.authorization not in {None, self._authorization}:
            raise BadRequestError("WebSockets want authorization here as HTTP does.")
        Query.parse(request.params.items())
        now = self._registry.elapsed()
        for subscription_id, entry in list(self._subscriptions.items()):
            known = entry.subscription
            if _same(known, request):
                return known, False
            if not known.persist and known.id not in self._sockets and entry.unused_until < now:
                del self._subscriptions[subscription_id]
        if len(self) >= MOST_SUBSCRIPTIONS:
            raise FullError("There are too many subscriptions.")
        subscription_id = str(uuid.uuid4())
        subscription = Subscription(
            id=subscription_id,
            ws_href=f"{self._ws_base}/{subscription_id}",
            resource_path=request.resource_path,
            params=request.params,
            persist=request.persist,
            max_update_rate_ms=request.max_update_rate_ms,
            secure=self._secure,
            authorization=self._authorization,
        )
        self._subscriptions[subscription_id] = _Entry(
            subscription, self._registry.tick(), now + _UNUSED
        )
        return subscription, True

    async def delete(self, subscription_id: str) -> None:
        """End a subscription, and close its WebSockets."""
        del self._subscriptions[subscription_id]
        sockets = self._sockets.get(subscription_id, ())
        if closing := [asyncio.create_task(socket.close()) for socket in sockets]:
            # A client that does not read must not delay the client that deletes.
            _, waiting = await asyncio.wait(closing, timeout=_CLOSING_TIME)
            for each in waiting:
                each.cancel()

    async def serve(self, socket: WebSocket, subscription: Subscription) -> None:
        """Accept a WebSocket, and send grains to it until it closes.

        Raises:
            FullError: there are too many already.
        """
        if self._open >= MOST_SOCKETS:
            raise FullError("There are too many WebSockets.")
        self._open += 1
        try:
            await socket.accept()
            await self._send_grains(socket, subscription)
        finally:
            self._open -= 1

    async def _send_grains(self, socket: WebSocket, subscription: Subscription) -> None:
        if subscription.id not in self._subscriptions:
            await socket.close()  # it was deleted in the meantime
            return
        feed = Feed(self._registry, subscription, self._source_id)
        self._sockets.setdefault(subscription.id, set()).add(socket)
        self._registry.follow(feed.take)
        sending = asyncio.create_task(feed.send_to(socket))
        try:
            # Messages of clients have no meaning here.
            message = await socket.receive()
            while message["type"] != "websocket.disconnect":
                message = await socket.receive()
        finally:
            self._registry.unfollow(feed.take)
            self._leave(socket, subscription)
            sending.cancel()
            # The client may have left while something was sent.
            with suppress(asyncio.CancelledError, WebSocketDisconnect, OSError):
                await sending

    def _leave(self, socket: WebSocket, subscription: Subscription) -> None:
        sockets = self._sockets[subscription.id]
        sockets.discard(socket)
        if not sockets:
            del self._sockets[subscription.id]
            if not subscription.persist:
                self._subscriptions.pop(subscription.id, None)


def _same(subscription: Subscription, request: SubscriptionRequest) -> bool:
    # Compared as JSON, since in Python true and 1 are equal.
    names = {"resource_path", "params", "persist", "max_update_rate_ms"}
    one, other = (each.model_dump(include=names) for each in (subscription, request))
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
